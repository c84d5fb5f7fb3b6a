/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/websocket/pieces.h"
#include "websocket/server-handshake.h"

#include <glib.h>
#include <string.h>

#define GET "GET / HTTP/1.1\r\n"
#define HOST "Host: tv.local:9000\r\n"
#define UPGRADE "Upgrade: websocket\r\n"
#define CONNECTION "Connection: Upgrade\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define REST HOST UPGRADE CONNECTION KEY VERSION
#define END "\r\n"

struct verdict {
  enum wsp_handshake_result result;
  unsigned status;
  size_t read; /* octets given when the verdict fell */
};

/* Feeds the request in that cutting; the handshake stays for the caller to look at. */
static struct wsp_server_handshake *read_request(const char *request, size_t length, struct cutting cutting,
                                                 struct verdict *verdict) {
  struct wsp_server_handshake *handshake = wsp_server_handshake_new();
  *verdict = (struct verdict){.result = WSP_HANDSHAKE_MORE};
  for (size_t at = 0, piece_length; at < length && verdict->result == WSP_HANDSHAKE_MORE; at += piece_length) {
    g_autofree uint8_t *piece = next_piece((const uint8_t *)request, length, at, cutting, &piece_length);
    size_t consumed = 0;
    verdict->result = wsp_server_handshake_feed(handshake, piece, piece_length, &consumed);
    g_assert_cmpuint(consumed, <=, piece_length);
    g_assert_true(verdict->result != WSP_HANDSHAKE_MORE || consumed == piece_length);
    verdict->read += consumed;
  }
  verdict->status = wsp_server_handshake_status(handshake);
  return handshake;
}

/* Every cutting must come to the same verdict at the same octet. */
static struct verdict judge_octets(const char *request, size_t length) {
  struct verdict first = {0}, verdict;
  struct cutting cutting;
  for (size_t round = 0; next_cutting(length, &round, &cutting);) {
    struct wsp_server_handshake *handshake = read_request(request, length, cutting, &verdict);
    if (round == 1)
      first = verdict;
    g_assert_cmpint(verdict.result, ==, first.result);
    g_assert_cmpuint(verdict.status, ==, first.status);
    g_assert_cmpuint(verdict.read, ==, first.read);
    g_assert_true((wsp_server_handshake_fault(handshake) != NULL) == (verdict.result == WSP_HANDSHAKE_REFUSED));
    /* The verdict is final. */
    size_t consumed = 1;
    g_assert_cmpint(
        wsp_server_handshake_feed(handshake, (const uint8_t *)"x", verdict.result != WSP_HANDSHAKE_MORE, &consumed), ==,
        verdict.result);
    g_assert_cmpuint(consumed, ==, 0);
    wsp_server_handshake_free(handshake);
  }
  return first;
}

static void check_status(const char *request, unsigned status) {
  struct verdict verdict = judge_octets(request, strlen(request));
  if (verdict.status != status || (status == 0) != (verdict.result == WSP_HANDSHAKE_DONE))
    g_error("status %u, result %d instead of status %u for:\n%s", verdict.status, verdict.result, status, request);
}

static void test_good_requests_are_let_in(void) {
  static const char *const requests[] = {
      GET REST END,
      "GET /chat HTTP/1.1\r\n" REST END,
      "GET /a/%20b?x=1&y=?/ HTTP/1.1\r\n" REST END,
      "GET http://tv.local/chat HTTP/1.1\r\n" REST END,
      "GET HTTPS://tv.local?x HTTP/1.1\r\n" REST END,
      "GET / HTTP/1.2\r\n" REST END,
      GET "hOST: [::1]:80\r\n"
          "UPGRADE: WebSocket\r\n"
          "cOnNeCtIoN: uPGRADE\r\n" KEY VERSION END,
      GET HOST "Upgrade: h2c/1, websocket\r\nConnection: keep-alive, Upgrade\r\n" KEY VERSION END,
      GET HOST UPGRADE "Connection: keep-alive\r\nConnection: ,\tupgrade ,\r\n" KEY VERSION END,
      GET HOST UPGRADE CONNECTION VERSION "Sec-WebSocket-Key:dGhlIHNhbXBsZSBub25jZQ==\t \r\n" END,
      GET HOST UPGRADE CONNECTION KEY "Sec-WebSocket-Version:  \t 13 \r\n" END,
      GET REST "Empty:\r\nBlank: \t \r\nLatin: caf\xe9\r\nInner: a \t b\r\n" END,
      GET REST "Content-Length: 0\r\n" END,
      GET REST "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" END,
      GET REST "Sec-WebSocket-Extensions: a;b=1;c=\"t\\ok\" , d\r\nSec-WebSocket-Extensions: e ; f = g\r\n" END,
      GET REST "Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Protocol: Chat\r\n" END,
      GET REST "Origin: null\r\n" END,
  };
  for (size_t i = 0; i < G_N_ELEMENTS(requests); i++)
    check_status(requests[i], 0);
}

