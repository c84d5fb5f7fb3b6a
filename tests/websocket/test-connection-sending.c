/* SPDX-License-Identifier: Apache-2.0 */
/* What the send functions append, and what a receiver of the other role makes of it. */
#include "tests/websocket/pieces.h"
#include "tests/websocket/transcript.h"

#include <string.h>

struct sender {
  struct wsp_settings settings;
  struct wsp_connection connection;
  struct wsp_buffer out;
  enum wsp_role role;
};

static void begin(struct sender *sender, enum wsp_role role) {
  *sender = (struct sender){.settings = test_settings(), .role = role};
  wsp_connection_init(&sender->connection, role, &sender->settings);
}

static void end(struct sender *sender) {
  wsp_connection_clear(&sender->connection);
  wsp_buffer_clear(&sender->out);
}

/* What was written, read by a connection of the other role in every cutting. */
static void assert_received(struct sender *sender, const char *expected) {
  enum wsp_role other = sender->role == WSP_SERVER ? WSP_CLIENT : WSP_SERVER;
  g_autoptr(GByteArray) octets = g_byte_array_new();
  struct cutting cutting;
  g_byte_array_append(octets, wsp_buffer_front(&sender->out), (guint)wsp_buffer_length(&sender->out));
  for (size_t round = 0; next_cutting(octets->len, &round, &cutting);) {
    struct wsp_settings settings = test_settings();
    g_autofree char *wrote = NULL;
    g_autofree char *seen = receive_transcript(octets, other, cutting, &settings, &wrote);
    g_assert_cmpstr(seen, ==, expected);
  }
}

static const uint8_t *octets_of(const char *text) {
  return (const uint8_t *)text;
}

static void test_what_is_sent_arrives(void) {
  for (enum wsp_role role = WSP_SERVER; role <= WSP_CLIENT; role++) {
    struct sender sender;
    begin(&sender, role);
    g_assert_cmpint(wsp_connection_send(&sender.connection, true, octets_of("Hello"), 5, &sender.out), ==, WSP_SENT);
    g_assert_cmpint(wsp_connection_send(&sender.connection, true, octets_of("\0\xF0\x9F\x98\x80"), 5, &sender.out), ==,
                    WSP_SENT);
    g_assert_cmpint(wsp_connection_send(&sender.connection, false, octets_of("\xFF\xFE"), 2, &sender.out), ==,
                    WSP_SENT);
    g_assert_cmpint(wsp_connection_send(&sender.connection, true, NULL, 0, &sender.out), ==, WSP_SENT);
    g_assert_cmpint(wsp_connection_send_checked(&sender.connection, false, NULL, 0, &sender.out), ==, WSP_SENT);
    g_assert_cmpint(wsp_connection_ping(&sender.connection, octets_of("are you there"), 3, &sender.out), ==, WSP_SENT);
    g_assert_cmpint(wsp_connection_ping(&sender.connection, NULL, 0, &sender.out), ==, WSP_SENT);
    g_assert_cmpint(wsp_connection_close(&sender.connection, 4999, octets_of("done"), 4, &sender.out), ==, WSP_SENT);
    assert_received(&sender,
                    "text:Hello text:%00%F0%9F%98%80 binary:%FF%FE text: binary: ping:are ping: close:4999:done");
    end(&sender);
  }
}

static void test_lengths_around_the_forms_arrive(void) {
  static const unsigned lengths[] = {200, 65535, 65536, 70000};
  for (enum wsp_role role = WSP_SERVER; role <= WSP_CLIENT; role++)
    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
      struct sender sender;
      g_autofree uint8_t *data = g_malloc(lengths[i]);
      g_autofree char *expected = g_strdup_printf("binary:#%u", lengths[i]);
      for (size_t k = 0; k < lengths[i]; k++)
        data[k] = (uint8_t)('a' + k % 26);
      begin(&sender, role);
      g_assert_cmpint(wsp_connection_send(&sender.connection, false, data, lengths[i], &sender.out), ==, WSP_SENT);
      g_assert_cmpuint(data[lengths[i] - 1], ==, 'a' + (lengths[i] - 1) % 26); /* masked while copied, not in place */
      assert_received(&sender, expected);
      end(&sender);
    }
}

static void test_client_masks_each_frame_afresh(void) {
  struct sender sender;
  uint8_t first_key[4];
  begin(&sender, WSP_CLIENT);
  wsp_connection_send(&sender.connection, true, octets_of("aaaa"), 4, &sender.out);
  memcpy(first_key, wsp_buffer_front(&sender.out) + 2, 4);
  wsp_buffer_consume(&sender.out, 10);
  wsp_connection_send(&sender.connection, true, octets_of("aaaa"), 4, &sender.out);
  g_assert_true(memcmp(first_key, wsp_buffer_front(&sender.out) + 2, 4) != 0);
  end(&sender);
}

