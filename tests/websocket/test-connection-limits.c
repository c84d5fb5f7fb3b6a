/* SPDX-License-Identifier: Apache-2.0 */
/* What hostile peers can make a connection hold: message size, gathering memory, growth. */
#include "tests/websocket/pieces.h"
#include "tests/websocket/transcript.h"

#include <stdlib.h>
#include <string.h>

static void check(const struct wsp_settings *settings, const char *script, const char *events, const char *wrote) {
  assert_exchange(script, WSP_SERVER, settings, events, wrote);
  assert_exchange(script, WSP_CLIENT, settings, events, wrote);
}

static void test_message_size_is_bounded_whole_and_over_fragments(void) {
  struct wsp_settings settings = test_settings();
  settings.max_message_size = 1000;
  check(&settings, "81:#1000 82:#1000", "text:#1000 binary:#1000", "");
  check(&settings, "81:#1001", "failed:1009", "close:1009");
  check(&settings, "02:#988 80:#12", "binary:#1000", "");
  check(&settings, "02:#988 80:#13", "failed:1009", "close:1009");
  check(&settings, "02:#500 00:#500 00: 89:#126", "failed:1002", "close:1002");
  check(&settings, "02:#500 00:#500 00:x 80:", "failed:1009", "close:1009");
  check(&settings, "81:x 02:#70000", "text:x failed:1009", "close:1009");
  check(&settings, "89:#1 81:#1000 8A:#125 88:",
        "ping:a text:#1000 pong:abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrst"
        "uvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstu close:1005",
        "pong:a close:1005");
  settings.max_message_size = 0;
  check(&settings, "81: 01: 80:", "text: text:", "");
  check(&settings, "81:x", "failed:1009", "close:1009");
}

static void test_default_message_size_is_accepted_and_not_more(void) {
  struct wsp_settings settings = test_settings();
  const struct cutting cutting = {0, 65536};
  settings.max_message_size = WSP_MESSAGE_MAX_DEFAULT;
  g_assert_cmpuint(WSP_MESSAGE_MAX_DEFAULT, ==, 5242864);
  for (unsigned more = 0; more < 2; more++) {
    g_autofree char *script = g_strdup_printf("82:#%u", WSP_MESSAGE_MAX_DEFAULT + more);
    g_autoptr(GByteArray) octets = script_octets(script, WSP_SERVER);
    g_autofree char *wrote = NULL;
    g_autofree char *seen = receive_transcript(octets, WSP_SERVER, cutting, &settings, &wrote);
    g_assert_cmpstr(seen, ==, more ? "failed:1009" : "binary:#5242864");
  }
}

static void test_lengths_near_the_top_do_not_overflow(void) {
  struct wsp_settings settings = test_settings();
  check(&settings, "81:x", "text:x", "");
  settings.max_message_size = UINT64_MAX;
  assert_exchange("02:#500 =80FF7FFFFFFFFFFFFFFF0000000061", WSP_SERVER, &settings, "", "");
  settings.max_message_size = INT64_MAX;
  assert_exchange("02:#500 =80FF7FFFFFFFFFFFFFFF0000000061", WSP_SERVER, &settings, "failed:1009", "close:1009");
}

static void feed(struct wsp_connection *connection, const uint8_t *octets, size_t length,
                 enum wsp_event_type expected) {
  g_autofree uint8_t *copy = g_memdup2(octets, length);
  struct wsp_buffer out = {0};
  struct wsp_event event;
  size_t consumed;
  g_assert_cmpint(wsp_connection_receive(connection, copy, length, &consumed, &out, &event), ==, expected);
  g_assert_true(consumed == length || expected == WSP_EVENT_FAILED);
  wsp_buffer_clear(&out);
}

static void test_memory_follows_what_arrived(void) {
  struct wsp_settings settings = test_settings();
  struct wsp_connection connection;
  const uint8_t header[] = {0x82, 0xFF, 0, 0, 0, 0, 0, 0x0F, 0xFF, 0xFF, 1, 2, 3, 4};
  const uint8_t payload[1000] = {0};
  wsp_connection_init(&connection, WSP_SERVER, &settings);
  feed(&connection, header, sizeof header, WSP_EVENT_NONE);
  g_assert_cmpuint(settings.gathered, ==, 0); /* a promise costs nothing */
  for (size_t arrived = 0; arrived < 1040 * sizeof payload;) {
    feed(&connection, payload, sizeof payload, WSP_EVENT_NONE);
    arrived += sizeof payload;
    g_assert_cmpuint(settings.gathered, >=, arrived);
    g_assert_cmpuint(settings.gathered, <=, 2 * arrived);
    g_assert_cmpuint(settings.gathered, <=, 0xFFFFF); /* never more than the message can become */
  }
  wsp_connection_clear(&connection);
  g_assert_cmpuint(settings.gathered, ==, 0);
}

static void test_memory_is_given_back_after_delivery(void) {
  struct wsp_settings settings = test_settings();
  struct wsp_connection connection;
  g_autoptr(GByteArray) octets = script_octets("02:#5000 80:#5000 89:#100", WSP_SERVER);
  wsp_connection_init(&connection, WSP_SERVER, &settings);
  feed(&connection, octets->data, 6000, WSP_EVENT_NONE);
  g_assert_cmpuint(settings.gathered, >=, 5000);
  feed(&connection, octets->data + 6000, octets->len - 106 - 6000, WSP_EVENT_MESSAGE);
  g_assert_cmpuint(settings.gathered, >=, 10000); /* the event points there */
  feed(&connection, octets->data + octets->len - 106, 50, WSP_EVENT_NONE);
  g_assert_cmpuint(settings.gathered, ==, 0);
  g_assert_nonnull(connection.progress->control);
  feed(&connection, octets->data + octets->len - 56, 56, WSP_EVENT_PING);
  feed(&connection, octets->data, 0, WSP_EVENT_NONE);
  g_assert_null(connection.progress);
  wsp_connection_clear(&connection);
}

