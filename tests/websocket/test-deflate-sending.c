/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that go compressed (RFC 7692 section 7.2.1): what a decompressor of the agreed window makes of them, when they go as
 * they are, what a broadcast costs, and what an idle connection holds. */
#include "tests/websocket/peer-deflate.h"
#include "tests/websocket/pieces.h"
#include "tests/websocket/transcript.h"
#include "websocket/broadcast.h"
#include "websocket/frame.h"
#include "websocket/mask.h"

#include <string.h>

static const struct wsp_deflate_terms full = {.agreed = true, .server_bits = 15, .client_bits = 15};

static struct wsp_settings compressing_settings(size_t histories_max) {
  struct wsp_settings settings = test_settings();
  settings.deflate = wsp_deflate_pool_new(histories_max);
  return settings;
}

static void open_connection(struct wsp_connection *connection, enum wsp_role role, struct wsp_settings *settings,
                            const struct wsp_deflate_terms *terms) {
  wsp_connection_init(connection, role, settings);
  g_assert_true(wsp_connection_compress(connection, terms));
}

/* Text that repeats itself near and far, differently for each seed. */
static GByteArray *prose(unsigned seed, size_t length) {
  GByteArray *text = g_byte_array_new();
  g_autoptr(GRand) random = g_rand_new_with_seed(seed % 5);
  while (text->len < length) {
    g_autofree char *word = g_strdup_printf(
        "{\"%s\":%d},", (const char *[]){"volume", "channel", "title", "player"}[g_rand_int(random) % 4],
        g_rand_int_range(random, 0, 300));
    g_byte_array_append(text, (const guint8 *)word, (guint)strlen(word));
  }
  g_byte_array_set_size(text, (guint)length);
  return text;
}

static GByteArray *noise(size_t length) {
  GByteArray *octets = g_byte_array_new();
  g_autoptr(GRand) random = g_rand_new_with_seed(1);
  g_byte_array_set_size(octets, (guint)length);
  for (size_t i = 0; i < length; i++)
    octets->data[i] = (guint8)g_rand_int(random);
  return octets;
}

/* The one frame in `out`, unmasked. */
static struct wsp_frame_header take_frame(struct wsp_buffer *out, uint8_t **payload) {
  struct wsp_frame_header header;
  size_t header_length;
  uint8_t *octets = wsp_buffer_front(out);
  g_assert_cmpint(wsp_frame_header_decode(octets, wsp_buffer_length(out), &header, &header_length), ==, WSP_FRAME_DONE);
  g_assert_cmpuint(wsp_buffer_length(out), ==, header_length + header.payload_length);
  *payload = octets + header_length;
  if (header.masked)
    wsp_mask(*payload, (size_t)header.payload_length, header.mask_key, 0);
  wsp_buffer_consume(out, wsp_buffer_length(out));
  return header;
}

/* Sends and lets a decompressor of that window read. Returns whether it went compressed. */
static bool send_and_read(struct wsp_connection *connection, const GByteArray *message, struct peer_inflater *peer,
                          gboolean takeover) {
  struct wsp_buffer out = {0};
  uint8_t *payload;
  g_assert_cmpint(wsp_connection_send(connection, false, message->data, message->len, &out), ==, WSP_SENT);
  struct wsp_frame_header header = take_frame(&out, &payload);
  g_assert_true(header.fin && header.opcode == WSP_OPCODE_BINARY);
  if (header.rsv == 0) {
    assert_same_octets(payload, (size_t)header.payload_length, message->data, message->len);
  } else {
    g_assert_cmpuint(header.rsv, ==, WSP_RSV1);
    g_assert_cmpuint(header.payload_length, <, message->len);
    g_autoptr(GByteArray) inflated = peer_inflate(peer, payload, (size_t)header.payload_length, takeover);
    g_assert_nonnull(inflated);
    assert_same_octets(inflated->data, inflated->len, message->data, message->len);
  }
  wsp_buffer_clear(&out);
  return header.rsv != 0;
}

