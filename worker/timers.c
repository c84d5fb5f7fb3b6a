/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/timers.h"

#include <stdlib.h>

#define FIRST_CAPACITY 16u

/* False also for those that are due at the same time. */
static bool is_later(const struct wsw_timer *one, const struct wsw_timer *other) {
  return (int32_t)(one->deadline - other->deadline) > 0;
}

static void put(struct wsw_timers *timers, uint32_t place, struct wsw_timer *timer) {
  timers->heap[place - 1] = timer;
  timer->place = place & WSW_TIMERS_MAX;
}

static struct wsw_timer *at(const struct wsw_timers *timers, uint32_t place) {
  return timers->heap[place - 1];
}

static void rise(struct wsw_timers *timers, uint32_t place, struct wsw_timer *timer) {
  while (place > 1 && is_later(at(timers, place / 2), timer)) {
    put(timers, place, at(timers, place / 2));
    place /= 2;
  }
  put(timers, place, timer);
}

static void sink(struct wsw_timers *timers, uint32_t place, struct wsw_timer *timer) {
  for (;;) {
    uint32_t child = place * 2;
    if (child > timers->count)
      break;
    if (child < timers->count && is_later(at(timers, child), at(timers, child + 1)))
      child++;
    if (!is_later(timer, at(timers, child)))
      break;
    put(timers, place, at(timers, child));
    place = child;
  }
  put(timers, place, timer);
}

void wsw_timers_clear(struct wsw_timers *timers) {
  for (uint32_t place = 1; place <= timers->count; place++)
    at(timers, place)->place = 0;
  free(timers->heap);
  *timers = (struct wsw_timers){0};
}

static bool make_room(struct wsw_timers *timers) {
  if (timers->count < timers->capacity)
    return true;
  uint32_t capacity = timers->capacity ? timers->capacity + timers->capacity / 4 : FIRST_CAPACITY;
  if (capacity > WSW_TIMERS_MAX)
    return false;
  struct wsw_timer **heap = realloc(timers->heap, capacity * sizeof *heap);
  if (!heap)
    return false;
  timers->heap = heap;
  timers->capacity = capacity;
  return true;
}

bool wsw_timers_set(struct wsw_timers *timers, struct wsw_timer *timer, uint64_t deadline) {
  if (deadline == WSW_NEVER) {
    wsw_timers_cancel(timers, timer);
    return true;
  }
  if (timer->place && timer->deadline == (wsw_moment)deadline)
    return true;
  if (timer->place) {
    bool later = (int32_t)((wsw_moment)deadline - timer->deadline) > 0;
    timer->deadline = (wsw_moment)deadline;
    if (later)
      sink(timers, timer->place, timer);
    else
      rise(timers, timer->place, timer);
    return true;
  }
  if (!make_room(timers))
    return false;
  timer->deadline = (wsw_moment)deadline;
  rise(timers, ++timers->count, timer);
  return true;
}

void wsw_timers_cancel(struct wsw_timers *timers, struct wsw_timer *timer) {
  uint32_t place = timer->place;
  if (!place)
    return;
  timer->place = 0;
  struct wsw_timer *last = at(timers, timers->count--);
  if (last == timer)
    return;
  if (place > 1 && is_later(at(timers, place / 2), last))
    rise(timers, place, last);
  else
    sink(timers, place, last);
}

uint64_t wsw_timers_next(const struct wsw_timers *timers, uint64_t now) {
  return timers->count ? wsw_moment_near(at(timers, 1)->deadline, now) : WSW_NEVER;
}

void wsw_timers_expire(struct wsw_timers *timers, uint64_t now) {
  /* At most as many as there are: one that sets itself again at once would otherwise keep us here. */
  for (uint32_t left = timers->count; left && wsw_timers_next(timers, now) <= now; left--) {
    struct wsw_timer *timer = at(timers, 1);
    wsw_timers_cancel(timers, timer);
    timers->expired[timer->kind](timer);
  }
}
