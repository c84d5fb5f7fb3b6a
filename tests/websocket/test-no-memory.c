/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens when an allocation fails: each scene is played again and again, failing its first allocation, then its
 * second, and so on until it comes through. Nothing may crash, leak or tell a lie.
 */
#include "tests/websocket/transcript.h"
#include "websocket/broadcast.h"
#include "websocket/client-handshake.h"

#include <stdlib.h>
#include <string.h>

static size_t allocations_left = SIZE_MAX;
static size_t octets_asked_for;

static bool may_allocate(void) {
  if (allocations_left == SIZE_MAX)
    return true;
  if (allocations_left == 0)
    return false;
  allocations_left--;
  return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size) {
  octets_asked_for += size;
  return may_allocate() ? __real_malloc(size) : NULL;
}
void *__wrap_calloc(size_t count, size_t size) {
  octets_asked_for += count * size;
  return may_allocate() ? __real_calloc(count, size) : NULL;
}
void *__wrap_realloc(void *block, size_t size) {
  return may_allocate() ? __real_realloc(block, size) : NULL;
}
char *__wrap_strdup(const char *text) {
  return may_allocate() ? __real_strdup(text) : NULL;
}

/* Plays a scene with 0, 1, 2, ... allocations granted until it says that it came through. */
static void play(bool (*scene)(void), size_t failures_at_least) {
  for (size_t granted = 0;; granted++) {
    g_assert_cmpuint(granted, <, 100);
    allocations_left = granted;
    bool came_through = scene();
    allocations_left = SIZE_MAX;
    if (came_through) {
      g_assert_cmpuint(granted, >=, failures_at_least);
      return;
    }
  }
}

static GByteArray *input;

/* Everything in one piece, then octet by octet: in place, gathered, control frames in parts. */
static bool receive_scene_in_pieces_of(size_t piece_length) {
  struct wsp_settings settings = test_settings();
  struct wsp_connection connection;
  struct wsp_buffer out = {0};
  struct wsp_event event = {.type = WSP_EVENT_NONE};
  bool failed = false;
  wsp_connection_init(&connection, WSP_SERVER, &settings);
  uint8_t octets[2048];
  g_assert_cmpuint(input->len, <=, sizeof octets);
  memcpy(octets, input->data, input->len);
  for (size_t at = 0; at < input->len;) {
    size_t consumed, given = MIN(piece_length, input->len - at);
    wsp_connection_receive(&connection, octets + at, given, &consumed, &out, &event);
    at += consumed;
    if (event.type != WSP_EVENT_FAILED)
      continue;
    g_assert_false(failed);
    g_assert_cmpuint(event.code, ==, WSP_CLOSE_TRY_AGAIN);
    failed = true;
  }
  g_assert_true(wsp_connection_failed(&connection) == failed);
  g_assert_true(wsp_connection_close_sent(&connection));
  wsp_connection_clear(&connection);
  g_assert_cmpuint(settings.gathered, ==, 0);
  wsp_buffer_clear(&out);
  return !failed;
}

static bool receive_octet_wise(void) {
  return receive_scene_in_pieces_of(1);
}
static bool receive_whole(void) {
  return receive_scene_in_pieces_of(SIZE_MAX);
}

static void test_receiving(void) {
  input = script_octets("81:Hello 89:ping 01:#300 89:between 00:#300 80:#300 8A:pong 89:x", WSP_SERVER);
  g_autoptr(GByteArray) close = script_octets("88:%03%E8", WSP_SERVER);
  g_byte_array_append(input, close->data, close->len);
  play(receive_octet_wise, 3);
  play(receive_whole, 2);
  g_byte_array_unref(input);
}

static bool sending_scene(void) {
  struct wsp_settings settings = test_settings();
  struct wsp_connection connection;
  struct wsp_buffer out = {0};
  static const uint8_t data[1000] = {0};
  wsp_connection_init(&connection, WSP_CLIENT, &settings);
  enum wsp_send_result results[] = {
      wsp_connection_send(&connection, true, data, 100, &out),
      wsp_connection_ping(&connection, data, 100, &out),
      wsp_connection_send(&connection, false, data, sizeof data, &out),
      wsp_connection_close(&connection, 1000, data, 10, &out),
  };
  bool came_through = true;
  size_t expected = 0;
  static const size_t lengths[] = {106, 106, 1008, 18};
  for (size_t i = 0; i < G_N_ELEMENTS(results); i++) {
    g_assert_true(results[i] == WSP_SENT || results[i] == WSP_SEND_NO_MEMORY);
    came_through = came_through && results[i] == WSP_SENT;
    expected += results[i] == WSP_SENT ? lengths[i] : 0;
  }
  g_assert_cmpuint(wsp_buffer_length(&out), ==, expected); /* whole frames or nothing */
  g_assert_true(wsp_connection_close_sent(&connection) == (results[3] == WSP_SENT));
  wsp_buffer_clear(&out);
  wsp_connection_clear(&connection);
  return came_through;
}

