/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/memory.h"

#include "worker/peer.h"
#include "worker/server.h"

#define PEER_OCTETS                                                                                                    \
  (2048u + WSP_HEAD_MAX) /* a connection, what the tables hold for it, generously, and as much of its head as is kept */
#define TLS_OCTETS                                                                                                     \
  (48u << 10) /* what OpenSSL holds for one at most: while it shakes hands, and with both records under way */

static uint64_t queued_for(const struct wsw_peer *peer) {
  return peer->outbox ? wsw_outbox_length(peer->outbox) : 0;
}

static uint64_t gathered_from(const struct wsw_peer *peer) {
  return peer->state == WSW_PEER_OPEN ? wsp_connection_gathered(&peer->connection) : 0;
}

static uint64_t all_of(const struct wsw_peer *peer) {
  return queued_for(peer) + gathered_from(peer);
}

uint64_t wsw_memory_held(const struct wsw_server *server) {
  return server->outboxes.held + server->settings.gathered + wsw_channel_backlog(&server->channel);
}

uint64_t wsw_memory_ceiling(const struct wsw_server *server) {
  uint64_t own = WSW_MEMORY_MAX + 4 * server->configuration.max_message, granted = server->configuration.max_memory;
  return granted && granted < own ? granted : own;
}

bool wsw_memory_is_short(const struct wsw_server *server) {
  return wsw_memory_held(server) > wsw_memory_ceiling(server) / 8 * 7;
}

uint64_t wsw_memory_limit(const struct wsw_server *server) {
  const struct wsw_configuration *configuration = &server->configuration;
  uint64_t heads = (uint64_t)(WSW_HALF_OPEN_MAX + WSW_REFUSED_MAX) * 2 * WSP_HEAD_MAX;
  uint64_t streams = configuration->compression ? WSW_HISTORIES_MAX + WSP_DEFLATERS_COST : 0;
  uint64_t peer = PEER_OCTETS + (configuration->tls ? TLS_OCTETS : 0);
  return 2 * wsw_memory_ceiling(server) + heads + streams + server->peers_max * peer + WSW_MEMORY_SPARE;
}

static void cut(struct wsw_peer *peer) {
  static const char reason[] = "too many unfinished messages";
  struct wsw_server *server = wsw_server_of(peer);
  bool can_be_told =
      !peer->outbox && wsp_connection_close(&peer->connection, WSP_CLOSE_TRY_AGAIN, (const uint8_t *)reason,
                                            sizeof reason - 1, &server->replies) == WSP_SENT;
  if (!can_be_told || !wsw_peer_take_replies(peer, false)) {
    wsw_peer_drop(peer);
    return;
  }
  wsw_peer_remember_close(peer, WSP_CLOSE_TRY_AGAIN, (const uint8_t *)reason, sizeof reason - 1);
  wsw_peer_report_closed(peer, false);
  wsw_peer_end(peer);
}

typedef uint64_t (*measure_of_peer)(const struct wsw_peer *peer);

/* What the peer holds, 0 when it is to be left alone: `standing` asks for those alone who have neither given nor taken lately. */
static uint64_t hoard(const struct wsw_peer *peer, measure_of_peer measure, bool standing) {
  uint64_t now = wsw_server_of(peer)->loop.now;
  uint64_t moved_at = peer->blocked ? peer->outbox->progress_at : wsw_moment_past(peer->heard_at, now);
  return standing && now - moved_at < WSW_STANDING_MS ? 0 : measure(peer);
}

static uint64_t most(const struct wsw_server *server, measure_of_peer measure, bool standing) {
  uint64_t largest = 0;
  for (const struct wsw_peer *peer = server->peers.open.oldest; peer; peer = peer->younger) {
    uint64_t holds = hoard(peer, measure, standing);
    largest = holds > largest ? holds : largest;
  }
  return largest;
}

/* Those that hold at least half of what the worst one does go, until `octets` are freed; returns how many are still to be. So one
 * pass frees much, and a crowd of equals does not cost a pass for each. */
static uint64_t cut_some(struct wsw_server *server, measure_of_peer measure, bool standing, uint64_t octets) {
  uint64_t worst;
  while (octets && (worst = most(server, measure, standing))) {
    struct wsw_peer *next;
    for (struct wsw_peer *peer = server->peers.open.oldest; peer && octets; peer = next) {
      next = peer->younger;
      uint64_t holds = hoard(peer, measure, standing);
      if (holds < (worst + 1) / 2)
        continue;
      octets = holds < octets ? octets - holds : 0;
      cut(peer);
    }
  }
  return octets;
}

static void cut_hoarders(struct wsw_server *server, measure_of_peer measure, uint64_t octets) {
  octets = cut_some(server, measure, true, octets);
  (void)cut_some(server, measure, false, octets);
}

void wsw_memory_make_room(struct wsw_server *server, uint64_t octets) {
  uint64_t ceiling = wsw_memory_ceiling(server), held = wsw_memory_held(server) + octets;
  if (held > ceiling)
    cut_hoarders(server, all_of, held - ceiling + ceiling / 8);
  /* The engine refuses whoever needs memory for a message when all is taken: that must not be the honest ones. */
  uint64_t gathered = server->settings.gathered, one = server->settings.max_message_size + WSP_INFLATER_COST;
  uint64_t most_gathered = server->settings.max_gathered - one;
  if (gathered > most_gathered)
    cut_hoarders(server, gathered_from, gathered - most_gathered);
}
