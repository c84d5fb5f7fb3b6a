/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deadlines: a binary heap of timers that live inside their owners. Setting a timer again moves it; a timer that expires is
 * taken out before the function of its kind is called, which may set it again. Timers never fire early.
 *
 * A timer is small, since every connection has one: its deadline is kept as a moment in 32 bits (see clock.h), and must not be more
 * than 24 days away.
 */
#pragma once

#include "worker/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WSW_NEVER UINT64_MAX

enum wsw_timer_kind {
  WSW_TIMER_OF_PEER,
  WSW_TIMER_OF_LISTENER,
  WSW_TIMER_OF_SERVER,
  WSW_TIMER_OF_HEAP,
  WSW_TIMER_KINDS,
};

#define WSW_TIMERS_MAX ((1u << 30) - 1)

struct wsw_timer {
  wsw_moment deadline;
  uint32_t place : 30; /* in the heap, counted from 1; 0: not set */
  uint32_t kind : 2;   /* an enum wsw_timer_kind */
};

struct wsw_timers {
  void (*expired[WSW_TIMER_KINDS])(struct wsw_timer *timer); /* the owner's, set before the first timer is */
  struct wsw_timer **heap;
  uint32_t count, capacity;
};

void wsw_timers_clear(struct wsw_timers *timers);

/* `deadline` in milliseconds of the worker's clock; WSW_NEVER cancels. False without memory (only possible for a timer that was not set). */
bool wsw_timers_set(struct wsw_timers *timers, struct wsw_timer *timer, uint64_t deadline);
void wsw_timers_cancel(struct wsw_timers *timers, struct wsw_timer *timer);

/* WSW_NEVER when none is set. */
uint64_t wsw_timers_next(const struct wsw_timers *timers, uint64_t now);

/* Calls every timer whose deadline is not after `now`. A timer set again by its own function to a time not after `now` waits for
 * the next call, so this ends. */
void wsw_timers_expire(struct wsw_timers *timers, uint64_t now);
