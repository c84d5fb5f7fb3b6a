/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All peers of the worker. Each stands in one line: with those that have not asked yet (half-open.h), with the open ones in the order of
 * their ids, or apart (refused on arrival, or over). Peers whose connection the app side knows are also found by id.
 *
 * Some wait in a queue besides: those that had something to say while reading was paused, or those of which there is more to be read
 * than they had a turn for. Who has waited longest is read first, or those who always have something to say would keep the others from being heard. A peer that goes while
 * it waits stays where it is, so that nobody has to search the queue; whoever takes it out there frees it. That cannot become many,
 * since nobody is accepted while reading is paused.
 *
 * Lines, queues and table own nothing else: a peer puts itself in and takes itself out.
 */
#pragma once

#include "channel/id-table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wsw_peer;

struct wsw_line {
  struct wsw_peer *oldest, *youngest;
};

struct wsw_queue {
  struct wsw_peer *first, *last;
};

/* Those to be written in this wake-up: seldom more than a few, so they are written down rather than linked. */
struct wsw_pile {
  struct wsw_peer **peers;
  uint32_t count, capacity;
  bool is_short; /* there was no memory to write down everybody */
};

struct wsw_peers {
  struct wsw_line open, apart;
  struct wsw_queue paused;      /* those that had something to say and were not read at all ... */
  struct wsw_queue paused_last; /* ... and those that were, in part: they have their turn behind */
  uint32_t total;               /* in all lines */
  struct wsc_id_table by_id;    /* the open ones */
};

void wsw_line_append(struct wsw_line *line, struct wsw_peer *peer);
void wsw_line_remove(struct wsw_line *line, struct wsw_peer *peer);

/* Only for a peer that is in no queue. */
void wsw_queue_append(struct wsw_queue *queue, struct wsw_peer *peer);
/* NULL when there is none. */
struct wsw_peer *wsw_queue_take(struct wsw_queue *queue);

void wsw_peers_clear(struct wsw_peers *peers);

void wsw_pile_add(struct wsw_pile *pile, struct wsw_peer *peer);
/* Leaves it empty, and the memory of many behind. */
void wsw_pile_clear(struct wsw_pile *pile);

/* Makes the peer findable; its id is higher than any before. False without memory. */
bool wsw_peers_open(struct wsw_peers *peers, struct wsw_peer *peer);
void wsw_peers_close(struct wsw_peers *peers, struct wsw_peer *peer);
struct wsw_peer *wsw_peers_find(const struct wsw_peers *peers, uint64_t id);
/* The first with an id above `after`, NULL when there is none. */
struct wsw_peer *wsw_peers_first_after(const struct wsw_peers *peers, uint64_t after);
