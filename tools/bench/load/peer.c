/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/load/peer.h"
#include "tools/bench/load/clock.h"
#include "tools/bench/load/crowd.h"
#include "tools/bench/load/failure.h"
#include "websocket/frame.h"
#include "websocket/mask.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOURCE_ADDRESSES 200u

int load_connect(uint16_t port, uint32_t index) {
  const int on = 1;
  const struct timeval patience = {.tv_sec = LOAD_PATIENCE_SECONDS};
  struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(port)};
  from.sin_addr.s_addr = htonl(0x7F000101u + index % SOURCE_ADDRESSES);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    load_fail(LOAD_STATUS_SYSTEM, "cannot open socket %u: %s", index, strerror(errno));
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  /* The port is chosen when it connects, so that as many are there as for each pair of addresses. */
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
    load_fail(LOAD_STATUS_SERVER, "cannot connect to port %u: %s", (unsigned)port, strerror(errno));
  return fd;
}

void load_peer_open(struct load_peer *peer, struct load_crowd *crowd, uint32_t index) {
  memset(peer, 0, sizeof *peer);
  peer->index = index;
  if (getrandom(peer->key, sizeof peer->key, 0) != (ssize_t)sizeof peer->key)
    load_fail(LOAD_STATUS_SYSTEM, "no random octets");
  peer->fd = load_connect(crowd->port, index);
  const size_t length = crowd->handshake.request_length;
  if (send(peer->fd, crowd->handshake.request, length, MSG_NOSIGNAL) != (ssize_t)length)
    load_fail(LOAD_STATUS_SERVER, "cannot write the handshake of connection %u: %s", index, strerror(errno));
}

/* ---- Sending ---- */

static void make_frames(struct load_peer *peer, const struct load_crowd *crowd) {
  const size_t length = load_frame_length(&crowd->message);
  const char *kind = (const char *)crowd->message.model;
  peer->frames = load_allocate(length * crowd->batch);
  for (uint32_t i = 0; i < crowd->batch; i++) {
    const bool silent = crowd->mode == LOAD_SINK && i + 1 < crowd->batch;
    load_frame_write(&crowd->message, silent ? "sink" : kind, peer->key, peer->frames + i * length);
  }
}

/* Puts into the buffer, which is empty, what is owed. */
static void fill(struct load_peer *peer, const struct load_crowd *crowd) {
  const size_t length = load_frame_length(&crowd->message);
  const uint32_t count = peer->owed < crowd->batch ? peer->owed : crowd->batch;
  if (!peer->frames)
    make_frames(peer, crowd);
  for (uint32_t i = 0; i < count; i++)
    load_frame_stamp(&crowd->message, peer->key, peer->frames + i * length, load_stamp(peer->index, peer->sent + i));
  peer->out_at = 0;
  peer->out_end = count * length;
  peer->owed -= count;
  peer->sent += count;
  peer->sent_at = load_now();
}

/* A handful of octets into a socket that has room, or the Ping will come again. */
static void send_pong(struct load_peer *peer) {
  uint8_t frame[WSP_FRAME_HEADER_MAX + LOAD_PING_MAX];
  struct wsp_frame_header header = {.fin = true, .masked = true, .opcode = WSP_OPCODE_PONG};
  header.payload_length = peer->incoming.ping_length;
  memcpy(header.mask_key, peer->key, sizeof header.mask_key);
  const size_t length = wsp_frame_header_encode(&header, frame);
  wsp_mask_copy(frame + length, peer->incoming.ping, peer->incoming.ping_length, peer->key, 0);
  const size_t whole = length + peer->incoming.ping_length;
  const ssize_t written = send(peer->fd, frame, whole, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (written > 0 && written < (ssize_t)whole)
    load_fail(LOAD_STATUS_SERVER, "connection %u has no room for half a Pong", peer->index);
  peer->has_pong = false;
}

static void wait_for_room(struct load_peer *peer, const struct load_crowd *crowd, bool wait) {
  if (peer->waits_for_room == wait)
    return;
  struct epoll_event event = {.events = EPOLLIN | (wait ? (uint32_t)EPOLLOUT : 0), .data.ptr = peer};
  epoll_ctl(crowd->epoll, EPOLL_CTL_MOD, peer->fd, &event);
  peer->waits_for_room = wait;
}

void load_peer_send(struct load_peer *peer, struct load_crowd *crowd) {
  for (;;) {
    if (peer->out_at == peer->out_end) {
      if (peer->has_pong)
        send_pong(peer);
      if (peer->owed == 0)
        break;
      fill(peer, crowd);
    }
    const ssize_t written =
        send(peer->fd, peer->frames + peer->out_at, peer->out_end - peer->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written < 0 && errno == EAGAIN) {
      wait_for_room(peer, crowd, true);
      return;
    }
    if (written < 0 && errno != EINTR)
      load_fail(LOAD_STATUS_SERVER, "cannot write to connection %u: %s", peer->index, strerror(errno));
    if (written > 0)
      peer->out_at += (size_t)written;
  }
  wait_for_room(peer, crowd, false);
}

/* ---- Receiving ---- */

static void handle(struct load_peer *peer, struct load_crowd *crowd, enum load_incoming_event event) {
  switch (event) {
  case LOAD_INCOMING_MORE:
    return;
  case LOAD_INCOMING_MESSAGE:
    load_crowd_received(crowd, peer);
    return;
  case LOAD_INCOMING_PING:
    peer->has_pong = true;
    return;
  case LOAD_INCOMING_CLOSE:
    load_fail(LOAD_STATUS_SERVER, "the server closes connection %u", peer->index);
  case LOAD_INCOMING_CHANGED:
    load_fail(
        LOAD_STATUS_SERVER,
        "wrong content: on connection %u something else came where message %llu had to come, near octet %zu of %zu",
        peer->index, (unsigned long long)peer->received, peer->incoming.at, crowd->message.size);
  case LOAD_INCOMING_FRAMING:
    load_fail(LOAD_STATUS_SERVER, "on connection %u no legal frame came behind message %llu", peer->index,
              (unsigned long long)peer->received);
  }
}

void load_peer_receive(struct load_peer *peer, struct load_crowd *crowd) {
  const ssize_t count = recv(peer->fd, crowd->room, LOAD_RECEIVE_ROOM, MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (count <= 0)
    load_fail(LOAD_STATUS_SERVER, "the server has cut off connection %u%s%s", peer->index, count < 0 ? ": " : "",
              count < 0 ? strerror(errno) : "");
  const uint8_t *at = crowd->room, *end = crowd->room + count;
  while (at < end) {
    const uint64_t expected = load_crowd_expected(crowd, peer);
    handle(peer, crowd, load_incoming_take(&peer->incoming, &crowd->message, expected, &at, end));
  }
}
