/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/connection-internal.h"

#include "websocket/mask.h"
#include "websocket/utf8.h"

#include <stdlib.h>
#include <string.h>

static bool append_frame(struct wsp_connection *connection, uint8_t rsv, enum wsp_opcode opcode, const uint8_t *payload,
                         size_t length, struct wsp_buffer *out) {
  struct wsp_frame_header header = {
      .fin = true,
      .rsv = rsv,
      .opcode = (uint8_t)opcode,
      .masked = wsp_connection_has(connection, WSP_IS_CLIENT),
      .payload_length = length,
  };
  if (length > SIZE_MAX - WSP_FRAME_HEADER_MAX)
    return false;
  uint8_t *room = wsp_buffer_reserve(out, WSP_FRAME_HEADER_MAX + length);
  if (!room)
    return false;
  if (header.masked)
    connection->settings->fresh_mask(connection->settings->context, header.mask_key);
  size_t header_length = wsp_frame_header_encode(&header, room);
  if (header.masked)
    wsp_mask_copy(room + header_length, payload, length, header.mask_key, 0);
  else if (length > 0)
    memcpy(room + header_length, payload, length);
  wsp_buffer_commit(out, header_length + length);
  return true;
}

bool wsp_connection_append_frame(struct wsp_connection *connection, enum wsp_opcode opcode, const uint8_t *payload,
                                 size_t length, struct wsp_buffer *out) {
  return append_frame(connection, 0, opcode, payload, length, out);
}

bool wsp_connection_append_close(struct wsp_connection *connection, uint16_t code, const uint8_t *reason, size_t length,
                                 struct wsp_buffer *out) {
  uint8_t payload[WSP_CONTROL_PAYLOAD_MAX];
  size_t payload_length = 0;
  if (code != WSP_CLOSE_NO_STATUS) {
    payload[0] = (uint8_t)(code >> 8);
    payload[1] = (uint8_t)code;
    if (length > 0)
      memcpy(payload + 2, reason, length);
    payload_length = 2 + length;
  }
  wsp_connection_set(connection, WSP_CLOSE_WAS_SENT);
  return wsp_connection_append_frame(connection, WSP_OPCODE_CLOSE, payload, payload_length, out);
}

/* It is compressed elsewhere: how much memory `out` takes shall follow from what lies in it, and how long that becomes
 * is not known before. */
bool wsp_connection_append_compressed(struct wsp_connection *connection, enum wsp_opcode opcode, bool by_itself,
                                      const uint8_t *data, size_t length, struct wsp_buffer *out) {
  if (length < WSP_DEFLATE_MIN || length > WSP_DEFLATE_MAX)
    return false;
  uint8_t *room = malloc(length + WSP_DEFLATE_TAIL);
  if (!room)
    return false;
  const size_t made = wsp_deflate_compress(wsp_connection_deflate(connection), by_itself, data, length, room);
  const bool is_done = made > 0 && append_frame(connection, WSP_RSV1, opcode, room, made, out);
  free(room);
  return is_done;
}

/* Section 5.5.1: nothing follows a Close frame. The peer's Close and a failure are answered by one at once, so this
 * covers them too; where they are answered late, sending goes on until then, as section 5.5.1 allows. */
static bool is_sending_over(const struct wsp_connection *connection) {
  return wsp_connection_has(connection, WSP_CLOSE_WAS_SENT);
}

static enum wsp_send_result send_frame(struct wsp_connection *connection, enum wsp_opcode opcode,
                                       const uint8_t *payload, size_t length, struct wsp_buffer *out) {
  return wsp_connection_append_frame(connection, opcode, payload, length, out) ? WSP_SENT : WSP_SEND_NO_MEMORY;
}

enum wsp_send_result wsp_connection_send_plain(struct wsp_connection *connection, bool text, const uint8_t *data,
                                               size_t length, struct wsp_buffer *out) {
  if (is_sending_over(connection))
    return WSP_SEND_CLOSED;
  return send_frame(connection, text ? WSP_OPCODE_TEXT : WSP_OPCODE_BINARY, data, length, out);
}

enum wsp_send_result wsp_connection_send_checked(struct wsp_connection *connection, bool text, const uint8_t *data,
                                                 size_t length, struct wsp_buffer *out) {
  const enum wsp_opcode opcode = text ? WSP_OPCODE_TEXT : WSP_OPCODE_BINARY;
  if (!wsp_connection_deflate(connection) || is_sending_over(connection) ||
      !wsp_connection_append_compressed(connection, opcode, false, data, length, out))
    return wsp_connection_send_plain(connection, text, data, length, out);
  wsp_deflate_remember_sent(wsp_connection_deflate(connection), data, length);
  return WSP_SENT;
}

enum wsp_send_result wsp_connection_send(struct wsp_connection *connection, bool text, const uint8_t *data,
                                         size_t length, struct wsp_buffer *out) {
  if (text && !wsp_utf8_is_valid(data, length))
    return WSP_SEND_INVALID;
  return wsp_connection_send_checked(connection, text, data, length, out);
}

enum wsp_send_result wsp_connection_send_header(struct wsp_connection *connection, bool text, size_t length,
                                                uint8_t header[WSP_FRAME_HEADER_MAX], size_t *header_length) {
  if (is_sending_over(connection))
    return WSP_SEND_CLOSED;
  const struct wsp_frame_header fields = {
      .fin = true, .opcode = text ? WSP_OPCODE_TEXT : WSP_OPCODE_BINARY, .payload_length = length};
  *header_length = wsp_frame_header_encode(&fields, header);
  return WSP_SENT;
}

enum wsp_send_result wsp_connection_ping(struct wsp_connection *connection, const uint8_t *data, size_t length,
                                         struct wsp_buffer *out) {
  if (length > WSP_CONTROL_PAYLOAD_MAX)
    return WSP_SEND_INVALID;
  if (is_sending_over(connection))
    return WSP_SEND_CLOSED;
  return send_frame(connection, WSP_OPCODE_PING, data, length, out);
}

enum wsp_send_result wsp_connection_close(struct wsp_connection *connection, uint16_t code, const uint8_t *reason,
                                          size_t length, struct wsp_buffer *out) {
  if (code == WSP_CLOSE_NO_STATUS ? length > 0 : !wsp_close_code_is_sendable(code))
    return WSP_SEND_INVALID;
  if (length > WSP_CLOSE_REASON_MAX || !wsp_utf8_is_valid(reason, length))
    return WSP_SEND_INVALID;
  if (is_sending_over(connection))
    return WSP_SEND_CLOSED;
  if (!wsp_connection_append_close(connection, code, reason, length, out)) {
    wsp_connection_unset(connection, WSP_CLOSE_WAS_SENT); /* the caller may try again */
    return WSP_SEND_NO_MEMORY;
  }
  return WSP_SENT;
}

bool wsp_connection_close_sent(const struct wsp_connection *connection) {
  return wsp_connection_has(connection, WSP_CLOSE_WAS_SENT);
}

bool wsp_connection_close_received(const struct wsp_connection *connection) {
  return wsp_connection_has(connection, WSP_CLOSE_WAS_RECEIVED);
}

bool wsp_connection_failed(const struct wsp_connection *connection) {
  return wsp_connection_has(connection, WSP_HAS_FAILED);
}