static void converse(enum wsp_role role, uint8_t bits, gboolean takeover) {
  struct wsp_settings settings = compressing_settings(1 << 20);
  struct wsp_connection connection;
  struct peer_inflater *peer = peer_inflater_new(bits);
  struct wsp_deflate_terms terms = {.agreed = true, .server_bits = 15, .client_bits = 15};
  *(role == WSP_SERVER ? &terms.server_bits : &terms.client_bits) = bits;
  *(role == WSP_SERVER ? &terms.server_no_takeover : &terms.client_no_takeover) = !takeover;
  open_connection(&connection, role, &settings, &terms);
  g_autoptr(GByteArray) random = noise(1000);
  for (unsigned i = 0; i < 30; i++) {
    g_autoptr(GByteArray) message = prose(i, (size_t)i * i * 50 + 1);
    bool compressed = send_and_read(&connection, message, peer, takeover);
    g_assert_true(compressed == (message->len >= WSP_DEFLATE_MIN));
    if (i % 7 == 0)
      g_assert_false(send_and_read(&connection, random, peer, takeover));
  }
  wsp_connection_clear(&connection);
  g_assert_cmpuint(wsp_deflate_pool_reserved(settings.deflate), ==, 0);
  wsp_deflate_pool_free(settings.deflate);
  peer_inflater_free(peer);
}

static void test_a_peer_with_the_agreed_window_can_read_everything(void) {
  for (uint8_t bits = 8; bits <= 15; bits++)
    for (enum wsp_role role = WSP_SERVER; role <= WSP_CLIENT; role++) {
      converse(role, bits, TRUE);
      converse(role, bits, FALSE);
    }
}

static uint64_t sent_length(struct wsp_connection *connection, const GByteArray *message, unsigned *rsv) {
  struct wsp_buffer out = {0};
  uint8_t *payload;
  g_assert_cmpint(wsp_connection_send(connection, false, message->data, message->len, &out), ==, WSP_SENT);
  struct wsp_frame_header header = take_frame(&out, &payload);
  wsp_buffer_clear(&out);
  *rsv = header.rsv;
  return header.payload_length;
}

static void test_only_what_is_worth_it_is_compressed(void) {
  struct wsp_settings settings = compressing_settings(1 << 20);
  struct wsp_connection connection;
  unsigned rsv;
  open_connection(&connection, WSP_SERVER, &settings, &full);
  for (size_t length = WSP_DEFLATE_MIN - 1; length <= WSP_DEFLATE_MAX + 1;
       length += length == WSP_DEFLATE_MIN ? WSP_DEFLATE_MAX - WSP_DEFLATE_MIN : 1) {
    g_autoptr(GByteArray) message = prose(0, length);
    (void)sent_length(&connection, message, &rsv);
    g_assert_true((rsv != 0) == (length >= WSP_DEFLATE_MIN && length <= WSP_DEFLATE_MAX));
  }
  /* What has become larger goes as it is, and is not remembered; the one behind is right all the same (see above). */
  for (size_t length = WSP_DEFLATE_MIN; length < 3000; length += 97) {
    g_autoptr(GByteArray) message = noise(length);
    struct wsp_connection another;
    open_connection(&another, WSP_SERVER, &settings, &full);
    g_assert_cmpuint(sent_length(&another, message, &rsv), ==, length);
    g_assert_cmpuint(rsv, ==, 0);
    g_assert_null(another.progress->deflate->sent.octets);
    wsp_connection_clear(&another);
  }
  /* What begins like a picture is not looked at to its end; what is short, is. */
  for (size_t length = WSP_DEFLATE_PROBE; length <= 4 * WSP_DEFLATE_PROBE; length += WSP_DEFLATE_PROBE / 2) {
    g_autoptr(GByteArray) message = noise(length);
    memset(message->data + WSP_DEFLATE_PROBE, 0, length - WSP_DEFLATE_PROBE);
    (void)sent_length(&connection, message, &rsv);
    g_assert_true((rsv != 0) == (length > WSP_DEFLATE_PROBE && length < 2 * WSP_DEFLATE_PROBE));
  }
  struct wsp_buffer out = {0};
  g_autoptr(GByteArray) text = prose(0, 1000);
  uint8_t *payload;
  g_assert_cmpint(wsp_connection_send_plain(&connection, true, text->data, text->len, &out), ==, WSP_SENT);
  g_assert_cmpuint(take_frame(&out, &payload).rsv, ==, 0);
  wsp_buffer_clear(&out);
  wsp_connection_clear(&connection);
  wsp_deflate_pool_free(settings.deflate);
}

