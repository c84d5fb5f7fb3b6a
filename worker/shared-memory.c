/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/shared-memory.h"

#include "channel/integer.h"
#include "worker/heap.h"
#include "worker/peer.h"
#include "worker/sending.h"
#include "worker/server.h"

#include <stdlib.h>
#include <string.h>

void wsw_shared_free(struct wsw_shared *shared) {
  if (!shared)
    return;
  wsc_arena_unmap(&shared->events);
  wsc_arena_view_unmap(&shared->commands);
  free(shared);
}

struct wsw_shared *wsw_shared_new(int events, int commands, size_t size) {
  struct wsw_shared *shared = calloc(1, sizeof *shared);
  if (shared && wsc_arena_map(&shared->events, events, size) && wsc_arena_view_map(&shared->commands, commands, size))
    return shared;
  wsw_shared_free(shared);
  return NULL;
}

/* --- Gathering --- */

static uint64_t offset_of(const struct wsw_shared *shared, const uint8_t *octets) {
  return (uint64_t)(octets - shared->events.octets);
}

static bool holds(const struct wsw_shared *shared, const uint8_t *octets) {
  return shared && wsc_arena_holds(&shared->events, octets);
}

static uint8_t *take_range(struct wsw_shared *shared, size_t size) {
  uint64_t offset;
  bool may = shared && !shared->leaves && size >= WSW_BULK_MIN;
  return may ? wsc_arena_take(&shared->events, size, &offset) : NULL;
}

static void give_back(struct wsw_shared *shared, uint8_t *octets) {
  if (holds(shared, octets))
    wsc_arena_drop(&shared->events, offset_of(shared, octets));
  else
    free(octets);
}

uint8_t *wsw_shared_gather(void *user, uint8_t *octets, size_t size, size_t new_size) {
  struct wsw_server *server = user;
  struct wsw_shared *shared = server->channel.shared;
  if (new_size == 0) {
    give_back(shared, octets);
    return NULL;
  }
  bool was_shared = holds(shared, octets);
  if (was_shared && !shared->leaves && wsc_arena_resize(&shared->events, offset_of(shared, octets), new_size))
    return octets;
  uint8_t *other = take_range(shared, new_size);
  if (!other && !was_shared)
    return realloc(octets, new_size);
  if (!other && !(other = malloc(new_size)))
    return NULL;
  if (size)
    memcpy(other, octets, size < new_size ? size : new_size);
  give_back(shared, octets);
  return other;
}

void wsw_shared_leave(struct wsw_server *server) {
  struct wsw_shared *shared = server->channel.shared;
  if (!shared)
    return;
  shared->leaves = true;
  for (struct wsw_peer *peer = server->peers.open.oldest; peer; peer = peer->younger)
    if (!wsp_connection_gather_anew(&peer->connection)) {
      wsw_server_fail(server, WSW_EXIT_MEMORY, "no memory for what peers have sent in part");
      return; /* and what is mapped goes with the process */
    }
  server->channel.shared = NULL;
  wsw_shared_free(shared);
}

/* --- Messages of peers --- */

/* Where the message lies in the arena, and is not the peer's any more; false where it is not there, or not to be had. */
static bool adopt(struct wsw_peer *peer, const struct wsp_event *event, uint64_t *offset) {
  struct wsw_shared *shared = wsw_server_of(peer)->channel.shared;
  if (!holds(shared, event->data) || !wsp_connection_take_message(&peer->connection, event))
    return false;
  *offset = offset_of(shared, event->data);
  (void)wsc_arena_resize(&shared->events, *offset, event->length); /* never more than it was */
  return true;
}

static bool copy(struct wsw_shared *shared, const struct wsp_event *event, uint64_t *offset) {
  uint8_t *room = event->length >= WSC_SHARED_MIN ? wsc_arena_take(&shared->events, event->length, offset) : NULL;
  if (room)
    memcpy(room, event->data, event->length);
  return room;
}

bool wsw_shared_message(struct wsw_peer *peer, const struct wsc_header *header, const struct wsp_event *event) {
  struct wsw_server *server = wsw_server_of(peer);
  struct wsw_shared *shared = server->channel.shared;
  struct wsc_shared where = {.length = event->length};
  if (!shared || !(adopt(peer, event, &where.offset) || copy(shared, event, &where.offset)))
    return false;
  wsc_arena_give(&shared->events, where.offset);
  struct wsc_header said = *header;
  said.type = WSC_SHARED_MESSAGE;
  uint8_t body[WSC_SHARED_SIZE];
  wsc_shared_encode(&where, body);
  wsw_channel_event(server, &said, body, sizeof body);
  shared->unsaid += event->length;
  wsw_heap_expect_shared(server);
  return true;
}

/* --- Messages of the app --- */

static const char *send_text(struct wsw_peer *peer, const uint8_t *data, size_t length, bool wants_credit) {
  uint8_t *copy = malloc(length);
  if (!copy) {
    wsw_server_fail(wsw_server_of(peer), WSW_EXIT_MEMORY, "no memory for a message of the app side");
    return NULL;
  }
  memcpy(copy, data, length);
  const char *fault = wsw_sending_message(peer, true, copy, length, wants_credit);
  free(copy);
  return fault;
}

static const char *send_message(struct wsw_peer *peer, const struct wsc_header *header, const uint8_t *data,
                                size_t length) {
  bool wants_credit = header->flags & WSC_FLAG_WANT_CREDIT;
  return header->flags & WSC_FLAG_TEXT ? send_text(peer, data, length, wants_credit)
                                       : wsw_sending_message(peer, false, data, length, wants_credit);
}

const char *wsw_shared_take_send(struct wsw_server *server, const struct wsc_record *record) {
  struct wsw_shared *shared = server->channel.shared;
  struct wsc_shared where;
  struct wsw_peer *peer;
  wsc_shared_decode(record->body, &where);
  const uint8_t *data = wsc_arena_view_find(&shared->commands, &where);
  if (!data)
    return "a message that lies beyond the shared memory";
  const char *fault = wsw_channel_find_peer(server, record->header.connection, &peer);
  if (!fault && peer)
    fault = send_message(peer, &record->header, data, (size_t)where.length);
  if (fault)
    return fault;
  if (shared->done.count == WSC_RELEASES_MAX)
    wsw_channel_tell_done(server);
  (void)wsc_releases_add(&shared->done, where.offset);
  return NULL;
}

/* What a peer sent goes on to a peer as it is: nobody but this process can have changed it, so text need not be copied before it is
 * checked. The range stays the app side's. */
const char *wsw_shared_take_forward(struct wsw_server *server, const struct wsc_record *record) {
  const struct wsc_header *header = &record->header;
  struct wsc_shared where;
  struct wsw_peer *peer;
  wsc_shared_decode(record->body, &where);
  const uint8_t *data = wsc_arena_find_given(&server->channel.shared->events, &where);
  if (!data)
    return "a message to be forwarded that is not the app side's";
  const char *fault = wsw_channel_find_peer(server, header->connection, &peer);
  if (fault || !peer)
    return fault;
  return wsw_sending_message(peer, header->flags & WSC_FLAG_TEXT, data, (size_t)where.length,
                             header->flags & WSC_FLAG_WANT_CREDIT);
}

const char *wsw_shared_take_release(struct wsw_server *server, const struct wsc_record *record) {
  for (size_t at = 0; at < record->header.size; at += 8)
    if (!wsc_arena_release(&server->channel.shared->events, wsc_get_u64(record->body + at)))
      return "a release of what is not the app side's";
  return NULL;
}
