/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/connection-internal.h"

#include "websocket/mask.h"
#include "websocket/utf8.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_GATHER_CAPACITY 128
#define CACHED_PART 16384 /* octets, half of a usual first-level cache */

static_assert(sizeof(struct wsp_connection) <= 24, "tens of thousands of idle connections have to be cheap");

/* One call of wsp_connection_receive(): what it was given and how far it got. */
struct reading {
  uint8_t *octets;
  size_t length;
  size_t used;
  struct wsp_buffer *out;
  struct wsp_event *event;
};

void wsp_connection_init(struct wsp_connection *connection, enum wsp_role role, struct wsp_settings *settings) {
  *connection = (struct wsp_connection){.settings = settings};
  if (role == WSP_CLIENT)
    wsp_connection_set(connection, WSP_IS_CLIENT);
}

static uint8_t *resize_memory(struct wsp_settings *settings, uint8_t *octets, size_t size, size_t new_size) {
  if (settings->gather)
    return settings->gather(settings->context, octets, size, new_size);
  if (new_size)
    return realloc(octets, new_size);
  free(octets);
  return NULL;
}

static void free_gathered(struct wsp_connection *connection) {
  if (!connection->progress->gather)
    return;
  connection->settings->gathered -= connection->progress->gather_capacity;
  (void)resize_memory(connection->settings, connection->progress->gather, connection->progress->gather_capacity, 0);
  connection->progress->gather = NULL;
  connection->progress->gather_length = 0;
  connection->progress->gather_capacity = 0;
}

static void free_control(struct wsp_connection *connection) {
  free(connection->progress->control);
  connection->progress->control = NULL;
  connection->progress->control_length = 0;
}

bool wsp_connection_compress(struct wsp_connection *connection, const struct wsp_deflate_terms *terms) {
  struct wsp_deflate_pool *pool = connection->settings->deflate;
  struct wsp_deflate *deflate = wsp_deflate_new(pool, terms, wsp_connection_has(connection, WSP_IS_CLIENT));
  connection->progress = deflate ? calloc(1, sizeof *connection->progress) : NULL;
  if (!connection->progress) {
    wsp_deflate_free(deflate);
    return false;
  }
  connection->progress->deflate = deflate;
  return true;
}

bool wsp_connection_compresses(const struct wsp_connection *connection) {
  return wsp_connection_deflate(connection) != NULL;
}

/* When no message will be read or sent any more. */
static void free_deflate(struct wsp_connection *connection) {
  if (!connection->progress->deflate)
    return;
  wsp_connection_stop_inflating(connection);
  wsp_deflate_free(connection->progress->deflate);
  connection->progress->deflate = NULL;
}

static void free_contents(struct wsp_connection *connection) {
  free_gathered(connection);
  free_control(connection);
  free_deflate(connection);
}

void wsp_connection_clear(struct wsp_connection *connection) {
  if (!connection->progress)
    return;
  free_contents(connection);
  free(connection->progress);
  connection->progress = NULL;
}

bool wsp_connection_in_message(const struct wsp_connection *connection) {
  if (!connection->progress || wsp_connection_has(connection, WSP_CLOSE_WAS_RECEIVED | WSP_HAS_FAILED))
    return false;
  return connection->progress->header_length > 0 || connection->progress->message_opcode != 0 ||
         wsp_connection_has(connection, WSP_IN_FRAME);
}

static bool is_control(uint8_t opcode) {
  return opcode & 0x8;
}

/* Memory behind the event before this call: its time is over. */
static void free_delivered(struct wsp_connection *connection) {
  if (connection->progress->gather && connection->progress->message_opcode == 0)
    free_gathered(connection);
  if (connection->progress->control &&
      !(wsp_connection_has(connection, WSP_IN_FRAME) && is_control(connection->progress->opcode)))
    free_control(connection);
}

static enum wsp_event_type give(struct reading *reading, struct wsp_event event) {
  if (event.length == 0)
    event.data = (const uint8_t *)"";
  *reading->event = event;
  return event.type;
}

