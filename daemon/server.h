/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One WebSocket server of one app: the contract's states, the listening socket, and the worker process that serves it.
 *
 *   created ── Start ──► starting ── worker is ready ──► running ── Stop ──► stopping ──► stopped
 *                            └── it fails ──► failed            └── its worker keeps dying ──► failed
 *
 * A worker that dies is started again on the same listening socket, with back-off; meanwhile the state stays running.
 * Reference-counted: the app's array holds one reference, work under way holds others.
 */
#pragma once

#include "daemon/call.h"
#include "daemon/start-options.h"
#include "daemon/worker-process.h"

struct wsd_query;
struct wsd_kept_server;
struct wsd_service;
struct wsd_server;

enum wsd_server_state {
  WSD_SERVER_CREATED,
  WSD_SERVER_STARTING,
  WSD_SERVER_RUNNING,
  WSD_SERVER_STOPPING,
  WSD_SERVER_STOPPED,
  WSD_SERVER_FAILED,
};

struct wsd_server *wsd_server_new(struct wsd_service *service, struct wsd_app *app, guint64 number);
struct wsd_server *wsd_server_ref(struct wsd_server *server);
void wsd_server_unref(struct wsd_server *server);

guint64 wsd_server_number(const struct wsd_server *server);
const char *wsd_server_path(const struct wsd_server *server);
struct wsd_app *wsd_server_app(const struct wsd_server *server);
/* Of the present worker. */
guint64 wsd_server_generation(const struct wsd_server *server);
enum wsd_server_state wsd_server_state(const struct wsd_server *server);
const char *wsd_server_state_name(enum wsd_server_state state);
/* What the last Start asked for; serverPort is the real one while running, else 0. Fields are zero before the first. */
const struct wsd_start_options *wsd_server_options(const struct wsd_server *server);
guint16 wsd_server_port(const struct wsd_server *server);
/* The title of the rule that lets it run; NULL before the first Start. */
const char *wsd_server_rule(const struct wsd_server *server);
bool wsd_server_channel_is_open(const struct wsd_server *server);

/* The calls of the contract. Each takes the call and answers it, now or later. */
void wsd_server_start(struct wsd_server *server, struct wsd_call *call);
void wsd_server_stop(struct wsd_server *server, struct wsd_call *call);
void wsd_server_release(struct wsd_server *server, struct wsd_call *call);
void wsd_server_send(struct wsd_server *server, struct wsd_call *call);
void wsd_server_broadcast(struct wsd_server *server, struct wsd_call *call);
void wsd_server_close(struct wsd_server *server, struct wsd_call *call);
void wsd_server_acknowledge(struct wsd_server *server, struct wsd_call *call);
void wsd_server_open_channel(struct wsd_server *server, struct wsd_call *call);
void wsd_server_open_shared_channel(struct wsd_server *server, struct wsd_call *call);
void wsd_server_replace_certificate(struct wsd_server *server, struct wsd_call *call);

/* What a later process of the service has to know. */
void wsd_server_describe(const struct wsd_server *server, struct wsd_kept_server *kept);
/* What an earlier process left of it; -1 for what is not there. */
struct wsd_server_remains {
  int control, listener, pidfd, vault;
  struct wsd_app_channel channel;
};
/* Into the state in which an earlier process left it. Takes the descriptors. */
void wsd_server_adopt(struct wsd_server *server, const struct wsd_kept_server *kept,
                      const struct wsd_server_remains *remains);
/* Under what kind of name the vault of such a server is kept. */
const char *wsd_server_vault_kind(const struct wsd_start_options *options);
/* The process is about to leave: no further events; then everything is acknowledged; then the worker is left alone. */
void wsd_server_hold(struct wsd_server *server);
void wsd_server_settle(struct wsd_server *server);
void wsd_server_let_go(struct wsd_server *server);

/* Policy or profile may have changed: where it may not run any more, Error, then as Stop; else its limits are those that hold now. */
void wsd_server_reconsider(struct wsd_server *server);
/* The owner is gone, or the bus is: as Release without an answer. */
void wsd_server_abandon(struct wsd_server *server);

/* For questions to the worker, see server-query.h. */
struct wsd_query *wsd_server_query(const struct wsd_server *server);
/* The worker to ask, or NULL while there is none that is ready. */
struct wsd_worker *wsd_server_worker(const struct wsd_server *server);
/* What the worker counted last; `connections` and `queued_bytes` are 0 when there is none. */
const struct wsc_counters *wsd_server_counters(const struct wsd_server *server);
void wsd_server_keep_counters(struct wsd_server *server, const struct wsc_counters *counters);
