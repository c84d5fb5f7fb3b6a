/* SPDX-License-Identifier: Apache-2.0 */
/* The closing handshake, started by either side: section 7 of the usual conformance cases. */
#include "tests/websocket/transcript.h"

#include <string.h>

static void check(const char *script, const char *events, const char *wrote) {
  const struct wsp_settings settings = test_settings();
  assert_exchange(script, WSP_SERVER, &settings, events, wrote);
  assert_exchange(script, WSP_CLIENT, &settings, events, wrote);
}

static void test_close_is_answered_once_and_ends_everything(void) {
  check("88:%03%E8", "close:1000", "close:1000");
  check("81:hello 88:%03%E8", "text:hello close:1000", "close:1000");
  check("88:%03%E8 88:%03%E8", "close:1000", "close:1000");
  check("88:%03%E8 89:x", "close:1000", "close:1000");
  check("88:%03%E8 81:x", "close:1000", "close:1000");
  check("88:%03%E8 FF:garbage =000000", "close:1000", "close:1000");
  check("01:first 88:%03%E8 80:last", "close:1000", "close:1000");
  check("01:#300 88:%03%E8 80:last", "close:1000", "close:1000");
  check("81:#262144 88:%03%E8 89:x", "text:#262144 close:1000", "close:1000");
}

static void test_close_payloads_are_taken_apart(void) {
  char longest[512] = "88:%03%E8", reason[512] = "close:1000:";
  for (size_t i = 0; i < WSP_CLOSE_REASON_MAX; i++) {
    strcat(longest, "r");
    strcat(reason, "r");
  }
  check("88:", "close:1005", "close:1005"); /* an empty Close frame, answered by an empty one */
  check("88:%03%E8bye", "close:1000:bye", "close:1000");
  check("88:%10%E1%CE%BA", "close:4321:%CE%BA", "close:4321");
  check(longest, reason, "close:1000");
  strcat(longest, "r");
  check(longest, "failed:1002", "close:1002");
  check("88:x", "failed:1002", "close:1002");
  check("88:%03%E8%CE%BA%E1%BD", "failed:1007", "close:1007");
  check("88:%03%E8%FF", "failed:1007", "close:1007");
}

static bool is_legal(unsigned code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static void test_every_close_code_is_judged(void) {
  static const unsigned codes[] = {0,    1,    999,  1000, 1001, 1002, 1003, 1004, 1005,  1006,
                                   1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015,  1016,
                                   1100, 2000, 2999, 3000, 3999, 4000, 4999, 5000, 32768, 65535};
  for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
    g_autofree char *script = g_strdup_printf("88:%%%02X%%%02X", codes[i] >> 8, codes[i] & 0xFF);
    g_autofree char *close = g_strdup_printf("close:%u", codes[i]);
    check(script, is_legal(codes[i]) ? close : "failed:1002", is_legal(codes[i]) ? close : "close:1002");
  }
  for (unsigned code = 0; code <= 0xFFFF; code++)
    g_assert_true(wsp_close_code_is_sendable((uint16_t)code) == is_legal(code));
}

/* ---- When this side began ---- */

struct closing {
  struct wsp_settings settings;
  struct wsp_connection connection;
  struct wsp_buffer out;
};

static void begin_closing(struct closing *closing, enum wsp_role role) {
  *closing = (struct closing){.settings = test_settings()};
  wsp_connection_init(&closing->connection, role, &closing->settings);
  g_assert_cmpint(wsp_connection_send(&closing->connection, true, (const uint8_t *)"last", 4, &closing->out), ==,
                  WSP_SENT);
  g_assert_cmpint(wsp_connection_close(&closing->connection, 3500, (const uint8_t *)"enough", 6, &closing->out), ==,
                  WSP_SENT);
}

/* One event from the script; the next call says whether there is more. */
static enum wsp_event_type receive(struct closing *closing, GByteArray *octets, struct wsp_event *event) {
  size_t consumed;
  enum wsp_event_type type =
      wsp_connection_receive(&closing->connection, octets->data, octets->len, &consumed, &closing->out, event);
  g_byte_array_remove_range(octets, 0, (guint)consumed);
  return type;
}