/* A Close frame is due here and now. */
static bool owes_close(const struct wsp_connection *connection) {
  return !wsp_connection_has(connection, WSP_CLOSE_WAS_SENT) && !connection->settings->closes_late;
}

/* Section 7.1.7. The sentence goes to the peer too: it is the peer's author who needs it most. */
static enum wsp_event_type fail(struct wsp_connection *connection, struct reading *reading, uint16_t code,
                                const char *why) {
  const uint8_t *reason = (const uint8_t *)why;
  const size_t length = strlen(why);
  if (owes_close(connection))
    wsp_connection_append_close(connection, code, reason, length, reading->out);
  wsp_connection_set(connection, WSP_HAS_FAILED);
  free_contents(connection);
  return give(reading, (struct wsp_event){.type = WSP_EVENT_FAILED, .data = reason, .length = length, .code = code});
}

/* ---- Frame headers ---- */

/* What the first one or two octets of a frame prove wrong, or NULL (sections 5.1, 5.2, 5.4, 5.5). */
static const char *opening_fault(const struct wsp_connection *connection, const uint8_t *octets, size_t length) {
  const uint8_t opcode = octets[0] & 0xF;
  const bool fin = octets[0] & 0x80;
  const uint8_t rsv = octets[0] >> 4 & 7;
  if (rsv && !(connection->progress->deflate && rsv == WSP_RSV1))
    return "reserved bit set although no extension was agreed";
  if (rsv && opcode != WSP_OPCODE_TEXT && opcode != WSP_OPCODE_BINARY) /* RFC 7692 section 6.1 */
    return "bit RSV1 set on another frame than the first of a message";
  if (opcode > WSP_OPCODE_PONG || (opcode > WSP_OPCODE_BINARY && !is_control(opcode)))
    return "reserved opcode";
  if (is_control(opcode) && !fin)
    return "fragmented control frame";
  if (opcode == WSP_OPCODE_CONTINUATION && connection->progress->message_opcode == 0)
    return "continuation frame with no message to continue";
  if (opcode != WSP_OPCODE_CONTINUATION && !is_control(opcode) && connection->progress->message_opcode != 0)
    return "new message before the end of the fragmented one";
  if (length < 2)
    return NULL;

  const bool masked = octets[1] & 0x80;
  const uint8_t short_length = octets[1] & 0x7F;
  if (masked && wsp_connection_has(connection, WSP_IS_CLIENT))
    return "masked frame from a server";
  if (!masked && !wsp_connection_has(connection, WSP_IS_CLIENT))
    return "unmasked frame from a client";
  if (is_control(opcode) && short_length > WSP_CONTROL_PAYLOAD_MAX)
    return "control frame longer than 125 octets";
  if (opcode == WSP_OPCODE_CLOSE && short_length == 1)
    return "Close frame with half a status code";
  return NULL;
}

/* A message that cannot fit is refused from its header. What a compressed one inflates to is seen later, but no honest
 * one is longer than that. Never overflows: what came so far is within the limit, and a length has at most 63 bits. */
static bool is_too_large(struct wsp_connection *connection, const struct wsp_frame_header *header) {
  const uint64_t max_size = connection->settings->max_message_size;
  if (!wsp_connection_has(connection, WSP_IS_COMPRESSED))
    return connection->progress->gather_length + header->payload_length > max_size;
  connection->progress->deflate->arrived += header->payload_length;
  return connection->progress->deflate->arrived > wsp_deflate_bound(max_size);
}

static void begin_message(struct wsp_connection *connection, const struct wsp_frame_header *header) {
  connection->progress->message_opcode = header->opcode;
  wsp_connection_unset(connection, WSP_IS_COMPRESSED);
  if (!header->rsv)
    return;
  wsp_connection_set(connection, WSP_IS_COMPRESSED);
  connection->progress->deflate->arrived = 0;
}

