/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/server.h"

#include "daemon/app.h"
#include "daemon/delivery.h"
#include "daemon/device-profile.h"
#include "daemon/keeper.h"
#include "daemon/limits.h"
#include "daemon/listener.h"
#include "daemon/names.h"
#include "daemon/server-query.h"
#include "daemon/service.h"
#include "daemon/state.h"
#include "daemon/traffic.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

struct wsd_server {
  guint references;
  struct wsd_service *service;
  struct wsd_app *app;
  guint64 number;
  char *path;
  enum wsd_server_state state;
  struct wsd_start_options options;
  int listener; /* -1: none */
  struct wsd_worker *worker;
  bool worker_ready;
  guint64 generation;    /* of the last worker; never reused, so that connection ids are not */
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

static const struct wsd_worker_events worker_events;
static void restart_later(struct wsd_server *server);

static void on_traffic_ended(void *user, const char *fault) {
  struct wsd_server *server = user;
  if (fault)
    g_warning("server %" G_GUINT64_FORMAT ": its worker broke the rules of the channel and is ended: %s",
              server->number, fault);
  /* Without its channel a worker is of no use. When it is stopping, its end is on the way anyway. */
  if (server->worker && (fault || server->state != WSD_SERVER_STOPPING))
    wsd_worker_kill(server->worker);
}

struct wsd_server *wsd_server_new(struct wsd_service *service, struct wsd_app *app, guint64 number) {
  static const struct wsd_traffic_events traffic_events = {on_traffic_ended};
  struct wsd_server *server = g_new0(struct wsd_server, 1);
  server->references = 1;
  server->service = service;
  server->app = wsd_app_ref(app);
  server->number = number;
  server->path = g_strdup_printf(WSD_SERVERS_PATH "/%" G_GUINT64_FORMAT, number);
  server->listener = server->worker_channel = -1;
  server->traffic = wsd_traffic_new(app->delivery, server->path, &traffic_events, server);
  server->query = wsd_query_new();
  server->stop_calls = g_ptr_array_new();
  return server;
}

struct wsd_server *wsd_server_ref(struct wsd_server *server) {
  server->references++;
  return server;
}

void wsd_server_unref(struct wsd_server *server) {
  if (--server->references > 0)
    return;
  g_assert(!server->worker && !server->start_call && server->stop_calls->len == 0 && !server->release_call);
  g_clear_handle_id(&server->timer, g_source_remove);
  if (server->listener >= 0)
    wsd_listener_close(server->listener);
  wsd_traffic_free(server->traffic);
  wsd_query_free(server->query);
  wsd_start_options_clear(&server->options);
  g_ptr_array_unref(server->stop_calls);
  wsd_app_unref(server->app);
  g_free(server->path);
  g_free(server);
}

guint64 wsd_server_number(const struct wsd_server *server) {
  return server->number;
}
const char *wsd_server_path(const struct wsd_server *server) {
  return server->path;
}
struct wsd_app *wsd_server_app(const struct wsd_server *server) {
  return server->app;
}
enum wsd_server_state wsd_server_state(const struct wsd_server *server) {
  return server->state;
}
const struct wsd_start_options *wsd_server_options(const struct wsd_server *server) {
  return &server->options;
}
const struct wsc_counters *wsd_server_counters(const struct wsd_server *server) {
  return &server->counters;
}

const char *wsd_server_state_name(enum wsd_server_state state) {
  static const char *const names[] = {"created", "starting", "running", "stopping", "stopped", "failed"};
  return names[state];
}

guint16 wsd_server_port(const struct wsd_server *server) {
  return server->state == WSD_SERVER_RUNNING ? server->options.server_port : 0;
}

struct wsd_query *wsd_server_query(const struct wsd_server *server) {
  return server->query;
}

struct wsd_worker *wsd_server_worker(const struct wsd_server *server) {
  return server->worker_ready ? server->worker : NULL;
}

void wsd_server_keep_counters(struct wsd_server *server, const struct wsc_counters *counters) {
  server->counters = *counters;
}

static void set_state(struct wsd_server *server, enum wsd_server_state state) {
  if (server->state == state)
    return;
  server->state = state;
  wsd_keeper_touch(server->service->keeper);
  GVariantBuilder changed;
  g_variant_builder_init(&changed, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add(&changed, "{sv}", "State", g_variant_new_string(wsd_server_state_name(state)));
  if (state == WSD_SERVER_RUNNING) {
    g_variant_builder_add(&changed, "{sv}", "ServerIP", g_variant_new_string(server->options.server_ip));
    g_variant_builder_add(&changed, "{sv}", "Protocol", g_variant_new_string(server->options.protocol));
  }
  g_variant_builder_add(&changed, "{sv}", "ServerPort", g_variant_new_uint16(wsd_server_port(server)));
  wsd_delivery_send(server->app->delivery, server->path, DBUS_PROPERTIES_INTERFACE, "PropertiesChanged",
                    g_variant_new("(sa{sv}as)", WSD_SERVER_INTERFACE, &changed, NULL));
}

static void clear_timer(struct wsd_server *server) {
  g_clear_handle_id(&server->timer, g_source_remove);
}

/* Descriptors that outlive the process are kept under "kind-number". */
static void keep(struct wsd_server *server, const char *kind, int fd) {
  g_autofree char *name = g_strdup_printf("%s-%" G_GUINT64_FORMAT, kind, server->number);
  if (fd >= 0)
    wsd_supervisor_keep(server->service->supervisor, name, fd);
}

static void keep_no_longer(struct wsd_server *server, const char *kind) {
  g_autofree char *name = g_strdup_printf("%s-%" G_GUINT64_FORMAT, kind, server->number);
  wsd_supervisor_drop(server->service->supervisor, name);
}

static void drop_listener(struct wsd_server *server) {
  if (server->listener < 0)
    return;
  keep_no_longer(server, "listener");
  wsd_listener_close(server->listener);
  server->listener = -1;
}

static void close_worker_channel(struct wsd_server *server) {
  if (server->worker_channel >= 0)
    close(server->worker_channel);
  server->worker_channel = -1;
}

static void drop_worker(struct wsd_server *server) {
  clear_timer(server);
  if (server->worker) {
    keep_no_longer(server, "control");
    keep_no_longer(server, "pidfd");
  }
  close_worker_channel(server);
  server->worker_ready = false;
  wsd_traffic_detach(server->traffic);
  g_clear_pointer(&server->worker, wsd_worker_free);
  server->counters.connections = 0;
  server->counters.queued_bytes = 0;
}

/* Spawning */

static gboolean on_ready_timeout(gpointer data) {
  struct wsd_server *server = data;
  server->timer = 0;
  g_warning("server %" G_GUINT64_FORMAT ": its worker was not ready within %u ms and is ended", server->number,
            server->service->timing.ready_timeout);
  wsd_worker_kill(server->worker);
  return G_SOURCE_REMOVE;
}

static struct wsd_worker_settings worker_settings(const struct wsd_server *server) {
  const struct wsd_start_options *options = &server->options;
  return (struct wsd_worker_settings){
      .name = server->path,
      .generation = server->generation,
      .max_clients = options->max_clients,
      .max_per_client = options->max_per_client,
      .protocol = options->protocol,
      .max_message = options->max_message,
      .ping_interval = options->ping_interval,
      .pong_timeout = options->pong_timeout,
      .handshake_timeout = server->service->config->handshake_timeout,
      .window_events = WSD_WORKER_WINDOW_EVENTS,
      .window_octets = WSD_WORKER_WINDOW_OCTETS,
  };
}

/* A worker that has its listener and its channel is let into the world only when everything that would bring it back after a
 * crash is kept: its control socket, the listener, and the number of its generation. */
struct introduction {
  struct wsd_server *server; /* holds a reference */
  guint64 generation;
};

static void on_worker_kept(void *user) {
  g_autofree struct introduction *introduction = user;
  struct wsd_server *server = introduction->server;
  if (server->worker && server->worker_channel >= 0 && server->generation == introduction->generation) {
    struct wsd_worker_settings settings = worker_settings(server);
    wsd_worker_configure(server->worker, &settings, server->listener, server->worker_channel);
    close_worker_channel(server);
  }
  wsd_server_unref(server);
}

static void introduce_worker(struct wsd_server *server) {
  struct introduction *introduction = g_new(struct introduction, 1);
  *introduction = (struct introduction){wsd_server_ref(server), server->generation};
  keep(server, "control", wsd_worker_control(server->worker));
  keep(server, "pidfd", wsd_worker_pidfd(server->worker));
  wsd_keeper_commit(server->service->keeper, on_worker_kept, introduction);
}

static bool open_channel(int channel[2], GError **error) {
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, channel) == 0)
    return true;
  g_set_error(error, WSD_ERROR, WSD_ERROR_FAILED, "cannot open a channel: %s; try again later", g_strerror(errno));
  return false;
}