static void test_malformed_heads_are_refused(void) {
  static const char *const requests[] = {
      "\r\n" GET REST END,
      " GET / HTTP/1.1\r\n" REST END,
      "GET  / HTTP/1.1\r\n" REST END,
      "GET /  HTTP/1.1\r\n" REST END,
      "GET / HTTP/1.1 \r\n" REST END,
      "GET /a b HTTP/1.1\r\n" REST END,
      "GET\t/ HTTP/1.1\r\n" REST END,
      "GET /\r\n" REST END,
      "GET / HTTP/1\r\n" REST END,
      "GET / HTTP/1.10\r\n" REST END,
      "GET / http/1.1\r\n" REST END,
      "GET / HTTP/1.x\r\n" REST END,
      "GET /#top HTTP/1.1\r\n" REST END,
      "GET /caf\xe9 HTTP/1.1\r\n" REST END,
      "GET chat HTTP/1.1\r\n" REST END,
      "GET * HTTP/1.1\r\n" REST END,
      "GET tv.local:80 HTTP/1.1\r\n" REST END,
      "GET ftp://tv.local/ HTTP/1.1\r\n" REST END,
      "GET http:///chat HTTP/1.1\r\n" REST END,
      "GET http:/ HTTP/1.1\r\n" REST END,
      "GET / HTTP/1.1\n" REST END,
      "GET / HTTP/1.1\r" REST END,
      GET "Host: tv\n" UPGRADE CONNECTION KEY VERSION END,
      GET REST "Bare: a\rb\r\n" END,
      GET REST "\n",
      GET REST "\rx",
      GET REST " folded: x\r\n" END,
      GET " Host: tv\r\n" UPGRADE CONNECTION KEY VERSION END,
      GET REST "A: b\r\n c\r\n" END,
      GET REST "A: b\r\n\tc\r\n" END,
      GET "Host : tv\r\n" UPGRADE CONNECTION KEY VERSION END,
      GET REST ": no name\r\n" END,
      GET REST "no colon\r\n" END,
      GET REST "nocolon\r\n" END,
      GET REST "nocolon\n" END,
      GET REST "Na(me: x\r\n" END,
      GET REST "Na\xefme: x\r\n" END,
      GET REST "A: \x01\r\n" END,
      GET REST "A: b\x7f\r\n" END,
      GET REST "A: \x1b[31m\r\n" END,
  };
  for (size_t i = 0; i < G_N_ELEMENTS(requests); i++)
    check_status(requests[i], 400);
}

static void test_nul_octets_are_refused(void) {
  static const char in_value[] = GET REST "A: b\0c\r\n" END;
  static const char in_name[] = GET REST "A\0: b\r\n" END;
  static const char in_target[] = "GET /\0 HTTP/1.1\r\n" REST END;
  g_assert_cmpuint(judge_octets(in_value, sizeof in_value - 1).status, ==, 400);
  g_assert_cmpuint(judge_octets(in_name, sizeof in_name - 1).status, ==, 400);
  g_assert_cmpuint(judge_octets(in_target, sizeof in_target - 1).status, ==, 400);
}

