/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed messages of a peer (RFC 7692 sections 6 and 7.2.2): right ones, wrong ones, and hostile ones. */
#include "tests/websocket/peer-deflate.h"
#include "tests/websocket/pieces.h"
#include "tests/websocket/transcript.h"
#include "websocket/frame.h"
#include "websocket/mask.h"

#include <string.h>

#define HELLO "%F2%48%CD%C9%C9%07%00"
#define AGAIN "%F2%00%11%00%00" /* "Hello", referring to the one before */

static const struct wsp_deflate_terms full = {.agreed = true, .server_bits = 15, .client_bits = 15};
static const struct wsp_deflate_terms alone = {
    .agreed = true, .server_bits = 15, .client_bits = 15, .server_no_takeover = true, .client_no_takeover = true};

static struct wsp_settings compressing_settings(void) {
  struct wsp_settings settings = test_settings();
  settings.deflate = wsp_deflate_pool_new(1 << 20);
  return settings;
}

/* In both roles and every cutting. Whatever happens, the budget is whole again afterwards. */
static void check_with(struct wsp_settings *settings, const struct wsp_deflate_terms *terms, const char *script,
                       const char *events, const char *wrote) {
  for (enum wsp_role role = WSP_SERVER; role <= WSP_CLIENT; role++) {
    assert_exchange_on_terms(script, role, settings, terms, events, wrote);
    g_assert_cmpuint(wsp_deflate_pool_reserved(settings->deflate), ==, 0);
  }
}

static void check(const struct wsp_deflate_terms *terms, const char *script, const char *events, const char *wrote) {
  struct wsp_settings settings = compressing_settings();
  check_with(&settings, terms, script, events, wrote);
  wsp_deflate_pool_free(settings.deflate);
}

/* Frames of a client that carry these octets. */
static void append_frame(GByteArray *octets, uint8_t first, const void *payload, size_t length) {
  struct wsp_frame_header header = {.fin = first & 0x80,
                                    .rsv = first >> 4 & 7,
                                    .opcode = first & 0xF,
                                    .masked = true,
                                    .mask_key = {1, 2, 3, 4},
                                    .payload_length = length};
  uint8_t encoded[WSP_FRAME_HEADER_MAX];
  g_byte_array_append(octets, encoded, (guint)wsp_frame_header_encode(&header, encoded));
  const guint at = octets->len;
  g_byte_array_append(octets, payload, (guint)length);
  wsp_mask(octets->data + at, length, header.mask_key, 0);
}

static void test_examples_of_the_rfc_are_understood(void) {
  check(&full, "C1:" HELLO, "text:Hello", "");
  check(&full, "41:%F2%48%CD 80:%C9%C9%07%00", "text:Hello", "");
  check(&full, "C1:" HELLO " C1:" HELLO, "text:Hello text:Hello", "");
  check(&full, "C1:" HELLO " C1:" AGAIN, "text:Hello text:Hello", "");
  check(&full, "C1:%00%05%00%FA%FFHello%00", "text:Hello", "");
  check(&full, "C1:%F3%48%CD%C9%C9%07%00%00", "text:Hello", "");
  check(&full, "C1:%F2%48%05%00%00%00%FF%FF%CA%C9%C9%07%00", "text:Hello", "");
  check(&full, "C1:%00", "text:", "");
}

static void test_fragments_control_frames_and_plain_messages_may_come_between(void) {
  check(&full, "41:%F2 00:%48 00: 89:p 00:%CD%C9%C9 8A:q 80:%07%00", "ping:p pong:q text:Hello", "pong:p");
  check(&full, "42: 00:" HELLO " 80:", "binary:Hello", "");
  check(&full, "41:" HELLO " 80: C1:" AGAIN, "text:Hello text:Hello", "");
  check(&full, "C1:" HELLO " 81:plain 82: C1:" AGAIN " 01:pl 80:ain C1:" AGAIN,
        "text:Hello text:plain binary: text:Hello text:plain text:Hello", "");
  check(&full, "C1:%00 C2:%00 C1:%00", "text: binary: text:", "");
  check(&full, "C1: C1: 42: 80: C1:" HELLO, "text: text: binary: text:Hello", ""); /* zlib's second empty message */
  check(&full, "41:%F2 88:%03%E8", "close:1000", "close:1000");
}