/* Starts a worker on the listener. When it cannot even be spawned, there is no worker and `error` says why. */
static bool start_worker(struct wsd_server *server, GError **error) {
  int channel[2];
  if (!open_channel(channel, error))
    return false;
  server->worker = wsd_worker_spawn(server->service->worker_path, &worker_events, server, error);
  if (!server->worker) {
    close(channel[0]);
    close(channel[1]);
    return false;
  }
  server->generation++;
  server->events_before = wsd_traffic_emitted(server->traffic);
  server->worker_channel = channel[1];
  wsd_traffic_attach(server->traffic, channel[0], server->generation, server->options.max_message);
  server->timer = g_timeout_add(server->service->timing.ready_timeout, on_ready_timeout, server);
  introduce_worker(server);
  return true;
}

static void on_ready(void *user) {
  struct wsd_server *server = user;
  if (server->state != WSD_SERVER_STARTING && server->state != WSD_SERVER_RUNNING)
    return;
  clear_timer(server);
  server->worker_ready = true;
  server->ready_at = g_get_monotonic_time();
  if (server->state == WSD_SERVER_STARTING) {
    set_state(server, WSD_SERVER_RUNNING);
    g_info("%s: server %" G_GUINT64_FORMAT " listens on %s port %u", server->app->name, server->number,
           server->options.server_ip, server->options.server_port);
    if (server->start_call)
      wsd_call_return(g_steal_pointer(&server->start_call), NULL);
  }
  wsd_traffic_open(server->traffic);
}

