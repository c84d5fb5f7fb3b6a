/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's end of the channel. Events go out through it, the app side's records come in. Two ways:
 *
 *   acknowledged      (wsserverd holds the other end) every event is kept until it was acknowledged, at most a window is out at a
 *                     time, and a new channel gets what was not acknowledged once more;
 *   not acknowledged  (an app's own) events go straight out; the socket's fullness is the flow control.
 *
 * What is queued leaves in one write at the end of a wake-up, or before when much has gathered. When the other end closes or breaks the rules, the daemon is told
 * (CHANNEL_ENDED) and the worker waits for the next channel. An attached channel that is replaced is read to its end first: what
 * the app side has written counts as sent.
 */
#pragma once

#include "channel/decoder.h"
#include "channel/event-store.h"
#include "worker/loop.h"
#include "worker/shared-memory.h"

struct wsw_peer;
struct wsw_server;

/* One large message on its way into the socket, in the memory in which it was gathered. Its header stands at the end of what goes
 * before it. */
struct wsw_bulk {
  uint8_t *octets; /* owned; NULL: none */
  size_t start, length;
};

struct wsw_channel {
  struct wsw_watch watch; /* fd -1: none */
  struct wsc_decoder decoder;
  struct wsc_queue out;         /* records on their way into the socket ... */
  struct wsw_bulk bulk;         /* ... and one that goes behind them ... */
  struct wsc_queue behind;      /* ... and what goes behind that; empty without a bulk */
  struct wsc_event_store store; /* also counts events where none is kept */
  struct wsw_shared *shared;    /* NULL: the channel has no shared memory */
  bool acknowledged;
  uint64_t asked;   /* without acknowledgement: the last event for which it was asked ... */
  uint64_t handled; /* ... and that is known to be handled */
  size_t credits;   /* octets of CREDIT and RELEASED queued since nothing was */
  bool blocked;     /* waits to become writable */
  bool unwritable;  /* the other end is gone; what it wrote before is still read */
  bool releases_all;
};

struct wsw_channel_terms {
  bool acknowledged;
  struct wsw_shared *shared; /* becomes the channel's; NULL: none */
  uint32_t window_events;
  uint64_t window_octets;
};

void wsw_channel_init(struct wsw_server *server);
void wsw_channel_clear(struct wsw_server *server);

/* Takes the socket over. */
void wsw_channel_attach(struct wsw_server *server, int fd, const struct wsw_channel_terms *terms);

/* Queues an event: a copy of `body`, or room for the caller to fill at once. Without memory the process ends, and room is NULL. */
void wsw_channel_event(struct wsw_server *server, const struct wsc_header *header, const void *body, size_t length);
uint8_t *wsw_channel_event_room(struct wsw_server *server, const struct wsc_header *header, size_t length);
/* The same for a body that may be kept where it lies: `body` is the channel's afterwards, to be freed with free(). */
void wsw_channel_bulk_event(struct wsw_server *server, const struct wsc_header *header, uint8_t *body, size_t length);
/* Whether it would be copied all the same. */
bool wsw_channel_copies(const struct wsw_server *server);
/* Queues RELEASED for what was read of the shared memory, which has to be there. */
void wsw_channel_tell_done(struct wsw_server *server);
void wsw_channel_credit(struct wsw_server *server, uint64_t connection, uint64_t released);

/* NULL and *peer, which is NULL for one that is closed already; or a sentence for an id that never was. */
const char *wsw_channel_find_peer(struct wsw_server *server, uint64_t id, struct wsw_peer **peer);

/* True while the app side has not acknowledged the event of that number, but will. Without acknowledgement it has to be asked. */
bool wsw_channel_awaits(const struct wsw_server *server, uint64_t event);
/* Asks the app side to say when it has handled all events there are, where it would not say so anyway. */
void wsw_channel_ask(struct wsw_server *server);

/* Octets on their way into the socket. */
static inline size_t wsw_channel_output(const struct wsw_channel *channel) {
  return wsc_queue_length(&channel->out) + (channel->bulk.length - channel->bulk.start) +
         wsc_queue_length(&channel->behind);
}
/* Octets of events that wait; the measure for back-pressure. */
static inline size_t wsw_channel_backlog(const struct wsw_channel *channel) {
  return wsw_channel_output(channel) + wsc_event_store_waiting(&channel->store);
}

/* Writes within the wake-up when much has gathered: the app side has something to do meanwhile, and nobody is stopped for it. */
void wsw_channel_relieve(struct wsw_server *server);
/* One write of what may go out. */
void wsw_channel_flush(struct wsw_server *server);

/* From now on the window does not hold events back: the server stops, and everything must go out. */
void wsw_channel_release_all(struct wsw_server *server);
/* Nothing waits any more, or nobody is there to read it. */
bool wsw_channel_is_drained(const struct wsw_server *server);
/* True when the app side has acknowledged every event, or never does. */
bool wsw_channel_is_confirmed(const struct wsw_server *server);
