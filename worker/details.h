/* SPDX-License-Identifier: Apache-2.0 */
/* What the worker remembers of a peer's opening handshake, for the list of connections: one allocation of exactly the size it
 * takes. The headers are told once, with CONNECT, and not kept. */
#pragma once

#include "channel/record.h"
#include "websocket/server-handshake.h"

struct wsw_details {
  uint16_t path, query, origin, protocol, subject; /* lengths */
  char text[];
};

/* `subject` of the peer's certificate, or empty. NULL without memory. */
struct wsw_details *wsw_details_new(const struct wsp_server_handshake *handshake, struct wsp_slice protocol,
                                    struct wsp_slice subject);

/* Points the five texts of `connect` into the details. */
void wsw_details_describe(const struct wsw_details *details, struct wsc_connect *connect);
