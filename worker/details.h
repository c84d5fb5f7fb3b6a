/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the worker remembers of a peer and seldom needs: its address, and once it is open the texts of its opening handshake, for the list
 * of connections. One allocation of exactly the size that takes, packed. The headers are told once, with CONNECT, and not kept.
 */
#pragma once

#include "channel/record.h"
#include "websocket/server-handshake.h"
#include "worker/address.h"

struct wsw_details;

/* Of a peer that has just arrived. NULL without memory. */
struct wsw_details *wsw_details_new(const struct wsw_address *address);

/* Of one that opens now; `subject` of its certificate, or empty. The details from its arrival stay as they are. NULL without memory. */
struct wsw_details *wsw_details_of_open(const struct wsw_details *arrival, const struct wsp_server_handshake *handshake,
                                        struct wsp_slice protocol, struct wsp_slice subject);

struct wsw_address wsw_details_address(const struct wsw_details *details);

/* Tells what there is in `connect`; its five texts point into the details. Of an open peer. */
void wsw_details_describe(const struct wsw_details *details, struct wsc_connect *connect);
