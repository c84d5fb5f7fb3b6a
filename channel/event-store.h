/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's memory of events on a channel with acknowledgement: every event is kept, in order, until the app side
 * has acknowledged it; at most a window of unacknowledged events (by number and by octets, one larger event alone is
 * fine) is out at a time. After wsc_event_store_resume() the unacknowledged ones are handed out again, first to last.
 *
 * Numbers count from 1 over the worker's life. Invariant: acknowledged <= released <= released_before <= appended. The
 * window's octets are those of whole records, headers included. Both window fields may be changed at any time: a new
 * channel brings its own.
 *
 * On a channel without acknowledgement nothing is kept: what the store still holds goes out by
 * wsc_event_store_release_all() and is acknowledged at once, and each further event is only counted, by
 * wsc_event_store_pass().
 */
#pragma once

#include "channel/queue.h"

struct wsc_event_store {
  struct wsc_queue records; /* all events not yet acknowledged */
  size_t released_octets;   /* of records: already handed out on this channel */
  uint64_t acknowledged;    /* number of the last event acknowledged */
  uint64_t released;        /* number of the last event handed out on this channel */
  uint64_t released_before; /* number of the last event ever handed out on any channel */
  uint64_t appended;        /* number of the last event */
  uint32_t window_events;
  uint64_t window_octets;
};

void wsc_event_store_init(struct wsc_event_store *store, uint32_t window_events, uint64_t window_octets);
/* Forgets everything that is kept and gives back the memory. Counting goes on. */
void wsc_event_store_clear(struct wsc_event_store *store);

/* Appends an event; see wsc_queue_append(). Without memory nothing changes. */
uint8_t *wsc_event_store_append(struct wsc_event_store *store, const struct wsc_header *header, size_t body_size);

/* Counts an event that went to a channel without acknowledgement. Only while everything before it is acknowledged. */
void wsc_event_store_pass(struct wsc_event_store *store);

/* Copies what the window allows into `out` (whole records). False without memory, and then nothing changed: try again
 * later. */
bool wsc_event_store_release(struct wsc_event_store *store, struct wsc_queue *out);
/* As above, ignoring the window: used when the server stops and everything must go out. */
bool wsc_event_store_release_all(struct wsc_event_store *store, struct wsc_queue *out);

/* The app side acknowledged all events up to number `event`. False when that number was never handed out on this
 * channel: a fault. A number that was acknowledged before is fine and does nothing. */
bool wsc_event_store_acknowledge(struct wsc_event_store *store, uint64_t event);

/* A new channel: everything unacknowledged will be released again. Returns how many of those had been handed out
 * before. */
uint32_t wsc_event_store_resume(struct wsc_event_store *store);

/* Walks everything that is kept, first to last: start with *offset = 0; false at the end. So the worker finds out, for
 * a new channel, of which connections events will follow although their CONNECT will not (they need a STANDING), closed
 * ones included. */
bool wsc_event_store_next(const struct wsc_event_store *store, size_t *offset, struct wsc_header *header);

/* Octets appended but not handed out yet: the measure for back-pressure towards peers. */
static inline size_t wsc_event_store_waiting(const struct wsc_event_store *store) {
  return wsc_queue_length(&store->records) - store->released_octets;
}
