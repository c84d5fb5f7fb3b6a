/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One wsserver-worker: spawns it, talks to it over the control socket, notices its end. What it sends is hostile input: a
 * record that breaks the rules ends it.
 *
 * The end of the control socket is the end of the worker; `gone` is called once, from the main loop, and nothing
 * after it. Requests that are open then are answered with a NULL record first.
 */
#pragma once

#include "channel/control.h"

#include <gio/gio.h>
#include <stdbool.h>

struct wsd_worker;

struct wsd_worker_settings {
  const char *name; /* of the server, for the worker's log lines */
  guint64 generation;
  guint32 max_clients, max_per_client;
  const char *protocol;
  const char *const *allowed_origins; /* NULL: any */
  guint64 max_message;
  guint32 ping_interval, pong_timeout, handshake_timeout; /* seconds */
  guint32 connection_rate, ban_seconds;
  guint32 window_events;
  guint64 window_octets;
};

struct wsd_worker_events {
  /* It serves. For an adopted worker: everything it says from here on is meant for us. */
  void (*ready)(void *user);
  /* It could not do what it was asked to, and leaves; `gone` follows. */
  void (*failed)(void *user, const char *text);
  void (*stopped)(void *user, const struct wsc_counters *counters);
  void (*channel_ended)(void *user, const char *text);
  void (*gone)(void *user);
};

/* Starts the program at `path`. `user` must live until wsd_worker_free(). */
struct wsd_worker *wsd_worker_spawn(const char *path, const struct wsd_worker_events *events, void *user,
                                    GError **error);
/* A worker that an earlier process of the service left behind. Takes the descriptors; `pidfd` may be -1. What it says before `ready`
 * was meant for that process and is passed over. */
struct wsd_worker *wsd_worker_adopt(int control, int pidfd, const struct wsd_worker_events *events, void *user);
/* For the service manager to keep; the pidfd is -1 where the kernel has none. */
int wsd_worker_control(const struct wsd_worker *worker);
int wsd_worker_pidfd(const struct wsd_worker *worker);
/* Frees without ending the worker, which lives while somebody holds its control socket. No callback comes any more. */
void wsd_worker_let_go(struct wsd_worker *worker);
/* Ends a worker that is not gone with SIGKILL. No callback comes any more. */
void wsd_worker_free(struct wsd_worker *worker);
/* SIGKILL; `gone` follows. */
void wsd_worker_kill(struct wsd_worker *worker);

/* Hands over listener and channel (both stay the caller's). False when the worker cannot be reached: `gone` follows. */
bool wsd_worker_configure(struct wsd_worker *worker, const struct wsd_worker_settings *settings, int listener,
                          int channel);
/* A fresh channel for an adopted worker; `ready` follows. */
bool wsd_worker_attach(struct wsd_worker *worker, const struct wsd_worker_settings *settings, int channel);
bool wsd_worker_stop(struct wsd_worker *worker, guint16 code, guint32 deadline_ms);

/* `record` is NULL when there is no answer. */
typedef void (*wsd_worker_answer)(void *user, const struct wsc_control_record *record);
/* Asks and calls `answer` exactly once, never before returning. */
void wsd_worker_ask_counters(struct wsd_worker *worker, wsd_worker_answer answer, void *user);
void wsd_worker_ask_connections(struct wsd_worker *worker, guint64 after, wsd_worker_answer answer, void *user);
void wsd_worker_ask_bans(struct wsd_worker *worker, wsd_worker_answer answer, void *user);
void wsd_worker_ask_to_clear_ban(struct wsd_worker *worker, const struct wsc_address *address, wsd_worker_answer answer,
                                 void *user);
