/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/peers.h"

#include "worker/limits.h"
#include "worker/peer.h"

#include <stddef.h>
#include <stdlib.h>

#define FIRST_CAPACITY 16u

void wsw_peers_clear(struct wsw_peers *peers) {
  wsc_id_table_clear(&peers->by_id);
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

static struct wsw_peer *peer_of(struct wsc_identified *identity) {
  return identity ? (void *)((char *)identity - offsetof(struct wsw_peer, identity)) : NULL;
}

bool wsw_peers_open(struct wsw_peers *peers, struct wsw_peer *peer) {
  if (!wsc_id_table_add(&peers->by_id, &peer->identity))
    return false;
  wsw_line_append(&peers->open, peer);
  return true;
}

void wsw_peers_close(struct wsw_peers *peers, struct wsw_peer *peer) {
  wsc_id_table_remove(&peers->by_id, &peer->identity);
  wsw_line_remove(&peers->open, peer);
}

struct wsw_peer *wsw_peers_find(const struct wsw_peers *peers, uint64_t id) {
  return peer_of(wsc_id_table_find(&peers->by_id, id));
}

struct wsw_peer *wsw_peers_first_after(const struct wsw_peers *peers, uint64_t after) {
  struct wsw_peer *peer = wsw_peers_find(peers, after);
  if (peer)
    return peer->younger;
  for (peer = peers->open.oldest; peer && peer->id <= after; peer = peer->younger)
    ;
  return peer;
}