static void test_context_is_kept_only_where_agreed(void) {
  check(&alone, "C1:" HELLO " C1:" HELLO, "text:Hello text:Hello", "");
  check(&alone, "C1:" HELLO " C1:" AGAIN, "text:Hello failed:1007", "close:1007");
  check(&full, "C1:" AGAIN, "failed:1007", "close:1007");
  /* each direction by itself */
  struct wsp_settings settings = compressing_settings();
  for (enum wsp_role role = WSP_SERVER; role <= WSP_CLIENT; role++) {
    struct wsp_deflate_terms from_server = full, from_client = full;
    from_server.client_no_takeover = true;
    from_client.server_no_takeover = true;
    const bool is_client = role == WSP_CLIENT;
    assert_exchange_on_terms("C1:" HELLO " C1:" AGAIN, role, &settings, is_client ? &from_server : &from_client,
                             "text:Hello text:Hello", "");
    assert_exchange_on_terms("C1:" HELLO " C1:" AGAIN, role, &settings, is_client ? &from_client : &from_server,
                             "text:Hello failed:1007", "close:1007");
  }
  wsp_deflate_pool_free(settings.deflate);
  const struct wsp_deflate_terms small = {.agreed = true, .server_bits = 8, .client_bits = 8};
  check(&small, "C1:" HELLO " C1:" AGAIN, "text:Hello text:Hello", "");
}

static void test_rsv1_stands_on_the_first_frame_of_a_message_and_nowhere_else(void) {
  static const char *const wrong[] = {
      "01:a C0:b", "41:%F2 C0:", "C9:",        "CA:x",       "C8:%03%E8", "E1:", "D1:", "A1:", "91:",
      "F1:",       "B1:",        "41:%F2 A0:", "41:%F2 90:", "A9:",       "99:", "C3:", "CB:"};
  for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
    check(&full, wrong[i], "failed:1002", "close:1002");
  assert_exchange("C1:" HELLO, WSP_SERVER, &(struct wsp_settings){.max_message_size = 100}, "failed:1002",
                  "close:1002");
}

static void test_damaged_data_fails_the_connection(void) {
  static const char *const wrong[] = {
      "C1:%07",                      /* reserved type of block */
      "C1:%FF%FF%FF",                /* the same */
      "C1:%00%05%00%FA%FEHello%00",  /* a stored block whose length disagrees */
      "C1:%00%05%00%FA%FFHell",      /* ends in a stored block */
      "C1:%00%05%00%FA%FFHello",     /* the octets behind it are no block */
      "C1:%F2%48%CD%C9%C9",          /* ends in a block */
      "C1:%F2%48%CD%C9%C9%07",       /* ends behind a block, without the next one's beginning */
      "C1:%F3%48%CD%C9%C9%07%00%07", /* behind the last block begins none */
      "41:%F2%48%CD%C9%C9 80:",      /* an empty final frame makes it no better */
      "C1:%F2%02%11%00%00",          /* refers to what never was */
      "C1:%00%00%00%FF%FF",          /* the octets that are to be cut off, left there */
  };
  for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
    check(&full, wrong[i], "failed:1007", "close:1007");
}

static void test_a_last_block_may_be_followed_by_others(void) {
  /* "Hello" and "Hello", each a block that says it is the last, the second one referring to the first; with and without
   * the octet behind it. */
  check(&full, "C1:%F3%48%CD%C9%C9%07%00%F3%00%11%00%00", "text:HelloHello", "");
  check(&full, "C1:%F3%48%CD%C9%C9%07%00%F3%00%11%00", "text:HelloHello", "");
  check(&full, "C1:%F3%48%CD%C9%C9%07%00 C1:" AGAIN, "text:Hello text:Hello", "");
  check(&full, "41:%F3%48%CD%C9%C9%07%00 00: 80: C1:" AGAIN, "text:Hello text:Hello", "");
  check(&full, "41:%F3%48%CD%C9%C9%07%00 00: 80:%00", "text:Hello", "");
}

static void test_inflated_text_is_checked_as_it_appears(void) {
  check(&full, "C1:%00%02%00%FD%FF%C3%A4%00 C1:%00%01%00%FE%FFx%00", "text:%C3%A4 text:x", "");
  check(&full, "41:%00%02%00%FD%FF%C3 80:%A4%00", "text:%C3%A4", "");
  check(&full, "C1:%00%01%00%FE%FF%C3%00", "failed:1007", "close:1007");
  check(&full, "C2:%00%01%00%FE%FF%C3%00", "binary:%C3", "");
  /* before the message, or even the block, has ended */
  check(&full, "41:%00%09%00%F6%FFab%FF", "failed:1007", "close:1007");
  check(&full, "41:%00%09%00%F6%FFab%ED%A0", "failed:1007", "close:1007");
}

