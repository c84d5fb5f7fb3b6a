/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/farewell.h"

#include "worker/deadlines.h"
#include "worker/server.h"

static void wait(struct wsw_peer *peer) {
  struct wsw_server *server = wsw_server_of(peer);
  struct wsw_farewell *farewell = peer->farewell;
  farewell->awaited = server->channel.store.appended;
  wsw_channel_ask(server);
  farewell->previous = server->last_parting;
  farewell->next = NULL;
  if (server->last_parting)
    server->last_parting->farewell->next = peer;
  else
    server->first_parting = peer;
  server->last_parting = peer;
  peer->parting = true;
  wsw_deadline_set(peer, WSW_FAREWELL_MS);
}

void wsw_farewell_forget(struct wsw_peer *peer) {
  struct wsw_server *server = wsw_server_of(peer);
  struct wsw_farewell *farewell = peer->farewell;
  if (!peer->parting)
    return;
  peer->parting = false;
  if (farewell->previous)
    farewell->previous->farewell->next = farewell->next;
  else
    server->first_parting = farewell->next;
  if (farewell->next)
    farewell->next->farewell->previous = farewell->previous;
  else
    server->last_parting = farewell->previous;
}

/* Only what this side found wrong is explained: the peer knows its own reason. */
static bool append(struct wsw_peer *peer) {
  const struct wsw_farewell *farewell = peer->farewell;
  size_t length = wsp_connection_failed(&peer->connection) ? farewell->length : 0;
  return wsp_connection_close(&peer->connection, farewell->code, farewell->reason, length,
                              &wsw_server_of(peer)->replies) == WSP_SENT &&
         wsw_peer_take_replies(peer, true);
}

void wsw_farewell_say(struct wsw_peer *peer) {
  wsw_farewell_forget(peer);
  bool owed = !wsp_connection_close_sent(&peer->connection);
  if (owed && (!peer->farewell || !append(peer))) {
    wsw_peer_drop(peer);
    return;
  }
  if (wsp_connection_failed(&peer->connection)) {
    wsw_peer_report_closed(peer, false);
    wsw_peer_end(peer);
  }
  wsw_peer_flush(peer);
}

/* The number of its last message is exact for 2^32 events; beyond, the frame may wait in vain. */
static bool awaits_answer(const struct wsw_peer *peer) {
  const struct wsw_server *server = wsw_server_of(peer);
  uint64_t appended = server->channel.store.appended;
  return wsw_channel_awaits(server, appended - ((uint32_t)appended - peer->last_message));
}

void wsw_farewell_begin(struct wsw_peer *peer) {
  struct wsw_server *server = wsw_server_of(peer);
  bool owed = !wsp_connection_close_sent(&peer->connection);
  bool may_wait = owed && peer->farewell && !wsw_server_is_stopping(server);
  if (may_wait && awaits_answer(peer)) {
    wait(peer);
    wsw_peer_refresh(peer);
  } else {
    wsw_farewell_say(peer);
  }
}

void wsw_farewell_expired(struct wsw_peer *peer) {
  if (wsw_deadline_of(peer) <= wsw_server_of(peer)->loop.now)
    wsw_farewell_say(peer);
  else
    wsw_deadlines_refresh(peer);
}

void wsw_farewell_say_due(struct wsw_server *server) {
  while (server->first_parting && !wsw_channel_awaits(server, server->first_parting->farewell->awaited))
    wsw_farewell_say(server->first_parting);
}
