/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/event-store.h"

#include <assert.h>
#include <string.h>

void wsc_event_store_init(struct wsc_event_store *store, uint32_t window_events, uint64_t window_octets) {
  memset(store, 0, sizeof *store);
  store->window_events = window_events;
  store->window_octets = window_octets;
}

void wsc_event_store_clear(struct wsc_event_store *store) {
  wsc_queue_clear(&store->records);
  store->released_octets = 0;
  store->released = store->released_before = store->acknowledged = store->appended;
}

uint8_t *wsc_event_store_append(struct wsc_event_store *store, const struct wsc_header *header, size_t body_size) {
  assert(wsc_type_is_event(header->type));
  uint8_t *body = wsc_queue_append(&store->records, header, body_size);
  if (body != NULL)
    store->appended++;
  return body;
}

void wsc_event_store_pass(struct wsc_event_store *store) {
  assert(store->acknowledged == store->appended);
  store->appended++;
  store->acknowledged = store->released = store->released_before = store->appended;
}

static size_t record_size_at(const struct wsc_event_store *store, size_t offset) {
  struct wsc_header header;
  wsc_header_decode(wsc_queue_front(&store->records) + offset, &header);
  return WSC_RECORD_HEADER + (size_t)header.size;
}

/* A single event is let out however large it is, or a small window would stop the channel for good. */
static bool window_allows(const struct wsc_event_store *store, uint64_t events, size_t octets, size_t next) {
  return events == 0 ||
         (events < store->window_events && octets <= store->window_octets && next <= store->window_octets - octets);
}

static bool release(struct wsc_event_store *store, struct wsc_queue *out, bool all) {
  uint64_t released = store->released;
  size_t octets = store->released_octets;
  while (released < store->appended) {
    size_t next = record_size_at(store, octets);
    if (!all && !window_allows(store, released - store->acknowledged, octets, next))
      break;
    octets += next;
    released++;
  }
  if (released == store->released)
    return true;
  const uint8_t *from = wsc_queue_front(&store->records) + store->released_octets;
  if (!wsc_queue_append_octets(out, from, octets - store->released_octets))
    return false;
  store->released = released;
  store->released_octets = octets;
  if (released > store->released_before)
    store->released_before = released;
  return true;
}

bool wsc_event_store_release(struct wsc_event_store *store, struct wsc_queue *out) {
  return release(store, out, false);
}

bool wsc_event_store_release_all(struct wsc_event_store *store, struct wsc_queue *out) {
  return release(store, out, true);
}

bool wsc_event_store_acknowledge(struct wsc_event_store *store, uint64_t event) {
  if (event <= store->acknowledged)
    return true;
  if (event > store->released)
    return false;
  size_t octets = 0;
  for (uint64_t i = store->acknowledged; i < event; i++)
    octets += record_size_at(store, octets);
  wsc_queue_consume(&store->records, octets);
  store->released_octets -= octets;
  store->acknowledged = event;
  return true;
}

uint32_t wsc_event_store_resume(struct wsc_event_store *store) {
  uint64_t repeats = store->released_before - store->acknowledged;
  store->released = store->acknowledged;
  store->released_octets = 0;
  return repeats < UINT32_MAX ? (uint32_t)repeats : UINT32_MAX;
}

bool wsc_event_store_next(const struct wsc_event_store *store, size_t *offset, struct wsc_header *header) {
  if (*offset >= wsc_queue_length(&store->records))
    return false;
  wsc_header_decode(wsc_queue_front(&store->records) + *offset, header);
  *offset += WSC_RECORD_HEADER + (size_t)header->size;
  return true;
}
