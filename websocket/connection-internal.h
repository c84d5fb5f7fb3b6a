/* SPDX-License-Identifier: Apache-2.0 */
/* What connection.c (receiving), connection-inflate.c and connection-send.c (sending) share; for nobody else. */
#pragma once

#include "websocket/connection.h"
#include "websocket/frame.h"

/* wsp_connection.flags */
enum {
  WSP_IS_CLIENT = 1 << 0,
  WSP_CLOSE_WAS_SENT = 1 << 1,
  WSP_CLOSE_WAS_RECEIVED = 1 << 2,
  WSP_HAS_FAILED = 1 << 3,
  WSP_IN_FRAME = 1 << 4,      /* a header was read, its payload not to the end */
  WSP_FRAME_IS_FIN = 1 << 5,  /* ... and it is the last of its message */
  WSP_IS_COMPRESSED = 1 << 6, /* the message being read is */
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

/* NULL where nothing is compressed. */
static inline struct wsp_deflate *wsp_connection_deflate(const struct wsp_connection *connection) {
  return connection->progress ? connection->progress->deflate : NULL;
}

/* Resizes the gathering memory as far as the bound over all connections allows. */
bool wsp_connection_resize_gathered(struct wsp_connection *connection, size_t capacity);

/* Section 8.1: checks octets of a text message; `last` when nothing of it follows. A message can only end in
 * WSP_UTF8_ACCEPT, which is where the next one has to begin. */
bool wsp_connection_is_text_right(struct wsp_connection *connection, const uint8_t *octets, size_t length, bool last);

/* What a piece of a message came to. */
struct wsp_fault {
  uint16_t code; /* close code; 0: all is well */
  const char *sentence;
};

/* RFC 7692 section 7.2.2: inflates a piece of the payload onto the gathered octets. `message_ends` with the last one. */
struct wsp_fault wsp_connection_inflate(struct wsp_connection *connection, const uint8_t *octets, size_t length,
                                        bool message_ends);
/* The message ended, one way or another: the inflater goes back. */
void wsp_connection_stop_inflating(struct wsp_connection *connection);

/* Appends one unfragmented frame, masked in the client's role. False without memory, `out` unchanged. */
bool wsp_connection_append_frame(struct wsp_connection *connection, enum wsp_opcode opcode, const uint8_t *payload,
                                 size_t length, struct wsp_buffer *out);

/* Appends a Close frame and notes that it was sent, whether or not there was memory for it: nothing may be sent
 * after it either way. */
bool wsp_connection_append_close(struct wsp_connection *connection, uint16_t code, const uint8_t *reason, size_t length,
                                 struct wsp_buffer *out);

/* RFC 7692 section 7.2.1: appends a message as one compressed frame; `by_itself` without referring to earlier ones. False,
 * and `out` as it was, when it had better go as it is: too short, too long, no memory, or it does not become smaller. */
bool wsp_connection_append_compressed(struct wsp_connection *connection, enum wsp_opcode opcode, bool by_itself,
                                      const uint8_t *data, size_t length, struct wsp_buffer *out);
