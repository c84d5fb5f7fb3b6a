/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records on their way into a stream: append whole records, write from the front. Many small records leave in one
 * write. A zeroed queue is empty and holds no memory; it gives memory back when it runs empty, or nearly so, after
 * having grown beyond WSC_QUEUE_KEEP. Appending costs amortised constant time an octet. How much may wait in a queue is
 * its user's bound.
 */
#pragma once

#include "channel/record.h"

struct wsc_queue {
  uint8_t *octets;
  size_t start, end, capacity;
  size_t keep; /* memory of up to so many octets is kept when it runs empty; 0: WSC_QUEUE_KEEP */
};

static inline size_t wsc_queue_length(const struct wsc_queue *queue) {
  return queue->end - queue->start;
}
/* The octets to write next; NULL may come back from a queue that is empty. */
static inline const uint8_t *wsc_queue_front(const struct wsc_queue *queue) {
  return queue->octets == NULL ? NULL : queue->octets + queue->start;
}

/* Appends a header (its size field is set from body_size) and returns where the body goes, for the caller to fill at
 * once; NULL without memory or with more than WSC_BODY_MAX, the queue unchanged. For body_size 0 the pointer is valid
 * but must not be written. */
uint8_t *wsc_queue_append(struct wsc_queue *queue, const struct wsc_header *header, size_t body_size);
/* The same with the body copied; `body` may be NULL when body_size is 0. */
bool wsc_queue_append_record(struct wsc_queue *queue, const struct wsc_header *header, const void *body,
                             size_t body_size);
/* Appends octets that are whole records already. */
bool wsc_queue_append_octets(struct wsc_queue *queue, const void *octets, size_t length);
/* `length` octets were written, at most wsc_queue_length(). What wsc_queue_front() returned is invalid from here on. */
void wsc_queue_consume(struct wsc_queue *queue, size_t length);
void wsc_queue_clear(struct wsc_queue *queue);
/* An empty queue gives back memory beyond WSC_QUEUE_KEEP, whatever it was to keep. */
void wsc_queue_trim(struct wsc_queue *queue);
