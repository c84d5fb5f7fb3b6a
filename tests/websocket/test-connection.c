/* SPDX-License-Identifier: Apache-2.0 */
/* What a receiver makes of frames, right and wrong: sections 1 to 6 of the usual conformance cases, in both roles. */
#include "tests/websocket/pieces.h"
#include "tests/websocket/transcript.h"

#include <string.h>

struct exchange {
  const char *script, *events, *wrote;
};

static void check_exchanges(const struct exchange *exchanges, size_t count) {
  const struct wsp_settings settings = test_settings();
  for (size_t i = 0; i < count; i++) {
    assert_exchange(exchanges[i].script, WSP_SERVER, &settings, exchanges[i].events, exchanges[i].wrote);
    assert_exchange(exchanges[i].script, WSP_CLIENT, &settings, exchanges[i].events, exchanges[i].wrote);
  }
}

static void test_messages_of_every_length_arrive(void) {
  static const unsigned lengths[] = {0, 1, 125, 126, 127, 128, 65535, 65536};
  const struct wsp_settings settings = test_settings();
  for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++)
    for (int text = 0; text < 2; text++) {
      g_autofree char *script = g_strdup_printf("8%d:#%u", text ? 1 : 2, lengths[i]);
      g_autoptr(GByteArray) octets = script_octets(script, WSP_SERVER);
      struct cutting cutting;
      for (size_t round = 0; next_cutting(octets->len, &round, &cutting);) {
        struct wsp_settings own = settings;
        g_autofree char *wrote = NULL;
        g_autofree char *seen = receive_transcript(octets, WSP_SERVER, cutting, &own, &wrote);
        if (lengths[i] >= 200) {
          g_autofree char *expected = g_strdup_printf("%s:#%u", text ? "text" : "binary", lengths[i]);
          g_assert_cmpstr(seen, ==, expected);
        } else {
          g_assert_true(g_str_has_prefix(seen, text ? "text:" : "binary:"));
          g_assert_cmpuint(strlen(seen), ==, lengths[i] + (text ? 5 : 7));
        }
        g_assert_cmpstr(wrote, ==, "");
      }
    }
}

static void test_pings_are_answered(void) {
  static const struct exchange exchanges[] = {
      {"89:", "ping:", "pong:"},
      {"89:Hello", "ping:Hello", "pong:Hello"},
      {"89:%00%FF%FE%FD", "ping:%00%FF%FE%FD", "pong:%00%FF%FE%FD"},
      {"8A:", "pong:", ""},
      {"8A:unasked 8A:", "pong:unasked pong:", ""},
      {"8A:unasked 89:mine", "pong:unasked ping:mine", "pong:mine"},
      {"89:0 89:1 89:2 89:3 89:4 89:5 89:6 89:7 89:8 89:9",
       "ping:0 ping:1 ping:2 ping:3 ping:4 ping:5 ping:6 ping:7 ping:8 ping:9",
       "pong:0 pong:1 pong:2 pong:3 pong:4 pong:5 pong:6 pong:7 pong:8 pong:9"},
  };
  check_exchanges(exchanges, G_N_ELEMENTS(exchanges));
}

static void test_reserved_bits_fail(void) {
  static const struct exchange exchanges[] = {
      {"91:x", "failed:1002", "close:1002"},
      {"81:good A1:bad 89:", "text:good failed:1002", "close:1002"},
      {"81:good B1:bad 89:", "text:good failed:1002", "close:1002"},
      {"81:good C1:bad 89:", "text:good failed:1002", "close:1002"},
      {"D2:x", "failed:1002", "close:1002"},
      {"E9:x", "failed:1002", "close:1002"},
      {"F8:%03%E8", "failed:1002", "close:1002"},
      {"01:a C0:b", "failed:1002", "close:1002"},
  };
  check_exchanges(exchanges, G_N_ELEMENTS(exchanges));
}

static void test_reserved_opcodes_fail(void) {
  static const unsigned reserved[] = {3, 4, 5, 6, 7, 11, 12, 13, 14, 15};
  const struct wsp_settings settings = test_settings();
  for (size_t i = 0; i < G_N_ELEMENTS(reserved); i++) {
    g_autofree char *alone = g_strdup_printf("8%X:", reserved[i]);
    g_autofree char *behind = g_strdup_printf("81:good 8%X:payload 89:", reserved[i]);
    for (enum wsp_role role = WSP_SERVER; role <= WSP_CLIENT; role++) {
      assert_exchange(alone, role, &settings, "failed:1002", "close:1002");
      assert_exchange(behind, role, &settings, "text:good failed:1002", "close:1002");
    }
  }
}