static enum wsp_event_type begin_frame(struct wsp_connection *connection, struct reading *reading,
                                       const struct wsp_frame_header *header) {
  if (!is_control(header->opcode)) {
    if (header->opcode != WSP_OPCODE_CONTINUATION)
      begin_message(connection, header);
    if (is_too_large(connection, header))
      return fail(connection, reading, WSP_CLOSE_TOO_BIG, "message larger than this side accepts");
  }
  connection->progress->opcode = header->opcode;
  connection->progress->payload_left = header->payload_length;
  connection->progress->mask_offset = 0;
  memcpy(connection->progress->mask_key, header->mask_key, sizeof connection->progress->mask_key);
  wsp_connection_set(connection, WSP_IN_FRAME);
  if (header->fin)
    wsp_connection_set(connection, WSP_FRAME_IS_FIN);
  else
    wsp_connection_unset(connection, WSP_FRAME_IS_FIN);
  return WSP_EVENT_NONE;
}

/* Takes a header from the octets, joined with the part of it that came before. Afterwards either a frame has begun
 * or all octets are used up (or the connection has failed). */
static enum wsp_event_type read_header(struct wsp_connection *connection, struct reading *reading) {
  const uint8_t *octets = reading->octets + reading->used;
  size_t there = reading->length - reading->used;
  const size_t before = connection->progress->header_length;
  if (before > 0) {
    size_t room = sizeof connection->progress->header - before;
    there = there < room ? there : room;
    memcpy(connection->progress->header + before, octets, there);
    octets = connection->progress->header;
    there += before;
  }

  struct wsp_frame_header header;
  size_t header_length = 0;
  const char *fault = opening_fault(connection, octets, there);
  if (fault)
    return fail(connection, reading, WSP_CLOSE_PROTOCOL_ERROR, fault);
  switch (wsp_frame_header_decode(octets, there, &header, &header_length)) {
  case WSP_FRAME_FAULT:
    return fail(connection, reading, WSP_CLOSE_PROTOCOL_ERROR, "payload length not in its shortest form or too large");
  case WSP_FRAME_MORE:
    if (before == 0)
      memcpy(connection->progress->header, octets, there);
    connection->progress->header_length = (uint8_t)there;
    reading->used += there - before;
    return WSP_EVENT_NONE;
  case WSP_FRAME_DONE:
    break;
  }
  connection->progress->header_length = 0;
  reading->used += header_length - before;
  return begin_frame(connection, reading, &header);
}

/* ---- Payload ---- */

/* Octets of the current frame's payload that are there to be read now. */
static size_t payload_there(const struct wsp_connection *connection, const struct reading *reading) {
  size_t there = reading->length - reading->used;
  return connection->progress->payload_left < there ? (size_t)connection->progress->payload_left : there;
}

static void unmask(struct wsp_connection *connection, uint8_t *to, const uint8_t *from, size_t length) {
  if (!wsp_connection_has(connection, WSP_IS_CLIENT))
    connection->progress->mask_offset =
        wsp_mask_copy(to, from, length, connection->progress->mask_key, connection->progress->mask_offset);
  else if (to != from && length > 0)
    memcpy(to, from, length);
}

/* Unmasks the next `length` octets of payload to `to` (NULL: where they lie) and counts them as read. */
static uint8_t *take_payload(struct wsp_connection *connection, struct reading *reading, uint8_t *to, size_t length) {
  uint8_t *from = reading->octets + reading->used;
  to = to ? to : from;
  unmask(connection, to, from, length);
  reading->used += length;
  connection->progress->payload_left -= length;
  return to;
}

