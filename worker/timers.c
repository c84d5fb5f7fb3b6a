/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/timers.h"

#include <stdlib.h>

#define FIRST_CAPACITY 16u

static void put(struct wsw_timers *timers, uint32_t place, struct wsw_timer *timer) {
  timers->heap[place - 1] = timer;
  timer->place = place;
}

static struct wsw_timer *at(const struct wsw_timers *timers, uint32_t place) {
  return timers->heap[place - 1];
}

static void rise(struct wsw_timers *timers, uint32_t place, struct wsw_timer *timer) {
  while (place > 1 && at(timers, place / 2)->deadline > timer->deadline) {
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
    if (child < timers->count && at(timers, child + 1)->deadline < at(timers, child)->deadline)
      child++;
    if (at(timers, child)->deadline >= timer->deadline)
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
  uint32_t capacity = timers->capacity ? timers->capacity * 2 : FIRST_CAPACITY;
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
  if (timer->place) {
    bool later = deadline > timer->deadline;
    timer->deadline = deadline;
    if (later)
      sink(timers, timer->place, timer);
    else
      rise(timers, timer->place, timer);
    return true;
  }
  if (!make_room(timers))
    return false;
  timer->deadline = deadline;
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
  if (place > 1 && at(timers, place / 2)->deadline > last->deadline)
    rise(timers, place, last);
  else
    sink(timers, place, last);
}

uint64_t wsw_timers_next(const struct wsw_timers *timers) {
  return timers->count ? at(timers, 1)->deadline : WSW_NEVER;
}

void wsw_timers_expire(struct wsw_timers *timers, uint64_t now) {
  /* At most as many as there are: one that sets itself again at once would otherwise keep us here. */
  for (uint32_t left = timers->count; left && wsw_timers_next(timers) <= now; left--) {
    struct wsw_timer *timer = at(timers, 1);
    wsw_timers_cancel(timers, timer);
    timer->expired(timer);
  }
}