static void on_failed(void *user, const char *text) {
  struct wsd_server *server = user;
  g_warning("server %" G_GUINT64_FORMAT ": its worker could not start: %s", server->number, text);
}

/* Ends */

static void fail_start(struct wsd_server *server, enum wsd_error code, const char *text) {
  drop_worker(server);
  drop_listener(server);
  set_state(server, WSD_SERVER_FAILED);
  if (server->start_call)
    wsd_call_fail(g_steal_pointer(&server->start_call), code, "%s", text);
}

/* Everything that was running is gone; whoever waits for that is told. */
static void finish_stop(struct wsd_server *server) {
  drop_worker(server);
  drop_listener(server);
  wsd_traffic_close_all(server->traffic, 1001, "");
  wsd_traffic_fail_calls(server->traffic, WSD_ERROR_SHUTTING_DOWN, "the server was stopped meanwhile");
  set_state(server, WSD_SERVER_STOPPED);
  g_info("%s: server %" G_GUINT64_FORMAT " has stopped", server->app->name, server->number);
  g_autoptr(GPtrArray) calls = g_steal_pointer(&server->stop_calls);
  server->stop_calls = g_ptr_array_new();
  for (guint i = 0; i < calls->len; i++)
    wsd_call_return(calls->pdata[i], NULL);
  if (server->release_call)
    wsd_call_return(g_steal_pointer(&server->release_call), NULL);
  wsd_server_unref(server); /* taken by begin_stop() */
}