static enum wsp_event_type receive_close(struct wsp_connection *connection, struct reading *reading,
                                         const uint8_t *payload, size_t length) {
  uint16_t code = WSP_CLOSE_NO_STATUS;
  const uint8_t *reason = payload;
  size_t reason_length = 0;
  if (length > 0) {
    code = (uint16_t)(payload[0] << 8 | payload[1]);
    reason = payload + 2;
    reason_length = length - 2;
    if (!wsp_close_code_is_sendable(code))
      return fail(connection, reading, WSP_CLOSE_PROTOCOL_ERROR,
                  "Close frame with a status code that must not be sent");
    if (!wsp_utf8_is_valid(reason, reason_length))
      return fail(connection, reading, WSP_CLOSE_INVALID_DATA, "Close reason is not valid UTF-8");
  }
  wsp_connection_set(connection, WSP_CLOSE_WAS_RECEIVED);
  if (owes_close(connection))
    wsp_connection_append_close(connection, code, NULL, 0, reading->out);
  free_gathered(connection);
  free_deflate(connection);
  return give(reading,
              (struct wsp_event){.type = WSP_EVENT_CLOSE, .data = reason, .length = reason_length, .code = code});
}

static enum wsp_event_type receive_control(struct wsp_connection *connection, struct reading *reading,
                                           const uint8_t *payload, size_t length) {
  struct wsp_event event = {.type = WSP_EVENT_PONG, .data = payload, .length = length};
  if (connection->progress->opcode == WSP_OPCODE_CLOSE)
    return receive_close(connection, reading, payload, length);
  if (connection->progress->opcode == WSP_OPCODE_PING) {
    event.type = WSP_EVENT_PING;
    if (!wsp_connection_has(connection, WSP_CLOSE_WAS_SENT) &&
        !wsp_connection_append_frame(connection, WSP_OPCODE_PONG, payload, length, reading->out))
      return fail(connection, reading, WSP_CLOSE_TRY_AGAIN, "out of memory");
  }
  return give(reading, event);
}

/* Control frames may come between the fragments of a message, so their payload never touches the gathered one. */
static enum wsp_event_type read_control(struct wsp_connection *connection, struct reading *reading) {
  const size_t there = payload_there(connection, reading);
  const uint8_t *payload;
  size_t length = there;
  if (!connection->progress->control && there == connection->progress->payload_left) {
    payload = take_payload(connection, reading, NULL, there);
  } else {
    if (!connection->progress->control && !(connection->progress->control = malloc(WSP_CONTROL_PAYLOAD_MAX)))
      return fail(connection, reading, WSP_CLOSE_TRY_AGAIN, "out of memory");
    take_payload(connection, reading, connection->progress->control + connection->progress->control_length, there);
    connection->progress->control_length = (uint8_t)(connection->progress->control_length + there);
    if (connection->progress->payload_left > 0)
      return WSP_EVENT_NONE;
    payload = connection->progress->control;
    length = connection->progress->control_length;
  }
  wsp_connection_unset(connection, WSP_IN_FRAME);
  return receive_control(connection, reading, payload, length);
}

size_t wsp_connection_gathered(const struct wsp_connection *connection) {
  if (!connection->progress)
    return 0;
  const bool holds_inflater = connection->progress->deflate && connection->progress->deflate->inflater_is_charged;
  return connection->progress->gather_capacity + (holds_inflater ? WSP_INFLATER_COST : 0);
}

uint8_t *wsp_connection_take_message(struct wsp_connection *connection, const struct wsp_event *event) {
  struct wsp_progress *progress = connection->progress;
  if (!progress || !progress->gather || progress->gather != event->data ||
      progress->gather_capacity - event->length > event->length / 4)
    return NULL;
  uint8_t *octets = progress->gather;
  connection->settings->gathered -= progress->gather_capacity;
  progress->gather = NULL;
  progress->gather_length = progress->gather_capacity = 0;
  return octets;
}

bool wsp_connection_resize_gathered(struct wsp_connection *connection, size_t capacity) {
  struct wsp_settings *settings = connection->settings;
  const uint64_t others = settings->gathered - connection->progress->gather_capacity;
  if (settings->max_gathered > 0 && (others > settings->max_gathered || capacity > settings->max_gathered - others))
    return false;
  uint8_t *gather =
      resize_memory(settings, connection->progress->gather, connection->progress->gather_capacity, capacity);
  if (!gather)
    return false;
  connection->progress->gather = gather;
  connection->progress->gather_capacity = capacity;
  settings->gathered = others + capacity;
  return true;
}

