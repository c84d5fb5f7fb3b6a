/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subprotocol names offered in Sec-WebSocket-Protocol (RFC 6455 sections 1.9 and 4.1 item 10), for both roles: a
 * list of tokens in order of preference, each at most once, over all header lines. Names are case-sensitive. The
 * list points into the text it was read from.
 */
#pragma once

#include "websocket/http-head.h"

struct wsp_protocol_list {
  size_t count;
  struct wsp_slice names[WSP_PROTOCOL_OFFERS_MAX];
};

/* Adds the names of one comma list. Returns NULL, or a static sentence that says what is wrong: an empty element, no
 * token, a name longer than WSP_PROTOCOL_NAME_MAX, offered twice, or too many. */
const char *wsp_protocol_list_add(struct wsp_protocol_list *list, struct wsp_slice value);

bool wsp_protocol_list_has(const struct wsp_protocol_list *list, struct wsp_slice name);
