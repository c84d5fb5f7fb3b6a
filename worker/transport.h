/* SPDX-License-Identifier: Apache-2.0 */
/* Where a peer's octets come from and go to. Today that is the TCP socket itself; whatever will stand between socket and
 * WebSocket stands here, and nothing else of the worker touches a peer's socket. Non-blocking throughout. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct wsw_transport {
  int fd;
};

enum {
  WSW_TRANSPORT_ENDED = 0,   /* the peer closed its side */
  WSW_TRANSPORT_AGAIN = -1,  /* nothing now; wait */
  WSW_TRANSPORT_FAILED = -2, /* the connection is broken */
};

/* Octets received or sent (more than 0), or one of the above; ENDED only for receiving. */
ssize_t wsw_transport_receive(struct wsw_transport *transport, uint8_t *room, size_t size);
ssize_t wsw_transport_send(struct wsw_transport *transport, const uint8_t *octets, size_t length);

/* Says that nothing more will be sent. */
void wsw_transport_finish(struct wsw_transport *transport);
void wsw_transport_close(struct wsw_transport *transport);
