/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a peer's octets come from and go to: the TCP socket, or TLS on it. What differs between the two stays here, and nothing
 * else of the worker touches a peer's socket. Non-blocking throughout.
 *
 * After receiving there may be more although nobody tells that the socket is readable (`more`: receive again): TLS keeps octets of its own, and a
 * plain socket is told once. With TLS receiving may need to write first (`wants_writable`: receive again when the socket is writable,
 * and not before). Sending, in turn, may have to wait for the rest of what the peer has begun (`wants_readable`: send again when the
 * socket is readable, and not before).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct ssl_st;
struct ssl_ctx_st;

struct wsw_transport {
  struct ssl_st *tls; /* NULL: the octets go as they are */
  int fd;
  int8_t verdict;  /* ENDED or FAILED, once TLS has come to it and it was not told yet; else AGAIN */
  bool open : 1;   /* TLS has shaken hands */
  bool broken : 1; /* TLS has failed: no octet of it goes either way any more */
  bool more : 1;   /* see above */
  bool ends : 1;   /* the peer closed its side or the connection broke, which is found behind what is left to be read */
  bool wants_writable : 1; /* see above */
  bool wants_readable : 1; /* see above */
  uint8_t idle_handshakes; /* handshake messages in a row, see WSW_IDLE_HANDSHAKES_MAX */
  uint8_t
      reads_from; /* how much TLS had taken off the socket when it began to read, in WSW_TLS_READ_UNIT, modulo 256 */
};

enum {
  WSW_TRANSPORT_ENDED = 0,   /* the peer closed its side */
  WSW_TRANSPORT_AGAIN = -1,  /* nothing now; wait */
  WSW_TRANSPORT_FAILED = -2, /* the connection is broken */
};

/* `context` NULL: without TLS. The transport stays where it is in memory. False without memory. */
bool wsw_transport_open(struct wsw_transport *transport, int fd, struct ssl_ctx_st *context);

/* Whether octets can be sent: not before TLS has shaken hands, which receiving does by the way, nor after it failed. */
bool wsw_transport_can_send(const struct wsw_transport *transport);

/* Octets received or sent (more than 0), or one of the above; ENDED only for receiving. Once TLS
 * failed, there is nothing else: no octet that somebody put behind it is ever taken for the peer's. */
ssize_t wsw_transport_receive(struct wsw_transport *transport, uint8_t *room, size_t size);
ssize_t wsw_transport_send(struct wsw_transport *transport, const uint8_t *octets, size_t length);

/* Whether octets may be sent in several parts at once. */
static inline bool wsw_transport_takes_parts(const struct wsw_transport *transport) {
  return !transport->tls;
}
ssize_t wsw_transport_send_parts(struct wsw_transport *transport, struct iovec *parts, size_t count);

/* As receiving, for octets that are thrown away; once TLS failed, those of the socket, until the peer has read why. */
ssize_t wsw_transport_discard(struct wsw_transport *transport, uint8_t *room, size_t size);

/* Says that nothing more will be sent. False when the socket has no room for that: again when it is writable. */
bool wsw_transport_finish(struct wsw_transport *transport);
void wsw_transport_close(struct wsw_transport *transport);
