/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What two endpoints agree on for permessage-deflate (RFC 7692 section 7.1), as Sec-WebSocket-Extensions tells it:
 * the server takes the first offer it can, the client holds the answer to the letter. Values have been checked for
 * the grammar of the header already (wsp_is_extension_list()).
 *
 * An offer is declined, and the next one looked at, when it has a parameter that is unknown, given twice, or has a
 * value that the RFC does not allow. A parameter's value may be quoted. Names are compared as they are written.
 */
#pragma once

#include "websocket/http-head.h"
#include "websocket/limits.h"

#include <stdbool.h>
#include <stdint.h>

#define WSP_WINDOW_BITS_MIN 8
#define WSP_WINDOW_BITS_MAX 15

struct wsp_deflate_terms {
  bool agreed;             /* all else is meaningless without */
  bool server_no_takeover; /* the server compresses each message by itself ... */
  bool client_no_takeover; /* ... and so does the client */
  bool names_server_bits;  /* the answer has server_max_window_bits ... */
  bool names_client_bits;  /* ... or client_max_window_bits */
  uint8_t server_bits;     /* 8 to 15: log2 of how far back the server refers ... */
  uint8_t client_bits;     /* ... and the client */
};

/* Takes the first acceptable offer of one header line. False, and terms untouched, when there is none. With
 * `keep_context` false, terms are without context takeover in both directions, which a server may always ask for. */
bool wsp_deflate_terms_choose(struct wsp_slice line, bool keep_context, struct wsp_deflate_terms *terms);

/* Writes the value that answers the offer, terminated. */
#define WSP_DEFLATE_TERMS_MAX 144
void wsp_deflate_terms_write(const struct wsp_deflate_terms *terms, char text[WSP_DEFLATE_TERMS_MAX]);

/* What this engine offers as a client: any window, any takeover. */
#define WSP_DEFLATE_OFFER "permessage-deflate; client_max_window_bits"

/* Reads the server's answer to WSP_DEFLATE_OFFER: NULL, or a static sentence that says why it must be refused. */
const char *wsp_deflate_terms_read_answer(struct wsp_slice value, struct wsp_deflate_terms *terms);