bool wsp_connection_gather_anew(struct wsp_connection *connection) {
  struct wsp_progress *progress = connection->progress;
  if (!progress || !progress->gather)
    return true;
  uint8_t *gather =
      resize_memory(connection->settings, progress->gather, progress->gather_capacity, progress->gather_capacity);
  if (gather)
    progress->gather = gather;
  return gather;
}

/* Room for `more` octets of the current frame. Memory at most doubles, so it follows what arrived and not what a
 * header promised; and it never exceeds what the message can still become. */
static bool make_room(struct wsp_connection *connection, size_t more) {
  const size_t needed = connection->progress->gather_length + more;
  if (needed <= connection->progress->gather_capacity)
    return true;
  const uint64_t at_most = wsp_connection_has(connection, WSP_FRAME_IS_FIN)
                               ? connection->progress->gather_length + connection->progress->payload_left
                               : connection->settings->max_message_size;
  uint64_t wanted = (uint64_t)connection->progress->gather_capacity * 2;
  wanted = wanted > FIRST_GATHER_CAPACITY ? wanted : FIRST_GATHER_CAPACITY;
  wanted = wanted < at_most ? wanted : at_most;
  if (wanted > needed && wanted <= SIZE_MAX && wsp_connection_resize_gathered(connection, (size_t)wanted))
    return true;
  return wsp_connection_resize_gathered(connection, needed);
}

bool wsp_connection_is_text_right(struct wsp_connection *connection, const uint8_t *octets, size_t length, bool last) {
  if (connection->progress->message_opcode != WSP_OPCODE_TEXT)
    return true;
  return wsp_utf8_feed(&connection->progress->utf8_state, octets, length) &&
         (!last || connection->progress->utf8_state == WSP_UTF8_ACCEPT);
}

/* Takes payload of a message. Unmasks and checks in turns, so that octets are checked while the nearest cache still has
 * them. False: the text is wrong; payload behind the fault is left where it is. */
static bool take_data(struct wsp_connection *connection, struct reading *reading, uint8_t *to, size_t length,
                      bool last) {
  do {
    const size_t part = length < CACHED_PART ? length : CACHED_PART;
    const uint8_t *octets = take_payload(connection, reading, to, part);
    length -= part;
    to = to ? to + part : NULL;
    if (!wsp_connection_is_text_right(connection, octets, part, last && length == 0))
      return false;
  } while (length > 0);
  return true;
}

static enum wsp_event_type receive_message(struct wsp_connection *connection, struct reading *reading,
                                           const uint8_t *data, size_t length) {
  const bool text = connection->progress->message_opcode == WSP_OPCODE_TEXT;
  connection->progress->message_opcode = 0;
  return give(reading, (struct wsp_event){.type = WSP_EVENT_MESSAGE, .text = text, .data = data, .length = length});
}

static enum wsp_event_type read_data(struct wsp_connection *connection, struct reading *reading) {
  const size_t there = payload_there(connection, reading);
  const bool frame_ends = there == connection->progress->payload_left;
  const bool message_ends = frame_ends && wsp_connection_has(connection, WSP_FRAME_IS_FIN);
  const bool in_place = message_ends && connection->progress->gather_length == 0;
  uint8_t *to = NULL;
  if (!in_place && there > 0) {
    if (!make_room(connection, there))
      return fail(connection, reading, WSP_CLOSE_TRY_AGAIN, "no memory for the rest of this message at the moment");
    to = connection->progress->gather + connection->progress->gather_length;
    connection->progress->gather_length += there;
  }
  const uint8_t *octets = reading->octets + reading->used; /* of a message that stays where it is */
  if (!take_data(connection, reading, to, there, message_ends))
    return fail(connection, reading, WSP_CLOSE_INVALID_DATA, "text message is not valid UTF-8");
  if (frame_ends)
    wsp_connection_unset(connection, WSP_IN_FRAME);
  if (!message_ends)
    return WSP_EVENT_NONE;
  if (in_place)
    return receive_message(connection, reading, octets, there);
  return receive_message(connection, reading, connection->progress->gather, connection->progress->gather_length);
}