/* A whole conversation with a compressor that lives as long as the connection. */
static void converse(int level, int bits, const struct wsp_deflate_terms *terms, gboolean takeover) {
  struct wsp_settings settings = compressing_settings();
  struct peer_deflater *peer = peer_deflater_new(level, bits);
  g_autoptr(GByteArray) octets = g_byte_array_new();
  GString *expected = g_string_new(NULL);
  for (unsigned i = 0; i < 40; i++) {
    g_autofree char *text = g_strdup_printf("{\"volume\":%u,\"channel\":\"news\",\"%u\":%u}", i % 7, i * i, i * 7919);
    g_autoptr(GByteArray) compressed = peer_deflate(peer, text, strlen(text), takeover);
    append_frame(octets, 0xC1, compressed->data, compressed->len);
    g_string_append_printf(expected, "%stext:%s", i ? " " : "", text);
  }
  struct cutting cuttings[] = {{0, SIZE_MAX / 2}, {0, 1}, {0, 7}, {5, 100}};
  for (size_t i = 0; i < G_N_ELEMENTS(cuttings); i++) {
    g_autofree char *wrote = NULL;
    g_autofree char *seen = receive_transcript_on_terms(octets, WSP_SERVER, cuttings[i], &settings, terms, &wrote);
    g_assert_cmpstr(seen, ==, expected->str);
  }
  g_string_free(expected, TRUE);
  peer_deflater_free(peer);
  wsp_deflate_pool_free(settings.deflate);
}

static void test_a_peer_may_refer_to_all_that_its_window_holds(void) {
  for (uint8_t bits = 9; bits <= 15; bits++) {
    const struct wsp_deflate_terms terms = {.agreed = true, .server_bits = 15, .client_bits = bits};
    const struct wsp_deflate_terms without = {
        .agreed = true, .server_bits = 15, .client_bits = bits, .client_no_takeover = true};
    for (int level = 1; level <= 9; level += 4) {
      converse(level, bits, &terms, TRUE);
      converse(level, bits, &terms, FALSE);
      converse(level, bits, &without, FALSE);
    }
  }
}

/* ---- Bounds ---- */

static GByteArray *zeros_compressed(size_t length) {
  struct peer_deflater *peer = peer_deflater_new(9, 15);
  g_autofree uint8_t *zeros = g_malloc0(length + 1);
  GByteArray *compressed = peer_deflate(peer, zeros, length, FALSE);
  peer_deflater_free(peer);
  return compressed;
}

static enum wsp_event_type feed(struct wsp_connection *connection, uint8_t *octets, size_t length,
                                struct wsp_event *event) {
  struct wsp_buffer out = {0};
  size_t consumed = 0;
  enum wsp_event_type type = wsp_connection_receive(connection, octets, length, &consumed, &out, event);
  wsp_buffer_clear(&out);
  return type;
}

/* In whatever cutting: octet by octet the first fault is alone when it is seen. */
static void test_damage_does_not_hide_a_fault_before_it(void) {
  struct wsp_settings settings = compressing_settings();
  g_autoptr(GByteArray) octets = script_octets("C1:%00%01%00%FE%FF%FF%07", WSP_SERVER); /* FF, then no block */
  struct wsp_connection connection;
  struct wsp_event event;
  wsp_connection_init(&connection, WSP_SERVER, &settings);
  g_assert_true(wsp_connection_compress(&connection, &full));
  g_assert_cmpint(feed(&connection, octets->data, octets->len, &event), ==, WSP_EVENT_FAILED);
  g_assert_cmpstr((const char *)event.data, ==, "text message is not valid UTF-8");
  wsp_connection_clear(&connection);
  settings.max_message_size = 3;
  check_with(&settings, &full, "C2:%00%04%00%FB%FFabcd%07", "failed:1009", "close:1009");
  wsp_deflate_pool_free(settings.deflate);
}

