/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's half of the opening handshake (RFC 6455 section 4.2), without I/O.
 *
 * Feed octets as they come: wsp_server_handshake_feed() takes any split of the input, keeps the head in a buffer
 * of its own (bounded by WSP_HEAD_MAX) and says MORE, DONE or REFUSED. A fault is reported at the earliest octet
 * that proves it. After DONE the request's parts can be read, the user decides (limits, Origin, ...), and writes
 * either the 101 response or a refusal. Octets behind the head belong to the connection: `consumed` tells.
 *
 * Strict by design: bare LF, obsolete line folding, a repeated Host, Upgrade, Sec-WebSocket-Key or
 * Sec-WebSocket-Version, white space before a colon, control characters in values, a request body and HTTP
 * below 1.1 are refused, each with a status and a sentence that names the fault.
 *
 * All slices point into the handshake's own buffer and live until wsp_server_handshake_clear().
 */
#pragma once

#include "websocket/buffer.h"
#include "websocket/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wsp_slice {
  const char *text; /* not terminated; NULL when absent */
  size_t length;
};

struct wsp_header {
  struct wsp_slice name;  /* in lower case */
  struct wsp_slice value; /* without surrounding white space; may be empty; may hold octets 0x80-0xFF */
};

enum wsp_handshake_result {
  WSP_HANDSHAKE_MORE,    /* everything given was consumed and was right so far */
  WSP_HANDSHAKE_DONE,    /* a whole and valid head; octets beyond `consumed` are frames */
  WSP_HANDSHAKE_REFUSED, /* server: send wsp_http_refusal() with `status`; client: fail the connection */
};

struct wsp_server_handshake; /* opaque, about 17 KiB at most while a head is being read */

/* Returns NULL without memory. Free with wsp_server_handshake_free(). */
struct wsp_server_handshake *wsp_server_handshake_new(void);
void wsp_server_handshake_free(struct wsp_server_handshake *handshake);

/* `consumed` is how many octets of `octets` belong to the head (all of them for MORE). */
enum wsp_handshake_result wsp_server_handshake_feed(struct wsp_server_handshake *handshake, const uint8_t *octets,
                                                    size_t length, size_t *consumed);

/* After REFUSED: the HTTP status (400, 405, 426, 431, 505) and one sentence for people, static storage. */
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

/* Chooses from `supported`, a comma list in the server's order of preference ("chat, superchat"). `chosen` is set to the
 * first entry of `supported` that the peer offered (pointing into `supported`), or to an absent slice. Returns false
 * when the peer offered some, `supported` is not empty and none matches: refuse with 400. Names are case-sensitive. */
bool wsp_server_handshake_choose_protocol(const struct wsp_server_handshake *handshake, const char *supported,
                                          struct wsp_slice *chosen);

/* Appends the 101 response with Sec-WebSocket-Accept and, unless absent, the chosen subprotocol (at most 256
 * octets). False without memory. */
bool wsp_server_handshake_accept(const struct wsp_server_handshake *handshake, struct wsp_slice protocol,
                                 struct wsp_buffer *out);

/* Appends a whole HTTP/1.1 response that ends the connection: status line, Connection: close, Content-Length,
 * Content-Type: text/plain; charset=utf-8, then "sentence\n". 426 adds Upgrade: websocket and
 * Sec-WebSocket-Version: 13, 429 and 503 add Retry-After when `retry_after` (seconds) is not 0. The sentence is cut
 * so that the whole stays within WSP_RESPONSE_MAX. False without memory. */
bool wsp_http_refusal(struct wsp_buffer *out, unsigned status, const char *sentence, unsigned retry_after);
