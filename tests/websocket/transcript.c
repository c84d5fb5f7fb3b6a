/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/websocket/transcript.h"

#include "tests/websocket/pieces.h"
#include "websocket/frame.h"
#include "websocket/mask.h"
#include "websocket/utf8.h"

#include <stdlib.h>
#include <string.h>

#define LONG_PAYLOAD 200 /* told as #N from here on, after a check of its content */

static void count_mask(void *context, uint8_t key[4]) {
  static uint32_t count;
  (void)context;
  count += 0x01020305;
  memcpy(key, &count, 4);
}

struct wsp_settings test_settings(void) {
  return (struct wsp_settings){.max_message_size = 1 << 20, .fresh_mask = count_mask};
}

/* ---- Scripts ---- */

static uint8_t pattern_octet(size_t index) {
  return (uint8_t)('a' + index % 26);
}

static GByteArray *payload_octets(const char *text) {
  GByteArray *payload = g_byte_array_new();
  if (text[0] == '#') {
    size_t length = (size_t)g_ascii_strtoull(text + 1, NULL, 10);
    g_byte_array_set_size(payload, (guint)length);
    for (size_t i = 0; i < length; i++)
      payload->data[i] = pattern_octet(i);
    return payload;
  }
  for (; *text; text++) {
    uint8_t octet = (uint8_t)*text;
    if (octet == '%') {
      octet = (uint8_t)(g_ascii_xdigit_value(text[1]) << 4 | g_ascii_xdigit_value(text[2]));
      text += 2;
    }
    g_byte_array_append(payload, &octet, 1);
  }
  return payload;
}

static void append_frame(GByteArray *octets, const char *word, bool masked) {
  g_autoptr(GByteArray) payload = payload_octets(word + 3);
  const uint8_t first = (uint8_t)g_ascii_strtoull((const char[]){word[0], word[1], 0}, NULL, 16);
  struct wsp_frame_header header = {.fin = first & 0x80,
                                    .rsv = first >> 4 & 7,
                                    .opcode = first & 0xF,
                                    .masked = masked,
                                    .payload_length = payload->len};
  uint8_t encoded[WSP_FRAME_HEADER_MAX];
  if (masked) {
    count_mask(NULL, header.mask_key);
    wsp_mask(payload->data, payload->len, header.mask_key, 0);
  }
  g_byte_array_append(octets, encoded, (guint)wsp_frame_header_encode(&header, encoded));
  if (payload->len > 0)
    g_byte_array_append(octets, payload->data, payload->len);
}

GByteArray *script_octets(const char *script, enum wsp_role receiver) {
  GByteArray *octets = g_byte_array_new();
  g_auto(GStrv) words = g_strsplit(script, " ", -1);
  for (char **word = words; *word; word++) {
    if ((*word)[0] == 0)
      continue;
    if ((*word)[0] == '=') {
      size_t length;
      g_autofree uint8_t *raw = from_hex(*word + 1, &length);
      g_byte_array_append(octets, raw, (guint)length);
    } else {
      bool wrong = (*word)[0] == '!';
      append_frame(octets, *word + wrong, (receiver == WSP_SERVER) != wrong);
    }
  }
  return octets;
}

/* ---- Transcripts ---- */

static void tell_payload(GString *transcript, const uint8_t *data, size_t length) {
  bool is_pattern = length >= LONG_PAYLOAD;
  for (size_t i = 0; is_pattern && i < length; i++)
    is_pattern = data[i] == pattern_octet(i);
  if (is_pattern) {
    g_string_append_printf(transcript, "#%zu", length);
    return;
  }
  for (size_t i = 0; i < length; i++) {
    if (data[i] > ' ' && data[i] < 0x7F && data[i] != '%')
      g_string_append_c(transcript, (char)data[i]);
    else
      g_string_append_printf(transcript, "%%%02X", data[i]);
  }
}

