/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one connection needs for permessage-deflate beside the shared streams of deflate-pool.h: the agreed terms, seen from its
 * role, and for each direction with context takeover a history: the last octets that went compressed. Histories
 * are allocated when the first compressed message has passed and are exactly as long as what there is to remember:
 *
 *   received  as far back as the peer may refer: 4 KiB with a client that takes a smaller window (browsers based on
 *             Chromium, most libraries), 32 KiB with any other
 *   sent      WSP_DEFLATE_SENT_HISTORY_MAX: how far back a compressor refers is its own decision
 *
 * So an idle connection holds sizeof (struct wsp_deflate) before its first compressed message, and at most 4 + 4 (or 32 + 4) KiB
 * more afterwards; without context takeover never more. In the middle of a compressed message it holds an inflater, too.
 */
#pragma once

#include "websocket/deflate-pool.h"
#include "websocket/deflate-terms.h"

struct wsp_history {
  uint8_t *octets; /* exactly `length` */
  uint16_t length, length_max;
};

struct wsp_deflate {
  struct wsp_deflate_pool *pool;
  struct wsp_inflater *inflater; /* while a message arrives */
  uint64_t arrived;              /* compressed octets that this message's frames have promised so far */
  struct wsp_history sent, received;
  uint8_t send_bits;
  bool inflater_is_charged; /* as held in mid-message */
};

/* For terms that are agreed. NULL without memory, or when the budget has not got what the terms promise. */
struct wsp_deflate *wsp_deflate_new(struct wsp_deflate_pool *pool, const struct wsp_deflate_terms *terms,
                                    bool is_client);
/* Gives back everything; NULL is fine. */
void wsp_deflate_free(struct wsp_deflate *deflate);

/* Compresses a message behind what was sent before or by itself, as wsp_deflate_pool_compress(). */
size_t wsp_deflate_compress(struct wsp_deflate *deflate, bool by_itself, const uint8_t *data, size_t length,
                            uint8_t *room);
/* A message was sent compressed, whoever compressed it. */
void wsp_deflate_remember_sent(struct wsp_deflate *deflate, const uint8_t *data, size_t length);

/* The inflater of the message that arrives, taken when there is none yet; NULL without memory. */
struct wsp_inflater *wsp_deflate_inflater(struct wsp_deflate *deflate);
/* The compressed message ended, well or not. */
void wsp_deflate_give_back_inflater(struct wsp_deflate *deflate);
/* A compressed message was received. False without memory: what the peer may refer to cannot be kept. */
bool wsp_deflate_remember_received(struct wsp_deflate *deflate, const uint8_t *data, size_t length);

/* The most octets that a compressed message of that size may have. zlib's worst case is an eighth and a sixty-fourth
 * more than the message. Without such a bound, empty blocks could be sent for ever. */
uint64_t wsp_deflate_bound(uint64_t message_size);
