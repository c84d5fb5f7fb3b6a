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

/*
 * What there is many times over keeps a moment in 32 bits: milliseconds modulo 49 days. Read back it is the one nearest to now (24 days to
 * either side: deadlines), or the last one before it (of what was long ago: it seems to be of today once in 49 days).
 */
typedef uint32_t wsw_moment;

static inline uint64_t wsw_moment_near(wsw_moment moment, uint64_t now) {
  return now + (uint64_t)(int64_t)(int32_t)(moment - (uint32_t)now);
}
static inline uint64_t wsw_moment_past(wsw_moment moment, uint64_t now) {
  return now - ((uint32_t)now - moment);
}

/* CLOCK_MONOTONIC. */
struct wsw_clock wsw_clock_monotonic(void);

/* Microseconds since the epoch, of the wall clock. */
uint64_t wsw_clock_wall_microseconds(void);
