/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every server under comparison does with a message, as its first four octets say: "cast" goes to all connections, "sink" to
 * none, everything else back to whoever sent it.
 */
#pragma once

#include <stddef.h>
#include <string.h>

enum bench_reaction { BENCH_ECHO, BENCH_BROADCAST, BENCH_SINK };

static inline enum bench_reaction bench_reaction_to(const void *message, size_t length) {
  if (length >= 4 && memcmp(message, "cast", 4) == 0)
    return BENCH_BROADCAST;
  if (length >= 4 && memcmp(message, "sink", 4) == 0)
    return BENCH_SINK;
  return BENCH_ECHO;
}
