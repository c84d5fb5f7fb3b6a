/* SPDX-License-Identifier: Apache-2.0 */
/* Legal records to test with: one of each type, and random ones. */
#pragma once

#include "channel/queue.h"

/* A legal WELCOME body. */
struct wsc_welcome sample_welcome(void);
/* One of every type that travels that way, in a legal order; returns how many. */
size_t sample_append_each(struct wsc_queue *queue, enum wsc_direction direction);
/* A random record that may stand anywhere behind a channel's beginning; messages have up to `payload_max` octets. */
void sample_append_random(struct wsc_queue *queue, enum wsc_direction direction, size_t payload_max);
