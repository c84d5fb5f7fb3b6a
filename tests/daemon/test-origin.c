/* SPDX-License-Identifier: Apache-2.0 */
/* What an app may write into allowedOrigins, and what becomes of it. */
#include "daemon/limits.h"
#include "daemon/origin.h"

#include <stdbool.h>

static const struct {
  const char *written, *normal;
} right[] = {
    {"null", "null"},
    {"https://a.example", "https://a.example"},
    {"HTTPS://A.Example:443", "https://a.example"},
    {"http://a.example:80", "http://a.example"},
    {"http://a.example:443", "http://a.example:443"},
    {"https://a.example:08443", "https://a.example:8443"},
    {"wss://a.example:443", "wss://a.example"},
    {"https://*.a.example", "https://*.a.example"},
    {"https://*.A.example:8443", "https://*.a.example:8443"},
    {"https://localhost", "https://localhost"},
    {"http://192.0.2.7:8080", "http://192.0.2.7:8080"},
    {"http://[2001:DB8:0:0:0:0:0:1]", "http://[2001:db8::1]"},
    {"http://[::1]:80", "http://[::1]"},
    {"https://xn--bcher-kva.example", "https://xn--bcher-kva.example"},
    {"app://my_tv-app", "app://my_tv-app"},
};

static const char *const wrong[] = {
    "",
    "*",
    "a.example",
    "https://",
    "https:a.example",
    "://a.example",
    "1https://a.example",
    "ht tps://a.example",
    "https://a.example/",
    "https://a.example/path",
    "https://a.example?x",
    "https://a.example#x",
    "https://user@a.example",
    "https://a.example:",
    "https://a.example:0",
    "https://a.example:65536",
    "https://a.example:+1",
    "https://a.example:80:80",
    "https://a..example",
    "https://.a.example",
    "https://a.example.",
    "https://a b.example",
    "https://a.example https://b.example",
    "https://m\xc3\xb6we.example",
    "https://*",
    "https://*.",
    "https://**.a.example",
    "https://a.*.example",
    "https://*a.example",
    "*.a.example",
    "*://a.example",
    "https://*.192.0.2.7",
    "https://*.[::1]",
    "https://192.0.2",
    "https://192.0.2.256",
    "https://[::1",
    "https://[::g]",
    "https://[fe80::1%1]",
    "https://[::1]x",
    "file://",
    "NULL",
    "https://a.example\n",
};

static void test_right(void) {
  for (gsize i = 0; i < G_N_ELEMENTS(right); i++) {
    const char *fault = NULL;
    g_autofree char *normal = wsd_origin_normalise(right[i].written, &fault);
    g_assert_cmpstr(normal, ==, right[i].normal);
    g_autofree char *again = wsd_origin_normalise(normal, &fault);
    g_assert_cmpstr(again, ==, normal);
  }
}

static void test_wrong(void) {
  for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
    const char *fault = NULL;
    g_autofree char *normal = wsd_origin_normalise(wrong[i], &fault);
    g_test_message("%s: %s", wrong[i], fault);
    g_assert_null(normal);
    g_assert_nonnull(fault);
  }
}

static char *host_of(guint labels, guint length) {
  GString *text = g_string_new("http://");
  for (guint i = 0; i < labels; i++)
    g_string_append_printf(text, "%s%.*s", i ? "." : "", (int)length,
                           "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggg");
  return g_string_free(text, FALSE);
}

static void check_host(guint labels, guint length, bool taken) {
  const char *fault;
  g_autofree char *text = host_of(labels, length);
  g_autofree char *normal = wsd_origin_normalise(text, &fault);
  g_assert_cmpint(normal != NULL, ==, taken);
}

static void test_bounds(void) {
  check_host(1, 63, true);
  check_host(1, 64, false);
  check_host(4, 62, true);
  check_host(4, 63, false); /* 255 octets */
  check_host(5, 59, false);
  const char *fault = NULL;
  g_autofree char *scheme = g_strnfill(WSD_ORIGIN_TEXT_MAX - 4, 'a');
  g_autofree char *longest = g_strconcat(scheme, "://a", NULL), *too_long = g_strconcat(scheme, "://ab", NULL);
  g_autofree char *normal = wsd_origin_normalise(longest, &fault);
  g_assert_cmpstr(normal, ==, longest);
  g_assert_null(wsd_origin_normalise(too_long, &fault));
  g_assert_cmpstr(fault, ==, "is too long");
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/origin/an app's origins are brought into the form in which they are compared", test_right);
  g_test_add_func("/origin/what would never match or match too much is refused", test_wrong);
  g_test_add_func("/origin/the bounds hold", test_bounds);
  return g_test_run();
}
