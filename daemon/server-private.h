/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a server, for the files that make it up: server.c (states and calls), server-worker.c (the process that
 * serves it) and server-survival.c (what a later process of the service has to know).
 */
#pragma once

#include "daemon/app-channel.h"
#include "daemon/preparation.h"
#include "daemon/server.h"
#include "daemon/service.h"
#include "daemon/traffic.h"

struct wsd_server {
  guint references;
  struct wsd_service *service;
  struct wsd_app *app;
  guint64 number;
  char *path;
  enum wsd_server_state state;
  struct wsd_start_options options;
  struct wsd_start_options wanted;    /* by the Start under way, until it listens */
  enum wsd_server_state state_before; /* that Start */
  struct wsd_terms terms;             /* of the rule that lets it run */
  char *rule;                         /* its title, which the terms name */
  int vault;                          /* -1: none */
  struct wsd_preparation *preparation;
  struct wsd_replacement *replacement;
  bool by_channel;                    /* this run, or the next one, goes past the bus: no event signals, no Send */
  bool channel_open;                  /* the app has its end, as far as we know */
  struct wsd_app_channel app_channel; /* the worker's side of it while no worker has it */
  struct wsd_lent_arenas lent;        /* of the last channel that the app opened */
  struct wsd_handover *handover;      /* an OpenChannel under way */
  int listener;                       /* -1: none */
  struct wsd_worker *worker;
  bool worker_ready;
  guint64 generation;    /* of the last worker; never reused, so that connection ids are not */
  bool adjust_owed;      /* limits have changed since the worker was told some */
  bool introducing;      /* the worker runs, and is not configured yet */
  int worker_channel;    /* the worker's end of its channel, until it is handed over; else -1 */
  guint64 events_before; /* event signals sent before the worker's first */
  bool settled;          /* nothing that was sent will be repeated by the worker */
  struct wsd_traffic *traffic;
  struct wsd_query *query;
  struct wsc_counters counters;
  struct wsd_call *start_call;
  GPtrArray *stop_calls; /* of struct wsd_call, not owned */
  struct wsd_call *release_call;
  bool released;   /* invisible; goes away when it has stopped */
  guint timer;     /* readiness, stop or restart: there is one at a time */
  guint restarts;  /* in a row */
  gint64 ready_at; /* monotonic microseconds */
};

void wsd_server_set_state(struct wsd_server *server, enum wsd_server_state state);
void wsd_server_clear_timer(struct wsd_server *server);
/* Out of starting or running. Ends in wsd_server_finish_stop(), now or later. */
void wsd_server_begin_stop(struct wsd_server *server);
/* Everything that was running is gone; whoever waits for that is told. */
void wsd_server_finish_stop(struct wsd_server *server);
void wsd_server_fail_start(struct wsd_server *server, enum wsd_error code, const char *text);
/* The Start under way changes nothing. Takes `error`. */
void wsd_server_refuse_start(struct wsd_server *server, GError *error);
/* Goes on with the Start under way, whose certificate is right where there is one. */
void wsd_server_listen(struct wsd_server *server);

/* server-terms.c */

/* Whether the owner may start it with these options, which are read here: profile, policy, quotas, then each value. False with an error
 * for the caller; the options are to be cleared in any case. */
bool wsd_server_admit(struct wsd_server *server, GVariant *dictionary, GUnixFDList *fds,
                      struct wsd_start_options *options, GError **error);

/* Whether the owner's app id may have more octets wait for workers. */
bool wsd_server_owner_has_room(void *user);

/* server-certificate.c */

void wsd_server_drop_vault(struct wsd_server *server);
/* For the Start under way; wsd_server_listen() or wsd_server_refuse_start() follows. */
void wsd_server_check_certificate(struct wsd_server *server);
/* Answers a ReplaceCertificate under way. */
void wsd_server_cancel_replacement(struct wsd_server *server, const char *text);

/* server-channel.c */

/* Gives a fresh worker the channel that waits for it, where one does. */
bool wsd_server_attach_app_channel(struct wsd_server *server);
/* Drops the end that waits for a worker. */
void wsd_server_drop_app_channel(struct wsd_server *server);
/* The next run is by signals again, unless the app opens a channel for it. */
void wsd_server_forget_channel(struct wsd_server *server);
void wsd_server_cancel_handover(struct wsd_server *server, const char *text);
/* Where the server has a channel, the call is answered with ChannelInUse. */
bool wsd_server_uses_channel(struct wsd_server *server, struct wsd_call *call);
void wsd_server_close_past_channel(struct wsd_server *server, struct wsd_call *call);
/* The app closed its end, or broke its rules. */
void wsd_server_on_app_channel_ended(struct wsd_server *server, const char *text);

/* server-worker.c */

/* Has the service manager keep a descriptor under "kind-number", or keep it no longer. */
void wsd_server_keep(struct wsd_server *server, const char *kind, int fd);
void wsd_server_keep_no_longer(struct wsd_server *server, const char *kind);
void wsd_server_drop_listener(struct wsd_server *server);
void wsd_server_close_worker_channel(struct wsd_server *server);
void wsd_server_drop_worker(struct wsd_server *server);
/* Starts a worker on the listener. When it cannot even be spawned, there is no worker and `error` says why. */
bool wsd_server_start_worker(struct wsd_server *server, GError **error);
/* Goes on with a worker that an earlier process left behind, and takes the descriptors; false when that cannot be. */
bool wsd_server_adopt_worker(struct wsd_server *server, const struct wsd_kept_server *kept, int control, int pidfd);
/* Tells a worker that runs the limits that hold now. */
void wsd_server_adjust_worker(struct wsd_server *server);
/* Starts another worker after a while that grows with every death. Peers that connect meanwhile wait in the listener's
 * backlog. */
void wsd_server_restart_later(struct wsd_server *server);
/* The link to the worker is at its end. */
void wsd_server_on_traffic_ended(void *user, const char *fault);