static void test_what_inflates_beyond_the_limit_is_stopped_there(void) {
  struct wsp_settings settings = compressing_settings();
  for (size_t limit = 1; limit <= 1 << 20; limit = limit * 3 + 1) {
    settings.max_message_size = limit;
    for (size_t more = 0; more < 3; more++) {
      g_autoptr(GByteArray) compressed = zeros_compressed(limit + (more == 2 ? limit * 100 : more));
      g_autoptr(GByteArray) octets = g_byte_array_new();
      struct wsp_connection connection;
      struct wsp_event event;
      append_frame(octets, 0xC2, compressed->data, compressed->len);
      wsp_connection_init(&connection, WSP_SERVER, &settings);
      g_assert_true(wsp_connection_compress(&connection, &full));
      settings.max_gathered = limit + WSP_INFLATER_COST; /* no octet beyond is ever held */
      enum wsp_event_type type = feed(&connection, octets->data, octets->len, &event);
      settings.max_gathered = 0;
      g_assert_cmpint(type, ==, more ? WSP_EVENT_FAILED : WSP_EVENT_MESSAGE);
      g_assert_cmpuint(more ? event.code : event.length, ==, more ? WSP_CLOSE_TOO_BIG : limit);
      wsp_connection_clear(&connection);
      g_assert_cmpuint(settings.gathered, ==, 0);
    }
  }
  wsp_deflate_pool_free(settings.deflate);
}

static void test_the_limit_holds_over_fragments_and_cuts(void) {
  struct wsp_settings settings = compressing_settings();
  settings.max_message_size = 10;
  check_with(&settings, &full, "41:%00%05%00%FA%FFHello 80:%00%05%00%FA%FFHello%00", "text:HelloHello", "");
  check_with(&settings, &full, "41:%00%05%00%FA%FFHello 00:%00%06%00%F9%FFHello!", "failed:1009", "close:1009");
  settings.max_message_size = 5;
  check_with(&settings, &full, "C1:%F3%48%CD%C9%C9%07%00%00 C1:%F3%48%CD%C9%C9%07%00 C1:" AGAIN,
             "text:Hello text:Hello text:Hello", ""); /* the last block ends where the limit is */
  settings.max_message_size = 4;
  check_with(&settings, &full, "C1:" HELLO, "failed:1009", "close:1009");
  check_with(&settings, &full, "81:Hell C1:%00", "text:Hell text:", "");
  settings.max_message_size = 0;
  check_with(&settings, &full, "C1:%00 C1: C1:%00%01%00%FE%FFx", "text: text: failed:1009", "close:1009");
  wsp_deflate_pool_free(settings.deflate);
}

static void test_a_header_that_promises_too_much_is_refused_before_its_payload(void) {
  struct wsp_settings settings = compressing_settings();
  settings.max_message_size = 1000;
  const unsigned bound = 1000 + 125 + 15 + WSP_DEFLATE_SLACK;
  g_assert_cmpuint(wsp_deflate_bound(1000), ==, bound);
  g_autofree char *just = g_strdup_printf("=C2FE%04X00000000", bound);
  g_autofree char *beyond = g_strdup_printf("=C2FE%04X00000000", bound + 1);
  g_autofree char *over_fragments = g_strdup_printf("42:%%00 =00FE%04X00000000", bound);
  for (unsigned i = 0; i < 3; i++) {
    const char *const scripts[] = {just, beyond, over_fragments};
    assert_exchange_on_terms(scripts[i], WSP_SERVER, &settings, &full, i ? "failed:1009" : "", i ? "close:1009" : "");
  }
  settings.max_message_size = UINT64_MAX;
  assert_exchange_on_terms("42:%00 =807F7FFFFFFFFFFFFFFF", WSP_CLIENT, &settings, &full, "failed:1009", "close:1009");
  wsp_deflate_pool_free(settings.deflate);
}

static void test_blocks_that_make_nothing_are_not_read_for_ever(void) {
  static const struct {
    uint8_t octets[5];
    size_t length;
  } blocks[] = {{{0, 0, 0, 0xFF, 0xFF}, 5}, {{1, 0, 0, 0xFF, 0xFF}, 5}, {{3, 0}, 2}};
  struct wsp_settings settings = compressing_settings();
  settings.max_message_size = 1000;
  for (size_t i = 0; i < G_N_ELEMENTS(blocks); i++) {
    g_autoptr(GByteArray) octets = g_byte_array_new();
    for (unsigned sent = 0; sent <= wsp_deflate_bound(1000); sent += (unsigned)blocks[i].length)
      append_frame(octets, sent ? 0x00 : 0x42, blocks[i].octets, blocks[i].length);
    g_autofree char *wrote = NULL;
    g_autofree char *seen =
        receive_transcript_on_terms(octets, WSP_SERVER, (struct cutting){0, 100}, &settings, &full, &wrote);
    g_assert_cmpstr(seen, ==, "failed:1009");
  }
  wsp_deflate_pool_free(settings.deflate);
}

