/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/half-open.h"

#include "worker/details.h"
#include "worker/handshake.h"
#include "worker/server.h"

static uint32_t least(uint32_t one, uint32_t other) {
  return one < other ? one : other;
}

void wsw_half_open_init(struct wsw_half_open *half_open, uint32_t peers_max, uint32_t max_per_client,
                        const uint64_t hash_key[2]) {
  uint32_t max = least(WSW_HALF_OPEN_MAX, peers_max / 2 + 1);
  uint32_t share = least(2 * max_per_client, max / 2 + 1);
  if (share < WSW_HALF_OPEN_SHARE_MIN)
    share = WSW_HALF_OPEN_SHARE_MIN;
  *half_open = (struct wsw_half_open){.max = max};
  wsw_admission_init(&half_open->networks, max, share, hash_key);
}

void wsw_half_open_clear(struct wsw_half_open *half_open) {
  wsw_admission_clear(&half_open->networks);
}

static void cut(struct wsw_peer *peer) {
  wsw_handshake_refuse(peer, 503, "Too many connections are waiting; connect again and send the request at once.");
}

static struct wsw_address network_of(const struct wsw_peer *peer) {
  struct wsw_address address = wsw_details_address(peer->details);
  return wsw_address_network(&address);
}

static struct wsw_peer *oldest_of(const struct wsw_half_open *half_open, const struct wsw_address *network) {
  for (struct wsw_peer *peer = half_open->line.oldest; peer; peer = peer->younger) {
    struct wsw_address other = network_of(peer);
    if (wsw_address_same_host(&other, network))
      return peer;
  }
  return NULL;
}

bool wsw_half_open_enter(struct wsw_server *server, struct wsw_peer *peer) {
  struct wsw_half_open *half_open = &server->half_open;
  struct wsw_address network = network_of(peer);
  struct wsw_peer *displaced = NULL;
  if (wsw_admission_count(&half_open->networks, &network) >= half_open->networks.max_per_client)
    displaced = oldest_of(half_open, &network);
  else if (half_open->count >= half_open->max)
    displaced = half_open->line.oldest;
  if (displaced)
    cut(displaced);
  if (wsw_admission_enter(&half_open->networks, &network) != WSW_ADMITTED)
    return false;
  peer->half_open = true;
  wsw_line_append(&half_open->line, peer);
  half_open->count++;
  return true;
}

void wsw_half_open_leave(struct wsw_server *server, struct wsw_peer *peer) {
  struct wsw_half_open *half_open = &server->half_open;
  if (!peer->half_open)
    return;
  struct wsw_address network = network_of(peer);
  wsw_admission_leave(&half_open->networks, &network);
  peer->half_open = false;
  wsw_line_remove(&half_open->line, peer);
  half_open->count--;
}

bool wsw_half_open_drop(struct wsw_server *server) {
  if (!server->half_open.line.oldest)
    return false;
  server->counters.refused++;
  wsw_peer_drop(server->half_open.line.oldest);
  return true;
}
