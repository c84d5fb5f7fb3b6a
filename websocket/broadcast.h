/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One message for many connections in the server's role. It is compressed at most once for each window size that its
 * receivers agreed on, by itself, so that the same octets are right for all of them, those with context takeover
 * included; and not at all before the first receiver that compresses.
 */
#pragma once

#include "websocket/connection.h"

#define WSP_WINDOW_SIZES (WSP_WINDOW_BITS_MAX - WSP_WINDOW_BITS_MIN + 1)

struct wsp_broadcast {
  bool text;
  const uint8_t *data; /* the caller's, as long as this is used */
  size_t length;
  bool was_tried[WSP_WINDOW_SIZES];
  struct wsp_buffer frames[WSP_WINDOW_SIZES]; /* empty: it goes as it is */
};

/* `data`, where it is text, has been checked to be UTF-8. */
void wsp_broadcast_init(struct wsp_broadcast *broadcast, bool text, const uint8_t *data, size_t length);
void wsp_broadcast_clear(struct wsp_broadcast *broadcast);

/* As wsp_connection_send_checked(). All connections must share their settings. */
enum wsp_send_result wsp_broadcast_send(struct wsp_broadcast *broadcast, struct wsp_connection *connection,
                                        struct wsp_buffer *out);
