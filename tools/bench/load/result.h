/* SPDX-License-Identifier: Apache-2.0 */
/* What one run came to, and the line of JSON that tells it. */
#pragma once

#include "tools/bench/load/account.h"
#include "tools/bench/load/histogram.h"

struct load_result {
  struct load_account begin, end;
  uint64_t messages; /* between the two */
};

/* `latency` may be NULL. */
void load_result_print(const struct load_result *result, const struct load_processes *processes,
                       const struct load_histogram *latency);