static void test_sending(void) {
  play(sending_scene, 2);
}

static const struct wsp_deflate_terms terms = {.agreed = true, .server_bits = 15, .client_bits = 15};

/* One message by itself and one to all, both compressed. Without memory for that they may go as they are. */
static bool send_compressed(struct wsp_connection *connection, struct wsp_buffer *out) {
  static const uint8_t data[1000] = {0};
  struct wsp_broadcast broadcast;
  wsp_broadcast_init(&broadcast, false, data, sizeof data);
  bool small = true;
  for (unsigned i = 0; i < 3; i++) {
    const size_t before = wsp_buffer_length(out);
    enum wsp_send_result result = i == 1 ? wsp_broadcast_send(&broadcast, connection, out)
                                         : wsp_connection_send(connection, false, data, sizeof data, out);
    const size_t added = wsp_buffer_length(out) - before;
    g_assert_true(result == WSP_SENT || result == WSP_SEND_NO_MEMORY);
    g_assert_true(result == WSP_SENT ? added == 4 + sizeof data || (added > 0 && added < 50) : added == 0);
    small = small && result == WSP_SENT && added < 50;
  }
  wsp_broadcast_clear(&broadcast);
  return small && connection->progress->deflate->sent.length == 3 * sizeof data;
}

/* A message in two fragments, and one that refers to it. */
static bool receive_compressed(struct wsp_connection *connection, struct wsp_buffer *out) {
  g_autoptr(GByteArray) octets = script_octets("41:%F2%48%CD 80:%C9%C9%07%00 C1:%F2%00%11%00%00", WSP_SERVER);
  unsigned messages = 0;
  for (size_t at = 0, consumed; at < octets->len && !wsp_connection_failed(connection); at += consumed) {
    struct wsp_event event;
    wsp_connection_receive(connection, octets->data + at, octets->len - at, &consumed, out, &event);
    g_assert_true(event.type != WSP_EVENT_FAILED || event.code == WSP_CLOSE_TRY_AGAIN);
    g_assert_true(event.type != WSP_EVENT_MESSAGE || (event.length == 5 && memcmp(event.data, "Hello", 5) == 0));
    messages += event.type == WSP_EVENT_MESSAGE;
  }
  return messages == 2;
}

static bool compression_scene(void) {
  struct wsp_settings settings = test_settings();
  struct wsp_connection connection;
  struct wsp_buffer out = {0};
  bool came_through = false;
  settings.deflate = wsp_deflate_pool_new(1 << 20);
  if (!settings.deflate)
    return false;
  wsp_connection_init(&connection, WSP_SERVER, &settings);
  if (wsp_connection_compress(&connection, &terms)) {
    came_through = send_compressed(&connection, &out);
    came_through = receive_compressed(&connection, &out) && came_through;
  }
  wsp_connection_clear(&connection);
  g_assert_cmpuint(settings.gathered, ==, 0);
  g_assert_cmpuint(wsp_deflate_pool_reserved(settings.deflate), ==, 0);
  wsp_deflate_pool_free(settings.deflate);
  wsp_buffer_clear(&out);
  return came_through;
}

static void test_compression(void) {
  play(compression_scene, 12);
}

/* Not of failing, but of how much is asked for: what a connection is charged in mid-message, and what all deflaters together
 * may take of a server, one for each window size. */
