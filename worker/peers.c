/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/peers.h"

#include "worker/limits.h"
#include "worker/peer.h"

#include <stdlib.h>

#define FIRST_CAPACITY 16u

void wsw_peers_clear(struct wsw_peers *peers) {
  free(peers->table);
  *peers = (struct wsw_peers){0};
}

void wsw_line_append(struct wsw_line *line, struct wsw_peer *peer) {
  peer->older = line->youngest;
  peer->younger = NULL;
  if (peer->older)
    peer->older->younger = peer;
  else
    line->oldest = peer;
  line->youngest = peer;
}

void wsw_line_remove(struct wsw_line *line, struct wsw_peer *peer) {
  if (peer->older)
    peer->older->younger = peer->younger;
  else
    line->oldest = peer->younger;
  if (peer->younger)
    peer->younger->older = peer->older;
  else
    line->youngest = peer->older;
  peer->older = peer->younger = NULL;
}

void wsw_queue_append(struct wsw_queue *queue, struct wsw_peer *peer) {
  peer->next_queued = NULL;
  if (queue->last)
    queue->last->next_queued = peer;
  else
    queue->first = peer;
  queue->last = peer;
}

struct wsw_peer *wsw_queue_take(struct wsw_queue *queue) {
  struct wsw_peer *peer = queue->first;
  if (!peer)
    return NULL;
  queue->first = peer->next_queued;
  if (!queue->first)
    queue->last = NULL;
  peer->next_queued = NULL;
  return peer;
}

void wsw_pile_add(struct wsw_pile *pile, struct wsw_peer *peer) {
  if (pile->count == pile->capacity) {
    uint32_t capacity = pile->capacity ? pile->capacity * 2 : FIRST_CAPACITY;
    struct wsw_peer **peers = realloc(pile->peers, capacity * sizeof *peers);
    if (!peers) {
      pile->is_short = true;
      return;
    }
    pile->peers = peers;
    pile->capacity = capacity;
  }
  pile->peers[pile->count++] = peer;
}

void wsw_pile_clear(struct wsw_pile *pile) {
  pile->count = 0;
  pile->is_short = false;
  if (pile->capacity <= WSW_PILE_KEPT)
    return;
  free(pile->peers);
  *pile = (struct wsw_pile){0};
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
  if ((peers->open_count + 1) * 3 > peers->capacity * 2 &&
      !resize(peers, peers->capacity ? peers->capacity * 2 : FIRST_CAPACITY))
    return false;
  peers->table[place_of(peers, peer->id)] = peer;
  peers->open_count++;
  wsw_line_append(&peers->open, peer);
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
  peers->open_count--;
  wsw_line_remove(&peers->open, peer);
  if (peers->capacity > FIRST_CAPACITY && peers->open_count < peers->capacity / 8)
    (void)resize(peers, peers->capacity / 2); /* without memory it simply stays large */
}

struct wsw_peer *wsw_peers_find(const struct wsw_peers *peers, uint64_t id) {
  return peers->capacity ? peers->table[place_of(peers, id)] : NULL;
}

struct wsw_peer *wsw_peers_first_after(const struct wsw_peers *peers, uint64_t after) {
  struct wsw_peer *peer = wsw_peers_find(peers, after);
  if (peer)
    return peer->younger;
  for (peer = peers->open.oldest; peer && peer->id <= after; peer = peer->younger)
    ;
  return peer;
}
