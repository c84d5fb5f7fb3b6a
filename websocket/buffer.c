/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/buffer.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 256

static size_t grown_capacity(const struct wsp_buffer *buffer, size_t needed) {
  size_t doubled = buffer->capacity <= PTRDIFF_MAX / 2 ? buffer->capacity * 2 : needed;
  size_t capacity = doubled > FIRST_CAPACITY ? doubled : FIRST_CAPACITY;
  return capacity > needed ? capacity : needed;
}

/* Moves the content into a larger block; the consumed front is not copied along. */
static bool grow(struct wsp_buffer *buffer, size_t needed) {
  size_t live = wsp_buffer_length(buffer);
  size_t capacity = grown_capacity(buffer, needed);
  uint8_t *octets = malloc(capacity);
  if (!octets && capacity > needed)
    octets = malloc(capacity = needed);
  if (!octets)
    return false;
  if (live > 0)
    memcpy(octets, wsp_buffer_front(buffer), live);
  free(buffer->octets);
  *buffer = (struct wsp_buffer){.octets = octets, .end = live, .capacity = capacity};
  return true;
}

uint8_t *wsp_buffer_reserve(struct wsp_buffer *buffer, size_t length) {
  if (length <= buffer->capacity - buffer->end && buffer->octets)
    return buffer->octets + buffer->end;
  size_t live = wsp_buffer_length(buffer);
  if (length > PTRDIFF_MAX - live)
    return NULL;
  /* Moving down is worth it only when at least as much was consumed as has to be moved: each octet then moves at
   * most once for each octet written. */
  bool fits = live + length <= buffer->capacity && live <= buffer->start && buffer->octets;
  if (fits && live > 0)
    memmove(buffer->octets, wsp_buffer_front(buffer), live);
  if (fits) {
    buffer->start = 0;
    buffer->end = live;
  } else if (!grow(buffer, live + length)) {
    return NULL;
  }
  return buffer->octets + buffer->end;
}

void wsp_buffer_commit(struct wsp_buffer *buffer, size_t length) {
  buffer->end += length;
}

bool wsp_buffer_append(struct wsp_buffer *buffer, const void *octets, size_t length) {
  uint8_t *room = wsp_buffer_reserve(buffer, length);
  if (!room)
    return false;
  if (length > 0)
    memcpy(room, octets, length);
  wsp_buffer_commit(buffer, length);
  return true;
}

void wsp_buffer_consume(struct wsp_buffer *buffer, size_t length) {
  if (length < wsp_buffer_length(buffer)) {
    buffer->start += length;
  } else {
    buffer->start = 0;
    buffer->end = 0;
  }
}

void wsp_buffer_clear(struct wsp_buffer *buffer) {
  free(buffer->octets);
  *buffer = (struct wsp_buffer){0};
}