static void test_streams_cost_what_is_said(void) {
  struct wsp_deflate_pool *pool = wsp_deflate_pool_new(0);
  g_autofree uint8_t *message = g_malloc0(1000), *room = g_malloc(1000 + WSP_DEFLATE_TAIL);
  octets_asked_for = 0;
  struct wsp_inflater *inflater = wsp_inflater_take(pool, (struct wsp_octets){0});
  g_assert_nonnull(inflater);
  g_assert_cmpuint(octets_asked_for, >, 32768);
  g_assert_cmpuint(octets_asked_for, <=, WSP_INFLATER_COST);
  wsp_inflater_give_back(pool, inflater);
  /* A few that were used are kept for the next messages, not as many as there ever were. */
  struct wsp_inflater *inflaters[WSP_DEFLATE_IDLE_INFLATERS + 3];
  for (unsigned round = 0; round < 2; round++) {
    octets_asked_for = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(inflaters); i++)
      inflaters[i] = wsp_inflater_take(pool, (struct wsp_octets){0});
    for (size_t i = 0; i < G_N_ELEMENTS(inflaters); i++)
      wsp_inflater_give_back(pool, inflaters[i]);
  }
  g_assert_cmpuint(octets_asked_for, >, 3 * 32768);
  g_assert_cmpuint(octets_asked_for, <=, 3 * WSP_INFLATER_COST);
  octets_asked_for = 0;
  for (unsigned twice = 0; twice < 2; twice++)
    for (uint8_t bits = 8; bits <= 15; bits++)
      g_assert_cmpuint(
          wsp_deflate_pool_compress(pool, bits, (struct wsp_octets){0}, (struct wsp_octets){message, 1000}, room), >,
          0);
  g_assert_cmpuint(octets_asked_for, <=, WSP_DEFLATERS_COST);
  wsp_deflate_pool_free(pool);
}

static bool server_handshake_scene(void) {
  static const char line[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nX: ";
  char request[6000];
  memset(request, 'x', sizeof request);
  memcpy(request, line, sizeof line - 1);
  memcpy(request + sizeof request - 4, "\r\n\r\n", 4);
  struct wsp_buffer out = {0};
  size_t consumed;
  struct wsp_server_handshake *handshake = wsp_server_handshake_new();
  if (!handshake)
    return false;
  enum wsp_handshake_result result =
      wsp_server_handshake_feed(handshake, (const uint8_t *)request, sizeof request, &consumed);
  bool came_through = false;
  if (result == WSP_HANDSHAKE_DONE) {
    came_through = wsp_server_handshake_accept(handshake, (struct wsp_slice){0}, &out);
  } else {
    g_assert_cmpint(result, ==, WSP_HANDSHAKE_REFUSED);
    g_assert_cmpuint(wsp_server_handshake_status(handshake), ==, 503);
    g_assert_false(wsp_http_refusal(&out, 503, "Out of memory.", 0));
  }
  g_assert_true(came_through || wsp_buffer_length(&out) == 0);
  wsp_buffer_clear(&out);
  wsp_server_handshake_free(handshake);
  return came_through;
}

static bool client_handshake_scene(void) {
  static const char response[] = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                 "Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n";
  const struct wsp_client_request request = {.host = "a", .target = "/", .protocols = "chat"};
  const uint8_t key[16] = {0};
  struct wsp_buffer out = {0};
  const char *fault = NULL;
  size_t consumed;
  struct wsp_client_handshake *handshake = wsp_client_handshake_new(&request, key, &out, &fault);
  bool came_through = false;
  g_assert_true((handshake == NULL) == (fault != NULL));
  if (handshake) {
    came_through = wsp_client_handshake_feed(handshake, (const uint8_t *)response, sizeof response - 1, &consumed) ==
                   WSP_HANDSHAKE_DONE;
  } else {
    g_assert_cmpuint(wsp_buffer_length(&out), ==, 0);
  }
  wsp_buffer_clear(&out);
  wsp_client_handshake_free(handshake);
  return came_through;
}

static void test_handshakes(void) {
  g_assert_true(wsp_handshake_prepare());
  play(server_handshake_scene, 3);
  play(client_handshake_scene, 4);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/no-memory/receiving-fails-the-connection-and-nothing-else", test_receiving);
  g_test_add_func("/no-memory/sending-appends-whole-frames-or-nothing", test_sending);
  g_test_add_func("/no-memory/compression-fails-the-connection-or-does-without", test_compression);
  g_test_add_func("/no-memory/streams-cost-what-is-said", test_streams_cost_what_is_said);
  g_test_add_func("/no-memory/handshakes-are-refused", test_handshakes);
  return g_test_run();
}
