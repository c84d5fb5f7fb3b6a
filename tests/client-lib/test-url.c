/* SPDX-License-Identifier: Apache-2.0 */
/* What can be connected to, and what is said about everything else. */
#include "client-lib/limits.h"
#include "client-lib/url.h"

#include <wsserver/ws-error.h>

static void test_right(void) {
  static const struct {
    const char *url;
    bool tls;
    const char *host;
    guint16 port;
    const char *authority, *target;
  } rows[] = {
      {"ws://tv.example", false, "tv.example", 80, "tv.example", "/"},
      {"WSS://TV.example/", true, "TV.example", 443, "TV.example", "/"},
      {"ws://192.168.1.20:8080/remote?tv=1&x=%20", false, "192.168.1.20", 8080, "192.168.1.20:8080",
       "/remote?tv=1&x=%20"},
      {"wss://a:443/x", true, "a", 443, "a", "/x"},
      {"ws://a:443", false, "a", 443, "a:443", "/"},
      {"ws://[::1]:9/", false, "::1", 9, "[::1]:9", "/"},
      {"ws://[fe80::1%25eth0]/", false, "fe80::1%eth0", 80, "[fe80::1]", "/"},
      {"ws://a/\303\274?\303\244", false, "a", 80, "a", "/%C3%BC?%C3%A4"},
      {"ws://a?q", false, "a", 80, "a", "/?q"},
      {"ws://b\303\274cher.example/", false, "xn--bcher-kva.example", 80, "xn--bcher-kva.example", "/"},
  };
  for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) error = NULL;
    struct ws_url *url = ws_url_parse(rows[i].url, &error);
    g_assert_no_error(error);
    g_assert_true(url->tls == rows[i].tls);
    g_assert_cmpstr(url->host, ==, rows[i].host);
    g_assert_cmpuint(url->port, ==, rows[i].port);
    g_assert_cmpstr(url->authority, ==, rows[i].authority);
    g_assert_cmpstr(url->target, ==, rows[i].target);
    ws_url_free(url);
  }
}

static void test_wrong(void) {
  g_autofree char *path = g_strnfill(WS_URL_MAX, 'x');
  g_autofree char *long_one = g_strconcat("ws://a/", path, NULL);
  const char *const rows[] = {"",           "ws://",         "tv.example", "http://a/", "ws:a",        "ws:///x",
                              "ws://a:0/",  "ws://a:65536/", "ws://a:x/",  "ws://a/#b", "ws://u:p@a/", "ws://a/ b",
                              "ws://[::1/", "ws://[::1]x/",  long_one};
  for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) error = NULL;
    struct ws_url *url = ws_url_parse(rows[i], &error);
    if (url != NULL)
      g_error("%s is taken for a URL", rows[i]);
    g_assert_error(error, WS_ERROR, WS_ERROR_INVALID_URL);
    g_assert_true(g_str_has_prefix(error->message, "url: "));
    g_assert_cmpuint(ws_error_get_number(error), ==, 2302001);
  }
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/url/what-can-be-connected-to", test_right);
  g_test_add_func("/url/what-cannot-is-told-why", test_wrong);
  return g_test_run();
}