static void test_fragments_join(void) {
  static const struct exchange exchanges[] = {
      {"01:frag 80:ment", "text:fragment", ""},
      {"02:%00 80:%FF", "binary:%00%FF", ""},
      {"01:a 00:b 00:c 80:d", "text:abcd", ""},
      {"01:frag 89:between 80:ment", "ping:between text:fragment", "pong:between"},
      {"01:a 00:b 89:1 00:c 00:d 89:2 80:e", "ping:1 ping:2 text:abcde", "pong:1 pong:2"},
      {"01:a 8A:x 80:b 81:c", "pong:x text:ab text:c", ""},
      {"01: 00: 80:", "text:", ""},
      {"01: 00:middle 80:", "text:middle", ""},
      {"02: 80:whole 82:", "binary:whole binary:", ""},
      {"01:a 80:b 01:c 80:d", "text:ab text:cd", ""},
      {"01:#300 80: 02:#65536 80:", "text:#300 binary:#65536", ""},
  };
  check_exchanges(exchanges, G_N_ELEMENTS(exchanges));
}

static void test_wrong_fragmentation_fails(void) {
  static const struct exchange exchanges[] = {
      {"09:a 80:b", "failed:1002", "close:1002"},
      {"0A:a 80:b", "failed:1002", "close:1002"},
      {"08:%03%E8", "failed:1002", "close:1002"},
      {"80:stray 81:x", "failed:1002", "close:1002"},
      {"00:stray 81:x", "failed:1002", "close:1002"},
      {"01:a 80:b 00:stray 81:x", "text:ab failed:1002", "close:1002"},
      {"00:stray 01:a 80:b 00:stray 01:a 80:b", "failed:1002", "close:1002"},
      {"80:stray 01:a 80:b 80:stray 01:a 80:b", "failed:1002", "close:1002"},
      {"01:a 81:b", "failed:1002", "close:1002"},
      {"01:a 82:b", "failed:1002", "close:1002"},
      {"01: 01:b", "failed:1002", "close:1002"},
      {"81:x 80:y", "text:x failed:1002", "close:1002"},
  };
  check_exchanges(exchanges, G_N_ELEMENTS(exchanges));
}

static void test_wrong_masking_and_lengths_fail(void) {
  static const struct exchange exchanges[] = {
      {"!81:x", "failed:1002", "close:1002"},      {"81:good !81:x 89:", "text:good failed:1002", "close:1002"},
      {"01:a !80:b", "failed:1002", "close:1002"}, {"89:#126", "failed:1002", "close:1002"},
      {"8A:#126", "failed:1002", "close:1002"},    {"88:#126", "failed:1002", "close:1002"},
      {"89:#65536", "failed:1002", "close:1002"},
  };
  const struct wsp_settings settings = test_settings();
  check_exchanges(exchanges, G_N_ELEMENTS(exchanges));
  assert_exchange("81:a =82FE007D00000000 89:", WSP_SERVER, &settings, "text:a failed:1002", "close:1002");
  assert_exchange("81:a =827E007D 89:", WSP_CLIENT, &settings, "text:a failed:1002", "close:1002");
  assert_exchange("=827F000000000000FFFF", WSP_CLIENT, &settings, "failed:1002", "close:1002");
  assert_exchange("=82FF8000000000000000", WSP_SERVER, &settings, "failed:1002", "close:1002");
}

static void test_text_is_checked(void) {
  static const struct exchange exchanges[] = {
      {"81:%CE%BA%E1%BD%B9%CF%83%CE%BC%CE%B5", "text:%CE%BA%E1%BD%B9%CF%83%CE%BC%CE%B5", ""},
      {"81:nul%00inside", "text:nul%00inside", ""},
      {"01:%CE%BA%E1 00:%BD 00: 80:%B9", "text:%CE%BA%E1%BD%B9", ""},
      {"01:%F0 00:%9F 89:x 00:%98 80:%80", "ping:x text:%F0%9F%98%80", "pong:x"},
      {"01:%CE 80:", "failed:1007", "close:1007"},
      {"01:%CE%BA 80:%F4%90%80%80", "failed:1007", "close:1007"},
      {"81:%CE%BA%ED%A0%80edited", "failed:1007", "close:1007"},
      {"01:%CE%BA%ED 00:%A0 00:%80 80:edited", "failed:1007", "close:1007"},
      {"81:%FF", "failed:1007", "close:1007"},
      {"81:%E1%BD", "failed:1007", "close:1007"},
      {"81:good 81:%C0%AF 81:x", "text:good failed:1007", "close:1007"},
      {"82:%C0%AF%FF", "binary:%C0%AF%FF", ""},
      {"02:%FF 80:%FE", "binary:%FF%FE", ""},
      {"01:%CE 80:%BA 81:%BA", "text:%CE%BA failed:1007", "close:1007"},
  };
  check_exchanges(exchanges, G_N_ELEMENTS(exchanges));
}