static gboolean on_stop_timeout(gpointer data) {
  struct wsd_server *server = data;
  server->timer = 0;
  g_warning("server %" G_GUINT64_FORMAT ": its worker did not stop in time and is ended", server->number);
  wsd_worker_kill(server->worker);
  finish_stop(server);
  return G_SOURCE_REMOVE;
}

static void on_stopped(void *user, const struct wsc_counters *counters) {
  struct wsd_server *server = user;
  server->counters = *counters; /* `gone` follows */
}

/* Out of starting or running. Ends in finish_stop(), now or later. */
static void begin_stop(struct wsd_server *server) {
  const struct wsd_timing *timing = &server->service->timing;
  bool serving = server->state == WSD_SERVER_RUNNING && server->worker_ready;
  wsd_server_ref(server);
  clear_timer(server);
  set_state(server, WSD_SERVER_STOPPING);
  drop_listener(server);
  if (server->start_call)
    wsd_call_fail(g_steal_pointer(&server->start_call), WSD_ERROR_SHUTTING_DOWN,
                  "the server was stopped while it started");
  if (serving && wsd_worker_stop(server->worker, 1001, timing->stop_deadline)) {
    wsd_traffic_drain(server->traffic);
    server->timer = g_timeout_add(timing->stop_deadline + timing->stop_grace, on_stop_timeout, server);
  } else {
    finish_stop(server);
  }
}

static void on_gone(void *user) {
  struct wsd_server *server = user;
  bool was_ready = server->worker_ready;
  if (server->state == WSD_SERVER_STOPPING) {
    finish_stop(server);
    return;
  }
  if (server->state == WSD_SERVER_STARTING) {
    fail_start(server, WSD_ERROR_FAILED, "the server's process could not start; see the log of wsserverd");
    return;
  }
  drop_worker(server);
  if (was_ready)
    wsd_traffic_error(server->traffic, WSD_ERROR_FAILED,
                      "the server's process ended unexpectedly: its connections are lost, and it is started again");
  wsd_traffic_close_all(server->traffic, 1006, "");
  wsd_traffic_fail_calls(server->traffic, WSD_ERROR_FAILED,
                         "the server's process ended unexpectedly; send again to connections that are open");
  if (was_ready && g_get_monotonic_time() - server->ready_at >= WSD_RESTART_SETTLED_MS * 1000)
    server->restarts = 0;
  restart_later(server);
}

static const struct wsd_worker_events worker_events = {
    .ready = on_ready,
    .failed = on_failed,
    .stopped = on_stopped,
    .channel_ended = on_traffic_ended,
    .gone = on_gone,
};

/* Restarts */

static void give_up(struct wsd_server *server) {
  g_warning("server %" G_GUINT64_FORMAT ": its worker died %u times in a row; giving up", server->number,
            server->restarts);
  drop_listener(server);
  wsd_traffic_error(server->traffic, WSD_ERROR_FAILED,
                    "the server's process keeps ending: the server has failed; call Start to try again");
  set_state(server, WSD_SERVER_FAILED);
}

static gboolean on_restart(gpointer data) {
  struct wsd_server *server = data;
  g_autoptr(GError) error = NULL;
  server->timer = 0;
  if (!start_worker(server, &error)) {
    g_warning("server %" G_GUINT64_FORMAT ": %s", server->number, error->message);
    restart_later(server);
  }
  return G_SOURCE_REMOVE;
}

