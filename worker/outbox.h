/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits to be written to one peer. A peer has an outbox only while something waits; when it is empty again it goes back to the
 * pool, so an idle connection holds none and a busy one allocates nothing.
 *
 * Beside the octets the outbox knows what they were charged: marks say after how many octets which charge is
 * released. Small messages share a mark. Part of a large message releases part of its charge, the last unit only
 * with its last octet, so what counts as released has been written.
 */
#pragma once

#include "websocket/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wsw_mark {
  uint32_t octets;  /* as they go over the wire */
  uint32_t charge;  /* released with them */
  uint32_t control; /* of the octets: replies that the peer provoked */
};

struct wsw_outbox {
  struct wsw_outbox *next; /* in the pool */
  struct wsw_outbox_pool *pool;
  struct wsp_buffer octets;
  struct wsw_mark *marks;
  uint32_t first_mark, end_mark, mark_capacity;
  uint32_t front_written;  /* octets of the first mark that have been written ... */
  uint32_t front_released; /* ... and the part of its charge that has been released */
  uint32_t control;        /* unsent octets of control replies */
  uint64_t charge;         /* not yet released */
  uint64_t progress_at;    /* when enough octets had last left (see WSW_SLOWEST), or they began to wait ... */
  size_t progress;         /* ... and how many since */
  uint64_t credit_at;      /* total charge at which the app side asked for credit; 0: it did not */
  bool sealed;             /* the last mark takes no further message */
};

struct wsw_outbox_pool {
  struct wsw_outbox *spares;
  uint32_t count;
  size_t octets;
  uint64_t held; /* octets that wait in outboxes which are in use */
};

/* NULL without memory. */
struct wsw_outbox *wsw_outbox_take(struct wsw_outbox_pool *pool);
/* Whatever it still holds is forgotten. */
void wsw_outbox_give_back(struct wsw_outbox_pool *pool, struct wsw_outbox *outbox);
void wsw_outbox_pool_clear(struct wsw_outbox_pool *pool);

static inline size_t wsw_outbox_length(const struct wsw_outbox *outbox) {
  return wsp_buffer_length(&outbox->octets);
}

/* Accounts for `octets` that were just appended to outbox->octets. `seal`: the next message begins a new mark. */
void wsw_outbox_added(struct wsw_outbox *outbox, size_t octets, uint32_t charge, size_t control, bool seal);

/* The same of a message of which the first octets are already written and not in the outbox, which was empty before. Returns
 * the charge that was released with them. */
uint64_t wsw_outbox_added_rest(struct wsw_outbox *outbox, size_t written, uint32_t charge);

/* Takes written octets from the front; returns the charge that was released. */
uint64_t wsw_outbox_written(struct wsw_outbox *outbox, size_t octets);

/* The octets stay, their charge is settled otherwise; returns it. */
uint64_t wsw_outbox_forgive(struct wsw_outbox *outbox);
