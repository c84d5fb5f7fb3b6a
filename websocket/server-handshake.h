/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's half of the opening handshake (RFC 6455 section 4.2), without I/O.
 *
 * Feed octets as they come: wsp_server_handshake_feed() takes any split of the input, keeps the head in a buffer
 * of its own (bounded by WSP_HEAD_MAX) and says MORE, DONE or REFUSED. After DONE the request's parts can be read, the
 * user decides (limits, Origin, ...), and writes either the 101 response or a refusal. Octets behind the head belong
 * to the connection: `consumed` tells.
 *
 * Faults are reported as early as they are proven: of syntax at the octet (so a TLS ClientHello fails at its
 * first), of a line's meaning (method, version, repeated header, a body) at the end of the line, what is missing or
 * does not fit at the end of the head. Later octets cannot change the verdict.
 *
 * Strict by design (RFC 6455 section 4.2.1, RFC 9112): refused with a status and a sentence that names the fault are
 *   400  what is no HTTP; bare LF or CR, obsolete line folding, white space before a colon, control characters,
 *        an empty line before the request line; a target that is neither a path nor an absolute http(s) URL;
 *        missing, empty or repeated Host; repeated Upgrade, Origin, Sec-WebSocket-Key or Sec-WebSocket-Version;
 *        a missing or malformed key; Connection without "upgrade"; malformed lists; a request body
 *   405  another method than GET
 *   426  a request that is no upgrade to "websocket", HTTP/1.0 (which cannot upgrade), and another
 *        Sec-WebSocket-Version than 13 or none
 *   431  a head above WSP_HEAD_MAX, a target above WSP_TARGET_MAX, more than WSP_HEADERS_MAX headers
 *   503  no memory
 *   505  another major version of HTTP than 1
 * Host before the upgrade, the upgrade before version and key: the first that fails is reported.
 * Connection, Sec-WebSocket-Protocol and Sec-WebSocket-Extensions may come in several lines. Offers of
 * extensions are checked for their grammar; one of permessage-deflate can be taken, all others are ignored.
 *
 * All slices point into the handshake's own buffer and live until wsp_server_handshake_free().
 */
#pragma once

#include "websocket/buffer.h"
#include "websocket/deflate-terms.h"
#include "websocket/http-head.h"
#include "websocket/http-refusal.h"
#include "websocket/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wsp_handshake_result {
  WSP_HANDSHAKE_MORE,    /* everything given was consumed and was right so far */
  WSP_HANDSHAKE_DONE,    /* a whole and valid head; octets beyond `consumed` are frames */
  WSP_HANDSHAKE_REFUSED, /* server: send wsp_http_refusal() with `status`; client: fail the connection */
};

struct wsp_server_handshake; /* opaque, about 17 KiB at most while a head is being read */

/* Returns NULL without memory. Free with wsp_server_handshake_free(). */
struct wsp_server_handshake *wsp_server_handshake_new(void);
void wsp_server_handshake_free(struct wsp_server_handshake *handshake);

/* Computes one Sec-WebSocket-Accept, so that whatever libcrypto loads at its first digest is loaded: for a process that
 * is about to lock itself in. False when libcrypto has no SHA-1; no handshake could succeed then. */
bool wsp_handshake_prepare(void);

/* `consumed` is how many octets of `octets` belong to the head (all of them for MORE). */
enum wsp_handshake_result wsp_server_handshake_feed(struct wsp_server_handshake *handshake, const uint8_t *octets,
                                                    size_t length, size_t *consumed);

/* After REFUSED: the HTTP status (400, 405, 426, 431, 503, 505) and one sentence for people, static storage. */
unsigned wsp_server_handshake_status(const struct wsp_server_handshake *handshake);
const char *wsp_server_handshake_fault(const struct wsp_server_handshake *handshake);

/* After DONE. Path and query are the two halves of the request-target as sent (percent-encoded, visible ASCII);
 * the query is without its "?", `text` NULL when there is none. An absolute-form target (http://host/path) is
 * accepted and reduced to its path. */
struct wsp_slice wsp_server_handshake_path(const struct wsp_server_handshake *handshake);
struct wsp_slice wsp_server_handshake_query(const struct wsp_server_handshake *handshake);
/* Value of Origin; `text` NULL when the peer sent none. More than one Origin is a fault. */
struct wsp_slice wsp_server_handshake_origin(const struct wsp_server_handshake *handshake);
size_t wsp_server_handshake_header_count(const struct wsp_server_handshake *handshake);
struct wsp_header wsp_server_handshake_header(const struct wsp_server_handshake *handshake, size_t index);

/* The subprotocols offered, in the peer's order, over all Sec-WebSocket-Protocol headers. */
size_t wsp_server_handshake_protocol_count(const struct wsp_server_handshake *handshake);
struct wsp_slice wsp_server_handshake_protocol(const struct wsp_server_handshake *handshake, size_t index);

/* Chooses from `supported`, a comma list in the server's order of preference ("chat, superchat"). `chosen` is set
 * to the first entry of `supported` that the peer offered (pointing into `supported`), or to an absent slice.
 * Returns false when the peer offered some, `supported` is not empty and none matches: refuse with 400. Names are
 * case-sensitive. */
bool wsp_server_handshake_choose_protocol(const struct wsp_server_handshake *handshake, const char *supported,
                                          struct wsp_slice *chosen);

/* Takes the first acceptable offer of permessage-deflate, over all Sec-WebSocket-Extensions headers; the response
 * will say so. The terms are not `agreed` when there is none. Not called: no extension is used. `keep_context` false
 * rules context takeover out. */
struct wsp_deflate_terms wsp_server_handshake_choose_deflate(struct wsp_server_handshake *handshake, bool keep_context);

/* Appends the 101 response with Sec-WebSocket-Accept, the terms of compression if some were chosen and, unless absent
 * or empty, the chosen subprotocol (at most WSP_PROTOCOL_NAME_MAX octets). False without memory or for a protocol that is longer. */
bool wsp_server_handshake_accept(const struct wsp_server_handshake *handshake, struct wsp_slice protocol,
                                 struct wsp_buffer *out);