/* Peers that connect meanwhile wait in the listener's backlog. */
static void restart_later(struct wsd_server *server) {
  if (server->restarts >= WSD_RESTARTS_MAX) {
    give_up(server);
    return;
  }
  const struct wsd_timing *timing = &server->service->timing;
  guint delay = MIN(timing->restart_delay_min << server->restarts, timing->restart_delay_max);
  server->restarts++;
  server->timer = g_timeout_add(delay, on_restart, server);
}

/* Calls */

static bool check_start(struct wsd_server *server, struct wsd_call *call, struct wsd_start_options *options,
                        int *listener, GError **error) {
  const struct wsd_config *config = server->service->config;
  if (!wsd_device_profile_allows_servers(config)) {
    g_set_error(error, WSD_ERROR, WSD_ERROR_NOT_SUPPORTED,
                "this device's profile, %s, may not run servers; use a device that may", wsd_device_profile(config));
    return false;
  }
  g_autoptr(GVariant) dictionary = g_variant_get_child_value(call->arguments, 0);
  if (!wsd_start_options_read(dictionary, options, error))
    return false;
  *listener = wsd_listener_open(options, error);
  return *listener >= 0;
}

void wsd_server_start(struct wsd_server *server, struct wsd_call *call) {
  if (server->state == WSD_SERVER_STARTING || server->state == WSD_SERVER_RUNNING ||
      server->state == WSD_SERVER_STOPPING) {
    wsd_call_fail(call, WSD_ERROR_ALREADY_RUNNING, "the server is %s; call Stop first, or create another one",
                  wsd_server_state_name(server->state));
    return;
  }
  struct wsd_start_options options = {0};
  GError *error = NULL;
  int listener = -1;
  if (!check_start(server, call, &options, &listener, &error)) {
    wsd_start_options_clear(&options);
    wsd_call_take_error(call, error);
    return;
  }
  wsd_start_options_clear(&server->options);
  server->options = options;
  server->listener = listener;
  keep(server, "listener", listener);
  server->counters = (struct wsc_counters){0};
  server->restarts = 0;
  server->start_call = call;
  set_state(server, WSD_SERVER_STARTING);
  if (!start_worker(server, &error)) {
    fail_start(server, WSD_ERROR_FAILED, error->message);
    g_error_free(error);
  }
}

void wsd_server_stop(struct wsd_server *server, struct wsd_call *call) {
  switch (server->state) {
  case WSD_SERVER_STARTING:
  case WSD_SERVER_RUNNING:
    g_ptr_array_add(server->stop_calls, call);
    begin_stop(server);
    break;
  case WSD_SERVER_STOPPING:
    g_ptr_array_add(server->stop_calls, call);
    break;
  case WSD_SERVER_FAILED:
    set_state(server, WSD_SERVER_STOPPED);
    wsd_call_return(call, NULL);
    break;
  default:
    wsd_call_fail(call, WSD_ERROR_NOT_RUNNING, "the server is %s; there is nothing to stop",
                  wsd_server_state_name(server->state));
  }
}

static void release(struct wsd_server *server, struct wsd_call *call) {
  wsd_server_ref(server);
  server->released = true;
  wsd_service_forget_server(server->service, server);
  for (guint i = 0; i < server->stop_calls->len; i++)
    wsd_call_fail(server->stop_calls->pdata[i], WSD_ERROR_SHUTTING_DOWN, "the server was released meanwhile");
  g_ptr_array_set_size(server->stop_calls, 0);
  wsd_traffic_fail_calls(server->traffic, WSD_ERROR_SHUTTING_DOWN, "the server was released meanwhile");
  bool active = server->state == WSD_SERVER_STARTING || server->state == WSD_SERVER_RUNNING;
  if (active || server->state == WSD_SERVER_STOPPING)
    server->release_call = call;
  else if (call)
    wsd_call_return(call, NULL);
  if (active)
    begin_stop(server);
  wsd_server_unref(server);
}

void wsd_server_release(struct wsd_server *server, struct wsd_call *call) {
  release(server, call);
}