static void test_messages_in_progress_are_charged_together(void) {
  struct wsp_settings settings = compressing_settings();
  settings.max_gathered = 2 * WSP_INFLATER_COST + 4096;
  struct wsp_connection connections[3];
  struct wsp_event event;
  for (unsigned i = 0; i < 3; i++) {
    g_autoptr(GByteArray) octets = script_octets("41:%F2%48%CD", WSP_SERVER);
    wsp_connection_init(&connections[i], WSP_SERVER, &settings);
    g_assert_true(wsp_connection_compress(&connections[i], &full));
    size_t charged = 0;
    for (unsigned before = 0; before < i; before++)
      charged += WSP_INFLATER_COST + connections[before].progress->gather_capacity;
    g_assert_cmpuint(settings.gathered, ==, charged);
    feed(&connections[i], octets->data, octets->len, &event);
    g_assert_cmpint(event.type, ==, i < 2 ? WSP_EVENT_NONE : WSP_EVENT_FAILED);
    g_assert_true(i < 2 || event.code == WSP_CLOSE_TRY_AGAIN);
  }
  g_assert_cmpuint(wsp_connection_gathered(&connections[0]) + wsp_connection_gathered(&connections[1]), ==,
                   settings.gathered);
  g_assert_cmpuint(wsp_connection_gathered(&connections[2]), ==, 0);
  g_autoptr(GByteArray) whole = script_octets("C1:" HELLO, WSP_SERVER);
  wsp_connection_clear(&connections[2]);
  wsp_connection_init(&connections[2], WSP_SERVER, &settings);
  g_assert_true(wsp_connection_compress(&connections[2], &full));
  g_assert_cmpint(feed(&connections[2], whole->data, whole->len, &event), ==, WSP_EVENT_MESSAGE); /* borrows one */
  for (unsigned i = 0; i < 3; i++)
    wsp_connection_clear(&connections[i]);
  g_assert_cmpuint(settings.gathered, ==, 0);
  wsp_deflate_pool_free(settings.deflate);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/inflate/examples-of-the-rfc-are-understood", test_examples_of_the_rfc_are_understood);
  g_test_add_func("/inflate/fragments-control-frames-and-plain-messages-may-come-between",
                  test_fragments_control_frames_and_plain_messages_may_come_between);
  g_test_add_func("/inflate/context-is-kept-only-where-agreed", test_context_is_kept_only_where_agreed);
  g_test_add_func("/inflate/rsv1-stands-on-the-first-frame-of-a-message-and-nowhere-else",
                  test_rsv1_stands_on_the_first_frame_of_a_message_and_nowhere_else);
  g_test_add_func("/inflate/damaged-data-fails-the-connection", test_damaged_data_fails_the_connection);
  g_test_add_func("/inflate/damage-does-not-hide-a-fault-before-it", test_damage_does_not_hide_a_fault_before_it);
  g_test_add_func("/inflate/a-last-block-may-be-followed-by-others", test_a_last_block_may_be_followed_by_others);
  g_test_add_func("/inflate/inflated-text-is-checked-as-it-appears", test_inflated_text_is_checked_as_it_appears);
  g_test_add_func("/inflate/a-peer-may-refer-to-all-that-its-window-holds",
                  test_a_peer_may_refer_to_all_that_its_window_holds);
  g_test_add_func("/inflate/what-inflates-beyond-the-limit-is-stopped-there",
                  test_what_inflates_beyond_the_limit_is_stopped_there);
  g_test_add_func("/inflate/the-limit-holds-over-fragments-and-cuts", test_the_limit_holds_over_fragments_and_cuts);
  g_test_add_func("/inflate/a-header-that-promises-too-much-is-refused-before-its-payload",
                  test_a_header_that_promises_too_much_is_refused_before_its_payload);
  g_test_add_func("/inflate/blocks-that-make-nothing-are-not-read-for-ever",
                  test_blocks_that_make_nothing_are_not_read_for_ever);
  g_test_add_func("/inflate/messages-in-progress-are-charged-together", test_messages_in_progress_are_charged_together);
  return g_test_run();
}
