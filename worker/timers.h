/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deadlines: a binary heap of timers that live inside their owners. Setting a timer again moves it; a timer that expires is
 * taken out before its function is called, which may set it again. Timers never fire early.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WSW_NEVER UINT64_MAX

struct wsw_timer {
  void (*expired)(struct wsw_timer *timer);
  uint64_t deadline; /* milliseconds of the worker's clock */
  uint32_t place;    /* in the heap, counted from 1; 0: not set */
};

struct wsw_timers {
  struct wsw_timer **heap;
  uint32_t count, capacity;
};

void wsw_timers_clear(struct wsw_timers *timers);

/* WSW_NEVER cancels. False without memory (only possible for a timer that was not set). */
bool wsw_timers_set(struct wsw_timers *timers, struct wsw_timer *timer, uint64_t deadline);
void wsw_timers_cancel(struct wsw_timers *timers, struct wsw_timer *timer);

/* WSW_NEVER when none is set. */
uint64_t wsw_timers_next(const struct wsw_timers *timers);

/* Calls every timer whose deadline is not after `now`. A timer set again by its own function to a time not after `now` waits for
 * the next call, so this ends. */
void wsw_timers_expire(struct wsw_timers *timers, uint64_t now);