static void end_closing(struct closing *closing, enum wsp_role role) {
  g_autofree char *wrote = frames_transcript(wsp_buffer_front(&closing->out), wsp_buffer_length(&closing->out), role);
  g_assert_cmpstr(wrote, ==, "text:last close:3500:enough"); /* and nothing behind it */
  wsp_connection_clear(&closing->connection);
  wsp_buffer_clear(&closing->out);
}

static void test_own_close_still_lets_messages_arrive(void) {
  for (enum wsp_role role = WSP_SERVER; role <= WSP_CLIENT; role++) {
    struct closing closing;
    struct wsp_event event;
    begin_closing(&closing, role);
    g_assert_true(wsp_connection_close_sent(&closing.connection));
    g_autoptr(GByteArray) octets = script_octets("81:late 89:ping 88:%03%E8 81:x", role);
    g_assert_cmpint(receive(&closing, octets, &event), ==, WSP_EVENT_MESSAGE);
    g_assert_cmpint(receive(&closing, octets, &event), ==, WSP_EVENT_PING);
    g_assert_false(wsp_connection_close_received(&closing.connection));
    g_assert_cmpint(receive(&closing, octets, &event), ==, WSP_EVENT_CLOSE);
    g_assert_cmpuint(event.code, ==, 1000);
    g_assert_true(wsp_connection_close_received(&closing.connection));
    g_assert_cmpint(receive(&closing, octets, &event), ==, WSP_EVENT_NONE);
    g_assert_cmpuint(octets->len, ==, 0);
    end_closing(&closing, role);
  }
}

static void test_failure_behind_own_close_sends_no_second_one(void) {
  for (enum wsp_role role = WSP_SERVER; role <= WSP_CLIENT; role++) {
    struct closing closing;
    struct wsp_event event;
    begin_closing(&closing, role);
    g_autoptr(GByteArray) octets = script_octets("81:%FF 88:%03%E8", role);
    g_assert_cmpint(receive(&closing, octets, &event), ==, WSP_EVENT_FAILED);
    g_assert_cmpuint(event.code, ==, 1007);
    g_assert_cmpint(receive(&closing, octets, &event), ==, WSP_EVENT_NONE);
    end_closing(&closing, role);
  }
}

static void test_nothing_is_sent_behind_a_close(void) {
  const uint8_t *data = (const uint8_t *)"x";
  for (int how = 0; how < 3; how++) {
    struct closing closing = {.settings = test_settings()};
    struct wsp_event event;
    wsp_connection_init(&closing.connection, WSP_SERVER, &closing.settings);
    if (how == 0) {
      g_assert_cmpint(wsp_connection_close(&closing.connection, 1000, NULL, 0, &closing.out), ==, WSP_SENT);
    } else {
      g_autoptr(GByteArray) octets = script_octets(how == 1 ? "88:" : "83:", WSP_SERVER);
      receive(&closing, octets, &event);
    }
    size_t length = wsp_buffer_length(&closing.out);
    g_assert_cmpint(wsp_connection_send(&closing.connection, true, data, 1, &closing.out), ==, WSP_SEND_CLOSED);
    g_assert_cmpint(wsp_connection_send_checked(&closing.connection, false, data, 1, &closing.out), ==,
                    WSP_SEND_CLOSED);
    g_assert_cmpint(wsp_connection_ping(&closing.connection, data, 1, &closing.out), ==, WSP_SEND_CLOSED);
    g_assert_cmpint(wsp_connection_close(&closing.connection, 1001, data, 1, &closing.out), ==, WSP_SEND_CLOSED);
    g_assert_cmpuint(wsp_buffer_length(&closing.out), ==, length);
    wsp_connection_clear(&closing.connection);
    wsp_buffer_clear(&closing.out);
  }
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/closing/close-is-answered-once-and-ends-everything",
                  test_close_is_answered_once_and_ends_everything);
  g_test_add_func("/closing/payloads-are-taken-apart", test_close_payloads_are_taken_apart);
  g_test_add_func("/closing/every-code-is-judged", test_every_close_code_is_judged);
  g_test_add_func("/closing/own-close-still-lets-messages-arrive", test_own_close_still_lets_messages_arrive);
  g_test_add_func("/closing/failure-behind-own-close-sends-no-second-one",
                  test_failure_behind_own_close_sends_no_second_one);
  g_test_add_func("/closing/nothing-is-sent-behind-a-close", test_nothing_is_sent_behind_a_close);
  return g_test_run();
}
