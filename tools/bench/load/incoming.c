/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/load/incoming.h"
#include "websocket/frame.h"

#include <string.h>

/* Nearly always: a whole message, in one frame, in one piece. */
static bool is_plain(const struct load_incoming *incoming, const struct load_message *message, const uint8_t *octets,
                     const uint8_t *end) {
  return !incoming->in_frame && !incoming->in_message && incoming->header_length == 0 &&
         (size_t)(end - octets) >= message->header_length + message->size &&
         memcmp(octets, message->header, message->header_length) == 0;
}

/* Whether a server may send such a frame here. Compressed and masked ones are never right. */
static bool is_legal(const struct load_incoming *incoming, const struct load_message *message,
                     const struct wsp_frame_header *header) {
  if (header->rsv || header->masked)
    return false;
  switch (header->opcode) {
  case WSP_OPCODE_CONTINUATION:
    return incoming->in_message;
  case WSP_OPCODE_TEXT:
    return !incoming->in_message && message->text;
  case WSP_OPCODE_BINARY:
    return !incoming->in_message && !message->text;
  case WSP_OPCODE_PING:
  case WSP_OPCODE_CLOSE:
    return header->fin && header->payload_length <= WSP_CONTROL_PAYLOAD_MAX;
  default:
    return false; /* nobody asked for a Pong */
  }
}

/* Takes octets of a header. MORE with `in_frame` set: it is whole. */
static enum load_incoming_event take_header(struct load_incoming *incoming, const struct load_message *message,
                                            const uint8_t **octets, const uint8_t *end) {
  struct wsp_frame_header header;
  size_t there = incoming->header_length, length;
  size_t fresh = sizeof incoming->header - there;
  if (fresh > (size_t)(end - *octets))
    fresh = (size_t)(end - *octets);
  memcpy(incoming->header + there, *octets, fresh);
  switch (wsp_frame_header_decode(incoming->header, there + fresh, &header, &length)) {
  case WSP_FRAME_MORE:
    incoming->header_length = (uint8_t)(there + fresh);
    *octets += fresh;
    return LOAD_INCOMING_MORE;
  case WSP_FRAME_FAULT:
    return LOAD_INCOMING_FRAMING;
  case WSP_FRAME_DONE:
    break;
  }
  if (!is_legal(incoming, message, &header))
    return LOAD_INCOMING_FRAMING;
  *octets += length - there;
  incoming->header_length = 0;
  incoming->in_frame = true;
  incoming->opcode = header.opcode;
  incoming->left = header.payload_length;
  incoming->ping_length = 0;
  if (header.opcode < WSP_OPCODE_CLOSE) {
    incoming->in_message = true;
    incoming->last = header.fin;
    if (header.payload_length > message->size - incoming->at)
      return LOAD_INCOMING_CHANGED;
  }
  return LOAD_INCOMING_MORE;
}

/* Takes octets of a payload; false when they are not those of the message. */
static bool take_payload(struct load_incoming *incoming, const struct load_message *message, uint64_t stamp,
                         const uint8_t **octets, const uint8_t *end) {
  size_t count = (size_t)(end - *octets);
  if (count > incoming->left)
    count = (size_t)incoming->left;
  if (incoming->opcode == WSP_OPCODE_PING) {
    memcpy(incoming->ping + incoming->ping_length, *octets, count);
    incoming->ping_length = (uint8_t)(incoming->ping_length + count);
  } else if (incoming->opcode < WSP_OPCODE_CLOSE) {
    if (!load_message_check(message, stamp, incoming->at, *octets, count))
      return false;
    incoming->at += count;
  }
  incoming->left -= count;
  *octets += count;
  return true;
}

static enum load_incoming_event end_frame(struct load_incoming *incoming, const struct load_message *message) {
  incoming->in_frame = false;
  if (incoming->opcode == WSP_OPCODE_PING)
    return LOAD_INCOMING_PING;
  if (incoming->opcode == WSP_OPCODE_CLOSE)
    return LOAD_INCOMING_CLOSE;
  if (!incoming->last)
    return LOAD_INCOMING_MORE;
  const bool whole = incoming->at == message->size;
  incoming->in_message = false;
  incoming->at = 0;
  return whole ? LOAD_INCOMING_MESSAGE : LOAD_INCOMING_CHANGED;
}

enum load_incoming_event load_incoming_take(struct load_incoming *incoming, const struct load_message *message,
                                            uint64_t stamp, const uint8_t **octets, const uint8_t *end) {
  enum load_incoming_event event = LOAD_INCOMING_MORE;
  if (is_plain(incoming, message, *octets, end)) {
    const uint8_t *payload = *octets + message->header_length;
    *octets = payload + message->size;
    return load_message_check(message, stamp, 0, payload, message->size) ? LOAD_INCOMING_MESSAGE
                                                                         : LOAD_INCOMING_CHANGED;
  }
  while (event == LOAD_INCOMING_MORE && *octets < end) {
    if (!incoming->in_frame)
      event = take_header(incoming, message, octets, end);
    else if (!take_payload(incoming, message, stamp, octets, end))
      event = LOAD_INCOMING_CHANGED;
    if (event == LOAD_INCOMING_MORE && incoming->in_frame && incoming->left == 0)
      event = end_frame(incoming, message);
  }
  return event;
}