static void test_wrong_meanings_are_refused(void) {
  static const struct {
    const char *request;
    unsigned status;
  } cases[] = {
      {"POST / HTTP/1.1\r\n" REST END, 405},
      {"HEAD / HTTP/1.1\r\n" REST END, 405},
      {"get / HTTP/1.1\r\n" REST END, 405},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"GET / HTTP/2.0\r\n" REST END, 505},
      {"GET / HTTP/0.9\r\n" REST END, 505},
      {"GET / HTTP/1.0\r\n" REST END, 426},
      {GET HOST END, 426},
      {GET HOST CONNECTION KEY VERSION END, 426},
      {GET HOST "Upgrade: h2c\r\n" CONNECTION KEY VERSION END, 426},
      {GET HOST "Upgrade:\r\n" CONNECTION KEY VERSION END, 426},
      {GET HOST "Upgrade: websocket/13\r\n" CONNECTION KEY VERSION END, 426},
      {GET HOST UPGRADE CONNECTION KEY END, 426},
      {GET HOST UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 8\r\n" END, 426},
      {GET HOST UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 013\r\n" END, 426},
      {GET HOST UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 13, 8\r\n" END, 426},
      {GET HOST UPGRADE CONNECTION "Sec-WebSocket-Version: 8\r\n" END, 426},
      {GET END, 400},
      {GET UPGRADE CONNECTION KEY VERSION END, 400},
      {GET "Host:\r\n" UPGRADE CONNECTION KEY VERSION END, 400},
      {GET "Host: a b\r\n" UPGRADE CONNECTION KEY VERSION END, 400},
      {GET "Host: a/b\r\n" UPGRADE CONNECTION KEY VERSION END, 400},
      {GET HOST HOST UPGRADE CONNECTION KEY VERSION END, 400},
      {GET REST UPGRADE END, 400},
      {GET REST KEY END, 400},
      {GET REST VERSION END, 400},
      {GET REST "Origin: a\r\nORIGIN: a\r\n" END, 400},
      {GET HOST UPGRADE KEY VERSION END, 400},
      {GET HOST UPGRADE "Connection: keep-alive\r\n" KEY VERSION END, 400},
      {GET HOST UPGRADE "Connection: Upgrade;x\r\n" KEY VERSION END, 400},
      {GET HOST UPGRADE "Connection: Upgrade, (\r\n" KEY VERSION END, 400},
      {GET HOST "Upgrade: websocket, a b\r\n" CONNECTION KEY VERSION END, 400},
      {GET HOST "Upgrade: websocket, a/\r\n" CONNECTION KEY VERSION END, 400},
      {GET HOST UPGRADE CONNECTION VERSION END, 400},
      {GET HOST UPGRADE CONNECTION VERSION "Sec-WebSocket-Key:\r\n" END, 400},
      {GET HOST UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n" END, 400},
      {GET HOST UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ===\r\n" END, 400},
      {GET HOST UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWE=\r\n" END, 400},
      {GET HOST UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA\r\n" END, 400},
      {GET HOST UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: dGhlIHNhb_BsZSBub25jZQ==\r\n" END, 400},
      {GET HOST UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: dGhlIHNhb BsZSBub25jZQ==\r\n" END, 400},
      {GET REST "Content-Length: 5\r\n" END, 400},
      {GET REST "Content-Length:\r\n" END, 400},
      {GET REST "Content-Length: 0, 0\r\n" END, 400},
      {GET REST "Content-Length: -0\r\n" END, 400},
      {GET REST "Transfer-Encoding: chunked\r\n" END, 400},
      {GET REST "Transfer-Encoding:\r\n" END, 400},
      {GET REST "Sec-WebSocket-Protocol:\r\n" END, 400},
      {GET REST "Sec-WebSocket-Protocol: a,,b\r\n" END, 400},
      {GET REST "Sec-WebSocket-Protocol: a,\r\n" END, 400},
      {GET REST "Sec-WebSocket-Protocol: a b\r\n" END, 400},
      {GET REST "Sec-WebSocket-Protocol: caf\xe9\r\n" END, 400},
      {GET REST "Sec-WebSocket-Protocol: a, a\r\n" END, 400},
      {GET REST "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n" END, 400},
      {GET REST "Sec-WebSocket-Extensions:\r\n" END, 400},
      {GET REST "Sec-WebSocket-Extensions: a,,b\r\n" END, 400},
      {GET REST "Sec-WebSocket-Extensions: a;\r\n" END, 400},
      {GET REST "Sec-WebSocket-Extensions: a;b=\r\n" END, 400},
      {GET REST "Sec-WebSocket-Extensions: a;b=\"x y\"\r\n" END, 400},
      {GET REST "Sec-WebSocket-Extensions: a;b=\"\"\r\n" END, 400},
      {GET REST "Sec-WebSocket-Extensions: a;b=\"x\\\"\"\r\n" END, 400},
      {GET REST "Sec-WebSocket-Extensions: a;b=\"x\r\n" END, 400},
      {GET REST "Sec-WebSocket-Extensions: a;b=\"x\\\r\n" END, 400},
      {GET REST "Sec-WebSocket-Extensions: a b\r\n" END, 400},
  };
  for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
    check_status(cases[i].request, cases[i].status);
}

/* What can never become a request must not be waited for. */
static void test_faults_are_reported_at_the_earliest_octet(void) {
  static const char client_hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
  static const struct {
    const char *request;
    size_t proven_after;
  } cases[] = {
      {"\x80", 1},
      {"{\"json\": 1}", 1},
      {"GET / SIP/2.0", 7},
      {"GET / HTTP/1.1\r\nHost: a\r\n b", 26},
      {"GET / HTTP/1.1\r\nHost: a\nUpgrade", 24},
      {"POST / HTTP/1.1\r\nHost", 17},
      {"GET / HTTP/1.0\r\nHost", 16},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nUpgrade", 34},
      {"GET / HTTP/1.1\r\nContent-Length: 1\r\nUpgrade", 35},
  };
  g_assert_cmpuint(judge_octets(client_hello, sizeof client_hello - 1).read, ==, 1);
  for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
    struct verdict verdict = judge_octets(cases[i].request, strlen(cases[i].request));
    g_assert_cmpint(verdict.result, ==, WSP_HANDSHAKE_REFUSED);
    g_assert_cmpuint(verdict.read, ==, cases[i].proven_after);
  }
}

static void test_unfinished_requests_are_waited_for(void) {
  static const char request[] = GET REST END;
  for (size_t length = 0; length < sizeof request - 1; length++) {
    struct verdict verdict;
    struct wsp_server_handshake *handshake = read_request(request, length, (struct cutting){0, SIZE_MAX}, &verdict);
    g_assert_cmpint(verdict.result, ==, WSP_HANDSHAKE_MORE);
    wsp_server_handshake_free(handshake);
  }
}

static void test_frames_behind_the_head_are_left_alone(void) {
  static const char request[] = GET REST END "\x81\x80....";
  struct verdict verdict = judge_octets(request, sizeof request - 1);
  g_assert_cmpint(verdict.result, ==, WSP_HANDSHAKE_DONE);
  g_assert_cmpuint(verdict.read, ==, sizeof request - 1 - 6);
}

/* ---- Bounds ---- */

/* A request of exactly that many octets in the head. */
static GString *request_of_length(size_t length) {
  GString *request = g_string_new(GET REST "Filler: ");
  while (request->len < length - 4)
    g_string_append_c(request, 'x');
  return g_string_append(request, "\r\n\r\n");
}

static void check_bound(GString *request, unsigned status) {
  g_assert_cmpuint(judge_octets(request->str, request->len).status, ==, status);
  g_string_free(request, TRUE);
}

static GString *request_with_target(size_t length) {
  GString *request = g_string_new("GET /");
  while (request->len < 4 + length)
    g_string_append_c(request, 't');
  return g_string_append(request, " HTTP/1.1\r\n" REST END);
}

static GString *request_with_headers(size_t count) {
  GString *request = g_string_new(GET REST);
  for (size_t i = 5; i < count; i++)
    g_string_append(request, "A: b\r\n");
  return g_string_append(request, END);
}

static GString *request_with_offers(size_t count, size_t length) {
  GString *request = g_string_new(GET REST "Sec-WebSocket-Protocol: ");
  for (size_t i = 0; i < count; i++) {
    g_string_append_printf(request, "%s%c%c", i > 0 ? ", " : "", (char)('a' + i % 26), (char)('a' + i / 26));
    for (size_t k = 2; k < length; k++)
      g_string_append_c(request, 'p');
  }
  return g_string_append(request, "\r\n" END);
}

static void test_heads_are_bounded(void) {
  check_bound(request_of_length(WSP_HEAD_MAX), 0);
  check_bound(request_of_length(WSP_HEAD_MAX + 1), 431);
  check_bound(request_with_target(WSP_TARGET_MAX), 0);
  check_bound(request_with_target(WSP_TARGET_MAX + 1), 431);
  check_bound(request_with_headers(WSP_HEADERS_MAX), 0);
  check_bound(request_with_headers(WSP_HEADERS_MAX + 1), 431);
  check_bound(request_with_offers(WSP_PROTOCOL_OFFERS_MAX, 2), 0);
  check_bound(request_with_offers(WSP_PROTOCOL_OFFERS_MAX + 1, 2), 400);
  check_bound(request_with_offers(2, WSP_PROTOCOL_NAME_MAX), 0);
  check_bound(request_with_offers(2, WSP_PROTOCOL_NAME_MAX + 1), 400);
  g_assert_cmpuint(judge_octets("AAAAAAAAAAAAAAAA / HTTP/1.1\r\n", 29).status, ==, 405);
  struct verdict verdict = judge_octets("AAAAAAAAAAAAAAAAA / HTTP/1.1\r\n", 30);
  g_assert_cmpuint(verdict.status, ==, 400);
  g_assert_cmpuint(verdict.read, ==, WSP_METHOD_MAX + 1);
}

/* ---- What is read out and answered ---- */

static struct wsp_server_handshake *accepted(const char *request) {
  struct verdict verdict;
  struct wsp_server_handshake *handshake = read_request(request, strlen(request), (struct cutting){0, 3}, &verdict);
  g_assert_cmpint(verdict.result, ==, WSP_HANDSHAKE_DONE);
  return handshake;
}

static void assert_slice(struct wsp_slice slice, const char *expected) {
  if (!expected) {
    g_assert_null(slice.text);
    return;
  }
  g_assert_nonnull(slice.text);
  assert_same_octets(slice.text, slice.length, expected, strlen(expected));
}

static void test_path_and_query_are_told_apart(void) {
  static const struct {
    const char *target, *path, *query;
  } cases[] = {
      {"/", "/", NULL},
      {"/chat", "/chat", NULL},
      {"/chat?", "/chat", ""},
      {"/a/b%20c?x=1?y", "/a/b%20c", "x=1?y"},
      {"/?q", "/", "q"},
      {"//double", "//double", NULL},
      {"http://tv.local", "/", NULL},
      {"http://tv.local?q", "/", "q"},
      {"http://tv.local:80/chat?q=/", "/chat", "q=/"},
      {"hTTpS://[fe80::1]:443/chat", "/chat", NULL},
  };
  for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autofree char *request = g_strdup_printf("GET %s HTTP/1.1\r\n" REST END, cases[i].target);
    struct wsp_server_handshake *handshake = accepted(request);
    assert_slice(wsp_server_handshake_path(handshake), cases[i].path);
    assert_slice(wsp_server_handshake_query(handshake), cases[i].query);
    wsp_server_handshake_free(handshake);
  }
}

static void test_headers_are_read_out(void) {
  struct wsp_server_handshake *handshake =
      accepted(GET REST "Origin: https://a.example\r\nX-Two:  a \t b \r\nX-E:\r\n" END);
  g_assert_cmpuint(wsp_server_handshake_header_count(handshake), ==, 8);
  assert_slice(wsp_server_handshake_header(handshake, 0).name, "host");
  assert_slice(wsp_server_handshake_header(handshake, 0).value, "tv.local:9000");
  assert_slice(wsp_server_handshake_header(handshake, 6).name, "x-two");
  assert_slice(wsp_server_handshake_header(handshake, 6).value, "a \t b");
  assert_slice(wsp_server_handshake_header(handshake, 7).value, "");
  assert_slice(wsp_server_handshake_header(handshake, 8).name, NULL);
  assert_slice(wsp_server_handshake_origin(handshake), "https://a.example");
  wsp_server_handshake_free(handshake);
  handshake = accepted(GET REST END);
  assert_slice(wsp_server_handshake_origin(handshake), NULL);
  wsp_server_handshake_free(handshake);
}

static void test_subprotocol_is_chosen_by_the_servers_preference(void) {
  static const struct {
    const char *supported;
    bool fits;
    const char *chosen;
  } cases[] = {
      {"superchat, chat", true, "superchat"},
      {"chat,superchat", true, "chat"},
      {" none ,\t v2.json ", true, "v2.json"},
      {"CHAT", false, NULL},
      {"cha", false, NULL},
      {"", true, NULL},
      {" , ", true, NULL},
  };
  struct wsp_server_handshake *offering =
      accepted(GET REST "Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Protocol:v2.json\r\n" END);
  struct wsp_server_handshake *silent = accepted(GET REST END);
  struct wsp_slice chosen;
  g_assert_cmpuint(wsp_server_handshake_protocol_count(offering), ==, 3);
  assert_slice(wsp_server_handshake_protocol(offering, 0), "chat");
  assert_slice(wsp_server_handshake_protocol(offering, 2), "v2.json");
  assert_slice(wsp_server_handshake_protocol(offering, 3), NULL);
  for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_assert_true(wsp_server_handshake_choose_protocol(offering, cases[i].supported, &chosen) == cases[i].fits);
    assert_slice(chosen, cases[i].chosen);
    g_assert_true(wsp_server_handshake_choose_protocol(silent, cases[i].supported, &chosen));
    assert_slice(chosen, NULL);
  }
  wsp_server_handshake_free(offering);
  wsp_server_handshake_free(silent);
}

/* The key and its answer are those of RFC 6455 section 1.3. */
static void test_acceptance_is_written(void) {
  static const char without[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
  static const char with[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                             "Sec-WebSocket-Protocol: chat\r\n\r\n";
  struct wsp_server_handshake *handshake = accepted(GET REST END);
  struct wsp_buffer out = {0};
  char longest[WSP_PROTOCOL_NAME_MAX + 1];
  g_assert_true(wsp_handshake_prepare());
  g_assert_true(wsp_server_handshake_accept(handshake, (struct wsp_slice){0}, &out));
  assert_same_octets(wsp_buffer_front(&out), wsp_buffer_length(&out), without, sizeof without - 1);
  wsp_buffer_consume(&out, wsp_buffer_length(&out));
  g_assert_true(wsp_server_handshake_accept(handshake, (struct wsp_slice){"chat, more", 4}, &out));
  assert_same_octets(wsp_buffer_front(&out), wsp_buffer_length(&out), with, sizeof with - 1);
  wsp_buffer_consume(&out, wsp_buffer_length(&out));
  memset(longest, 'p', sizeof longest);
  g_assert_false(wsp_server_handshake_accept(handshake, (struct wsp_slice){longest, sizeof longest}, &out));
  g_assert_cmpuint(wsp_buffer_length(&out), ==, 0);
  g_assert_true(wsp_server_handshake_accept(handshake, (struct wsp_slice){longest, WSP_PROTOCOL_NAME_MAX}, &out));
  g_assert_cmpuint(wsp_buffer_length(&out), <=, WSP_RESPONSE_MAX);
  wsp_buffer_clear(&out);
  wsp_server_handshake_free(handshake);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/server-handshake/good-requests-are-let-in", test_good_requests_are_let_in);
  g_test_add_func("/server-handshake/malformed-heads-are-refused", test_malformed_heads_are_refused);
  g_test_add_func("/server-handshake/nul-octets-are-refused", test_nul_octets_are_refused);
  g_test_add_func("/server-handshake/wrong-meanings-get-the-status-that-says-why", test_wrong_meanings_are_refused);
  g_test_add_func("/server-handshake/faults-are-reported-at-the-earliest-octet",
                  test_faults_are_reported_at_the_earliest_octet);
  g_test_add_func("/server-handshake/unfinished-requests-are-waited-for", test_unfinished_requests_are_waited_for);
  g_test_add_func("/server-handshake/frames-behind-the-head-are-left-alone",
                  test_frames_behind_the_head_are_left_alone);
  g_test_add_func("/server-handshake/heads-are-bounded", test_heads_are_bounded);
  g_test_add_func("/server-handshake/path-and-query-are-told-apart", test_path_and_query_are_told_apart);
  g_test_add_func("/server-handshake/headers-are-read-out", test_headers_are_read_out);
  g_test_add_func("/server-handshake/subprotocol-is-chosen-by-the-servers-preference",
                  test_subprotocol_is_chosen_by_the_servers_preference);
  g_test_add_func("/server-handshake/acceptance-is-written", test_acceptance_is_written);
  return g_test_run();
}
