/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growable run of octets with a consumed front: the engine appends what has to be sent, its user writes
 * from the front. Zero-initialised is empty and holds no memory, so an idle connection costs nothing.
 *
 * Allocation failure is an outcome, never an abort: the functions that may grow return false or NULL and leave
 * the content as it was. Not thread-safe; a buffer belongs to whoever owns the connection.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wsp_buffer {
  uint8_t *octets; /* owned; NULL while capacity is 0 */
  size_t start;    /* first octet not yet consumed */
  size_t end;      /* one past the last octet */
  size_t capacity;
};

static inline size_t wsp_buffer_length(const struct wsp_buffer *buffer) {
  return buffer->end - buffer->start;
}
static inline uint8_t *wsp_buffer_front(const struct wsp_buffer *buffer) {
  return buffer->octets + buffer->start;
}

/* Makes room for at least `length` more octets and returns where to write them (valid until the next call),
 * or NULL when there is no memory. Call wsp_buffer_commit() with what was really written. */
uint8_t *wsp_buffer_reserve(struct wsp_buffer *buffer, size_t length);
void wsp_buffer_commit(struct wsp_buffer *buffer, size_t length);

bool wsp_buffer_append(struct wsp_buffer *buffer, const void *octets, size_t length);

/* Drops `length` octets from the front (at most what is there). Never frees memory. */
void wsp_buffer_consume(struct wsp_buffer *buffer, size_t length);

/* Frees the memory and leaves an empty, usable buffer. */
void wsp_buffer_clear(struct wsp_buffer *buffer);