static void test_illegal_sends_are_refused_and_append_nothing(void) {
  uint8_t payload[WSP_CONTROL_PAYLOAD_MAX + 1];
  struct sender sender;
  memset(payload, 'x', sizeof payload);
  begin(&sender, WSP_SERVER);
  struct wsp_connection *connection = &sender.connection;
  g_assert_cmpint(wsp_connection_send(connection, true, octets_of("\xC0\xAF"), 2, &sender.out), ==, WSP_SEND_INVALID);
  g_assert_cmpint(wsp_connection_send(connection, true, octets_of("\xE2\x82"), 2, &sender.out), ==, WSP_SEND_INVALID);
  g_assert_cmpint(wsp_connection_ping(connection, payload, sizeof payload, &sender.out), ==, WSP_SEND_INVALID);
  g_assert_cmpint(wsp_connection_close(connection, 1005, payload, 1, &sender.out), ==, WSP_SEND_INVALID);
  g_assert_cmpint(wsp_connection_close(connection, 1006, NULL, 0, &sender.out), ==, WSP_SEND_INVALID);
  g_assert_cmpint(wsp_connection_close(connection, 999, NULL, 0, &sender.out), ==, WSP_SEND_INVALID);
  g_assert_cmpint(wsp_connection_close(connection, 5000, NULL, 0, &sender.out), ==, WSP_SEND_INVALID);
  g_assert_cmpint(wsp_connection_close(connection, 1000, octets_of("\xFF"), 1, &sender.out), ==, WSP_SEND_INVALID);
  g_assert_cmpint(wsp_connection_close(connection, 1000, payload, WSP_CLOSE_REASON_MAX + 1, &sender.out), ==,
                  WSP_SEND_INVALID);
  g_assert_cmpuint(wsp_buffer_length(&sender.out), ==, 0);
  g_assert_false(wsp_connection_close_sent(connection));
  /* The longest legal ones still go, so nothing above changed the connection. */
  g_assert_cmpint(wsp_connection_ping(connection, payload, WSP_CONTROL_PAYLOAD_MAX, &sender.out), ==, WSP_SENT);
  g_assert_cmpint(wsp_connection_close(connection, 1000, payload, WSP_CLOSE_REASON_MAX, &sender.out), ==, WSP_SENT);
  end(&sender);
}

static void test_close_without_a_code_is_an_empty_frame(void) {
  struct sender sender;
  begin(&sender, WSP_SERVER);
  g_assert_cmpint(wsp_connection_close(&sender.connection, WSP_CLOSE_NO_STATUS, NULL, 0, &sender.out), ==, WSP_SENT);
  assert_same_octets(wsp_buffer_front(&sender.out), wsp_buffer_length(&sender.out), "\x88\x00", 2);
  assert_received(&sender, "close:1005");
  end(&sender);
}

/* An echo server sends what it was handed, in place or gathered. */
static void test_received_data_can_be_sent_back(void) {
  struct sender sender;
  g_autoptr(GByteArray) octets = script_octets("81:whole 01:in 80:parts", WSP_SERVER);
  struct wsp_event event;
  begin(&sender, WSP_SERVER);
  for (size_t at = 0, consumed;; at += consumed) {
    if (wsp_connection_receive(&sender.connection, octets->data + at, octets->len - at, &consumed, &sender.out,
                               &event) == WSP_EVENT_NONE)
      break;
    g_assert_cmpint(wsp_connection_send_checked(&sender.connection, event.text, event.data, event.length, &sender.out),
                    ==, WSP_SENT);
  }
  assert_received(&sender, "text:whole text:inparts");
  end(&sender);
}

static void test_a_header_alone_announces_the_message_behind_it(void) {
  struct sender sender;
  static const size_t lengths[] = {0, 125, 126, 65535, 65536};
  begin(&sender, WSP_SERVER);
  for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
    g_autofree uint8_t *data = g_malloc0(lengths[i] + 1);
    uint8_t header[WSP_FRAME_HEADER_MAX];
    size_t header_length;
    struct wsp_buffer whole = {0};
    g_assert_cmpint(wsp_connection_send_header(&sender.connection, i % 2, lengths[i], header, &header_length), ==,
                    WSP_SENT);
    g_assert_true(wsp_buffer_append(&sender.out, header, header_length) &&
                  wsp_buffer_append(&sender.out, data, lengths[i]));
    g_assert_cmpint(wsp_connection_send_plain(&sender.connection, i % 2, data, lengths[i], &whole), ==, WSP_SENT);
    g_assert_cmpmem(wsp_buffer_front(&sender.out), (int)wsp_buffer_length(&sender.out), wsp_buffer_front(&whole),
                    (int)wsp_buffer_length(&whole));
    wsp_buffer_clear(&whole);
    wsp_buffer_clear(&sender.out);
  }
  g_assert_cmpint(wsp_connection_close(&sender.connection, 1000, octets_of(""), 0, &sender.out), ==, WSP_SENT);
  uint8_t header[WSP_FRAME_HEADER_MAX];
  size_t header_length;
  g_assert_cmpint(wsp_connection_send_header(&sender.connection, false, 1, header, &header_length), ==,
                  WSP_SEND_CLOSED);
  end(&sender);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/sending/what-is-sent-arrives", test_what_is_sent_arrives);
  g_test_add_func("/sending/lengths-around-the-forms-arrive", test_lengths_around_the_forms_arrive);
  g_test_add_func("/sending/client-masks-each-frame-afresh", test_client_masks_each_frame_afresh);
  g_test_add_func("/sending/illegal-sends-are-refused-and-append-nothing",
                  test_illegal_sends_are_refused_and_append_nothing);
  g_test_add_func("/sending/close-without-a-code-is-an-empty-frame", test_close_without_a_code_is_an_empty_frame);
  g_test_add_func("/sending/received-data-can-be-sent-back", test_received_data_can_be_sent_back);
  g_test_add_func("/sending/a-header-alone-announces-the-message-behind-it",
                  test_a_header_alone_announces_the_message_behind_it);
  return g_test_run();
}
