/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>
#include <time.h>

#define LOAD_SECOND 1000000000ull
#define LOAD_MILLISECOND 1000000ull

/* Monotonic, in nanoseconds. */
static inline uint64_t load_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * LOAD_SECOND + (uint64_t)time.tv_nsec;
}