static enum wsp_event_type read_compressed(struct wsp_connection *connection, struct reading *reading) {
  const size_t there = payload_there(connection, reading);
  const bool frame_ends = there == connection->progress->payload_left;
  const bool message_ends = frame_ends && wsp_connection_has(connection, WSP_FRAME_IS_FIN);
  const uint8_t *octets = take_payload(connection, reading, NULL, there);
  const struct wsp_fault fault = wsp_connection_inflate(connection, octets, there, message_ends);
  if (fault.code)
    return fail(connection, reading, fault.code, fault.sentence);
  if (frame_ends)
    wsp_connection_unset(connection, WSP_IN_FRAME);
  if (!message_ends)
    return WSP_EVENT_NONE;
  return receive_message(connection, reading, connection->progress->gather, connection->progress->gather_length);
}

/* One header, or what is there of one payload. */
static enum wsp_event_type step(struct wsp_connection *connection, struct reading *reading) {
  if (!wsp_connection_has(connection, WSP_IN_FRAME)) {
    enum wsp_event_type type = read_header(connection, reading);
    if (type != WSP_EVENT_NONE || !wsp_connection_has(connection, WSP_IN_FRAME))
      return type;
  }
  if (is_control(connection->progress->opcode))
    return read_control(connection, reading);
  return wsp_connection_has(connection, WSP_IS_COMPRESSED) ? read_compressed(connection, reading)
                                                           : read_data(connection, reading);
}

static enum wsp_event_type read_on(struct wsp_connection *connection, struct reading *reading) {
  free_delivered(connection);
  while (reading->used < reading->length) {
    if (wsp_connection_has(connection, WSP_CLOSE_WAS_RECEIVED | WSP_HAS_FAILED)) {
      reading->used = reading->length;
      break;
    }
    enum wsp_event_type type = step(connection, reading);
    if (type != WSP_EVENT_NONE)
      return type;
  }
  return give(reading, (struct wsp_event){.type = WSP_EVENT_NONE});
}

/* Whether nothing has to be remembered until the next call. */
static bool is_between_frames(const struct wsp_connection *connection) {
  const struct wsp_progress *progress = connection->progress;
  return !progress->gather && !progress->control && !progress->deflate && !wsp_connection_in_message(connection);
}

static void forget_progress(struct wsp_connection *connection) {
  if (!is_between_frames(connection))
    return;
  free(connection->progress);
  connection->progress = NULL;
}

/* Most calls begin and end between frames: those need no memory for their progress. */
static enum wsp_event_type receive_from_between(struct wsp_connection *connection, struct reading *reading) {
  struct wsp_progress progress = {0};
  connection->progress = &progress;
  enum wsp_event_type type = read_on(connection, reading);
  struct wsp_progress *kept = NULL;
  if (!is_between_frames(connection) && !(kept = malloc(sizeof *kept)))
    type = fail(connection, reading, WSP_CLOSE_TRY_AGAIN, "out of memory");
  if (kept)
    *kept = progress;
  connection->progress = kept;
  return type;
}

enum wsp_event_type wsp_connection_receive(struct wsp_connection *connection, uint8_t *octets, size_t length,
                                           size_t *consumed, struct wsp_buffer *out, struct wsp_event *event) {
  struct reading reading = {.octets = octets, .length = length, .out = out, .event = event};
  enum wsp_event_type type;
  if (connection->progress) {
    type = read_on(connection, &reading);
    forget_progress(connection);
  } else {
    type = receive_from_between(connection, &reading);
  }
  *consumed = reading.used;
  return type;
}
