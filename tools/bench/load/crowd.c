/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/load/crowd.h"
#include "tools/bench/load/clock.h"
#include "tools/bench/load/failure.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define READY_PER_TURN 256

static const char *const kinds[] = {[LOAD_ECHO] = "echo", [LOAD_BROADCAST] = "cast", [LOAD_SINK] = "tell"};

void load_crowd_init(struct load_crowd *crowd, enum load_mode mode, uint16_t port, uint32_t in_flight, size_t size,
                     bool text) {
  memset(crowd, 0, sizeof *crowd);
  crowd->mode = mode;
  crowd->port = port;
  crowd->in_flight = mode == LOAD_BROADCAST ? 1 : in_flight;
  load_message_init(&crowd->message, kinds[mode], size, text);
  load_handshake_init(&crowd->handshake, port);
  const size_t fitting = LOAD_BATCH_OCTETS / load_frame_length(&crowd->message);
  crowd->batch = fitting < 1 ? 1 : fitting < crowd->in_flight ? (uint32_t)fitting : crowd->in_flight;
  if (mode == LOAD_SINK)
    crowd->batch = LOAD_SINK_BATCH;
  crowd->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (crowd->epoll < 0)
    load_fail(LOAD_STATUS_SYSTEM, "cannot wait for events: %s", strerror(errno));
  crowd->peers = load_allocate(LOAD_PEERS_MAX * sizeof *crowd->peers);
  crowd->room = load_allocate(LOAD_RECEIVE_ROOM);
}

/* ---- Opening ---- */

/* Takes the response's head and not an octet more. */
static void await_response(const struct load_crowd *crowd, struct load_peer *peer) {
  char head[LOAD_RESPONSE_MAX];
  ssize_t seen = 0, before;
  size_t length = 0;
  do {
    before = seen;
    seen = recv(peer->fd, head, sizeof head, MSG_PEEK | (before > 0 ? MSG_DONTWAIT : 0));
    if (seen == 0)
      load_fail(LOAD_STATUS_SERVER, "the server has cut off connection %u in its handshake", peer->index);
    if (seen < 0 && errno != EINTR && errno != EAGAIN)
      load_fail(LOAD_STATUS_SERVER, "connection %u: %s in the handshake", peer->index, strerror(errno));
    if (seen < 0 && before == 0 && errno == EAGAIN)
      load_fail(LOAD_STATUS_SERVER, "the handshake of connection %u has no answer", peer->index);
    if (seen > 0)
      length = load_handshake_check(&crowd->handshake, head, (size_t)seen);
  } while (length == 0);
  if (recv(peer->fd, head, length, 0) != (ssize_t)length)
    load_fail(LOAD_STATUS_SYSTEM, "cannot read what was there");
}

void load_crowd_open(struct load_crowd *crowd, uint32_t count) {
  while (crowd->count < count) {
    const uint32_t first = crowd->count;
    uint32_t end = first + LOAD_OPENING_MAX;
    if (end > count)
      end = count;
    for (uint32_t i = first; i < end; i++)
      load_peer_open(&crowd->peers[i], crowd, i);
    for (uint32_t i = first; i < end; i++) {
      struct epoll_event event = {.events = EPOLLIN, .data.ptr = &crowd->peers[i]};
      await_response(crowd, &crowd->peers[i]);
      if (epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, crowd->peers[i].fd, &event) != 0)
        load_fail(LOAD_STATUS_SYSTEM, "cannot wait for connection %u: %s", i, strerror(errno));
    }
    crowd->count = end;
  }
}

/* ---- Running ---- */

uint64_t load_crowd_expected(const struct load_crowd *crowd, const struct load_peer *peer) {
  switch (crowd->mode) {
  case LOAD_BROADCAST:
    return load_stamp(0, peer->received);
  case LOAD_SINK:
    return load_stamp(peer->index, (peer->received + 1) * LOAD_SINK_BATCH - 1);
  case LOAD_ECHO:
  default:
    return load_stamp(peer->index, peer->received);
  }
}

