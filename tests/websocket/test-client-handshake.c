/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/websocket/pieces.h"
#include "websocket/client-handshake.h"

#include <glib.h>
#include <string.h>

/* The key of RFC 6455 section 1.3, "the sample nonce". */
static const uint8_t key[16] = {'t', 'h', 'e', ' ', 's', 'a', 'm', 'p', 'l', 'e', ' ', 'n', 'o', 'n', 'c', 'e'};

#define STATUS "HTTP/1.1 101 Switching Protocols\r\n"
#define UPGRADE "Upgrade: websocket\r\n"
#define CONNECTION "Connection: Upgrade\r\n"
#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
#define GOOD STATUS UPGRADE CONNECTION ACCEPT
#define END "\r\n"

static const struct wsp_client_request plain = {.host = "tv.local:9000", .target = "/"};
static const struct wsp_client_request offering = {.host = "tv.local", .target = "/", .protocols = "chat, superchat"};

static struct wsp_client_handshake *begin(const struct wsp_client_request *request) {
  struct wsp_buffer out = {0};
  const char *fault = NULL;
  struct wsp_client_handshake *handshake = wsp_client_handshake_new(request, key, &out, &fault);
  g_assert_null(fault);
  g_assert_nonnull(handshake);
  wsp_buffer_clear(&out);
  return handshake;
}

/* The same verdict, at the same octet, in every cutting. */
static void check(const struct wsp_client_request *request, const char *response, enum wsp_handshake_result expected,
                  unsigned status) {
  const size_t length = strlen(response);
  struct cutting cutting;
  size_t first_read = 0;
  for (size_t round = 0; next_cutting(length, &round, &cutting);) {
    struct wsp_client_handshake *handshake = begin(request);
    enum wsp_handshake_result result = WSP_HANDSHAKE_MORE;
    size_t read = 0;
    for (size_t at = 0, piece_length; at < length && result == WSP_HANDSHAKE_MORE; at += piece_length) {
      g_autofree uint8_t *piece = next_piece((const uint8_t *)response, length, at, cutting, &piece_length);
      size_t consumed;
      result = wsp_client_handshake_feed(handshake, piece, piece_length, &consumed);
      read += consumed;
    }
    first_read = round == 1 ? read : first_read;
    if (result != expected || wsp_client_handshake_status(handshake) != status || read != first_read)
      g_error("result %d, status %u after %zu octets for:\n%s", result, wsp_client_handshake_status(handshake), read,
              response);
    g_assert_true((wsp_client_handshake_fault(handshake) != NULL) == (result == WSP_HANDSHAKE_REFUSED));
    wsp_client_handshake_free(handshake);
  }
}

static void test_request_is_written(void) {
  static const char *const headers[] = {"X-App", "remote", "Cookie", "a=b", NULL};
  static const char expected[] = "GET /chat?x=1 HTTP/1.1\r\nHost: tv.local:9000\r\nUpgrade: websocket\r\n"
                                 "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                 "Sec-WebSocket-Version: 13\r\nOrigin: https://a.example\r\n"
                                 "Sec-WebSocket-Protocol: chat, superchat\r\nX-App: remote\r\nCookie: a=b\r\n\r\n";
  const struct wsp_client_request request = {.host = "tv.local:9000",
                                             .target = "/chat?x=1",
                                             .origin = "https://a.example",
                                             .protocols = "chat, superchat",
                                             .headers = headers};
  struct wsp_buffer out = {0};
  struct wsp_client_handshake *handshake = wsp_client_handshake_new(&request, key, &out, NULL);
  g_assert_nonnull(handshake);
  assert_same_octets(wsp_buffer_front(&out), wsp_buffer_length(&out), expected, sizeof expected - 1);
  wsp_client_handshake_free(handshake);
  wsp_buffer_clear(&out);
}

static void assert_refused_request(const struct wsp_client_request *request) {
  struct wsp_buffer out = {0};
  const char *fault = NULL;
  g_assert_null(wsp_client_handshake_new(request, key, &out, &fault));
  g_assert_nonnull(fault);
  g_assert_cmpuint(wsp_buffer_length(&out), ==, 0);
  wsp_buffer_clear(&out);
}

