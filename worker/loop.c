/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/loop.h"

#include "worker/limits.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

bool wsw_loop_open(struct wsw_loop *loop, struct wsw_clock clock) {
  *loop = (struct wsw_loop){.epoll = epoll_create1(EPOLL_CLOEXEC), .clock = clock};
  loop->now = wsw_clock_now(&loop->clock);
  return loop->epoll >= 0;
}

void wsw_loop_close(struct wsw_loop *loop) {
  if (loop->epoll >= 0)
    close(loop->epoll);
  loop->epoll = -1;
  wsw_timers_clear(&loop->timers);
}

bool wsw_loop_watch(struct wsw_loop *loop, struct wsw_watch *watch, uint32_t interest) {
  if (interest == watch->interest)
    return true;
  int operation = !interest ? EPOLL_CTL_DEL : !watch->interest ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  struct epoll_event event = {.events = interest, .data = {.ptr = watch}};
  if (epoll_ctl(loop->epoll, operation, watch->fd, &event) < 0 && interest)
    return false;
  watch->interest = (uint8_t)interest;
  return true;
}

static int time_to_wait(const struct wsw_loop *loop, int max_wait) {
  if (max_wait == 0)
    return 0;
  uint64_t now = wsw_clock_now(&loop->clock);
  uint64_t next = wsw_timers_next(&loop->timers, now);
  if (next == WSW_NEVER)
    return max_wait;
  uint64_t wait = next > now ? next - now : 0;
  if (wait > INT_MAX)
    wait = INT_MAX;
  return max_wait >= 0 && (uint64_t)max_wait < wait ? max_wait : (int)wait;
}

bool wsw_loop_turn(struct wsw_loop *loop, int max_wait) {
  struct epoll_event events[WSW_READY_PER_WAKE];
  int count = epoll_wait(loop->epoll, events, WSW_READY_PER_WAKE, time_to_wait(loop, max_wait));
  if (count < 0 && errno != EINTR)
    return false;
  loop->now = wsw_clock_now(&loop->clock);
  for (int i = 0; i < count; i++) {
    struct wsw_watch *watch = events[i].data.ptr;
    /* An earlier one of this turn may have changed what this one waits for. */
    uint32_t ready = events[i].events & (watch->interest | WSW_HUNG);
    if (watch->interest && ready)
      loop->ready[watch->kind](watch, ready);
  }
  wsw_timers_expire(&loop->timers, loop->now);
  return true;
}
