/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_MIN = 1024, SPARSE = 8 };

static void compact(struct wsc_queue *queue) {
  size_t length = wsc_queue_length(queue);
  if (queue->start > 0 && length > 0)
    memmove(queue->octets, queue->octets + queue->start, length);
  queue->start = 0;
  queue->end = length;
}

static bool resize(struct wsc_queue *queue, size_t capacity) {
  uint8_t *octets = realloc(queue->octets, capacity);
  if (octets == NULL)
    return false;
  queue->octets = octets;
  queue->capacity = capacity;
  return true;
}

/*
 * Makes `size` octets fit behind the end. Moving what is queued is paid for by what was consumed since the last move
 * (at least as much), growing by the octets that filled the memory.
 */
static bool reserve(struct wsc_queue *queue, size_t size) {
  size_t length = wsc_queue_length(queue);
  if (size <= queue->capacity - queue->end)
    return true;
  if (queue->start >= length && size <= queue->capacity - length) {
    compact(queue);
    return true;
  }
  if (size > SIZE_MAX / 4 || length > SIZE_MAX / 4)
    return false;
  size_t needed = length + size, doubled = 2 * length;
  size_t capacity = needed > doubled ? needed : doubled;
  if (capacity < CAPACITY_MIN)
    capacity = CAPACITY_MIN;
  /* What was consumed is not worth copying: a fresh block rather than realloc() unless nothing was. */
  if (queue->start == 0)
    return resize(queue, capacity);
  uint8_t *octets = malloc(capacity);
  if (octets == NULL)
    return false;
  memcpy(octets, queue->octets + queue->start, length);
  free(queue->octets);
  *queue = (struct wsc_queue){.octets = octets, .end = length, .capacity = capacity, .keep = queue->keep};
  return true;
}

uint8_t *wsc_queue_append(struct wsc_queue *queue, const struct wsc_header *header, size_t body_size) {
  if (body_size > WSC_BODY_MAX || !reserve(queue, WSC_RECORD_HEADER + body_size))
    return NULL;
  struct wsc_header sized = *header;
  sized.size = (uint32_t)body_size;
  uint8_t *out = queue->octets + queue->end;
  wsc_header_encode(&sized, out);
  queue->end += WSC_RECORD_HEADER + body_size;
  return out + WSC_RECORD_HEADER;
}

bool wsc_queue_append_record(struct wsc_queue *queue, const struct wsc_header *header, const void *body,
                             size_t body_size) {
  uint8_t *out = wsc_queue_append(queue, header, body_size);
  if (out != NULL && body_size > 0)
    memcpy(out, body, body_size);
  return out != NULL;
}

bool wsc_queue_append_octets(struct wsc_queue *queue, const void *octets, size_t length) {
  if (length == 0)
    return true;
  if (!reserve(queue, length))
    return false;
  memcpy(queue->octets + queue->end, octets, length);
  queue->end += length;
  return true;
}

void wsc_queue_consume(struct wsc_queue *queue, size_t length) {
  assert(length <= wsc_queue_length(queue));
  queue->start += length;
  size_t left = wsc_queue_length(queue);
  size_t keep = queue->keep > WSC_QUEUE_KEEP ? queue->keep : WSC_QUEUE_KEEP;
  if (left == 0 && queue->capacity > keep) {
    wsc_queue_clear(queue);
  } else if (left == 0) {
    queue->start = queue->end = 0;
  } else if (queue->capacity > keep && left < queue->capacity / SPARSE) {
    compact(queue);
    resize(queue, left > keep / 2 ? 2 * left : keep); /* failing to shrink harms nobody */
  }
}

void wsc_queue_clear(struct wsc_queue *queue) {
  free(queue->octets);
  *queue = (struct wsc_queue){.keep = queue->keep};
}

void wsc_queue_trim(struct wsc_queue *queue) {
  if (wsc_queue_length(queue) == 0 && queue->capacity > WSC_QUEUE_KEEP)
    wsc_queue_clear(queue);
}