static void test_requests_that_would_smuggle_are_not_written(void) {
  static const struct wsp_client_request requests[] = {
      {.host = NULL, .target = "/"},
      {.host = "", .target = "/"},
      {.host = "a b", .target = "/"},
      {.host = "a\r\nX: y", .target = "/"},
      {.host = "a/b", .target = "/"},
      {.host = "user@a", .target = "/"},
      {.host = "a", .target = NULL},
      {.host = "a", .target = ""},
      {.host = "a", .target = "chat"},
      {.host = "a", .target = "/a b"},
      {.host = "a", .target = "/a\r\nX: y"},
      {.host = "a", .target = "/#top"},
      {.host = "a", .target = "/caf\xc3\xa9"},
      {.host = "a", .target = "/", .origin = "x\r\nY: z"},
      {.host = "a", .target = "/", .protocols = "a,,b"},
      {.host = "a", .target = "/", .protocols = "a b"},
      {.host = "a", .target = "/", .protocols = "a, a"},
      {.host = "a", .target = "/", .protocols = "a\r\nX: y"},
  };
  static const char *const header_lists[][3] = {
      {"", "x", NULL},
      {"a b", "x", NULL},
      {"a:", "x", NULL},
      {"a\r\nb", "x", NULL},
      {"a", "x\r\nb: y", NULL},
      {"a", "x\ny", NULL},
      {"a", "\x7f", NULL},
      {"HOST", "x", NULL},
      {"upgrade", "x", NULL},
      {"Connection", "x", NULL},
      {"Origin", "x", NULL},
      {"Content-Length", "1", NULL},
      {"a", NULL, NULL},
      {"Transfer-Encoding", "chunked", NULL},
      {"SEC-websocket-Anything", "x", NULL},
  };
  for (size_t i = 0; i < G_N_ELEMENTS(requests); i++)
    assert_refused_request(&requests[i]);
  for (size_t i = 0; i < G_N_ELEMENTS(header_lists); i++) {
    struct wsp_client_request request = plain;
    request.headers = header_lists[i];
    assert_refused_request(&request);
  }
}

static void test_requests_are_bounded(void) {
  struct wsp_buffer out = {0};
  g_autofree char *value = g_strnfill(WSP_HEAD_MAX, 'x');
  g_autofree char *target = g_strnfill(WSP_TARGET_MAX + 1, '/');
  const char *headers[] = {"X-Long", value, NULL};
  struct wsp_client_request request = plain;
  request.target = target;
  assert_refused_request(&request);
  target[WSP_TARGET_MAX] = 0;
  wsp_client_handshake_free(begin(&request));
  request = plain;
  request.headers = headers;
  assert_refused_request(&request);
  for (size_t length = WSP_HEAD_MAX - 1;; length--) { /* the first that fits fills the bound exactly */
    value[length] = 0;
    struct wsp_client_handshake *handshake = wsp_client_handshake_new(&request, key, &out, NULL);
    if (handshake) {
      wsp_client_handshake_free(handshake);
      break;
    }
  }
  g_assert_cmpuint(wsp_buffer_length(&out), ==, WSP_HEAD_MAX);
  wsp_buffer_clear(&out);
}

static void test_good_answers_are_taken(void) {
  check(&plain, GOOD END, WSP_HANDSHAKE_DONE, 101);
  check(&plain, "HTTP/1.1 101 \r\n" UPGRADE CONNECTION ACCEPT END, WSP_HANDSHAKE_DONE, 101);
  check(&plain, STATUS "upgrade: WEBSOCKET\r\nCONNECTION: x, upgrade\r\n" ACCEPT "Date: now\r\n" END,
        WSP_HANDSHAKE_DONE, 101);
  check(&plain, GOOD END "\x81\x05Hello", WSP_HANDSHAKE_DONE, 101);
  check(&offering, GOOD END, WSP_HANDSHAKE_DONE, 101);
  check(&offering, GOOD "Sec-WebSocket-Protocol: superchat\r\n" END, WSP_HANDSHAKE_DONE, 101);
  check(&plain, STATUS UPGRADE, WSP_HANDSHAKE_MORE, 101);
  check(&plain, "HTTP/1.1 10", WSP_HANDSHAKE_MORE, 0);
}

