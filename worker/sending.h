/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the app side sends to open peers, and the credit it gets back. Each message charges its connection WSC_MESSAGE_COST and its
 * payload; the charge is released when its frame has been written. The functions return NULL or a static sentence that says which
 * rule of the channel the app side broke.
 */
#pragma once

#include "websocket/broadcast.h"
#include "worker/peer.h"

/* Below so many charged octets a queue that was full takes messages again. */
uint32_t wsw_sending_low(const struct wsw_server *server);
/* Whether a message may be sent at all: not to a queue that is full. */
const char *wsw_sending_refusal(const struct wsw_peer *peer);

const char *wsw_sending_message(struct wsw_peer *peer, bool text, const uint8_t *data, size_t length, bool want_credit);
/* One message for one of many peers. `is_last`: nothing more is there that could be gathered with it. */
const char *wsw_sending_broadcast(struct wsw_peer *peer, struct wsp_broadcast *broadcast, bool is_last);
const char *wsw_sending_close(struct wsw_peer *peer, uint16_t code, const uint8_t *reason, size_t length);
void wsw_sending_want_drained(struct wsw_peer *peer);

/* Tells the app side what is owed after something was released: CREDIT, DRAINED. */
void wsw_sending_settle(struct wsw_peer *peer);

/* Charge released of what the app side knows as charged, and what is left of it. */
uint64_t wsw_sending_released(const struct wsw_peer *peer);
uint64_t wsw_sending_queued(const struct wsw_peer *peer);

/* The same, which the app side is about to be told. */
uint64_t wsw_sending_tell_released(struct wsw_peer *peer);

/* A new app side that gets this connection's CONNECT again counts from zero. */
void wsw_sending_count_anew(struct wsw_peer *peer);
