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
#include "daemon/app-channel.h"
#include "daemon/certificate-files.h"

#include <gio/gio.h>
#include <stdbool.h>

struct wsd_worker;

struct wsd_worker_settings {
  const char *name; /* of the server, for the worker's log lines */
  guint64 generation;
  guint32 max_clients, max_per_client;
  guint32 max_connections; /* of all peers together */
  guint32 max_queue;       /* charged octets that may wait for one connection; not adjusted */
  guint64 max_memory;      /* octets held for peers; 0: the worker's own bound */
  guint32 nice;
  bool require_origin;
  const char *protocol;
  const char *const *allowed_origins; /* NULL: any */
  guint64 max_message;
  guint32 ping_interval, pong_timeout, handshake_timeout; /* seconds */
  int vault;                                              /* certificate and key; -1: peers speak plain TCP */
  guint32 tls_min_version;
  bool compression;
  guint32 connection_rate, ban_seconds;
  guint32 window_events;
  guint64 window_octets;
};

/* Something for the log that its peers caused. */
struct wsd_notice {
  bool is_ban;
  const char *peer; /* its address */
  guint32 number;   /* of seconds that the ban lasts, or of peers refused */
  guint32 status;   /* HTTP status they were refused with */
  const char *text; /* why */
};

struct wsd_worker_events {
  /* It serves. For an adopted worker: everything it says from here on is meant for us. */
  void (*ready)(void *user);
  /* It could not do what it was asked to, and leaves; `gone` follows. `number` is an error's of the contract, as far as that can be
   * trusted. */
  void (*failed)(void *user, guint32 number, const char *text);
  void (*stopped)(void *user, const struct wsc_counters *counters);
  void (*channel_ended)(void *user, const char *text);
  void (*gone)(void *user);
  void (*notice)(void *user, const struct wsd_notice *notice); /* or NULL: passed over */
};

/* Starts the program at `path`. `user` must live until wsd_worker_free(). */
struct wsd_worker *wsd_worker_spawn(const char *path, const struct wsd_worker_events *events, void *user,
                                    GError **error);
/* Of one that was just spawned: calls `on_exit` once when the process is no more, which may be long after wsd_worker_free() where it
 * cannot die. */
void wsd_worker_on_exit(struct wsd_worker *worker, void (*on_exit)(void *user), void *user);
/* A worker that an earlier process of the service left behind. Takes the descriptors; `pidfd` may be -1. What it says before `ready`
 * was meant for that process and is passed over. */
struct wsd_worker *wsd_worker_adopt(int control, int pidfd, const struct wsd_worker_events *events, void *user);
/* The highest type of request that it knows: told by the worker when it is ready, remembered for one that is adopted. */
guint32 wsd_worker_last_request(const struct wsd_worker *worker);
void wsd_worker_set_last_request(struct wsd_worker *worker, guint32 type);
/* For the service manager to keep; the pidfd is -1 where the kernel has none. */
int wsd_worker_control(const struct wsd_worker *worker);
int wsd_worker_pidfd(const struct wsd_worker *worker);
/* Frees without ending the worker, which lives while somebody holds its control socket. No callback comes any more. */
void wsd_worker_let_go(struct wsd_worker *worker);
/* The same for one that leaves by itself now; should it not, it is ended after a while. */
void wsd_worker_dismiss(struct wsd_worker *worker);
/* Ends a worker that is not gone with SIGKILL. No callback comes any more. */
void wsd_worker_free(struct wsd_worker *worker);
/* SIGKILL; `gone` follows. */
void wsd_worker_kill(struct wsd_worker *worker);
/* The same, for what an answer says is against the rules; `fault` is logged. */
void wsd_worker_break_off(struct wsd_worker *worker, const char *fault);

/* Hands over listener and channel (both stay the caller's; channel -1: none yet). False when the worker cannot be reached: `gone` follows. */
bool wsd_worker_configure(struct wsd_worker *worker, const struct wsd_worker_settings *settings, int listener,
                          int channel);
/* The limits that hold from now on: clients, connections, memory, times, rate, bans, whether an Origin is required, niceness. One of
 * a release that cannot keeps those it has. */
void wsd_worker_adjust(struct wsd_worker *worker, const struct wsd_worker_settings *settings);
/* Instead of the above: it reads the files, fills the vault, and says `ready` or `failed`. Neither passes a descriptor on. */
bool wsd_worker_prepare(struct wsd_worker *worker, int vault, const struct wsd_certificate_files *files,
                        int former_vault);
/* The channel of an app's own, instead of ours where there is one. It stays the caller's. */
bool wsd_worker_attach_app(struct wsd_worker *worker, const struct wsd_app_channel *channel);
/* An adopted worker that has the channel of an app's own; `ready` follows. */
void wsd_worker_synchronise(struct wsd_worker *worker);
/* A fresh channel for an adopted worker; `ready` follows. */
bool wsd_worker_attach(struct wsd_worker *worker, const struct wsd_worker_settings *settings, int channel);
bool wsd_worker_stop(struct wsd_worker *worker, guint16 code, guint32 deadline_ms);

/* `record` is NULL when there is no answer. */
typedef void (*wsd_worker_answer)(void *user, const struct wsc_control_record *record);
/* Asks and calls `answer` exactly once, never before returning. */
void wsd_worker_ask_counters(struct wsd_worker *worker, wsd_worker_answer answer, void *user);
void wsd_worker_ask_connections(struct wsd_worker *worker, guint64 after, wsd_worker_answer answer, void *user);
/* New connections get the certificate in this vault; the record tells when that could not be, see
 * wsd_worker_replacement_fault(). */
void wsd_worker_replace_certificate(struct wsd_worker *worker, int vault, wsd_worker_answer answer, void *user);
/* What an answer to that complains of; NULL: nothing. */
char *wsd_worker_replacement_fault(const struct wsc_control_record *record);
void wsd_worker_ask_bans(struct wsd_worker *worker, wsd_worker_answer answer, void *user);
void wsd_worker_ask_to_clear_ban(struct wsd_worker *worker, const struct wsc_address *address, wsd_worker_answer answer,
                                 void *user);
/* `code` and `reason` are legal. */
void wsd_worker_ask_to_close(struct wsd_worker *worker, guint64 connection, guint16 code, const char *reason,
                             wsd_worker_answer answer, void *user);