static void test_other_answers_are_refused(void) {
  static const char *const answers[] = {
      STATUS CONNECTION ACCEPT END,
      STATUS "Upgrade: h2c\r\n" CONNECTION ACCEPT END,
      STATUS "Upgrade: websocket, h2c\r\n" CONNECTION ACCEPT END,
      STATUS UPGRADE UPGRADE CONNECTION ACCEPT END,
      STATUS UPGRADE ACCEPT END,
      STATUS UPGRADE "Connection: close\r\n" ACCEPT END,
      STATUS UPGRADE "Connection: Upgrade, (\r\n" ACCEPT END,
      STATUS UPGRADE CONNECTION END,
      STATUS UPGRADE CONNECTION ACCEPT ACCEPT END,
      STATUS UPGRADE CONNECTION "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" END,
      STATUS UPGRADE CONNECTION "Sec-WebSocket-Accept:\r\n" END,
      GOOD "Sec-WebSocket-Extensions: permessage-deflate\r\n" END,
      GOOD "Sec-WebSocket-Protocol: Chat\r\n" END,
      GOOD "Sec-WebSocket-Protocol: chat, superchat\r\n" END,
      GOOD "Sec-WebSocket-Protocol:\r\n" END,
      GOOD "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n" END,
      GOOD "Content-Length: 3\r\n" END,
      GOOD "Transfer-Encoding: chunked\r\n" END,
      "HTTP/1.0 101 Old\r\n" UPGRADE CONNECTION ACCEPT END,
      "HTTP/2.0 101 New\r\n" UPGRADE CONNECTION ACCEPT END,
      GOOD "Bare: x\n" END,
      GOOD " folded\r\n" END,
  };
  for (size_t i = 0; i < G_N_ELEMENTS(answers); i++)
    check(&offering, answers[i], WSP_HANDSHAKE_REFUSED, 101);
  check(&plain, GOOD "Sec-WebSocket-Protocol: chat\r\n" END, WSP_HANDSHAKE_REFUSED, 101);
}