static void test_repetition_between_messages_is_used(void) {
  struct wsp_settings settings = compressing_settings(1 << 20);
  struct wsp_deflate_terms alone = full;
  alone.server_no_takeover = true;
  struct wsp_connection with, without;
  unsigned rsv;
  g_autoptr(GByteArray) message = prose(0, 300);
  open_connection(&with, WSP_SERVER, &settings, &full);
  open_connection(&without, WSP_SERVER, &settings, &alone);
  const uint64_t first = sent_length(&with, message, &rsv);
  g_assert_cmpuint(sent_length(&without, message, &rsv), ==, first);
  g_assert_cmpuint(sent_length(&without, message, &rsv), ==, first);
  g_assert_cmpuint(sent_length(&with, message, &rsv), <, first / 4);
  wsp_connection_clear(&with);
  wsp_connection_clear(&without);
  wsp_deflate_pool_free(settings.deflate);
}

/* ---- Broadcast ---- */

static void test_a_broadcast_is_compressed_once_and_right_for_everybody(void) {
  struct wsp_settings settings = compressing_settings(1 << 20);
  enum { PEERS = 24 };
  struct wsp_connection connections[PEERS];
  struct peer_inflater *peers[PEERS];
  for (unsigned i = 0; i < PEERS; i++) {
    const struct wsp_deflate_terms terms = {
        .agreed = true, .server_bits = (uint8_t)(8 + i % 8), .client_bits = 12, .server_no_takeover = i % 3 == 0};
    peers[i] = peer_inflater_new(terms.server_bits);
    if (i % 5 == 4)
      wsp_connection_init(&connections[i], WSP_SERVER, &settings);
    else
      open_connection(&connections[i], WSP_SERVER, &settings, &terms);
  }
  for (unsigned round = 0; round < 6; round++) {
    g_autoptr(GByteArray) message = prose(round, 700 + round * 3000);
    struct wsp_broadcast broadcast;
    wsp_broadcast_init(&broadcast, false, message->data, message->len);
    for (unsigned i = 0; i < PEERS; i++) {
      struct wsp_buffer out = {0};
      uint8_t *payload;
      const bool fresh = wsp_connection_compresses(&connections[i]) && !broadcast.was_tried[i % 8];
      const uint8_t *before = wsp_buffer_front(&broadcast.frames[i % 8]);
      g_assert_cmpint(wsp_broadcast_send(&broadcast, &connections[i], &out), ==, WSP_SENT);
      g_assert_true(fresh || wsp_buffer_front(&broadcast.frames[i % 8]) == before);
      struct wsp_frame_header header = take_frame(&out, &payload);
      g_assert_true((header.rsv != 0) == (wsp_connection_compresses(&connections[i])));
      if (header.rsv) {
        g_autoptr(GByteArray) inflated = peer_inflate(peers[i], payload, (size_t)header.payload_length, i % 3 != 0);
        g_assert_nonnull(inflated);
        assert_same_octets(inflated->data, inflated->len, message->data, message->len);
      } else {
        assert_same_octets(payload, (size_t)header.payload_length, message->data, message->len);
      }
      wsp_buffer_clear(&out);
      /* and what only this peer gets goes on from there */
      if (wsp_connection_compresses(&connections[i]))
        g_assert_true(send_and_read(&connections[i], message, peers[i], i % 3 != 0));
    }
    wsp_broadcast_clear(&broadcast);
  }
  g_autoptr(GByteArray) random = noise(1000);
  struct wsp_broadcast broadcast;
  struct wsp_buffer out = {0};
  uint8_t *payload;
  wsp_broadcast_init(&broadcast, false, random->data, random->len);
  g_assert_cmpint(wsp_broadcast_send(&broadcast, &connections[0], &out), ==, WSP_SENT);
  g_assert_cmpuint(take_frame(&out, &payload).rsv, ==, 0);
  g_assert_cmpint(wsp_connection_close(&connections[0], 1000, NULL, 0, &out), ==, WSP_SENT);
  g_assert_cmpint(wsp_broadcast_send(&broadcast, &connections[0], &out), ==, WSP_SEND_CLOSED);
  wsp_buffer_clear(&out);
  wsp_broadcast_clear(&broadcast);
  for (unsigned i = 0; i < PEERS; i++) {
    wsp_connection_clear(&connections[i]);
    peer_inflater_free(peers[i]);
  }
  g_assert_cmpuint(wsp_deflate_pool_reserved(settings.deflate), ==, 0);
  wsp_deflate_pool_free(settings.deflate);
}

