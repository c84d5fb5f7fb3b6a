/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP answer to a peer that is not let in. */
#pragma once

#include "websocket/buffer.h"
#include "websocket/limits.h"

/* Appends a whole HTTP/1.1 response that ends the connection: status line, Connection: close, Content-Length,
 * Content-Type: text/plain; charset=utf-8, then "sentence\n". 405 adds Allow: GET, 426 adds Upgrade: websocket and
 * Sec-WebSocket-Version: 13, 429 and 503 add Retry-After when `retry_after` (seconds) is not 0. The sentence is cut
 * (not inside a code point) so that the whole stays within WSP_RESPONSE_MAX. False without memory. */
bool wsp_http_refusal(struct wsp_buffer *out, unsigned status, const char *sentence, unsigned retry_after);
