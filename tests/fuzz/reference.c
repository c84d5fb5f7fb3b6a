/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/reference.h"

#include <stdlib.h>
#include <string.h>

enum { PROTOCOL = 1002, NO_TEXT = 1007, TOO_BIG = 1009 };

struct reading {
  const uint8_t *octets;
  size_t left;
  bool is_server;
  uint64_t max_message;
  struct fuzz_log *events;
  struct fuzz_inflater *inflater;
  bool unsure;            /* see fuzz_reference() */
  bool compressed;        /* the message is */
  uint8_t message_opcode; /* 0: none */
  uint8_t *message;       /* has room for the whole input, and for an ending of UTF-8 */
  size_t message_length;
};

struct frame {
  bool fin, rsv1;
  uint8_t opcode;
  uint64_t length;
  const uint8_t *key, *payload;
  size_t there; /* of the payload */
};

void fuzz_note_event(struct fuzz_log *events, const struct wsp_event *event) {
  const bool failed = event->type == WSP_EVENT_FAILED;
  fuzz_note_number(events, event->type);
  fuzz_note_number(events, event->code);
  fuzz_note_number(events, event->text);
  fuzz_note(events, failed ? NULL : event->data, failed ? 0 : event->length);
}

static bool note(struct reading *reading, enum wsp_event_type type, uint16_t code, const uint8_t *data, size_t length) {
  const struct wsp_event event = {.type = type,
                                  .code = code,
                                  .text = type == WSP_EVENT_MESSAGE && reading->message_opcode == 1,
                                  .data = data,
                                  .length = length};
  fuzz_note_event(reading->events, &event);
  return type != WSP_EVENT_FAILED && type != WSP_EVENT_CLOSE;
}

static bool fail(struct reading *reading, uint16_t code) {
  return note(reading, WSP_EVENT_FAILED, code, NULL, 0);
}

/* Section 5.2. False when the header is not there to its end; `wrong` as soon as an octet of it proves so. */
static bool read_header(struct reading *reading, struct frame *frame, bool *wrong) {
  const uint8_t *octets = reading->octets;
  const size_t left = reading->left;
  frame->fin = octets[0] >= 0x80;
  frame->rsv1 = octets[0] & 0x40;
  frame->opcode = octets[0] & 0xF;
  const bool control = frame->opcode >= 8, begins = frame->opcode == 1 || frame->opcode == 2;
  const uint8_t wrong_bits = reading->inflater && begins ? 0x30 : 0x70;
  *wrong = (octets[0] & wrong_bits) || (!control && frame->opcode > 2) || frame->opcode > 10 ||
           (control && !frame->fin) || (frame->opcode == 0 && !reading->message_opcode) ||
           (begins && reading->message_opcode);
  if (*wrong || left < 2)
    return false;
  const uint8_t seven_bits = octets[1] & 0x7F;
  const bool masked = octets[1] & 0x80;
  *wrong = masked != reading->is_server || (control && seven_bits > 125) || (frame->opcode == 8 && seven_bits == 1);
  if (*wrong)
    return false;
  const size_t more = seven_bits == 127 ? 8 : seven_bits == 126 ? 2 : 0;
  uint64_t length = 0;
  for (size_t i = 0; i < more && 2 + i < left; i++)
    length = length << 8 | octets[2 + i];
  frame->length = more ? length : seven_bits;
  *wrong = (more == 2 && left >= 4 && length < 126) || (more == 8 && left >= 3 && octets[2] >= 0x80) ||
           (more == 8 && left >= 8 && memcmp(octets + 2, "\0\0\0\0\0\0", 6) == 0);
  const size_t size = 2 + more + (masked ? 4 : 0);
  if (*wrong || left < size)
    return false;
  frame->key = masked ? octets + 2 + more : (const uint8_t *)"\0\0\0\0";
  frame->payload = octets + size;
  frame->there = left - size < frame->length ? left - size : (size_t)frame->length;
  return true;
}

