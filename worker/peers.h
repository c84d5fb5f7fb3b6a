/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All peers of the worker. Each is in one of two lists: those that are read, and those that had something to say while
 * reading was paused. Of these the one that has waited longest is read first, or those who always have something to say would
 * keep the others from being heard. Peers whose connection the app side knows are also found by id, and stand in the order of their ids.
 * The table owns nothing: a peer puts itself in and takes itself out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wsw_peer;

struct wsw_peers {
  struct wsw_peer *reading, *paused;
  struct wsw_peer *last_paused;
  uint32_t total; /* in both lists */
  struct wsw_peer *oldest, *youngest;
  struct wsw_peer **table; /* open addressing; a power of two */
  uint32_t open, capacity;
};

void wsw_peers_clear(struct wsw_peers *peers);

void wsw_peers_add(struct wsw_peers *peers, struct wsw_peer *peer);
void wsw_peers_remove(struct wsw_peers *peers, struct wsw_peer *peer);
/* From the list of those that are read to the list of the paused. */
void wsw_peers_pause(struct wsw_peers *peers, struct wsw_peer *peer);
/* The other way round, one of them: NULL when none is paused. */
struct wsw_peer *wsw_peers_resume_one(struct wsw_peers *peers);

/* Makes the peer findable; its id is higher than any before. False without memory. */
bool wsw_peers_open(struct wsw_peers *peers, struct wsw_peer *peer);
void wsw_peers_close(struct wsw_peers *peers, struct wsw_peer *peer);
struct wsw_peer *wsw_peers_find(const struct wsw_peers *peers, uint64_t id);
/* The first with an id above `after`, NULL when there is none. */
struct wsw_peer *wsw_peers_first_after(const struct wsw_peers *peers, uint64_t after);