/* Where the caller takes the memory, it is no longer counted here; what would waste memory or is not the connection's stays. */
static void test_a_gathered_message_can_be_taken(void) {
  struct wsp_settings settings = test_settings();
  struct wsp_connection connection;
  struct wsp_buffer out = {0};
  struct wsp_event event;
  size_t consumed;
  g_autoptr(GByteArray) octets = script_octets("02:#5000 80:#5000 81:whole", WSP_SERVER);
  wsp_connection_init(&connection, WSP_SERVER, &settings);
  feed(&connection, octets->data, 6000, WSP_EVENT_NONE);
  g_assert_cmpint(wsp_connection_receive(&connection, octets->data + 6000, octets->len - 6000, &consumed, &out, &event),
                  ==, WSP_EVENT_MESSAGE);
  g_assert_cmpuint(event.length, ==, 10000);
  uint8_t *taken = wsp_connection_take_message(&connection, &event);
  g_assert_true(taken == event.data);
  g_assert_cmpuint(settings.gathered, ==, 0);
  size_t at = 6000 + consumed;
  g_assert_cmpint(wsp_connection_receive(&connection, octets->data + at, octets->len - at, &consumed, &out, &event), ==,
                  WSP_EVENT_MESSAGE);
  g_assert_null(wsp_connection_take_message(&connection, &event));
  g_assert_cmpmem(event.data, (int)event.length, "whole", 5);
  for (size_t i = 0; i < 10000; i++) /* still the caller's */
    taken[i] = 0;
  free(taken);
  g_autoptr(GByteArray) wasteful = script_octets("02:#5000 00:#1000 80:", WSP_SERVER);
  g_assert_cmpint(wsp_connection_receive(&connection, wasteful->data, wasteful->len, &consumed, &out, &event), ==,
                  WSP_EVENT_MESSAGE);
  g_assert_cmpuint(settings.gathered, >, 6000 + 6000 / 4);
  g_assert_null(wsp_connection_take_message(&connection, &event));
  wsp_connection_clear(&connection);
  g_assert_cmpuint(settings.gathered, ==, 0);
  wsp_buffer_clear(&out);
}

static void test_gathering_over_all_connections_is_bounded(void) {
  struct wsp_settings settings = test_settings();
  struct wsp_connection connections[4];
  g_autoptr(GByteArray) octets = script_octets("02:#1000", WSP_SERVER);
  settings.max_gathered = 3000;
  for (size_t i = 0; i < 4; i++) {
    wsp_connection_init(&connections[i], WSP_SERVER, &settings);
    feed(&connections[i], octets->data, octets->len, i < 3 ? WSP_EVENT_NONE : WSP_EVENT_FAILED);
    g_assert_cmpuint(settings.gathered, <=, settings.max_gathered);
  }
  g_assert_true(wsp_connection_failed(&connections[3]));
  wsp_connection_clear(&connections[0]); /* room again */
  wsp_connection_clear(&connections[3]);
  wsp_connection_init(&connections[3], WSP_SERVER, &settings);
  feed(&connections[3], octets->data, octets->len, WSP_EVENT_NONE);
  for (size_t i = 1; i < 4; i++)
    wsp_connection_clear(&connections[i]);
  g_assert_cmpuint(settings.gathered, ==, 0);
}

static void test_whole_frames_need_no_gathering_memory(void) {
  struct wsp_settings settings = test_settings();
  struct wsp_connection connection;
  g_autoptr(GByteArray) octets = script_octets("81:#5000", WSP_SERVER);
  settings.max_gathered = 1;
  wsp_connection_init(&connection, WSP_SERVER, &settings);
  feed(&connection, octets->data, octets->len, WSP_EVENT_MESSAGE);
  wsp_connection_clear(&connection);
}

static void test_gathering_bound_fails_with_1013(void) {
  struct wsp_settings settings = test_settings();
  settings.max_gathered = 1000;
  check(&settings, "02:#1000 80:", "binary:#1000", "");
  check(&settings, "02:#1000 80:x", "failed:1013", "close:1013");
  check(&settings, "02:#1001 80:", "failed:1013", "close:1013");
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/limits/message-size-is-bounded-whole-and-over-fragments",
                  test_message_size_is_bounded_whole_and_over_fragments);
  g_test_add_func("/limits/default-message-size-is-accepted-and-not-more",
                  test_default_message_size_is_accepted_and_not_more);
  g_test_add_func("/limits/lengths-near-the-top-do-not-overflow", test_lengths_near_the_top_do_not_overflow);
  g_test_add_func("/limits/memory-follows-what-arrived", test_memory_follows_what_arrived);
  g_test_add_func("/limits/memory-is-given-back-after-delivery", test_memory_is_given_back_after_delivery);
  g_test_add_func("/limits/a-gathered-message-can-be-taken", test_a_gathered_message_can_be_taken);
  g_test_add_func("/limits/gathering-over-all-connections-is-bounded", test_gathering_over_all_connections_is_bounded);
  g_test_add_func("/limits/whole-frames-need-no-gathering-memory", test_whole_frames_need_no_gathering_memory);
  g_test_add_func("/limits/gathering-bound-fails-with-1013", test_gathering_bound_fails_with_1013);
  return g_test_run();
}