static void tell_close(GString *transcript, uint16_t code, const uint8_t *reason, size_t length) {
  g_string_append_printf(transcript, "close:%u", code);
  if (length > 0) {
    g_string_append_c(transcript, ':');
    tell_payload(transcript, reason, length);
  }
}

static void begin_word(GString *transcript) {
  if (transcript->len > 0)
    g_string_append_c(transcript, ' ');
}

static void tell_frame(GString *transcript, const struct wsp_frame_header *header, const uint8_t *payload) {
  const size_t length = (size_t)header->payload_length;
  begin_word(transcript);
  if (header->opcode == WSP_OPCODE_CLOSE) {
    if (length == 0)
      tell_close(transcript, WSP_CLOSE_NO_STATUS, NULL, 0);
    else
      tell_close(transcript, (uint16_t)(payload[0] << 8 | payload[1]), payload + 2, length - 2);
    return;
  }
  g_string_append(transcript, header->opcode == WSP_OPCODE_TEXT     ? "text:"
                              : header->opcode == WSP_OPCODE_BINARY ? "binary:"
                              : header->opcode == WSP_OPCODE_PING   ? "ping:"
                                                                    : "pong:");
  tell_payload(transcript, payload, length);
}

char *frames_transcript(const uint8_t *octets, size_t length, enum wsp_role writer) {
  GString *transcript = g_string_new(NULL);
  for (size_t at = 0; at < length;) {
    struct wsp_frame_header header;
    size_t header_length;
    g_assert_cmpint(wsp_frame_header_decode(octets + at, length - at, &header, &header_length), ==, WSP_FRAME_DONE);
    at += header_length;
    g_assert_true(header.fin && header.rsv == 0);
    g_assert_true(header.masked == (writer == WSP_CLIENT));
    g_assert_cmpuint(header.payload_length, <=, length - at);
    g_autofree uint8_t *payload = g_memdup2(octets + at, (size_t)header.payload_length);
    if (payload)
      wsp_mask(payload, (size_t)header.payload_length, header.mask_key, 0);
    tell_frame(transcript, &header, payload);
    at += (size_t)header.payload_length;
  }
  return g_string_free(transcript, FALSE);
}

static void tell_event(GString *transcript, const struct wsp_event *event) {
  g_assert_nonnull(event->data);
  begin_word(transcript);
  switch (event->type) {
  case WSP_EVENT_MESSAGE:
    g_assert_true(!event->text || wsp_utf8_is_valid(event->data, event->length));
    g_string_append(transcript, event->text ? "text:" : "binary:");
    break;
  case WSP_EVENT_PING:
    g_string_append(transcript, "ping:");
    break;
  case WSP_EVENT_PONG:
    g_string_append(transcript, "pong:");
    break;
  case WSP_EVENT_CLOSE:
    tell_close(transcript, event->code, event->data, event->length);
    return;
  case WSP_EVENT_FAILED:
    g_string_append_printf(transcript, "failed:%u", event->code);
    g_assert_cmpuint(event->length, >, 0);
    g_assert_cmpuint(event->length, <=, WSP_CLOSE_REASON_MAX);
    return;
  default:
    g_assert_not_reached();
  }
  tell_payload(transcript, event->data, event->length);
}

/* The Close frame of a failure carries the event's sentence: checked here, and cut off the transcript. */
static void cut_failure_reason(char *wrote, const struct wsp_event *failed) {
  g_autofree char *close = g_strdup_printf("close:%u:", failed->code);
  char *at = strstr(wrote, close);
  if (!at)
    return;
  GString *reason = g_string_new(NULL);
  tell_payload(reason, failed->data, failed->length);
  g_assert_cmpstr(at + strlen(close), ==, reason->str);
  g_string_free(reason, TRUE);
  at[strlen(close) - 1] = 0;
}