/* ---- Memory ---- */

/* What one side sent, received by the other. */
static void carry(struct wsp_connection *from, struct wsp_connection *to, const GByteArray *message) {
  struct wsp_buffer out = {0}, answer = {0};
  struct wsp_event event;
  size_t consumed;
  g_assert_cmpint(wsp_connection_send(from, false, message->data, message->len, &out), ==, WSP_SENT);
  g_assert_cmpint(
      wsp_connection_receive(to, wsp_buffer_front(&out), wsp_buffer_length(&out), &consumed, &answer, &event), ==,
      WSP_EVENT_MESSAGE);
  assert_same_octets(event.data, event.length, message->data, message->len);
  g_assert_cmpint(wsp_connection_receive(to, NULL, 0, &consumed, &answer, &event), ==, WSP_EVENT_NONE);
  wsp_buffer_clear(&out);
  wsp_buffer_clear(&answer);
}

static void test_an_idle_connection_holds_its_histories_and_nothing_else(void) {
  static const struct {
    uint8_t client_bits;
    size_t received;
  } cases[] = {{12, 4096}, {15, 32768}, {9, 512}};
  g_assert_cmpuint(sizeof(struct wsp_connection), <=, 24);
  g_assert_cmpuint(sizeof(struct wsp_deflate), <=, 64);
  for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
    struct wsp_settings settings = compressing_settings(1 << 20), others = compressing_settings(1 << 20);
    struct wsp_deflate_terms terms = full;
    struct wsp_connection server, client;
    terms.client_bits = cases[i].client_bits;
    open_connection(&server, WSP_SERVER, &settings, &terms);
    open_connection(&client, WSP_CLIENT, &others, &terms);
    g_assert_null(server.progress->deflate->sent.octets);
    g_assert_null(server.progress->deflate->received.octets);
    g_assert_cmpuint(wsp_deflate_pool_reserved(settings.deflate), ==, cases[i].received); /* promised, not yet held */
    for (unsigned round = 0; round < 30; round++) {
      g_autoptr(GByteArray) message = prose(round, 200 + round * 1000);
      carry(&server, &client, message);
      carry(&client, &server, message);
      g_assert_cmpuint(server.progress->deflate->sent.length, <=, WSP_DEFLATE_SENT_HISTORY_MAX);
      g_assert_cmpuint(server.progress->deflate->received.length, <=, cases[i].received);
      g_assert_true(!server.progress->gather && !server.progress->control && !server.progress->deflate->inflater &&
                    settings.gathered == 0);
      g_assert_cmpuint(wsp_deflate_pool_reserved(settings.deflate), ==,
                       cases[i].received + server.progress->deflate->sent.length);
    }
    g_assert_cmpuint(server.progress->deflate->sent.length, ==, WSP_DEFLATE_SENT_HISTORY_MAX);
    g_assert_cmpuint(server.progress->deflate->received.length, ==, cases[i].received);
    wsp_connection_clear(&server);
    wsp_connection_clear(&client);
    g_assert_cmpuint(wsp_deflate_pool_reserved(settings.deflate), ==, 0);
    wsp_deflate_pool_free(settings.deflate);
    wsp_deflate_pool_free(others.deflate);
  }
}

static void test_histories_stay_within_their_budget(void) {
  struct wsp_settings settings = compressing_settings(40000), others = compressing_settings(1 << 20);
  struct wsp_connection server, client, late;
  g_autoptr(GByteArray) message = prose(0, 3000);
  open_connection(&server, WSP_SERVER, &settings, &full);
  open_connection(&client, WSP_CLIENT, &others, &full);
  g_assert_false(wsp_deflate_pool_has_room(settings.deflate));
  wsp_connection_init(&late, WSP_SERVER, &settings);
  g_assert_false(wsp_connection_compress(&late, &full));
  carry(&server, &client, message);
  g_assert_cmpuint(server.progress->deflate->sent.length, ==, 3000);
  g_assert_true(wsp_deflate_pool_reserve(settings.deflate, 40000 - 32768 - 3000 - 1000));
  for (unsigned round = 0; round < 5; round++) { /* 4096 no longer fit: it goes on without remembering */
    g_autoptr(GByteArray) another = prose(round + 1, 1500);
    carry(&server, &client, another);
    carry(&client, &server, another);
    g_assert_cmpuint(wsp_deflate_pool_reserved(settings.deflate), <=, 40000);
  }
  wsp_deflate_pool_release(settings.deflate, 40000 - 32768 - 3000 - 1000);
  carry(&server, &client, message);
  wsp_connection_clear(&server);
  wsp_connection_clear(&client);
  g_assert_true(wsp_deflate_pool_has_room(settings.deflate));
  g_assert_cmpuint(wsp_deflate_pool_reserved(settings.deflate), ==, 0);
  wsp_deflate_pool_free(settings.deflate);
  wsp_deflate_pool_free(others.deflate);
}

