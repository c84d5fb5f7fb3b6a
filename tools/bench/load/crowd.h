/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All connections to the server under test, and what they do.
 *
 * ECHO: each keeps `in_flight` messages on their way, and each has to come back to it, whole and in order.
 * BROADCAST: the first sends one, and when it has come back to everybody, the next; arrivals are counted.
 * SINK: messages to which the server says nothing but for the last of each batch, which comes back and thereby tells that the
 * others were handled; each connection keeps `in_flight` batches on their way.
 *
 * Between two runs nothing is on its way, but the connections stay.
 */
#pragma once

#include "tools/bench/load/handshake.h"
#include "tools/bench/load/peer.h"
#include "tools/bench/load/result.h"

#define LOAD_PEERS_MAX 65535u
#define LOAD_OPENING_MAX 16u             /* handshakes at a time */
#define LOAD_SINK_BATCH 32u              /* messages */
#define LOAD_BATCH_OCTETS (64u << 10)    /* written at a time, or one message */
#define LOAD_RECEIVE_ROOM (256u << 10)   /* read at a time */
#define LOAD_PATIENCE (20 * LOAD_SECOND) /* without any message before the run has failed */
#define LOAD_PATIENCE_SECONDS 20         /* for a handshake */

enum load_mode { LOAD_ECHO, LOAD_BROADCAST, LOAD_SINK };

struct load_crowd {
  enum load_mode mode;
  uint16_t port;
  uint32_t in_flight;
  uint32_t batch; /* frames in the buffer of a peer */
  struct load_message message;
  struct load_handshake handshake;
  struct load_processes processes;

  int epoll;
  uint32_t count;
  struct load_peer *peers; /* room for LOAD_PEERS_MAX, so that they stay where they are */
  uint8_t *room;           /* LOAD_RECEIVE_ROOM */

  bool ending;                   /* nothing new is sent */
  uint64_t outstanding;          /* messages that have to come yet */
  uint64_t messages;             /* that came; of SINK, those that were told of */
  uint32_t arrived;              /* of the broadcast that is on its way */
  struct load_histogram latency; /* where one message at a time is on its way */
};

void load_crowd_init(struct load_crowd *crowd, enum load_mode mode, uint16_t port, uint32_t in_flight, size_t size,
                     bool text);

/* Opens connections until there are `count`. */
void load_crowd_open(struct load_crowd *crowd, uint32_t count);

/* Handles whatever is ready, or waits for it. */
void load_crowd_turn(struct load_crowd *crowd, int timeout_ms);

/* One run: `warmup` and `duration` in nanoseconds. */
void load_crowd_run(struct load_crowd *crowd, uint64_t warmup, uint64_t duration, struct load_result *result);

/* ---- For peers ---- */

/* The stamp of the message that has to come to that peer. */
uint64_t load_crowd_expected(const struct load_crowd *crowd, const struct load_peer *peer);
void load_crowd_received(struct load_crowd *crowd, struct load_peer *peer);
