/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who connected, and how: the body of a CONNECT record, and, without headers, of an entry in the control socket's list
 * of connections.
 *
 *    0  u8   family: 4 or 6
 *    1  u8   flags: 1 TLS
 *    2  u16  port of the peer
 *    4  u32  scope
 *    8  16   address
 *   24  u64  connected_at
 *   32  u32  length of path
 *   36  u32  length of query
 *   40  u32  length of origin
 *   44  u32  length of protocol
 *   48  u16  header_count
 *   50  u16  length of subject
 *   52       path, query, origin, protocol, subject, then
 *            header_count times: u32 length of name, u32 length of value, name, value
 *
 * The texts are octets as the peer sent them, but for the protocol, which is one of the server's own, and the subject
 * of the certificate that the peer proved to be its own. Nothing here says that they are UTF-8 or free of U+0000: whoever hands them on makes sure.
 */
#pragma once

#include "channel/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A run of octets with a length, not terminated. `text` may be NULL when the length is 0. */
struct wsc_text {
  const char *text;
  size_t length;
};

struct wsc_connect {
  uint8_t family; /* 4 or 6; an IPv4-mapped IPv6 peer is 4 */
  bool tls;
  uint16_t port;
  uint32_t scope;                                /* interface index of a link-local IPv6 peer, else 0 */
  uint8_t address[16];                           /* network order; IPv4 in the first 4 octets, the rest zero */
  uint64_t connected_at;                         /* microseconds since the epoch */
  struct wsc_text path, query, origin, protocol; /* empty where absent */
  struct wsc_text subject;                       /* of the peer's certificate; empty where it was not asked for one */
  uint16_t header_count;
  const uint8_t *headers; /* encoded; walk with wsc_connect_next_header() */
  size_t headers_size;
};
struct wsc_connect_header {
  struct wsc_text name, value;
};

/* Octets the encoding takes, without headers plus those of each header. The sum must not exceed WSC_CONNECT_MAX: the
 * worker's bound on a request's head sees to that. */
size_t wsc_connect_size(const struct wsc_connect *connect);
size_t wsc_connect_header_size(const struct wsc_connect_header *header);
/* Encodes everything but headers; returns octets written. Append each header with wsc_connect_header_encode(),
 * header_count of them. */
size_t wsc_connect_encode(const struct wsc_connect *connect, uint8_t *out);
size_t wsc_connect_header_encode(const struct wsc_connect_header *header, uint8_t *out);
/* False when the body is not exactly one well-formed wsc_connect with header_count headers. Slices point into
 * `body`. */
bool wsc_connect_decode(const uint8_t *body, size_t size, struct wsc_connect *connect);
/* Start with *offset = 0; false at the end. */
bool wsc_connect_next_header(const struct wsc_connect *connect, size_t *offset, struct wsc_connect_header *header);
