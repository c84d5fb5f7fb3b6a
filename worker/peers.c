/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/peers.h"

#include "worker/peer.h"

#include <stdlib.h>

#define FIRST_CAPACITY 16u

void wsw_peers_clear(struct wsw_peers *peers) {
  free(peers->table);
  *peers = (struct wsw_peers){0};
}

static void link_peer(struct wsw_peer **list, struct wsw_peer *peer) {
  peer->previous = NULL;
  peer->next = *list;
  if (peer->next)
    peer->next->previous = peer;
  *list = peer;
}

static void unlink_peer(struct wsw_peer **list, struct wsw_peer *peer) {
  if (peer->next)
    peer->next->previous = peer->previous;
  if (peer->previous)
    peer->previous->next = peer->next;
  else
    *list = peer->next;
  peer->previous = peer->next = NULL;
}

void wsw_peers_add(struct wsw_peers *peers, struct wsw_peer *peer) {
  link_peer(&peers->reading, peer);
  peers->total++;
}

static void unlink_paused(struct wsw_peers *peers, struct wsw_peer *peer) {
  if (peers->last_paused == peer)
    peers->last_paused = peer->previous;
  unlink_peer(&peers->paused, peer);
}

void wsw_peers_remove(struct wsw_peers *peers, struct wsw_peer *peer) {
  if (peer->paused)
    unlink_paused(peers, peer);
  else
    unlink_peer(&peers->reading, peer);
  peers->total--;
}

void wsw_peers_pause(struct wsw_peers *peers, struct wsw_peer *peer) {
  if (peer->paused)
    return;
  unlink_peer(&peers->reading, peer);
  peer->paused = true;
  peer->previous = peers->last_paused;
  if (peer->previous)
    peer->previous->next = peer;
  else
    peers->paused = peer;
  peers->last_paused = peer;
}

struct wsw_peer *wsw_peers_resume_one(struct wsw_peers *peers) {
  struct wsw_peer *peer = peers->paused;
  if (!peer)
    return NULL;
  unlink_paused(peers, peer);
  peer->paused = false;
  link_peer(&peers->reading, peer);
  return peer;
}

/* Ids are consecutive numbers, so their low bits spread perfectly. */
static uint32_t home(const struct wsw_peers *peers, uint64_t id) {
  return (uint32_t)id & (peers->capacity - 1);
}

static uint32_t place_of(const struct wsw_peers *peers, uint64_t id) {
  uint32_t place = home(peers, id);
  while (peers->table[place] && peers->table[place]->id != id)
    place = (place + 1) & (peers->capacity - 1);
  return place;
}

static bool resize(struct wsw_peers *peers, uint32_t capacity) {
  struct wsw_peers other = *peers;
  other.table = calloc(capacity, sizeof *other.table);
  if (!other.table)
    return false;
  other.capacity = capacity;
  for (uint32_t i = 0; i < peers->capacity; i++)
    if (peers->table[i])
      other.table[place_of(&other, peers->table[i]->id)] = peers->table[i];
  free(peers->table);
  *peers = other;
  return true;
}

bool wsw_peers_open(struct wsw_peers *peers, struct wsw_peer *peer) {
  if ((peers->open + 1) * 3 > peers->capacity * 2 &&
      !resize(peers, peers->capacity ? peers->capacity * 2 : FIRST_CAPACITY))
    return false;
  peers->table[place_of(peers, peer->id)] = peer;
  peers->open++;
  peer->older = peers->youngest;
  peer->younger = NULL;
  if (peer->older)
    peer->older->younger = peer;
  else
    peers->oldest = peer;
  peers->youngest = peer;
  return true;
}

static void forget_id(struct wsw_peers *peers, uint64_t id) {
  uint32_t mask = peers->capacity - 1;
  uint32_t gap = place_of(peers, id);
  peers->table[gap] = NULL;
  for (uint32_t place = (gap + 1) & mask; peers->table[place]; place = (place + 1) & mask) {
    uint32_t distance = (place - home(peers, peers->table[place]->id)) & mask;
    if (distance < ((place - gap) & mask))
      continue;
    peers->table[gap] = peers->table[place];
    peers->table[place] = NULL;
    gap = place;
  }
}

void wsw_peers_close(struct wsw_peers *peers, struct wsw_peer *peer) {
  forget_id(peers, peer->id);
  peers->open--;
  if (peer->older)
    peer->older->younger = peer->younger;
  else
    peers->oldest = peer->younger;
  if (peer->younger)
    peer->younger->older = peer->older;
  else
    peers->youngest = peer->older;
  peer->older = peer->younger = NULL;
  if (peers->capacity > FIRST_CAPACITY && peers->open < peers->capacity / 8)
    (void)resize(peers, peers->capacity / 2); /* without memory it simply stays large */
}

struct wsw_peer *wsw_peers_find(const struct wsw_peers *peers, uint64_t id) {
  return peers->capacity ? peers->table[place_of(peers, id)] : NULL;
}

struct wsw_peer *wsw_peers_first_after(const struct wsw_peers *peers, uint64_t after) {
  struct wsw_peer *peer = wsw_peers_find(peers, after);
  if (peer)
    return peer->younger;
  for (peer = peers->oldest; peer && peer->id <= after; peer = peer->younger)
    ;
  return peer;
}
