/* SPDX-License-Identifier: Apache-2.0 */
/* Which pages may connect: no page that was not named, and every one that was. */
#include "worker/origin.h"

#include <glib.h>
#include <string.h>

static bool allows(const char *list, const char *origin) {
  struct wsw_origins origins = {0};
  if (list)
    g_assert_true(wsw_origins_set(&origins, list, strlen(list)));
  /* Without a terminator behind it, as it lies in the head of a request. */
  size_t length = strlen(origin);
  g_autofree char *sent = g_memdup2(origin, length ? length : 1);
  bool result = wsw_origins_allow(&origins, sent, length);
  wsw_origins_clear(&origins);
  return result;
}

static void no_list_lets_every_page_in_and_an_empty_one_none(void) {
  g_assert_true(allows(NULL, "https://a.example"));
  g_assert_true(allows(NULL, "nonsense"));
  g_assert_false(allows("", "https://a.example"));
  g_assert_false(allows("", "null"));
  g_assert_false(allows("", ""));
}

static void the_page_that_was_named_is_let_in_however_its_browser_writes_it(void) {
  static const char *const right[] = {"https://a.example", "HTTPS://A.Example", "https://a.example:443"};
  for (gsize i = 0; i < G_N_ELEMENTS(right); i++)
    g_assert_true(allows("http://b.example https://a.example", right[i]));
  g_assert_true(allows("http://a.example:8080", "http://a.example:8080"));
  g_assert_true(allows("http://a.example", "http://a.example:80"));
  g_assert_true(allows("app://a.example", "app://a.example"));
  g_assert_true(allows("http://[::1]:8080", "http://[0:0:0:0:0:0:0:1]:8080"));
  g_assert_true(allows("http://[::ffff:1.2.3.4]", "http://[::ffff:102:304]"));
}

static void a_page_that_resembles_the_one_that_was_named_is_refused(void) {
  static const char *const wrong[] = {
      "",
      "https://",
      "https:",
      "https:/a.example",
      "a.example",
      "//a.example",
      "://a.example",
      "http://a.example",
      "https://a.example.",
      "https://a.example.evil",
      "https://evil.a.example",
      "https://evila.example",
      "https://a.exampl",
      "https://a.example:444",
      "https://a.example:80",
      "https://a.example:",
      "https://a.example:0",
      "https://a.example:00000443",
      "https://a.example:65979",
      "https://a.example:443x",
      "https://a.example/",
      "https://a.example https://evil.example",
      "https://evil.example https://a.example",
      "https://*.a.example",
      "https://[::1]",
      "https://[",
      "https://[]",
      "https://[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001]",
      "null",
      "file://",
  };
  for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
    g_test_message("%s", wrong[i]);
    g_assert_false(allows("https://a.example", wrong[i]));
  }
  g_assert_false(allows("http://[::1]", "http://[::2]"));
  g_assert_false(allows("http://[::1]", "http://[::1"));
  g_assert_false(allows("http://[::1]", "http://[::1]:8080"));
}

static void a_star_stands_for_every_host_below_and_for_no_other(void) {
  const char *list = "https://*.a.example";
  g_assert_true(allows(list, "https://b.a.example"));
  g_assert_true(allows(list, "https://C.B.A.example:443"));
  g_assert_false(allows(list, "https://a.example"));
  g_assert_false(allows(list, "https://.a.example"));
  g_assert_false(allows(list, "https://ba.example"));
  g_assert_false(allows(list, "http://b.a.example"));
  g_assert_false(allows(list, "https://b.a.example:8443"));
  g_assert_false(allows(list, "https://*.a.example"));
  g_assert_true(allows("http://*.a.example:8080", "http://b.a.example:8080"));
  g_assert_false(allows("http://*.a.example:8080", "http://b.a.example"));
}

static void pages_without_an_origin_are_let_in_where_null_was_named(void) {
  g_assert_true(allows("https://a.example null", "null"));
  g_assert_true(allows("null", "file://"));
  g_assert_false(allows("null", "NULL"));
  g_assert_false(allows("null", "https://null"));
  g_assert_false(allows("null", "file:///etc"));
}

int main(int count, char **arguments) {
  g_test_init(&count, &arguments, NULL);
  g_test_add_func("/origin/no-list-lets-every-page-in-and-an-empty-one-none",
                  no_list_lets_every_page_in_and_an_empty_one_none);
  g_test_add_func("/origin/the-page-that-was-named-is-let-in",
                  the_page_that_was_named_is_let_in_however_its_browser_writes_it);
  g_test_add_func("/origin/a-page-that-resembles-it-is-refused",
                  a_page_that_resembles_the_one_that_was_named_is_refused);
  g_test_add_func("/origin/a-star-stands-for-every-host-below", a_star_stands_for_every_host_below_and_for_no_other);
  g_test_add_func("/origin/null-stands-for-pages-without-an-origin",
                  pages_without_an_origin_are_let_in_where_null_was_named);
  return g_test_run();
}
