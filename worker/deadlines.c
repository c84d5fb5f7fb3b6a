/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/deadlines.h"

#include "worker/farewell.h"
#include "worker/handshake.h"
#include "worker/server.h"

static struct wsw_peer *peer_of_timer(struct wsw_timer *timer) {
  return (struct wsw_peer *)(void *)((char *)timer - offsetof(struct wsw_peer, timer));
}

void wsw_deadline_set(struct wsw_peer *peer, uint64_t milliseconds) {
  peer->deadline = (wsw_moment)(wsw_server_of(peer)->loop.now + milliseconds);
}

uint64_t wsw_deadline_of(const struct wsw_peer *peer) {
  return wsw_moment_near(peer->deadline, wsw_server_of(peer)->loop.now);
}

static uint64_t stall_time(const struct wsw_peer *peer) {
  uint64_t pong_timeout = wsw_server_of(peer)->configuration.pong_timeout;
  return pong_timeout ? pong_timeout : WSW_STALL_MS;
}

/* Octets that count as progress within so many milliseconds: whoever takes or gives an octet now and then stands still. */
static size_t enough(uint64_t milliseconds) {
  return (size_t)(WSW_SLOWEST * milliseconds / 1000);
}

static uint64_t open_deadline(const struct wsw_peer *peer) {
  const struct wsw_configuration *configuration = &wsw_server_of(peer)->configuration;
  const uint64_t now = wsw_server_of(peer)->loop.now, awaited = wsw_moment_near(peer->deadline, now);
  if (peer->parting)
    return awaited;
  if (peer->blocked)
    return peer->outbox->progress_at + stall_time(peer);
  if (peer->awaits_close)
    return awaited;
  if (wsw_peer_is_closing(peer))
    return WSW_NEVER; /* about to be written */
  uint64_t next = configuration->ping_interval ? wsw_moment_near(peer->ping_at, now) : WSW_NEVER;
  if (peer->awaits_pong && configuration->pong_timeout && awaited < next)
    next = awaited;
  return next;
}

void wsw_deadlines_refresh(struct wsw_peer *peer) {
  uint64_t deadline = WSW_NEVER;
  if (peer->state == WSW_PEER_OPEN)
    deadline = open_deadline(peer);
  else if (peer->state != WSW_PEER_GONE)
    deadline = wsw_deadline_of(peer);
  if (!wsw_timers_set(&wsw_server_of(peer)->loop.timers, &peer->timer, deadline))
    wsw_peer_drop(peer); /* nothing may live without a deadline */
}

void wsw_deadlines_hear(struct wsw_peer *peer, size_t length) {
  peer->heard += (uint32_t)length;
  if (peer->heard < enough(wsw_server_of(peer)->configuration.pong_timeout))
    return;
  peer->heard_at = (wsw_moment)wsw_server_of(peer)->loop.now;
  peer->heard = 0;
}

void wsw_deadlines_written(struct wsw_peer *peer, size_t octets) {
  struct wsw_outbox *outbox = peer->outbox;
  outbox->progress += octets;
  if (peer->blocked && outbox->progress < enough(stall_time(peer)))
    return;
  outbox->progress_at = wsw_server_of(peer)->loop.now;
  outbox->progress = 0;
}

static void put_off_ping(struct wsw_peer *peer) {
  const struct wsw_server *server = wsw_server_of(peer);
  peer->ping_at = (wsw_moment)(server->loop.now + server->configuration.ping_interval);
}

void wsw_deadlines_begin(struct wsw_peer *peer) {
  put_off_ping(peer);
}

void wsw_deadlines_take_pong(struct wsw_peer *peer) {
  put_off_ping(peer);
  if (!peer->awaits_pong)
    return;
  peer->awaits_pong = false;
  wsw_deadlines_refresh(peer);
}

static void send_ping(struct wsw_peer *peer) {
  struct wsw_server *server = wsw_server_of(peer);
  put_off_ping(peer);
  if (wsp_connection_ping(&peer->connection, NULL, 0, &server->replies) != WSP_SENT ||
      !wsw_peer_take_replies(peer, false)) {
    wsw_peer_drop(peer);
    return;
  }
  if (!peer->awaits_pong)
    wsw_deadline_set(peer, server->configuration.pong_timeout);
  peer->awaits_pong = true;
}

/* The deadline again, if what is awaited has not had its time yet: while we were not reading it had no chance. */
static void be_fair(struct wsw_peer *peer, uint64_t since, uint64_t timeout) {
  struct wsw_server *server = wsw_server_of(peer);
  uint64_t read_since = wsw_server_reads(server) ? server->resumed_at : server->loop.now;
  if (read_since > since)
    since = read_since;
  if (since + timeout > wsw_deadline_of(peer))
    peer->deadline = (wsw_moment)(since + timeout);
}

/* False when the peer has had its time for what is awaited. */
static bool is_in_time(struct wsw_peer *peer) {
  const struct wsw_configuration *configuration = &wsw_server_of(peer)->configuration;
  uint64_t now = wsw_server_of(peer)->loop.now;
  if (peer->blocked)
    return open_deadline(peer) > now;
  if (wsw_deadline_of(peer) > now)
    return true;
  if (peer->awaits_close) {
    be_fair(peer, 0, WSW_CLOSE_TIMEOUT_MS);
  } else if (peer->awaits_pong && configuration->pong_timeout) {
    /* Nor can a Pong overtake a message that is arriving, if it is arriving at all. */
    be_fair(peer, wsp_connection_in_message(&peer->connection) ? wsw_moment_past(peer->heard_at, now) : 0,
            configuration->pong_timeout);
  } else {
    return true;
  }
  return wsw_deadline_of(peer) > now;
}

static void open_expired(struct wsw_peer *peer) {
  const struct wsw_server *server = wsw_server_of(peer);
  if (peer->parting) {
    wsw_farewell_expired(peer);
    return;
  }
  if (peer->blocked && open_deadline(peer) <= server->loop.now)
    wsw_peer_flush(peer); /* the kernel calls a socket writable only when much of its room is free */
  if (peer->state != WSW_PEER_OPEN)
    return;
  if (!is_in_time(peer)) {
    wsw_peer_drop(peer);
    return;
  }
  bool may_ping = server->configuration.ping_interval && !peer->blocked && !wsw_peer_is_closing(peer);
  if (may_ping && wsw_moment_near(peer->ping_at, server->loop.now) <= server->loop.now)
    send_ping(peer);
  if (peer->state == WSW_PEER_OPEN)
    wsw_deadlines_refresh(peer);
}

void wsw_deadlines_expired(struct wsw_timer *timer) {
  struct wsw_peer *peer = peer_of_timer(timer);
  if (peer->state == WSW_PEER_OPEN)
    open_expired(peer);
  else if (peer->state == WSW_PEER_HANDSHAKE)
    wsw_handshake_expired(peer);
  else
    wsw_peer_drop(peer);
}
