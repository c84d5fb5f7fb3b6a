/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers that are connected and have not asked for anything yet, or not whole. They hold no place in the limits of clients, or idle
 * connections would keep everybody else out; they are bounded here instead, over all and for each network of addresses (see
 * wsw_address_network()). When a new one would be too many, the one that has waited longest is cut off with 503: that of the same
 * network where the network has its share already, else of all. So a peer that sends its request at once gets in
 * whatever stands around, and one that does not loses its place to those who do.
 *
 * Peers stand in the list from their arrival until they are open or refused. It owns nothing.
 */
#pragma once

#include "worker/admission.h"
#include "worker/peers.h"

struct wsw_peer;
struct wsw_server;

struct wsw_half_open {
  struct wsw_line line;
  uint32_t count, max;
  struct wsw_admission networks; /* how many of each */
};

/* `max_per_client` is that of open connections: so many may well come at once. */
void wsw_half_open_init(struct wsw_half_open *half_open, uint32_t peers_max, uint32_t max_per_client,
                        const uint64_t hash_key[2]);
void wsw_half_open_clear(struct wsw_half_open *half_open);

/* Puts the peer in, which may cost another one its place. False without memory. */
bool wsw_half_open_enter(struct wsw_server *server, struct wsw_peer *peer);
/* Takes it out; one that is not in stays as it is. */
void wsw_half_open_leave(struct wsw_server *server, struct wsw_peer *peer);

/* Drops the oldest without a word, for its descriptor. False when there is none. */
bool wsw_half_open_drop(struct wsw_server *server);