void wsd_server_abandon(struct wsd_server *server) {
  release(server, NULL);
}

void wsd_server_forbid(struct wsd_server *server, const char *profile) {
  if (server->state != WSD_SERVER_STARTING && server->state != WSD_SERVER_RUNNING)
    return;
  g_autofree char *text =
      g_strdup_printf("this device's profile is now %s, which may not run servers: the server stops", profile);
  wsd_traffic_error(server->traffic, WSD_ERROR_NOT_SUPPORTED, text);
  begin_stop(server);
}

static bool check_running(struct wsd_server *server, struct wsd_call *call) {
  if (server->state == WSD_SERVER_RUNNING)
    return true;
  wsd_call_fail(call, WSD_ERROR_NOT_RUNNING, "the server is %s; call Start first",
                wsd_server_state_name(server->state));
  return false;
}

void wsd_server_send(struct wsd_server *server, struct wsd_call *call) {
  if (check_running(server, call))
    wsd_traffic_send(server->traffic, call);
}

void wsd_server_broadcast(struct wsd_server *server, struct wsd_call *call) {
  if (check_running(server, call))
    wsd_traffic_broadcast(server->traffic, call);
}

void wsd_server_close(struct wsd_server *server, struct wsd_call *call) {
  if (check_running(server, call))
    wsd_traffic_close(server->traffic, call);
}

void wsd_server_acknowledge(struct wsd_server *server, struct wsd_call *call) {
  wsd_traffic_acknowledge(server->traffic, call);
}

/* Survival */

void wsd_server_describe(const struct wsd_server *server, struct wsd_kept_server *kept) {
  const struct wsd_identity *owner = server->app->identity;
  const struct wsd_start_options *options = &server->options;
  kept->number = server->number;
  kept->owner = g_strdup(server->app->name);
  kept->owner_uid = owner ? owner->uid : G_MAXUINT32;
  kept->owner_label = g_strdup(owner ? owner->label : NULL);
  kept->state = g_strdup(wsd_server_state_name(server->state));
  kept->options = *options;
  kept->options.server_ip = g_strdup(options->server_ip);
  kept->options.protocol = g_strdup(options->protocol);
  kept->generation = server->generation;
  kept->worker_version = WSC_CONTROL_VERSION;
  kept->events_before = server->worker ? server->events_before : wsd_traffic_emitted(server->traffic);
  kept->settled = server->settled;
}

/* The worker goes on; it gets a fresh channel, for the old one may end in half a record. */
static bool adopt_worker(struct wsd_server *server, const struct wsd_kept_server *kept, int control, int pidfd) {
  int channel[2];
  g_autoptr(GError) error = NULL;
  if (control < 0 || kept->worker_version != WSC_CONTROL_VERSION || !open_channel(channel, &error))
    return false;
  server->worker = wsd_worker_adopt(control, pidfd, &worker_events, server);
  server->worker_ready = true;
  server->ready_at = g_get_monotonic_time();
  server->events_before = kept->events_before;
  wsd_traffic_adopt(server->traffic, channel[0], server->generation, server->options.max_message, kept->events_before,
                    kept->settled);
  server->timer = g_timeout_add(server->service->timing.ready_timeout, on_ready_timeout, server);
  struct wsd_worker_settings settings = worker_settings(server);
  wsd_worker_attach(server->worker, &settings, channel[1]);
  close(channel[1]);
  return true;
}

/* Its connections were known to it alone, so there is no Closed for each of them. */
static void replace_worker(struct wsd_server *server, const struct wsd_kept_server *kept, int control, int pidfd) {
  if (control >= 0)
    close(control); /* kept no longer either, below: it says 1001 to its peers and leaves */
  if (pidfd >= 0)
    close(pidfd);
  keep_no_longer(server, "control");
  keep_no_longer(server, "pidfd");
  wsd_traffic_restore(server->traffic, kept->events_before);
  wsd_traffic_error(
      server->traffic, WSD_ERROR_FAILED,
      "the server's process ended while the service was away: all its connections are lost, and it is started again");
  restart_later(server);
}

