/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's sense of time: a monotonic clock in milliseconds that tests replace by one they move by hand. Everything
 * that waits or expires asks this clock; the wall clock only ever appears as data (connected_at). */
#pragma once

#include <stdint.h>

struct wsw_clock {
  uint64_t (*milliseconds)(void *context);
  void *context;
};

static inline uint64_t wsw_clock_now(const struct wsw_clock *clock) {
  return clock->milliseconds(clock->context);
}

/* CLOCK_MONOTONIC. */
struct wsw_clock wsw_clock_monotonic(void);

/* Microseconds since the epoch, of the wall clock. */
uint64_t wsw_clock_wall_microseconds(void);