static void test_the_end_of_a_connection_gives_everything_back(void) {
  struct wsp_settings settings = compressing_settings(1 << 20);
  static const char *const ends[] = {"88:%03%E8", "81:%FF", "41:%F2%48%CD 88:%03%E8", "41:%F2%48%CD 81:"};
  for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
    struct wsp_connection connection;
    struct wsp_buffer out = {0};
    struct wsp_event event;
    size_t consumed;
    g_autoptr(GByteArray) message = prose(0, 3000);
    g_autoptr(GByteArray) octets = script_octets(ends[i], WSP_SERVER);
    open_connection(&connection, WSP_SERVER, &settings, &full);
    g_assert_cmpint(wsp_connection_send(&connection, true, message->data, message->len, &out), ==, WSP_SENT);
    wsp_connection_receive(&connection, octets->data, octets->len, &consumed, &out, &event);
    g_assert_true(event.type == WSP_EVENT_CLOSE || event.type == WSP_EVENT_FAILED);
    g_assert_cmpuint(wsp_deflate_pool_reserved(settings.deflate), ==, 0);
    g_assert_cmpuint(settings.gathered, ==, 0);
    wsp_buffer_clear(&out);
    wsp_connection_clear(&connection);
  }
  wsp_deflate_pool_free(settings.deflate);
}

/* What waits for a peer that does not read is counted by its length, so the memory behind it has to follow that. */
static void test_a_message_that_became_small_takes_little_memory(void) {
  struct wsp_settings settings = compressing_settings(1 << 20);
  struct wsp_connection connection;
  struct wsp_buffer out = {0};
  g_autoptr(GByteArray) message = prose(0, WSP_DEFLATE_MAX);
  open_connection(&connection, WSP_SERVER, &settings, &full);
  for (unsigned i = 0; i < 3; i++) {
    g_assert_cmpint(wsp_connection_send(&connection, true, message->data, message->len, &out), ==, WSP_SENT);
    g_assert_cmpuint(wsp_buffer_length(&out), <, (i + 1) * (WSP_DEFLATE_MAX / 2));
    g_assert_cmpuint(out.capacity, <=, 2 * wsp_buffer_length(&out));
  }
  wsp_buffer_clear(&out);
  wsp_connection_clear(&connection);
  wsp_deflate_pool_free(settings.deflate);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/deflate/a-peer-with-the-agreed-window-can-read-everything",
                  test_a_peer_with_the_agreed_window_can_read_everything);
  g_test_add_func("/deflate/only-what-is-worth-it-is-compressed", test_only_what_is_worth_it_is_compressed);
  g_test_add_func("/deflate/repetition-between-messages-is-used", test_repetition_between_messages_is_used);
  g_test_add_func("/deflate/a-broadcast-is-compressed-once-and-right-for-everybody",
                  test_a_broadcast_is_compressed_once_and_right_for_everybody);
  g_test_add_func("/deflate/an-idle-connection-holds-its-histories-and-nothing-else",
                  test_an_idle_connection_holds_its_histories_and_nothing_else);
  g_test_add_func("/deflate/histories-stay-within-their-budget", test_histories_stay_within_their_budget);
  g_test_add_func("/deflate/the-end-of-a-connection-gives-everything-back",
                  test_the_end_of_a_connection_gives_everything_back);
  g_test_add_func("/deflate/a-message-that-became-small-takes-little-memory",
                  test_a_message_that_became_small_takes_little_memory);
  return g_test_run();
}
