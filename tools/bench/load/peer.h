/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of the crowd. What it may send is owed to it by the crowd; all of that leaves in as few writes as its
 * buffer allows: frames that were masked before, of which only the stamps change.
 */
#pragma once

#include "tools/bench/load/incoming.h"
#include "tools/bench/load/message.h"

struct load_crowd;

struct load_peer {
  int fd;
  uint32_t index;
  uint32_t owed;           /* messages that it may still send */
  bool waits_for_room;     /* in its socket */
  bool has_pong;           /* an answer to the last Ping is due */
  uint8_t key[4];          /* of all its frames: a server cannot tell, and they need masking only once */
  uint64_t sent, received; /* messages */
  uint64_t sent_at;        /* load_now() of the last sending */
  uint8_t *frames;         /* NULL before the first sending */
  size_t out_at, out_end;  /* of `frames`: what is still to be written */
  struct load_incoming incoming;
};

/* Connects and shakes hands; comes back when the server has accepted. */
void load_peer_open(struct load_peer *peer, struct load_crowd *crowd, uint32_t index);

/* Writes what it owes, as far as its socket has room. */
void load_peer_send(struct load_peer *peer, struct load_crowd *crowd);

/* Reads once, and reports each message to the crowd. */
void load_peer_receive(struct load_peer *peer, struct load_crowd *crowd);

/* A connection from one of several addresses of this machine, so that no bound of one address is met. */
int load_connect(uint16_t port, uint32_t index);
