/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's end of one worker's channel: records in, records out, on the main loop. Incoming records are checked
 * against the channel's rules before anyone sees them; the first fault ends the link.
 */
#pragma once

#include "channel/record.h"

#include <gio/gio.h>
#include <stdbool.h>

struct wsd_channel;

struct wsd_channel_events {
  /* Whether a record can be taken now; false: reading pauses until wsd_channel_resume(). */
  bool (*ready)(void *user, const struct wsc_record *record);
  /* A whole and legal record, valid during the call. Returns NULL, or a sentence that says which rule it breaks. */
  const char *(*record)(void *user, const struct wsc_record *record);
  /* The link is at its end: `fault` is NULL when the worker closed it. Nothing follows. Never called inside a call to the functions below but wsd_channel_drain(). */
  void (*ended)(void *user, const char *fault);
};

/* Takes `fd` (non-blocking). */
struct wsd_channel *wsd_channel_new(int fd, guint64 max_message, const struct wsd_channel_events *events, void *user);
void wsd_channel_free(struct wsd_channel *channel);

/* Queues a record made of a header, `middle` and `body`, writes what the socket takes now, and returns the position
 * behind it in the stream, or 0 when the link has ended. */
guint64 wsd_channel_send(struct wsd_channel *channel, const struct wsc_header *header, const void *middle,
                         gsize middle_length, const void *body, gsize body_length);
/* Position up to which everything is in the socket. `written` is called from the main loop whenever it moves later on. */
guint64 wsd_channel_written(const struct wsd_channel *channel);
void wsd_channel_on_written(struct wsd_channel *channel, void (*written)(void *user));
gsize wsd_channel_queued(const struct wsd_channel *channel);

/* -1 with errno. The link at its other side ends when this is closed, too. */
int wsd_channel_duplicate(const struct wsd_channel *channel);

void wsd_channel_resume(struct wsd_channel *channel);
/* Writes what is queued, waiting for the worker to read for at most so long. False when something is left. */
bool wsd_channel_flush(struct wsd_channel *channel, int timeout_ms);
/* Reads and handles everything that is in the socket, without asking `ready`, from here on; used when the worker is gone or
 * leaving. One that goes on beyond WSD_DRAIN_OCTETS_MAX breaks the rules. */
void wsd_channel_drain(struct wsd_channel *channel);