static bool take_control(struct reading *reading, const struct frame *frame) {
  uint8_t payload[125];
  for (size_t i = 0; i < frame->there; i++)
    payload[i] = frame->payload[i] ^ frame->key[i % 4];
  if (frame->there < frame->length)
    return false;
  if (frame->opcode != 8)
    return note(reading, frame->opcode == 9 ? WSP_EVENT_PING : WSP_EVENT_PONG, 0, payload, frame->there);
  if (frame->there == 0)
    return note(reading, WSP_EVENT_CLOSE, 1005, NULL, 0);
  const uint16_t code = (uint16_t)(payload[0] * 256 + payload[1]);
  if (code < 1000 || (code >= 1004 && code <= 1006) || (code >= 1015 && code <= 2999) || code >= 5000)
    return fail(reading, PROTOCOL);
  if (!fuzz_is_utf8(payload + 2, frame->there - 2))
    return fail(reading, NO_TEXT);
  return note(reading, WSP_EVENT_CLOSE, code, payload + 2, frame->there - 2);
}

/* As far as it is certain: false, and unsure, from where on it is not. */
static bool take_compressed(struct reading *reading, const struct frame *frame) {
  struct fuzz_inflater *inflater = reading->inflater;
  const bool whole = frame->there == frame->length, ends = whole && frame->fin;
  reading->unsure = true;
  if (reading->message_length > reading->max_message || !whole ||
      !fuzz_inflate(inflater, reading->message, reading->message_length, ends))
    return false;
  const uint8_t *message = inflater->octets ? inflater->octets + inflater->earlier : (const uint8_t *)"";
  const size_t length = inflater->length - inflater->earlier;
  if (length > reading->max_message || (reading->message_opcode == 1 && ends && !fuzz_is_utf8(message, length)) ||
      (reading->message_opcode == 1 && !ends))
    return false;
  reading->unsure = !ends;
  if (!ends)
    return true;
  note(reading, WSP_EVENT_MESSAGE, 0, message, length);
  fuzz_inflater_keep(inflater);
  reading->message_opcode = 0;
  reading->message_length = 0;
  return true;
}

static bool take_data(struct reading *reading, const struct frame *frame) {
  if (frame->opcode) {
    reading->message_opcode = frame->opcode;
    reading->compressed = frame->rsv1;
  }
  if (!reading->compressed && reading->message_length + frame->length > reading->max_message)
    return fail(reading, TOO_BIG);
  for (size_t i = 0; i < frame->there; i++)
    reading->message[reading->message_length++] = frame->payload[i] ^ frame->key[i % 4];
  if (reading->compressed)
    return take_compressed(reading, frame);
  const bool ends = frame->fin && frame->there == frame->length;
  if (reading->message_opcode == 1 && !(ends ? fuzz_is_utf8(reading->message, reading->message_length)
                                             : fuzz_begins_utf8(reading->message, reading->message_length)))
    return fail(reading, NO_TEXT);
  if (!ends)
    return frame->there == frame->length;
  note(reading, WSP_EVENT_MESSAGE, 0, reading->message, reading->message_length);
  reading->message_opcode = 0;
  reading->message_length = 0;
  return true;
}

bool fuzz_reference(const struct fuzz_input *input, enum wsp_role role, uint64_t max_message,
                    struct fuzz_inflater *inflater, struct fuzz_log *events) {
  struct reading reading = {.octets = input->octets,
                            .left = input->length,
                            .is_server = role == WSP_SERVER,
                            .max_message = max_message,
                            .events = events,
                            .inflater = inflater,
                            .message = malloc(input->length + FUZZ_UTF8_ENDING_MAX)};
  for (bool on = true; on && reading.left > 0;) {
    struct frame frame;
    bool wrong;
    if (!read_header(&reading, &frame, &wrong)) {
      if (wrong)
        fail(&reading, PROTOCOL);
      break;
    }
    on = frame.opcode >= 8 ? take_control(&reading, &frame) : take_data(&reading, &frame);
    const uint8_t *end = frame.payload + frame.there;
    reading.left -= (size_t)(end - reading.octets);
    reading.octets = end;
  }
  free(reading.message);
  return !reading.unsure;
}
