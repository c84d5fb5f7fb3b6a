/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/clock.h"

#include <stddef.h>
#include <time.h>

static uint64_t read_clock(clockid_t which, uint64_t per_second, uint64_t nanoseconds_each) {
  struct timespec now = {0};
  (void)clock_gettime(which, &now);
  return (uint64_t)now.tv_sec * per_second + (uint64_t)now.tv_nsec / nanoseconds_each;
}

static uint64_t monotonic_milliseconds(void *context) {
  (void)context;
  return read_clock(CLOCK_MONOTONIC, 1000, 1000000);
}

struct wsw_clock wsw_clock_monotonic(void) {
  return (struct wsw_clock){.milliseconds = monotonic_milliseconds, .context = NULL};
}

uint64_t wsw_clock_wall_microseconds(void) {
  return read_clock(CLOCK_REALTIME, 1000000, 1000);
}