/* Octet-wise, the failure must come with the octet that proves it, not later. */
static void test_faults_are_reported_at_the_earliest_octet(void) {
  static const struct {
    const char *script; /* to a server */
    size_t proven_after;
    uint16_t code;
  } cases[] = {
      {"91:x", 1, 1002},
      {"83:x", 1, 1002},
      {"8B:x", 1, 1002},
      {"09:x", 1, 1002},
      {"80:x", 1, 1002},
      {"01:x 81:y", 7 + 1, 1002},
      {"!81:x", 2, 1002},
      {"89:#126", 2, 1002},
      {"88:x", 2, 1002},
      {"=82FE007D", 4, 1002},
      {"=82FF80", 3, 1002},
      {"=82FF0000000000000001", 8, 1002},
      {"=82FF000000000010000100000000", 14, 1009}, /* one octet above the limit, before any payload */
      {"81:abc%C0defghijk", 6 + 4, 1007},
      {"81:abc%F4%90%80%80defg", 6 + 5, 1007},
      {"01:%ED 80:%A0%80", 7 + 6 + 1, 1007},
  };
  for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autoptr(GByteArray) octets = script_octets(cases[i].script, WSP_SERVER);
    struct wsp_settings settings = test_settings();
    struct wsp_connection connection;
    struct wsp_buffer out = {0};
    wsp_connection_init(&connection, WSP_SERVER, &settings);
    for (size_t at = 0; at < octets->len && at < cases[i].proven_after; at++) {
      struct wsp_event event;
      size_t consumed;
      g_assert_false(wsp_connection_failed(&connection));
      wsp_connection_receive(&connection, octets->data + at, 1, &consumed, &out, &event);
      if (at + 1 == cases[i].proven_after)
        g_assert_cmpuint(event.type == WSP_EVENT_FAILED ? event.code : 0, ==, cases[i].code);
    }
    g_assert_true(wsp_connection_failed(&connection));
    wsp_connection_clear(&connection);
    wsp_buffer_clear(&out);
  }
}

/* A few frames of all kinds behind each other, now and then with an octet changed. */
static GByteArray *random_octets(GRand *rand, enum wsp_role role) {
  static const char *const frames[] = {
      "81:text", "81:%CE%BA", "82:%FF",  "82:#300", "81:#130", "01:a%CE", "00:",  "00:b", "80:%BA", "80:end",
      "89:ping", "89:",       "8A:pong", "88:",     "81:",     "82:",     "02:x", "80:",  "89:#125"};
  g_autoptr(GString) script = g_string_new(NULL);
  for (int i = g_rand_int_range(rand, 1, 9); i > 0; i--)
    g_string_append_printf(script, "%s ", frames[g_rand_int_range(rand, 0, G_N_ELEMENTS(frames))]);
  GByteArray *octets = script_octets(script->str, role);
  if (g_rand_int_range(rand, 0, 3) == 0)
    octets->data[g_rand_int_range(rand, 0, (gint32)octets->len)] = (uint8_t)g_rand_int(rand);
  return octets;
}

static void test_random_input_means_the_same_in_every_cutting(void) {
  GRand *rand = g_rand_new_with_seed(6455);
  for (int i = 0; i < 6000; i++) {
    const enum wsp_role role = i % 2 ? WSP_CLIENT : WSP_SERVER;
    g_autoptr(GByteArray) octets = random_octets(rand, role);
    struct wsp_settings settings = test_settings();
    g_autofree char *whole_wrote = NULL;
    g_autofree char *whole = receive_transcript(octets, role, (struct cutting){0, SIZE_MAX}, &settings, &whole_wrote);
    for (size_t others = 1; others < 200; others = others * 3 + 1) {
      const struct cutting cutting = {(size_t)g_rand_int_range(rand, 1, 40), others};
      g_autofree char *wrote = NULL;
      g_autofree char *seen = receive_transcript(octets, role, cutting, &settings, &wrote);
      g_assert_cmpstr(seen, ==, whole);
      g_assert_cmpstr(wrote, ==, whole_wrote);
    }
  }
  g_rand_free(rand);
}

