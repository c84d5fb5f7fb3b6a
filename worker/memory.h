/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ceiling of what peers can make a worker hold: octets queued for them, unfinished messages from them, and events that wait for the
 * app side. It is WSW_MEMORY_MAX and four of the largest messages, or what the policy of the device grants where that is less. Before it is passed, those peers that hold most are cut
 * off, first of those that have not moved for WSW_STANDING_MS, so that others go on: whoever does not read is dropped (1006), whoever has sent a large part of a message and not the rest gets a
 * Close frame with 1013. Near the ceiling newcomers get 503.
 *
 * What is not counted here is bounded by number: request heads (WSP_HEAD_MAX each, WSW_HALF_OPEN_MAX + WSW_REFUSED_MAX of them), and
 * connections themselves. The kernel's limit on the process's data (wsw_memory_limit()) stands behind all of it: a leak costs
 * this worker, not the device.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct wsw_server;

/* Octets held now, and how many may be. */
uint64_t wsw_memory_held(const struct wsw_server *server);
uint64_t wsw_memory_ceiling(const struct wsw_server *server);
/* Too near the ceiling for somebody new. */
bool wsw_memory_is_short(const struct wsw_server *server);

/* So many octets are about to be held too: cuts off as many peers as that takes. Any peer may be over afterwards. */
void wsw_memory_make_room(struct wsw_server *server, uint64_t octets);

/* What the kernel shall bound the process's data to. */
uint64_t wsw_memory_limit(const struct wsw_server *server);
