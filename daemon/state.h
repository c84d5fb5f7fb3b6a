/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the service has to know after a restart, in a form that outlives the process: one sealed memfd, kept by the service
 * manager beside the sockets it speaks of, and gone with them. Nothing of it lies in a file that somebody could forge, yet what is read
 * back is checked like input from outside.
 *
 * Extensible: each server is a dictionary, of which a reader takes the keys it knows.
 */
#pragma once

#include "daemon/start-options.h"

struct wsd_kept_server {
  guint64 number;
  char *owner; /* unique name */
  guint32 owner_uid;
  char *owner_label; /* or NULL */
  char *state;       /* as the property says it */
  struct wsd_start_options options;
  guint64 generation;          /* of the last worker */
  guint32 worker_version;      /* of the control records it speaks */
  bool by_channel;             /* the app has, or had, a channel of its own for this run or the next */
  bool channel_open;           /* it has */
  guint32 worker_last_request; /* see worker-process.h; 0: it has not told */
  guint64 events_before;       /* event signals sent before the present worker's first */
  bool settled;                /* every event that was sent is acknowledged to the worker: nothing will be repeated */
};

struct wsd_state {
  guint64 sequence; /* the newest one counts */
  char *bus_guid;
  guint64 last_number;
  GPtrArray *servers; /* of struct wsd_kept_server */
};

struct wsd_state *wsd_state_new(void);
void wsd_state_free(struct wsd_state *state);
/* Adds an empty one, to be filled in. */
struct wsd_kept_server *wsd_state_add(struct wsd_state *state);

/* A sealed memfd, close-on-exec; -1 with an error. */
int wsd_state_write(const struct wsd_state *state, GError **error);
/* NULL with an error that says what is wrong with the descriptor or its content. */
struct wsd_state *wsd_state_read(int fd, GError **error);
