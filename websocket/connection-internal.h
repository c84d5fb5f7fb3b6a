/* SPDX-License-Identifier: Apache-2.0 */
/* What connection.c (receiving) and connection-send.c (sending) share; for nobody else. */
#pragma once

#include "websocket/connection.h"
#include "websocket/frame.h"

/* wsp_connection.flags */
enum {
  WSP_IS_CLIENT = 1 << 0,
  WSP_CLOSE_WAS_SENT = 1 << 1,
  WSP_CLOSE_WAS_RECEIVED = 1 << 2,
  WSP_HAS_FAILED = 1 << 3,
  WSP_IN_FRAME = 1 << 4,     /* a header was read, its payload not to the end */
  WSP_FRAME_IS_FIN = 1 << 5, /* ... and it is the last of its message */
};

static inline bool wsp_connection_has(const struct wsp_connection *connection, unsigned flag) {
  return connection->flags & flag;
}
static inline void wsp_connection_set(struct wsp_connection *connection, unsigned flag) {
  connection->flags = (uint8_t)(connection->flags | flag);
}
static inline void wsp_connection_unset(struct wsp_connection *connection, unsigned flag) {
  connection->flags = (uint8_t)(connection->flags & ~flag);
}

/* Appends one unfragmented frame, masked in the client's role. False without memory, `out` unchanged. */
bool wsp_connection_append_frame(struct wsp_connection *connection, enum wsp_opcode opcode, const uint8_t *payload,
                                 size_t length, struct wsp_buffer *out);

/* Appends a Close frame and notes that it was sent, whether or not there was memory for it: nothing may be sent
 * after it either way. */
bool wsp_connection_append_close(struct wsp_connection *connection, uint16_t code, const uint8_t *reason, size_t length,
                                 struct wsp_buffer *out);
