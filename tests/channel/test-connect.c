/* SPDX-License-Identifier: Apache-2.0 */
/* Who connected: nothing of it is lost on the way, and a hostile body is found out without reading beyond it. */
#include "channel/connect.h"
#include "channel/integer.h"
#include "tests/channel/assertions.h"

#include <glib.h>
#include <string.h>

static struct wsc_text text_of(const char *text) {
  return (struct wsc_text){.text = text, .length = strlen(text)};
}

static void assert_text(struct wsc_text text, const char *expected) {
  assert_octets(text.text, text.length, expected, strlen(expected));
}

static struct wsc_connect sample(void) {
  return (struct wsc_connect){.family = 4,
                              .port = 50000,
                              .address = {192, 0, 2, 7},
                              .connected_at = 1700000000123456,
                              .path = text_of("/remote"),
                              .query = text_of("a=1&b=2"),
                              .origin = text_of("https://a.example"),
                              .protocol = text_of("chat"),
                              .subject = text_of("CN=remote"),
                              .header_count = 2};
}

static const struct wsc_connect_header *sample_headers(void) {
  static struct wsc_connect_header headers[2];
  headers[0] = (struct wsc_connect_header){.name = text_of("host"), .value = text_of("tv.example")};
  headers[1] = (struct wsc_connect_header){.name = text_of("x-empty")};
  return headers;
}

static uint8_t *encode(const struct wsc_connect *connect, const struct wsc_connect_header *headers, size_t *size) {
  *size = wsc_connect_size(connect);
  for (uint16_t i = 0; i < connect->header_count; i++)
    *size += wsc_connect_header_size(&headers[i]);
  uint8_t *body = g_malloc(*size), *out = body;
  out += wsc_connect_encode(connect, out);
  for (uint16_t i = 0; i < connect->header_count; i++)
    out += wsc_connect_header_encode(&headers[i], out);
  g_assert_true(out == body + *size);
  return body;
}

static void test_round_trip(void) {
  struct wsc_connect connect = sample(), back;
  struct wsc_connect_header header;
  size_t size, offset = 0;
  g_autofree uint8_t *body = encode(&connect, sample_headers(), &size);
  g_assert_true(wsc_connect_decode(body, size, &back));
  g_assert_cmpuint(back.family, ==, 4);
  g_assert_false(back.tls);
  g_assert_cmpuint(back.port, ==, 50000);
  g_assert_cmpuint(back.connected_at, ==, connect.connected_at);
  assert_octets(back.address, 16, connect.address, 16);
  assert_text(back.path, "/remote");
  assert_text(back.query, "a=1&b=2");
  assert_text(back.origin, "https://a.example");
  assert_text(back.protocol, "chat");
  assert_text(back.subject, "CN=remote");
  g_assert_cmpuint(back.header_count, ==, 2);
  g_assert_true(wsc_connect_next_header(&back, &offset, &header));
  assert_text(header.name, "host");
  assert_text(header.value, "tv.example");
  g_assert_true(wsc_connect_next_header(&back, &offset, &header));
  assert_text(header.name, "x-empty");
  assert_text(header.value, "");
  g_assert_false(wsc_connect_next_header(&back, &offset, &header));
}

static void test_ipv6_and_tls(void) {
  struct wsc_connect connect = {.family = 6, .tls = true, .scope = 3}, back;
  size_t size;
  memset(connect.address, 0xfe, sizeof connect.address);
  g_autofree uint8_t *body = encode(&connect, NULL, &size);
  g_assert_cmpuint(size, ==, WSC_CONNECT_FIXED);
  g_assert_true(wsc_connect_decode(body, size, &back));
  g_assert_cmpuint(back.family, ==, 6);
  g_assert_true(back.tls);
  g_assert_cmpuint(back.scope, ==, 3);
  assert_octets(back.address, 16, connect.address, 16);
  g_assert_cmpuint(back.path.length, ==, 0);
}

static void test_text_with_nul(void) {
  struct wsc_connect connect = sample(), back;
  struct wsc_connect_header header = {.name = text_of("x"), .value = {.text = "a\0b\xff", .length = 4}};
  size_t size, offset = 0;
  connect.header_count = 1;
  g_autofree uint8_t *body = encode(&connect, &header, &size);
  g_assert_true(wsc_connect_decode(body, size, &back));
  g_assert_true(wsc_connect_next_header(&back, &offset, &header));
  assert_octets(header.value.text, header.value.length, "a\0b\xff", 4);
}

/* An exact copy of the first `size` octets, so that reading beyond them is noticed. */
static bool decodes(const uint8_t *body, size_t size) {
  struct wsc_connect connect;
  g_autofree uint8_t *copy = g_memdup2(body, size);
  return wsc_connect_decode(copy, size, &connect);
}

