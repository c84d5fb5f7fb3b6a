/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/load/rate.h"
#include "tools/bench/load/clock.h"
#include "tools/bench/load/failure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct slot {
  int fd;
  size_t length; /* of what was read */
  uint64_t began;
  char head[LOAD_RESPONSE_MAX];
};

struct rate {
  struct load_crowd *crowd;
  struct slot *slots;
  uint32_t open, opened;
  int epoll;
  uint64_t accepted;
};

static void begin(struct rate *rate, struct slot *slot) {
  const struct linger hard = {.l_onoff = 1};
  const struct load_handshake *handshake = &rate->crowd->handshake;
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = slot};
  slot->length = 0;
  slot->began = load_now();
  slot->fd = load_connect(rate->crowd->port, rate->opened++);
  setsockopt(slot->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  if (send(slot->fd, handshake->request, handshake->request_length, MSG_NOSIGNAL) != (ssize_t)handshake->request_length)
    load_fail(LOAD_STATUS_SERVER, "cannot write a handshake: %s", strerror(errno));
  if (epoll_ctl(rate->epoll, EPOLL_CTL_ADD, slot->fd, &event) != 0)
    load_fail(LOAD_STATUS_SYSTEM, "cannot wait for a connection: %s", strerror(errno));
  rate->open++;
}

static void receive(struct rate *rate, struct slot *slot, bool again) {
  const ssize_t count = recv(slot->fd, slot->head + slot->length, sizeof slot->head - slot->length, MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (count <= 0)
    load_fail(LOAD_STATUS_SERVER, "the server has cut off a handshake: %s",
              count < 0 ? strerror(errno) : "end of data");
  slot->length += (size_t)count;
  if (load_handshake_check(&rate->crowd->handshake, slot->head, slot->length) == 0)
    return;
  load_histogram_add(&rate->crowd->latency, load_now() - slot->began);
  rate->accepted++;
  rate->open--;
  close(slot->fd);
  slot->fd = -1;
  if (again)
    begin(rate, slot);
}

/* Goes on until `end`, or with 0 until no handshake is open. */
static void go_on(struct rate *rate, uint64_t end) {
  struct epoll_event events[LOAD_RATE_SLOTS_MAX];
  uint64_t heard = load_now(), now = heard;
  while (end ? now < end : rate->open > 0) {
    const int count = epoll_wait(rate->epoll, events, LOAD_RATE_SLOTS_MAX, 100);
    for (int i = 0; i < count; i++)
      receive(rate, events[i].data.ptr, end != 0);
    now = load_now();
    if (count > 0)
      heard = now;
    if (now - heard > LOAD_PATIENCE)
      load_fail(LOAD_STATUS_SERVER, "%u handshakes have no answer", rate->open);
  }
}

void load_rate_run(struct load_crowd *crowd, uint32_t slots, uint64_t warmup, uint64_t duration,
                   struct load_result *result) {
  struct rate rate = {.crowd = crowd, .epoll = epoll_create1(EPOLL_CLOEXEC)};
  if (rate.epoll < 0)
    load_fail(LOAD_STATUS_SYSTEM, "cannot wait for events: %s", strerror(errno));
  rate.slots = load_allocate(slots * sizeof *rate.slots);
  for (uint32_t i = 0; i < slots; i++)
    begin(&rate, &rate.slots[i]);
  go_on(&rate, load_now() + warmup);
  load_histogram_clear(&crowd->latency);
  rate.accepted = 0;
  load_account_read(&crowd->processes, &result->begin);
  go_on(&rate, result->begin.at + duration);
  load_account_read(&crowd->processes, &result->end);
  result->messages = rate.accepted;
  go_on(&rate, 0);
  free(rate.slots);
  close(rate.epoll);
}