static void adopt_running(struct wsd_server *server, const struct wsd_kept_server *kept, int control, int listener,
                          int pidfd) {
  server->state = WSD_SERVER_RUNNING;
  server->listener = listener;
  if (!adopt_worker(server, kept, control, pidfd))
    replace_worker(server, kept, control, pidfd);
  if (g_str_equal(kept->state, "stopping") && server->state == WSD_SERVER_RUNNING)
    begin_stop(server);
}

/* Nothing serves it: what is there of it is let go. */
static void adopt_idle(struct wsd_server *server, const struct wsd_kept_server *kept, const int *fds) {
  static const char *const kinds[] = {"control", "listener", "pidfd"};
  for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
    if (fds[i] >= 0)
      close(fds[i]);
    keep_no_longer(server, kinds[i]);
  }
  wsd_traffic_restore(server->traffic, kept->events_before);
  bool was_active = g_str_equal(kept->state, "running") || g_str_equal(kept->state, "starting");
  server->state = g_str_equal(kept->state, "created")  ? WSD_SERVER_CREATED
                  : g_str_equal(kept->state, "failed") ? WSD_SERVER_FAILED
                                                       : WSD_SERVER_STOPPED;
  if (!was_active)
    return;
  server->state = WSD_SERVER_FAILED;
  wsd_traffic_error(
      server->traffic, WSD_ERROR_FAILED,
      "the server's socket was lost while the service was away: the server has failed; call Start to try again");
}

void wsd_server_adopt(struct wsd_server *server, const struct wsd_kept_server *kept, int control, int listener,
                      int pidfd) {
  wsd_start_options_clear(&server->options);
  server->options = kept->options;
  server->options.server_ip = g_strdup(kept->options.server_ip);
  server->options.protocol = g_strdup(kept->options.protocol);
  server->generation = kept->generation;
  bool active = g_str_equal(kept->state, "running") || g_str_equal(kept->state, "starting") ||
                g_str_equal(kept->state, "stopping");
  if (active && listener >= 0)
    adopt_running(server, kept, control, listener, pidfd);
  else if (active && g_str_equal(kept->state, "stopping") && control >= 0)
    adopt_running(server, kept, control, -1, pidfd);
  else
    adopt_idle(server, kept, (const int[]){control, listener, pidfd});
}

void wsd_server_hold(struct wsd_server *server) {
  wsd_traffic_hold(server->traffic);
}

void wsd_server_settle(struct wsd_server *server) {
  server->settled = wsd_traffic_settle(server->traffic);
}

void wsd_server_let_go(struct wsd_server *server) {
  static const char text[] = "the service is being restarted; call again";
  clear_timer(server);
  close_worker_channel(server);
  server->worker_ready = false;
  wsd_traffic_let_go(server->traffic);
  wsd_traffic_fail_calls(server->traffic, WSD_ERROR_SHUTTING_DOWN, text);
  g_clear_pointer(&server->worker, wsd_worker_let_go);
  if (server->listener >= 0)
    close(server->listener); /* no shutdown: it lives on */
  server->listener = -1;
  if (server->start_call)
    wsd_call_fail(g_steal_pointer(&server->start_call), WSD_ERROR_SHUTTING_DOWN, text);
  for (guint i = 0; i < server->stop_calls->len; i++)
    wsd_call_fail(server->stop_calls->pdata[i], WSD_ERROR_SHUTTING_DOWN, text);
  g_ptr_array_set_size(server->stop_calls, 0);
  bool stopping = server->state == WSD_SERVER_STOPPING;
  server->state = WSD_SERVER_STOPPED;
  if (stopping)
    wsd_server_unref(server); /* taken by begin_stop() */
}
