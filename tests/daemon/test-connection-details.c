/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/connection-details.h"

static struct wsc_text text(const char *string, size_t length) {
  return (struct wsc_text){string, length};
}

static void check_text(const char *in, size_t length, const char *expected) {
  g_autofree char *out = wsd_peer_text(text(in, length));
  g_assert_cmpstr(out, ==, expected);
}

static void test_peer_text(void) {
  check_text("plain", 5, "plain");
  check_text("", 0, "");
  check_text(NULL, 0, "");
  check_text("a\0b", 3,
             "a\xef\xbf\xbd"
             "b");
  check_text("\xff", 1, "\xef\xbf\xbd");
  check_text("\xf0\x9f\x98\x80", 4, "\xf0\x9f\x98\x80");
}

static void test_details(void) {
  uint8_t body[512];
  struct wsc_connect connect = {.family = 4,
                                .port = 9,
                                .address = {192, 0, 2, 7},
                                .connected_at = 5,
                                .path = text("/p", 2),
                                .query = text("q=1", 3),
                                .origin = text("null", 4),
                                .protocol = text("chat", 4),
                                .header_count = 3};
  size_t size = wsc_connect_encode(&connect, body);
  const struct wsc_connect_header headers[] = {
      {text("x-a", 3), text("1", 1)}, {text("host", 4), text("h\xff", 2)}, {text("x-a", 3), text("2", 1)}};
  for (size_t i = 0; i < G_N_ELEMENTS(headers); i++)
    size += wsc_connect_header_encode(&headers[i], body + size);
  struct wsc_connect decoded;
  g_assert_true(wsc_connect_decode(body, size, &decoded));
  g_autoptr(GVariant) with = g_variant_ref_sink(wsd_connection_details(77, &decoded, true));
  g_autofree char *printed = g_variant_print(with, FALSE);
  g_assert_cmpstr(printed, ==,
                  "(77, '192.0.2.7', 9, {'path': <'/p'>, 'query': <'q=1'>, 'origin': <'null'>, 'protocol': <'chat'>, "
                  "'tls': <false>, 'connectedAt': <uint64 5>, 'headers': <{'x-a': '1, 2', 'host': 'h\xef\xbf\xbd'}>})");
  g_autoptr(GVariant) without = g_variant_ref_sink(wsd_connection_details(77, &decoded, false));
  g_autoptr(GVariant) dictionary = g_variant_get_child_value(without, 3);
  g_assert_null(g_variant_lookup_value(dictionary, "headers", NULL));
}

static void test_ipv6(void) {
  struct wsc_connect connect = {.family = 6, .port = 1, .address = {0xfe, 0x80, [15] = 1}, .scope = 1};
  g_autoptr(GVariant) values = g_variant_ref_sink(wsd_connection_details(1, &connect, false));
  const char *address;
  g_variant_get_child(values, 1, "&s", &address);
  g_assert_cmpstr(address, ==, "fe80::1%lo");
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/connection-details/what a peer says becomes valid D-Bus text", test_peer_text);
  g_test_add_func("/connection-details/repeated headers are joined, listings have none", test_details);
  g_test_add_func("/connection-details/link-local peers have their interface", test_ipv6);
  return g_test_run();
}
