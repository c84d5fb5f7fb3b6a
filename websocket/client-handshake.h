/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's half of the opening handshake (RFC 6455 section 4.1), without I/O: writes the request, then is fed
 * the response in any split. The response is held to the letter: HTTP/1.1 and status 101, Upgrade "websocket" once,
 * Connection with "upgrade", Sec-WebSocket-Accept for the key sent, no subprotocol or extension that was not
 * offered, no body.
 *
 * An answer with another status is read to the end of its head, so that its headers (Location, Retry-After, ...)
 * can be read after REFUSED; its body is left alone. Interim answers (100, 103) are refused like any other status.
 * That the server chose no subprotocol although some were offered is no fault here: the user decides.
 */
#pragma once

#include "websocket/server-handshake.h"

struct wsp_client_handshake;

struct wsp_client_request {
  const char *host;           /* value of Host, with the port where it is not the scheme's default */
  const char *target;         /* path and query, "/" at least; visible ASCII without "#" */
  const char *origin;         /* NULL: none */
  const char *protocols;      /* comma list to offer; NULL or empty: none */
  const char *const *headers; /* NULL-terminated "name", "value", "name", "value", ... ; NULL: none */
  bool compression;           /* offer permessage-deflate */
};

/* `key` is 16 fresh random octets (the caller owns randomness). The request is checked: a host or target that may
 * not stand in a request, a list of protocols that is none, a name that is no token, a value with control
 * characters, a header that the handshake itself owns (Host, Upgrade, Connection, Origin, Content-Length,
 * Transfer-Encoding, Sec-WebSocket-*) or a head above WSP_HEAD_MAX returns NULL and sets `fault` to a static
 * sentence; so does want of memory. Appends the request to `out`, all of it or nothing. */
struct wsp_client_handshake *wsp_client_handshake_new(const struct wsp_client_request *request, const uint8_t key[16],
                                                      struct wsp_buffer *out, const char **fault);
void wsp_client_handshake_free(struct wsp_client_handshake *handshake);

enum wsp_handshake_result wsp_client_handshake_feed(struct wsp_client_handshake *handshake, const uint8_t *octets,
                                                    size_t length, size_t *consumed);

/* After DONE, or REFUSED once a status line was read (0 before). */
unsigned wsp_client_handshake_status(const struct wsp_client_handshake *handshake);
/* After REFUSED: one sentence for people, static storage. */
const char *wsp_client_handshake_fault(const struct wsp_client_handshake *handshake);
/* The subprotocol that the server chose; absent when it chose none. */
struct wsp_slice wsp_client_handshake_protocol(const struct wsp_client_handshake *handshake);
/* After DONE: what was agreed about compression; not `agreed` when it was not offered or not taken. */
struct wsp_deflate_terms wsp_client_handshake_deflate(const struct wsp_client_handshake *handshake);
/* The response's headers, after DONE or REFUSED. */
size_t wsp_client_handshake_header_count(const struct wsp_client_handshake *handshake);
struct wsp_header wsp_client_handshake_header(const struct wsp_client_handshake *handshake, size_t index);