/* Lets `peer` send one more message, or batch of them. */
static void owe(struct load_crowd *crowd, struct load_peer *peer) {
  peer->owed += crowd->mode == LOAD_SINK ? LOAD_SINK_BATCH : 1;
  crowd->outstanding += crowd->mode == LOAD_BROADCAST ? crowd->count : 1;
}

static void check_was_sent(const struct load_crowd *crowd, const struct load_peer *peer) {
  const struct load_peer *sender = crowd->mode == LOAD_BROADCAST ? &crowd->peers[0] : peer;
  const uint64_t sent = crowd->mode == LOAD_SINK ? sender->sent / LOAD_SINK_BATCH : sender->sent;
  if (peer->received >= sent)
    load_fail(LOAD_STATUS_SERVER, "connection %u got message %llu, which was not sent", peer->index,
              (unsigned long long)peer->received);
}

void load_crowd_received(struct load_crowd *crowd, struct load_peer *peer) {
  struct load_peer *next = peer;
  check_was_sent(crowd, peer);
  peer->received++;
  crowd->outstanding--;
  crowd->messages += crowd->mode == LOAD_SINK ? LOAD_SINK_BATCH : 1;
  if (crowd->mode == LOAD_BROADCAST) {
    next = &crowd->peers[0];
    if (++crowd->arrived < crowd->count)
      return;
    crowd->arrived = 0;
  }
  if (crowd->in_flight == 1)
    load_histogram_add(&crowd->latency, load_now() - next->sent_at);
  if (crowd->ending)
    return;
  owe(crowd, next);
  if (next != peer)
    load_peer_send(next, crowd);
}

void load_crowd_turn(struct load_crowd *crowd, int timeout_ms) {
  struct epoll_event events[READY_PER_TURN];
  const int count = epoll_wait(crowd->epoll, events, READY_PER_TURN, timeout_ms);
  if (count < 0 && errno != EINTR)
    load_fail(LOAD_STATUS_SYSTEM, "cannot wait for events: %s", strerror(errno));
  for (int i = 0; i < count; i++) {
    struct load_peer *peer = events[i].data.ptr;
    if (events[i].events & ~(uint32_t)EPOLLOUT)
      load_peer_receive(peer, crowd);
    if (peer->owed || peer->has_pong || peer->waits_for_room)
      load_peer_send(peer, crowd);
  }
}

static void start(struct load_crowd *crowd) {
  const uint32_t senders = crowd->mode == LOAD_BROADCAST ? 1 : crowd->count;
  crowd->ending = false;
  for (uint32_t i = 0; i < senders; i++) {
    for (uint32_t k = 0; k < crowd->in_flight; k++)
      owe(crowd, &crowd->peers[i]);
    load_peer_send(&crowd->peers[i], crowd);
  }
}

/* Goes on until `end`, or with 0 until nothing is on its way. */
static void go_on(struct load_crowd *crowd, uint64_t end) {
  uint64_t now = load_now(), heard = now, messages = crowd->messages;
  while (end ? now < end : crowd->outstanding > 0) {
    load_crowd_turn(crowd, 100);
    now = load_now();
    if (messages != crowd->messages)
      heard = now;
    messages = crowd->messages;
    if (now - heard > LOAD_PATIENCE)
      load_fail(LOAD_STATUS_SERVER, "nothing came for %d seconds, and %llu messages are missing", LOAD_PATIENCE_SECONDS,
                (unsigned long long)crowd->outstanding);
  }
}

void load_crowd_run(struct load_crowd *crowd, uint64_t warmup, uint64_t duration, struct load_result *result) {
  start(crowd);
  go_on(crowd, load_now() + warmup);
  load_histogram_clear(&crowd->latency);
  const uint64_t before = crowd->messages;
  load_account_read(&crowd->processes, &result->begin);
  go_on(crowd, result->begin.at + duration);
  load_account_read(&crowd->processes, &result->end);
  result->messages = crowd->messages - before;
  crowd->ending = true;
  go_on(crowd, 0);
}