static void receive_piece(struct wsp_connection *connection, uint8_t *piece, size_t length, struct wsp_buffer *out,
                          GString *transcript, struct wsp_event *failed) {
  size_t at = 0;
  for (;;) {
    struct wsp_event event;
    size_t consumed = 12345;
    enum wsp_event_type type = wsp_connection_receive(connection, piece + at, length - at, &consumed, out, &event);
    g_assert_cmpuint(consumed, <=, length - at);
    g_assert_cmpint(type, ==, event.type);
    at += consumed;
    if (type == WSP_EVENT_NONE)
      break;
    tell_event(transcript, &event);
    if (type == WSP_EVENT_FAILED)
      *failed = event;
  }
  g_assert_cmpuint(at, ==, length);
  const struct wsp_progress none = {0}, *progress = connection->progress ? connection->progress : &none;
  const bool holds_inflater = progress->deflate && progress->deflate->inflater;
  g_assert_cmpuint(connection->settings->gathered, ==,
                   progress->gather_capacity + (holds_inflater ? WSP_INFLATER_COST : 0));
}

char *receive_transcript(const GByteArray *octets, enum wsp_role role, struct cutting cutting,
                         struct wsp_settings *settings, char **wrote) {
  return receive_transcript_on_terms(octets, role, cutting, settings, NULL, wrote);
}

char *receive_transcript_on_terms(const GByteArray *octets, enum wsp_role role, struct cutting cutting,
                                  struct wsp_settings *settings, const struct wsp_deflate_terms *terms, char **wrote) {
  struct wsp_connection connection;
  struct wsp_buffer out = {0};
  struct wsp_event failed = {0};
  GString *transcript = g_string_new(NULL);
  wsp_connection_init(&connection, role, settings);
  g_assert_true(!terms || wsp_connection_compress(&connection, terms));
  for (size_t at = 0, piece_length; at < octets->len; at += piece_length) {
    g_autofree uint8_t *piece = next_piece(octets->data, octets->len, at, cutting, &piece_length);
    receive_piece(&connection, piece, piece_length, &out, transcript, &failed);
  }
  g_assert_true(wsp_connection_failed(&connection) == (failed.type == WSP_EVENT_FAILED));
  if (!wsp_connection_in_message(&connection)) {
    const struct wsp_progress *progress = connection.progress;
    g_assert_true(!progress || (progress->deflate && !progress->gather && !progress->control));
  }
  wsp_connection_clear(&connection);
  g_assert_cmpuint(settings->gathered, ==, 0);
  *wrote = frames_transcript(wsp_buffer_front(&out), wsp_buffer_length(&out), role);
  if (failed.type == WSP_EVENT_FAILED)
    cut_failure_reason(*wrote, &failed);
  wsp_buffer_clear(&out);
  return g_string_free(transcript, FALSE);
}

void assert_exchange_on_terms(const char *script, enum wsp_role role, const struct wsp_settings *settings,
                              const struct wsp_deflate_terms *terms, const char *events, const char *wrote) {
  g_autoptr(GByteArray) octets = script_octets(script, role);
  struct cutting cutting;
  for (size_t round = 0; next_cutting(octets->len, &round, &cutting);) {
    struct wsp_settings own = *settings;
    g_autofree char *seen_wrote = NULL;
    g_autofree char *seen = receive_transcript_on_terms(octets, role, cutting, &own, terms, &seen_wrote);
    if (strcmp(seen, events) != 0 || strcmp(seen_wrote, wrote) != 0)
      g_test_message("role %d, script '%s', cut at %zu and every %zu", role, script, cutting.first, cutting.others);
    g_assert_cmpstr(seen, ==, events);
    g_assert_cmpstr(seen_wrote, ==, wrote);
  }
}

void assert_exchange(const char *script, enum wsp_role role, const struct wsp_settings *settings, const char *events,
                     const char *wrote) {
  assert_exchange_on_terms(script, role, settings, NULL, events, wrote);
}