static void test_truncated(void) {
  struct wsc_connect connect = sample();
  size_t size;
  g_autofree uint8_t *body = encode(&connect, sample_headers(), &size);
  body = g_realloc(body, size + 1);
  body[size] = 0;
  for (size_t length = 0; length < size; length++)
    g_assert_false(decodes(body, length));
  g_assert_true(decodes(body, size));
  g_assert_false(decodes(body, size + 1));
}

static void assert_change_refused(size_t offset, uint8_t octet) {
  struct wsc_connect connect = sample();
  size_t size;
  g_autofree uint8_t *body = encode(&connect, sample_headers(), &size);
  g_assert_true(decodes(body, size));
  body[offset] = octet;
  g_assert_false(decodes(body, size));
}

static void test_malformed(void) {
  assert_change_refused(0, 0);  /* family */
  assert_change_refused(0, 5);  /* family */
  assert_change_refused(1, 2);  /* unknown flag */
  assert_change_refused(7, 1);  /* an IPv4 peer with a scope */
  assert_change_refused(12, 1); /* an IPv4 address of five octets */
  assert_change_refused(23, 1); /* ... or sixteen */
  for (size_t length = 32; length < 48; length += 4)
    assert_change_refused(length + 3, 0xff); /* texts that reach far beyond */
  assert_change_refused(48, 1);              /* fewer headers than there are */
  assert_change_refused(48, 3);              /* more */
  assert_change_refused(49, 0xff);
  assert_change_refused(51, 0xff); /* a subject that reaches beyond */
  size_t headers = 52 + 7 + 7 + 17 + 4 + 9;
  assert_change_refused(headers + 3, 0xff); /* a name that reaches beyond */
  assert_change_refused(headers + 7, 0xff); /* a value that reaches beyond */
}

static void test_header_without_name(void) {
  struct wsc_connect connect = sample();
  struct wsc_connect_header header = {.value = text_of("value")};
  size_t size;
  connect.header_count = 1;
  g_autofree uint8_t *body = encode(&connect, &header, &size);
  g_assert_false(decodes(body, size));
}

static void test_bound(void) {
  g_autofree char *path = g_strnfill(WSC_CONNECT_MAX, 'p');
  struct wsc_connect connect = {.family = 6};
  for (size_t excess = 0; excess < 2; excess++) {
    size_t size;
    connect.path = (struct wsc_text){.text = path, .length = WSC_CONNECT_MAX - WSC_CONNECT_FIXED + excess};
    g_autofree uint8_t *body = encode(&connect, NULL, &size);
    g_assert_cmpuint(size, ==, WSC_CONNECT_MAX + excess);
    g_assert_true(decodes(body, size) == (excess == 0));
  }
}

/* Whatever is changed: decoding ends, stays inside, and what it accepts can be walked to the end. */
static void test_hostile(void) {
  struct wsc_connect connect = sample();
  size_t size;
  g_autofree uint8_t *body = encode(&connect, sample_headers(), &size);
  for (int round = 0; round < 50000; round++) {
    g_autofree uint8_t *copy = g_malloc(size);
    struct wsc_connect back;
    struct wsc_connect_header header;
    size_t offset = 0, count = 0;
    memcpy(copy, body, size);
    for (int changes = g_test_rand_int_range(1, 4); changes > 0; changes--)
      copy[g_test_rand_int_range(0, (gint32)size)] = (uint8_t)g_test_rand_int_range(0, 256);
    if (!wsc_connect_decode(copy, size, &back))
      continue;
    while (wsc_connect_next_header(&back, &offset, &header))
      count += 1 + 0 * (size_t)header.name.text[header.name.length - 1];
    g_assert_cmpuint(count, ==, back.header_count);
    g_assert_cmpuint(offset, ==, back.headers_size);
  }
}

static void test_walk_stays_inside(void) {
  uint8_t headers[] = {1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 'a'};
  struct wsc_connect connect = {.headers = headers, .headers_size = sizeof headers, .header_count = 1};
  struct wsc_connect_header header;
  size_t offset = 0;
  g_assert_false(wsc_connect_next_header(&connect, &offset, &header));
  offset = 100;
  g_assert_false(wsc_connect_next_header(&connect, &offset, &header));
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/connect/who-connected-arrives-whole", test_round_trip);
  g_test_add_func("/connect/ipv6-and-tls-arrive", test_ipv6_and_tls);
  g_test_add_func("/connect/text-with-nul-and-invalid-utf8-arrives", test_text_with_nul);
  g_test_add_func("/connect/truncated-at-any-octet-is-refused", test_truncated);
  g_test_add_func("/connect/malformed-is-refused", test_malformed);
  g_test_add_func("/connect/header-without-name-is-refused", test_header_without_name);
  g_test_add_func("/connect/larger-than-the-bound-is-refused", test_bound);
  g_test_add_func("/connect/hostile-octets-are-never-read-beyond", test_hostile);
  g_test_add_func("/connect/walking-headers-stays-inside", test_walk_stays_inside);
  return g_test_run();
}
