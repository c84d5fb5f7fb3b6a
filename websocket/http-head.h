/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of an HTTP/1 message (RFC 9112), request or response, as both roles of the opening handshake need it.
 *
 * Fed octets in any split, it keeps them in a buffer of its own that grows with what arrived, up to WSP_HEAD_MAX,
 * and stops at each line that is complete, so that its user can judge the line before more is read. It knows syntax
 * only: what a line means is its user's business. A syntax fault is reported at the octet that proves it, which
 * makes anything that is no HTTP at all (a TLS ClientHello, say) fail at its first octet.
 *
 * Stricter than RFC 9112 asks, because leniency between two parsers is what request smuggling is made of: lines end
 * in CR LF only, no empty line before the first line, no line folding, no white space before a colon, no control
 * characters in values.
 *
 * Slices are valid until the next feed and, once the head is DONE, until the head is cleared.
 */
#pragma once

#include "websocket/limits.h"

#include <assert.h>
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

enum wsp_http_event {
  WSP_HTTP_MORE,       /* everything given was consumed and was right so far */
  WSP_HTTP_START_LINE, /* the request line or status line is complete */
  WSP_HTTP_FIELD,      /* one more header field is complete: the last one of header_count */
  WSP_HTTP_DONE,       /* the empty line was read */
  WSP_HTTP_FAULT,      /* see `status` and `fault`; the head cannot be read any further */
};

struct wsp_http_span {
  uint16_t start, length; /* of `text`, which may move while it grows */
};
static_assert(WSP_HEAD_MAX <= UINT16_MAX, "spans hold 16 bits");

struct wsp_http_head {
  char *text; /* what was read; header names in lower case */
  uint16_t length, capacity;
  bool is_response;
  bool start_line_read; /* from START_LINE on */
  uint8_t state;        /* see http-head.c */
  uint8_t header_count;
  uint8_t major, minor; /* of the HTTP version, after START_LINE */
  uint16_t response_status;
  uint16_t status; /* after FAULT: what a server should answer (400, 431, or 503 without memory) */
  const char *fault;
  struct wsp_http_span method, target; /* of a request */
  struct wsp_http_field {
    struct wsp_http_span name, value;
  } fields[WSP_HEADERS_MAX];
};

void wsp_http_head_init(struct wsp_http_head *head, bool is_response);
void wsp_http_head_clear(struct wsp_http_head *head);

/* Adds to *consumed how many octets were read: all of them for MORE, up to the end of the line for the others. Call
 * again with the rest after START_LINE and FIELD. */
enum wsp_http_event wsp_http_head_feed(struct wsp_http_head *head, const uint8_t *octets, size_t length,
                                       size_t *consumed);

struct wsp_slice wsp_http_head_slice(const struct wsp_http_head *head, struct wsp_http_span span);
struct wsp_header wsp_http_head_header(const struct wsp_http_head *head, size_t index);

/* First field of that name (in lower case); an absent slice when there is none. */
struct wsp_slice wsp_http_head_find(const struct wsp_http_head *head, const char *name);
size_t wsp_http_head_count(const struct wsp_http_head *head, const char *name);

/* True for Transfer-Encoding, and for Content-Length of anything but 0: a handshake has no body. */
bool wsp_http_field_means_body(struct wsp_header field);