static void test_refusals_of_the_server_keep_their_status(void) {
  check(&plain, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", WSP_HANDSHAKE_REFUSED, 200);
  check(&plain, "HTTP/1.1 301 Moved\r\nLocation: /there\r\n\r\n", WSP_HANDSHAKE_REFUSED, 301);
  check(&plain, "HTTP/1.1 401 \r\n\r\n", WSP_HANDSHAKE_REFUSED, 401);
  check(&plain, "HTTP/1.0 503 Full\r\nRetry-After: 5\r\n\r\n", WSP_HANDSHAKE_REFUSED, 503);
  check(&plain, "HTTP/1.1 100 Continue\r\n\r\n", WSP_HANDSHAKE_REFUSED, 100);

  struct wsp_client_handshake *handshake = begin(&plain);
  static const char answer[] = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\n\r\nbody";
  size_t consumed;
  wsp_client_handshake_feed(handshake, (const uint8_t *)answer, sizeof answer - 1, &consumed);
  g_assert_cmpuint(consumed, ==, sizeof answer - 1 - 4);
  g_assert_cmpuint(wsp_client_handshake_header_count(handshake), ==, 1);
  struct wsp_header header = wsp_client_handshake_header(handshake, 0);
  assert_same_octets(header.name.text, header.name.length, "retry-after", 11);
  assert_same_octets(header.value.text, header.value.length, "5", 1);
  wsp_client_handshake_free(handshake);
}

static void test_what_is_no_answer_is_refused_at_once(void) {
  static const char *const answers[] = {
      "SSH-2.0-OpenSSH\r\n", "\x15\x03\x01", "HTTP/1.1  101 x\r\n", "HTTP/1.1 99 x\r\n", "HTTP/1.1 1010 x\r\n",
      "HTTP/1.1 101\r\n",    "HTTP/x.1 101", "HTTP/1.1 1a1 x\r\n",  "HTTP/1.1 099 x",    "HTTP/1.1 101 x\ny",
  };
  for (size_t i = 0; i < G_N_ELEMENTS(answers); i++)
    check(&plain, answers[i], WSP_HANDSHAKE_REFUSED, 0);
}

static void test_answers_are_bounded(void) {
  GString *answer = g_string_new(GOOD "Filler: ");
  while (answer->len < WSP_HEAD_MAX - 4)
    g_string_append_c(answer, 'x');
  g_string_append(answer, "\r\n\r\n");
  check(&plain, answer->str, WSP_HANDSHAKE_DONE, 101);
  g_string_insert_c(answer, (gssize)(answer->len - 4), 'x');
  check(&plain, answer->str, WSP_HANDSHAKE_REFUSED, 101);
  g_string_free(answer, TRUE);
}

static void test_chosen_protocol_is_read_out(void) {
  static const char answer[] = GOOD "Sec-WebSocket-Protocol: superchat\r\n" END;
  struct wsp_client_handshake *handshake = begin(&offering);
  size_t consumed;
  g_assert_cmpint(wsp_client_handshake_feed(handshake, (const uint8_t *)answer, sizeof answer - 1, &consumed), ==,
                  WSP_HANDSHAKE_DONE);
  struct wsp_slice protocol = wsp_client_handshake_protocol(handshake);
  assert_same_octets(protocol.text, protocol.length, "superchat", 9);
  wsp_client_handshake_free(handshake);
}

/* Both halves of this folder against each other. */
static void test_own_server_and_client_agree(void) {
  struct wsp_buffer request = {0}, response = {0};
  struct wsp_slice chosen;
  size_t consumed;
  struct wsp_client_handshake *client = wsp_client_handshake_new(&offering, key, &request, NULL);
  struct wsp_server_handshake *server = wsp_server_handshake_new();
  g_assert_cmpint(wsp_server_handshake_feed(server, wsp_buffer_front(&request), wsp_buffer_length(&request), &consumed),
                  ==, WSP_HANDSHAKE_DONE);
  g_assert_true(wsp_server_handshake_choose_protocol(server, "superchat", &chosen));
  g_assert_true(wsp_server_handshake_accept(server, chosen, &response));
  g_assert_cmpint(
      wsp_client_handshake_feed(client, wsp_buffer_front(&response), wsp_buffer_length(&response), &consumed), ==,
      WSP_HANDSHAKE_DONE);
  wsp_client_handshake_free(client);
  wsp_server_handshake_free(server);
  wsp_buffer_clear(&request);
  wsp_buffer_clear(&response);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/client-handshake/request-is-written", test_request_is_written);
  g_test_add_func("/client-handshake/requests-that-would-smuggle-are-not-written",
                  test_requests_that_would_smuggle_are_not_written);
  g_test_add_func("/client-handshake/requests-are-bounded", test_requests_are_bounded);
  g_test_add_func("/client-handshake/good-answers-are-taken", test_good_answers_are_taken);
  g_test_add_func("/client-handshake/other-answers-are-refused", test_other_answers_are_refused);
  g_test_add_func("/client-handshake/refusals-of-the-server-keep-their-status",
                  test_refusals_of_the_server_keep_their_status);
  g_test_add_func("/client-handshake/what-is-no-answer-is-refused-at-once", test_what_is_no_answer_is_refused_at_once);
  g_test_add_func("/client-handshake/answers-are-bounded", test_answers_are_bounded);
  g_test_add_func("/client-handshake/chosen-protocol-is-read-out", test_chosen_protocol_is_read_out);
  g_test_add_func("/client-handshake/own-server-and-client-agree", test_own_server_and_client_agree);
  return g_test_run();
}
