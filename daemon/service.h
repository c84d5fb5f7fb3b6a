/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process's one context: configuration, the bus clients known, and all servers. Made for one connection to the
 * bus at a time; losing the bus counts as losing every owner.
 */
#pragma once

#include "daemon/app.h"
#include "daemon/call.h"
#include "daemon/config.h"

struct wsd_accounts;
struct wsd_ban_desk;
struct wsd_keeper;
struct wsd_server;
struct wsd_supervisor;

/* How long things may take, in milliseconds; see limits.h. Only tests change it. */
struct wsd_timing {
  guint ready_timeout, prepare_timeout;
  guint stop_deadline, stop_grace;
  guint restart_delay_min, restart_delay_max;
};

struct wsd_service {
  struct wsd_config_source config_source;
  struct wsd_config *config;
  bool system_bus; /* the real one: default administrators apply */
  char *worker_path;
  struct wsd_timing timing;
  struct wsd_supervisor *supervisor;
  struct wsd_keeper *keeper;
  struct wsd_ban_desk *ban_desk;
  GDBusConnection *connection; /* NULL while there is none */
  bool units_are_certain;      /* that bus tells the pidfd of its clients, and we may look at them */
  char *bus_guid;              /* of that bus */
  GHashTable *apps;            /* by unique name; holds references */
  struct wsd_accounts *accounts;
  GTree *servers;     /* by number; the apps hold the references */
  guint server_count; /* these, and released ones that have not stopped yet */
  guint64 last_number;
  guint64 apps_left; /* clients that have left the bus since the beginning */
};

/* Takes `config`; the paths of `config_source` and the supervisor must live as long as the service. */
struct wsd_service *wsd_service_new(const struct wsd_config_source *config_source, struct wsd_config *config,
                                    const char *worker_path, bool system_bus, struct wsd_supervisor *supervisor);
void wsd_service_free(struct wsd_service *service);

/* The connection is up: from here on calls may come. NULL: it is lost, and with it every app. */
void wsd_service_set_connection(struct wsd_service *service, GDBusConnection *connection);

/* Known, or made known now; NULL when there are too many. */
struct wsd_app *wsd_service_app(struct wsd_service *service, const char *name);
/* The bus has told who a client is. False with LIMIT_EXCEEDED when there are too many of that kind. Takes `identity`. */
bool wsd_service_introduce(struct wsd_service *service, struct wsd_app *app, struct wsd_identity *identity,
                           GError **error);
void wsd_service_name_vanished(struct wsd_service *service, const char *name);
bool wsd_service_is_administrator(const struct wsd_service *service, const struct wsd_app *app);

/* NULL with LIMIT_EXCEEDED. Borrowed: the app holds the reference. */
struct wsd_server *wsd_service_create_server(struct wsd_service *service, struct wsd_app *app, GError **error);
/* What `app` can see: its own, or for an administrator any; else NULL, as if it did not exist. */
struct wsd_server *wsd_service_find_server(struct wsd_service *service, const struct wsd_app *app, guint64 number);
/* The same for all, in the order of their numbers. Free the array with g_ptr_array_unref(); it holds references. */
GPtrArray *wsd_service_visible_servers(struct wsd_service *service, const struct wsd_app *app);
/* A server of an earlier process of the service, under its old number. */
struct wsd_server *wsd_service_restore_server(struct wsd_service *service, struct wsd_app *app, guint64 number);
/* Called by a server that is being released. */
void wsd_service_forget_server(struct wsd_service *service, struct wsd_server *server);

/* Whether a server is just starting or stopping. */
bool wsd_service_is_changing(const struct wsd_service *service);
/* Calls that were not answered yet. */
guint wsd_service_calls(const struct wsd_service *service);
/* The process is about to leave: no further events. */
void wsd_service_hold(struct wsd_service *service);
/* Everything is said: workers are left alone, and the state says how far each has got. `done` is called when that is safe; after it
 * the service can only be freed. */
void wsd_service_let_go(struct wsd_service *service, void (*done)(void *user), void *user);

/* Says in the log which rules can have no effect on this bus. */
void wsd_service_report_idle_rules(struct wsd_service *service);
/* Every server is judged anew by policy and profile. */
void wsd_service_reconsider(struct wsd_service *service);
/* Reads the configuration again and applies it; on a fault everything stays as it was. */
bool wsd_service_reload(struct wsd_service *service, GError **error);
