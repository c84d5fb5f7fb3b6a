/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens, hosts and comma lists in header values (RFC 9110 sections 5.6.1, 5.6.2 and 7.2), and the grammar of
 * Sec-WebSocket-Extensions (RFC 6455 section 9.1). Works on slices and keeps nothing.
 */
#pragma once

#include "websocket/http-head.h"

bool wsp_is_token_octet(uint8_t octet);
bool wsp_is_token(struct wsp_slice slice); /* one octet at least */

/* uri-host [ ":" port ] as far as its alphabet goes (RFC 3986 section 3.2.2); one octet at least. */
bool wsp_is_host(struct wsp_slice host);

struct wsp_slice wsp_slice_from(const char *text);
bool wsp_slice_is(struct wsp_slice slice, const char *text);               /* exactly */
bool wsp_slice_is_ignoring_case(struct wsp_slice slice, const char *text); /* ASCII case */
bool wsp_slice_equals(struct wsp_slice a, struct wsp_slice b);

/* Cuts the next element off the front of `rest`, without the white space around it; it may be empty. Returns false
 * when nothing is left. An empty value has one element, which is empty; an absent one has none. */
bool wsp_list_next(struct wsp_slice *rest, struct wsp_slice *element);

/* Is `token` in the comma list, whatever its case? `*malformed` is set (never cleared) when an element is no token,
 * or token "/" token as Upgrade allows. Empty elements are skipped: RFC 9110 tells recipients to. */
bool wsp_list_has_token(struct wsp_slice list, const char *token, bool *malformed);

/* Does the value follow the grammar: extension-list of 1#extension, each a token with parameters? No empty elements. */
bool wsp_is_extension_list(struct wsp_slice value);

/* Goes through a value that follows that grammar. The first cuts the next extension off the front of `rest` into its
 * name and its parameters; the second cuts the next parameter off those. `value` is without its quotes (it may still hold
 * backslashes), absent when the parameter has none. False at the end. */
bool wsp_extension_next(struct wsp_slice *rest, struct wsp_slice *name, struct wsp_slice *parameters);
bool wsp_extension_parameter_next(struct wsp_slice *parameters, struct wsp_slice *name, struct wsp_slice *value);
