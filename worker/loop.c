/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/loop.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#define NEAR_WATCHES 4 /* there are two */

static bool is_near(const struct wsw_watch *watch) {
  return watch->kind == WSW_WATCH_OF_CHANNEL || watch->kind == WSW_WATCH_OF_CONTROL;
}

bool wsw_loop_open(struct wsw_loop *loop, struct wsw_clock clock) {
  *loop = (struct wsw_loop){
      .epoll = epoll_create1(EPOLL_CLOEXEC), .near_epoll = epoll_create1(EPOLL_CLOEXEC), .clock = clock};
  loop->now = wsw_clock_now(&loop->clock);
  return loop->epoll >= 0 && loop->near_epoll >= 0;
}

void wsw_loop_close(struct wsw_loop *loop) {
  if (loop->epoll >= 0)
    close(loop->epoll);
  if (loop->near_epoll >= 0)
    close(loop->near_epoll);
  loop->epoll = loop->near_epoll = -1;
  wsw_timers_clear(&loop->timers);
}

static bool control(int epoll, struct wsw_watch *watch, uint32_t interest) {
  int operation = !interest ? EPOLL_CTL_DEL : !watch->interest ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  uint32_t once = watch->once ? (uint32_t)EPOLLET | (interest & WSW_READABLE ? WSW_HALF_CLOSED : 0) : 0;
  struct epoll_event event = {.events = interest | once, .data = {.ptr = watch}};
  return epoll_ctl(epoll, operation, watch->fd, &event) >= 0 || !interest;
}

bool wsw_loop_watch(struct wsw_loop *loop, struct wsw_watch *watch, uint32_t interest) {
  if (interest == watch->interest)
    return true;
  if (!control(loop->epoll, watch, interest) || (is_near(watch) && !control(loop->near_epoll, watch, interest)))
    return false;
  if (interest)
    watch->interest = (uint8_t)interest;
  else
    wsw_loop_forget(loop, watch);
  return true;
}

void wsw_loop_forget(struct wsw_loop *loop, struct wsw_watch *watch) {
  watch->interest = 0;
  for (uint32_t i = 0; i < loop->batch_length; i++)
    if (loop->batch[i].data.ptr == watch)
      loop->batch[i].data.ptr = NULL;
}

void wsw_loop_make_narrow(struct wsw_loop *loop, uint64_t milliseconds) {
  loop->narrow_until = loop->now + milliseconds;
}

void wsw_loop_make_wide(struct wsw_loop *loop) {
  loop->narrow_until = 0;
}

static uint64_t earlier(uint64_t one, uint64_t other) {
  return one < other ? one : other;
}

/* As epoll_wait() takes it. */
static int time_to_wait(const struct wsw_loop *loop, int max_wait) {
  if (max_wait == 0)
    return 0;
  uint64_t now = wsw_clock_now(&loop->clock);
  uint64_t next = wsw_timers_next(&loop->timers, now);
  if (loop->narrow_until)
    next = earlier(next, loop->narrow_until);
  if (next == WSW_NEVER)
    return max_wait;
  int wait = (int)earlier(next > now ? next - now : 0, INT_MAX);
  return max_wait >= 0 && max_wait < wait ? max_wait : wait;
}

static void dispatch(struct wsw_loop *loop, const struct epoll_event *event) {
  struct wsw_watch *watch = event->data.ptr;
  /* An earlier one of this turn may have changed what this one waits for. */
  uint32_t ready = event->events & (watch->interest | WSW_HUNG | WSW_HALF_CLOSED);
  if (watch->interest && ready)
    loop->ready[watch->kind](watch, ready);
}

static bool stays(const struct wsw_loop *loop, const struct wsw_watch *watch) {
  return loop->narrow_until && !is_near(watch) && loop->now - loop->batch_since < WSW_BATCH_MS;
}

/* Any of them may make the loop narrow: then far ones behind it stay in the batch. */
static void handle_batch(struct wsw_loop *loop) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < loop->batch_length; i++) {
    struct epoll_event event = loop->batch[i];
    struct wsw_watch *watch = event.data.ptr;
    if (watch && stays(loop, watch)) {
      loop->batch[kept++] = event;
      continue;
    }
    loop->batch[i].data.ptr = NULL;
    if (watch)
      dispatch(loop, &event);
  }
  loop->batch_length = kept;
}

static bool turn_narrow(struct wsw_loop *loop, int max_wait) {
  struct epoll_event events[NEAR_WATCHES];
  int count = epoll_wait(loop->near_epoll, events, NEAR_WATCHES, time_to_wait(loop, max_wait));
  if (count < 0 && errno != EINTR)
    return false;
  loop->now = wsw_clock_now(&loop->clock);
  for (int i = 0; i < count; i++)
    dispatch(loop, &events[i]);
  return true;
}

static bool turn_wide(struct wsw_loop *loop, int max_wait) {
  bool is_new = !loop->batch_length;
  if (is_new) {
    int count = epoll_wait(loop->epoll, loop->batch, WSW_READY_PER_WAKE, time_to_wait(loop, max_wait));
    if (count < 0 && errno != EINTR)
      return false;
    loop->batch_length = count > 0 ? (uint32_t)count : 0;
  }
  loop->now = wsw_clock_now(&loop->clock);
  if (is_new)
    loop->batch_since = loop->now;
  handle_batch(loop);
  return true;
}

bool wsw_loop_turn(struct wsw_loop *loop, int max_wait) {
  if (loop->narrow_until && loop->narrow_until <= wsw_clock_now(&loop->clock))
    wsw_loop_make_wide(loop);
  if (!(loop->narrow_until ? turn_narrow(loop, max_wait) : turn_wide(loop, max_wait)))
    return false;
  wsw_timers_expire(&loop->timers, loop->now);
  return true;
}
