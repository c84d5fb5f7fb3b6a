/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/broadcast.h"

#include "websocket/connection-internal.h"

void wsp_broadcast_init(struct wsp_broadcast *broadcast, bool text, const uint8_t *data, size_t length) {
  *broadcast = (struct wsp_broadcast){.text = text, .data = data, .length = length};
}

void wsp_broadcast_clear(struct wsp_broadcast *broadcast) {
  for (size_t i = 0; i < WSP_WINDOW_SIZES; i++)
    wsp_buffer_clear(&broadcast->frames[i]);
}

/* The frame for a connection with such a window; empty when it is not worth it. */
static const struct wsp_buffer *find_frame(struct wsp_broadcast *broadcast, struct wsp_connection *connection) {
  const size_t i = (size_t)wsp_connection_deflate(connection)->send_bits - WSP_WINDOW_BITS_MIN;
  struct wsp_buffer *frame = &broadcast->frames[i];
  if (!broadcast->was_tried[i])
    (void)wsp_connection_append_compressed(connection, broadcast->text ? WSP_OPCODE_TEXT : WSP_OPCODE_BINARY, true,
                                           broadcast->data, broadcast->length, frame);
  broadcast->was_tried[i] = true;
  return frame;
}

enum wsp_send_result wsp_broadcast_send(struct wsp_broadcast *broadcast, struct wsp_connection *connection,
                                        struct wsp_buffer *out) {
  const struct wsp_buffer *frame = NULL;
  if (wsp_connection_deflate(connection) && !wsp_connection_has(connection, WSP_CLOSE_WAS_SENT))
    frame = find_frame(broadcast, connection);
  if (!frame || wsp_buffer_length(frame) == 0)
    return wsp_connection_send_plain(connection, broadcast->text, broadcast->data, broadcast->length, out);
  if (!wsp_buffer_append(out, wsp_buffer_front(frame), wsp_buffer_length(frame)))
    return WSP_SEND_NO_MEMORY;
  wsp_deflate_remember_sent(wsp_connection_deflate(connection), broadcast->data, broadcast->length);
  return WSP_SENT;
}
