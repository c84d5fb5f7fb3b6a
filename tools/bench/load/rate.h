/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handshakes a second: a number of connections at a time, each of which asks, reads the 101, and is cut off with RST, so that no port
 * waits for its time to pass.
 */
#pragma once

#include "tools/bench/load/crowd.h"

#define LOAD_RATE_SLOTS_MAX 256u

/* `slots` at a time; uses the crowd's port, handshake and histogram. */
void load_rate_run(struct load_crowd *crowd, uint32_t slots, uint64_t warmup, uint64_t duration,
                   struct load_result *result);
