/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zlib's streams, shared by all connections that share their settings, and the budget for what connections remember.
 *
 * A zlib stream is large (a deflater with a window of 32 KiB takes 150 KiB, an inflater 40 KiB), and between two
 * messages all that matters of it is the window's content. So no connection owns one: a message is compressed with the
 * one deflater of that window size, made on first use and then kept (all together: WSP_DEFLATERS_COST), after telling it what the connection sent before (its
 * history, see deflate.h). A message that arrives borrows an inflater until it is whole.
 *
 * The budget counts octets of histories: a connection reserves what it may have to remember when terms are agreed
 * that keep context, and takes what it would like to remember only while there is some left. When
 * wsp_deflate_pool_has_room() says no, new connections are to be agreed without context takeover.
 *
 * Plain C, no locks: one thread at a time.
 */
#pragma once

#include "websocket/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WSP_DEFLATE_TAIL 4 /* 00 00 ff ff, which end every flush and are cut off (RFC 7692 section 7.2.1) */

struct wsp_deflate_pool;
struct wsp_inflater;

/* `histories_max` octets may be remembered over all connections. NULL without memory. */
struct wsp_deflate_pool *wsp_deflate_pool_new(size_t histories_max);
/* After all connections that used it have been cleared. NULL is fine. */
void wsp_deflate_pool_free(struct wsp_deflate_pool *pool);

/* ---- The budget ---- */

/* Whether there is room for one more connection with context takeover, whatever its window. */
bool wsp_deflate_pool_has_room(const struct wsp_deflate_pool *pool);
bool wsp_deflate_pool_reserve(struct wsp_deflate_pool *pool, size_t octets);
void wsp_deflate_pool_release(struct wsp_deflate_pool *pool, size_t octets);
size_t wsp_deflate_pool_reserved(const struct wsp_deflate_pool *pool);

/* ---- Compressing ---- */

/* What goes before a message: the compressor may refer to it. */
struct wsp_octets {
  const uint8_t *octets;
  size_t length;
};

/* Compresses a message of at most WSP_DEFLATE_MAX octets to `room`, which has space for message.length + WSP_DEFLATE_TAIL, and never
 * refers back further than 2^bits octets (8 to 15). Returns how many octets there are without that tail, or 0: there is no memory, or it would not become
 * smaller, or a long one does not look as if it would. */
size_t wsp_deflate_pool_compress(struct wsp_deflate_pool *pool, uint8_t bits, struct wsp_octets history,
                                 struct wsp_octets message, uint8_t *room);

/* ---- Decompressing ---- */

/* An inflater at the beginning of a message behind that history; NULL without memory. */
struct wsp_inflater *wsp_inflater_take(struct wsp_deflate_pool *pool, struct wsp_octets history);
void wsp_inflater_give_back(struct wsp_deflate_pool *pool, struct wsp_inflater *inflater);

enum wsp_inflate_result {
  WSP_INFLATE_MORE,    /* all of `input` is used up, and what it makes is in `to` */
  WSP_INFLATE_FULL,    /* `to` is full: there may be more */
  WSP_INFLATE_DAMAGED, /* this is no deflate data; what came before is in `to` */
};

/* Inflates from `input`, which is moved on, to `to`; `made` is how many octets. */
enum wsp_inflate_result wsp_inflater_run(struct wsp_inflater *inflater, struct wsp_octets *input, uint8_t *to,
                                         size_t room, size_t *made);

/* Section 7.2.2: with the four octets that the sender cut off, the message has to end at the end of a block. Nothing
 * may be inflated afterwards. */
bool wsp_inflater_finish(struct wsp_inflater *inflater);