static void test_whole_messages_are_not_copied(void) {
  g_autoptr(GByteArray) octets = script_octets("81:Hello 02: 80:fragment 89:ping", WSP_SERVER);
  struct wsp_settings settings = test_settings();
  struct wsp_connection connection;
  struct wsp_buffer out = {0};
  wsp_connection_init(&connection, WSP_SERVER, &settings);
  for (size_t at = 0, consumed; at < octets->len; at += consumed) {
    struct wsp_event event;
    if (wsp_connection_receive(&connection, octets->data + at, octets->len - at, &consumed, &out, &event) ==
        WSP_EVENT_NONE)
      break;
    g_assert_true(event.data >= octets->data + at && event.data + event.length <= octets->data + octets->len);
    g_assert_null(connection.progress);
  }
  wsp_connection_clear(&connection);
  wsp_buffer_clear(&out);
}

/* The engine checks a large payload in parts: code points lie across the borders of all of them. */
static void test_large_text_is_checked_to_its_end(void) {
  g_autoptr(GString) script = g_string_new("81:");
  for (size_t i = 0; i < 33333; i++)
    g_string_append(script, "%e6%97%a5");
  struct wsp_settings settings = test_settings();
  for (int wrong = 0; wrong < 2; wrong++) {
    g_autoptr(GByteArray) octets = script_octets(script->str, WSP_SERVER);
    g_autofree char *wrote = NULL;
    g_autofree char *events =
        receive_transcript(octets, WSP_SERVER, (struct cutting){0, octets->len}, &settings, &wrote);
    g_assert_true(g_str_has_prefix(events, wrong ? "failed:1007" : "text:"));
    g_string_truncate(script, script->len - 3); /* the last code point is never finished */
  }
}

static void test_clearing_what_was_never_opened_is_harmless(void) {
  struct wsp_connection connection = {0};
  wsp_connection_clear(&connection);
  wsp_connection_clear(&connection);
}

static void test_message_state_is_visible(void) {
  g_autoptr(GByteArray) octets = script_octets("01:ab 80:", WSP_SERVER);
  struct wsp_settings settings = test_settings();
  struct wsp_connection connection;
  struct wsp_buffer out = {0};
  struct wsp_event event;
  size_t consumed;
  wsp_connection_init(&connection, WSP_SERVER, &settings);
  g_assert_false(wsp_connection_in_message(&connection));
  for (size_t at = 0; at < octets->len; at++) {
    wsp_connection_receive(&connection, octets->data + at, 1, &consumed, &out, &event);
    g_assert_true(wsp_connection_in_message(&connection) == (at + 1 < octets->len));
  }
  g_assert_cmpint(event.type, ==, WSP_EVENT_MESSAGE);
  wsp_connection_clear(&connection);
  wsp_buffer_clear(&out);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/connection/messages-of-every-length-arrive", test_messages_of_every_length_arrive);
  g_test_add_func("/connection/pings-are-answered", test_pings_are_answered);
  g_test_add_func("/connection/reserved-bits-fail-behind-good-messages", test_reserved_bits_fail);
  g_test_add_func("/connection/reserved-opcodes-fail-behind-good-messages", test_reserved_opcodes_fail);
  g_test_add_func("/connection/fragments-join-around-control-frames", test_fragments_join);
  g_test_add_func("/connection/wrong-fragmentation-fails", test_wrong_fragmentation_fails);
  g_test_add_func("/connection/wrong-masking-and-lengths-fail", test_wrong_masking_and_lengths_fail);
  g_test_add_func("/connection/text-reaches-an-app-only-as-valid-utf8", test_text_is_checked);
  g_test_add_func("/connection/faults-are-reported-at-the-earliest-octet",
                  test_faults_are_reported_at_the_earliest_octet);
  g_test_add_func("/connection/random-input-means-the-same-in-every-cutting",
                  test_random_input_means_the_same_in_every_cutting);
  g_test_add_func("/connection/large-text-is-checked-to-its-end", test_large_text_is_checked_to_its_end);
  g_test_add_func("/connection/whole-messages-are-not-copied", test_whole_messages_are_not_copied);
  g_test_add_func("/connection/clearing-what-was-never-opened-is-harmless",
                  test_clearing_what_was_never_opened_is_harmless);
  g_test_add_func("/connection/message-state-is-visible", test_message_state_is_visible);
  return g_test_run();
}
