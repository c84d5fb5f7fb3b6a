/* SPDX-License-Identifier: Apache-2.0 */
/* The process that serves a server: started, adopted, started again when it dies. */
#include "daemon/account.h"
#include "daemon/app.h"
#include "daemon/journal.h"
#include "daemon/keeper.h"
#include "daemon/limits.h"
#include "daemon/listener.h"
#include "daemon/server-private.h"
#include "daemon/state.h"
#include "daemon/supervisor.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct wsd_worker_events worker_events;

/* Descriptors that outlive the process are kept under "kind-number". */
void wsd_server_keep(struct wsd_server *server, const char *kind, int fd) {
  g_autofree char *name = g_strdup_printf("%s-%" G_GUINT64_FORMAT, kind, server->number);
  if (fd >= 0)
    wsd_supervisor_keep(server->service->supervisor, name, fd);
}

void wsd_server_keep_no_longer(struct wsd_server *server, const char *kind) {
  g_autofree char *name = g_strdup_printf("%s-%" G_GUINT64_FORMAT, kind, server->number);
  wsd_supervisor_drop(server->service->supervisor, name);
}

void wsd_server_drop_listener(struct wsd_server *server) {
  if (server->listener < 0)
    return;
  wsd_server_keep_no_longer(server, "listener");
  wsd_listener_close(server->listener);
  server->listener = -1;
}

void wsd_server_close_worker_channel(struct wsd_server *server) {
  if (server->worker_channel >= 0)
    close(server->worker_channel);
  server->worker_channel = -1;
}

void wsd_server_drop_worker(struct wsd_server *server) {
  wsd_server_clear_timer(server);
  if (server->worker) {
    wsd_server_keep_no_longer(server, "control");
    wsd_server_keep_no_longer(server, "pidfd");
  }
  wsd_server_close_worker_channel(server);
  server->worker_ready = server->introducing = false;
  if (!wsd_app_channel_is_there(&server->app_channel))
    server->channel_open = false; /* it ended with the worker */
  wsd_traffic_detach(server->traffic);
  g_clear_pointer(&server->worker, wsd_worker_free);
  server->counters.connections = 0;
  server->counters.queued_bytes = 0;
}

static gboolean on_ready_timeout(gpointer data) {
  struct wsd_server *server = data;
  server->timer = 0;
  const struct wsd_scene scene = wsd_scene_of_server(server);
  wsd_journal(WSD_EVENT_WORKER_FAULT, &scene,
              "the worker of server %" G_GUINT64_FORMAT " was not ready within %u ms and is ended", server->number,
              server->service->timing.ready_timeout);
  wsd_worker_kill(server->worker);
  return G_SOURCE_REMOVE;
}

static struct wsd_worker_settings worker_settings(const struct wsd_server *server) {
  const struct wsd_start_options *options = &server->options;
  return (struct wsd_worker_settings){
      .name = server->path,
      .generation = server->generation,
      .max_clients = MIN(options->max_clients, server->terms.max_clients),
      .max_per_client = MIN(options->max_per_client, server->terms.max_per_client),
      .max_connections = server->terms.max_connections,
      .max_queue = server->terms.max_queue,
      .max_memory = server->terms.max_memory,
      .nice = server->terms.nice,
      .require_origin = server->terms.require_origin,
      .protocol = options->protocol,
      .allowed_origins = (const char *const *)options->allowed_origins,
      .max_message = options->max_message,
      .ping_interval = options->ping_interval,
      .pong_timeout = options->pong_timeout,
      .compression = options->compression,
      .handshake_timeout = server->service->config->handshake_timeout,
      .vault = options->tls ? server->vault : -1,
      .tls_min_version = options->tls_min_version,
      .connection_rate = server->service->config->connection_rate,
      .ban_seconds = server->service->config->ban_seconds,
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
  if (server->worker && server->introducing && server->generation == introduction->generation) {
    struct wsd_worker_settings settings = worker_settings(server);
    server->introducing = false;
    wsd_worker_configure(server->worker, &settings, server->listener, server->worker_channel);
    wsd_server_attach_app_channel(server);
    wsd_server_close_worker_channel(server);
  }
  wsd_server_unref(server);
}

static void introduce_worker(struct wsd_server *server) {
  struct introduction *introduction = g_new(struct introduction, 1);
  *introduction = (struct introduction){wsd_server_ref(server), server->generation};
  wsd_server_keep(server, "control", wsd_worker_control(server->worker));
  wsd_server_keep(server, "pidfd", wsd_worker_pidfd(server->worker));
  wsd_keeper_commit(server->service->keeper, on_worker_kept, introduction);
}

static bool open_channel(int channel[2], GError **error) {
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, channel) == 0)
    return true;
  g_set_error(error, WSD_ERROR, WSD_ERROR_FAILED, "cannot open a channel: %s; try again later", g_strerror(errno));
  return false;
}

/* Starts a worker on the listener. When it cannot even be spawned, there is no worker and `error` says why. */
bool wsd_server_start_worker(struct wsd_server *server, GError **error) {
  int channel[2] = {-1, -1};
  if (server->options.tls && server->vault < 0) { /* never without what peers were promised */
    g_set_error(error, WSD_ERROR, WSD_ERROR_FAILED, "the server's certificate is lost; call Stop, then Start with it");
    return false;
  }
  if (!server->by_channel && !open_channel(channel, error))
    return false;
  server->worker = wsd_worker_spawn(server->service->worker_path, &worker_events, server, error);
  if (!server->worker && !server->by_channel) {
    close(channel[0]);
    close(channel[1]);
  }
  if (!server->worker)
    return false;
  server->generation++;
  server->events_before = wsd_traffic_emitted(server->traffic);
  server->worker_channel = channel[1];
  server->introducing = true;
  if (!server->by_channel)
    wsd_traffic_attach(server->traffic, channel[0], server->generation, server->options.max_message);
  server->timer = g_timeout_add(server->service->timing.ready_timeout, on_ready_timeout, server);
  introduce_worker(server);
  return true;
}

static void on_ready(void *user) {
  struct wsd_server *server = user;
  if (server->state != WSD_SERVER_STARTING && server->state != WSD_SERVER_RUNNING)
    return;
  wsd_server_clear_timer(server);
  server->worker_ready = true;
  if (server->adjust_owed)
    wsd_server_adjust_worker(server);
  server->ready_at = g_get_monotonic_time();
  wsd_server_attach_app_channel(server);     /* one that was opened since the worker was told what to do */
  wsd_keeper_touch(server->service->keeper); /* which requests it knows, a successor of ours has to know */
  if (server->state == WSD_SERVER_STARTING) {
    wsd_server_set_state(server, WSD_SERVER_RUNNING);
    const struct wsd_scene scene = wsd_scene_of_server(server);
    wsd_journal(WSD_EVENT_STARTED, &scene, "server %" G_GUINT64_FORMAT " of %s listens on %s port %u%s, by %s",
                server->number, server->app->account->app_id, server->options.server_ip, server->options.server_port,
                server->options.tls ? " with TLS" : "", server->rule);
    if (server->start_call)
      wsd_call_return(g_steal_pointer(&server->start_call), NULL);
  }
  wsd_traffic_open(server->traffic);
}

static void on_notice(void *user, const struct wsd_notice *notice) {
  const struct wsd_server *server = user;
  struct wsd_scene scene = wsd_scene_of_server(server);
  scene.peer = notice->peer;
  if (notice->is_ban)
    wsd_journal(WSD_EVENT_BANNED, &scene, "server %" G_GUINT64_FORMAT " refuses %s for %u seconds: %s", server->number,
                notice->peer, notice->number, notice->text);
  else
    wsd_journal(WSD_EVENT_PEERS_REFUSED, &scene,
                "server %" G_GUINT64_FORMAT " refused %u peers, the last from %s, with %u: %s", server->number,
                notice->number, notice->peer, notice->status, notice->text);
}

static void on_failed(void *user, guint32 number, const char *text) {
  struct wsd_server *server = user;
  (void)number;
  const struct wsd_scene scene = wsd_scene_of_server(server);
  wsd_journal(WSD_EVENT_WORKER_FAULT, &scene, "the worker of server %" G_GUINT64_FORMAT " could not start: %s",
              server->number, text);
}

/* The worker goes on. Where the channel was ours it gets a fresh one, for the old one may end in half a record. */
bool wsd_server_adopt_worker(struct wsd_server *server, const struct wsd_kept_server *kept, int control, int pidfd) {
  int channel[2];
  g_autoptr(GError) error = NULL;
  if (control < 0 || kept->worker_version != WSC_CONTROL_VERSION ||
      (!server->by_channel && !open_channel(channel, &error)))
    return false;
  server->worker = wsd_worker_adopt(control, pidfd, &worker_events, server);
  if (kept->worker_last_request)
    wsd_worker_set_last_request(server->worker, kept->worker_last_request);
  server->worker_ready = true;
  server->ready_at = g_get_monotonic_time();
  server->events_before = kept->events_before;
  server->timer = g_timeout_add(server->service->timing.ready_timeout, on_ready_timeout, server);
  if (server->by_channel) {
    wsd_traffic_restore(server->traffic, kept->events_before);
    wsd_server_attach_app_channel(server);
    wsd_worker_synchronise(server->worker);
    return true;
  }
  wsd_traffic_adopt(server->traffic, channel[0], server->generation, server->options.max_message, kept->events_before,
                    kept->settled);
  struct wsd_worker_settings settings = worker_settings(server);
  wsd_worker_attach(server->worker, &settings, channel[1]);
  close(channel[1]);
  return true;
}

void wsd_server_on_traffic_ended(void *user, const char *fault) {
  struct wsd_server *server = user;
  const struct wsd_scene scene = wsd_scene_of_server(server);
  if (fault)
    wsd_journal(WSD_EVENT_WORKER_FAULT, &scene,
                "the worker of server %" G_GUINT64_FORMAT " broke the rules of the channel and is ended: %s",
                server->number, fault);
  /* Without its channel a worker is of no use. When it is stopping, its end is on the way anyway. */
  if (server->worker && (fault || server->state != WSD_SERVER_STOPPING))
    wsd_worker_kill(server->worker);
}

/* The last signals are with the bus: the worker, which kept them until now for a successor of ours, may go. */
static void on_flushed(GObject *source, GAsyncResult *result, gpointer data) {
  struct wsd_server *server = data;
  g_dbus_connection_flush_finish(G_DBUS_CONNECTION(source), result, NULL);
  if (server->state == WSD_SERVER_STOPPING && server->worker)
    wsd_traffic_settle(server->traffic);
  wsd_server_unref(server);
}

/* Everything that the worker had to say is in its channel. `gone` follows. */
static void on_stopped(void *user, const struct wsc_counters *counters) {
  struct wsd_server *server = user;
  GDBusConnection *connection = server->service->connection;
  server->counters = *counters;
  wsd_traffic_drain(server->traffic);
  if (connection)
    g_dbus_connection_flush(connection, NULL, on_flushed, wsd_server_ref(server));
  else
    wsd_traffic_settle(server->traffic);
}

static void on_gone(void *user) {
  struct wsd_server *server = user;
  bool was_ready = server->worker_ready;
  if (server->state == WSD_SERVER_STOPPING) {
    wsd_server_finish_stop(server);
    return;
  }
  if (server->state == WSD_SERVER_STARTING) {
    wsd_server_fail_start(server, WSD_ERROR_FAILED, "the server's process could not start; see the log of wsserverd");
    return;
  }
  wsd_server_drop_worker(server);
  const struct wsd_scene scene = wsd_scene_of_server(server);
  wsd_journal(WSD_EVENT_WORKER_DIED, &scene,
              "the worker of server %" G_GUINT64_FORMAT " of %s has ended unexpectedly; it is started again",
              server->number, server->app->account->app_id);
  if (was_ready)
    wsd_traffic_error(server->traffic, WSD_ERROR_FAILED,
                      "the server's process ended unexpectedly: its connections are lost, and it is started again");
  wsd_traffic_close_all(server->traffic, 1006, "");
  wsd_traffic_fail_calls(server->traffic, WSD_ERROR_FAILED,
                         "the server's process ended unexpectedly; send again to connections that are open");
  if (was_ready && g_get_monotonic_time() - server->ready_at >= WSD_RESTART_SETTLED_MS * 1000)
    server->restarts = 0;
  wsd_server_restart_later(server);
}

/* The worker says so of the channel that it has: ours, or an app's. */
static void on_channel_ended(void *user, const char *text) {
  struct wsd_server *server = user;
  if (server->by_channel)
    wsd_server_on_app_channel_ended(server, text);
  else
    wsd_server_on_traffic_ended(server, text);
}

static const struct wsd_worker_events worker_events = {
    .ready = on_ready,
    .failed = on_failed,
    .stopped = on_stopped,
    .channel_ended = on_channel_ended,
    .notice = on_notice,
    .gone = on_gone,
};

static void give_up(struct wsd_server *server) {
  const struct wsd_scene scene = wsd_scene_of_server(server);
  wsd_journal(WSD_EVENT_SERVER_FAILED, &scene,
              "the worker of server %" G_GUINT64_FORMAT " ended %u times in a row; the server has failed",
              server->number, server->restarts);
  wsd_server_drop_listener(server);
  wsd_server_cancel_replacement(server, "the server has failed");
  wsd_server_drop_vault(server);
  wsd_traffic_error(server->traffic, WSD_ERROR_FAILED,
                    "the server's process keeps ending: the server has failed; call Start to try again");
  wsd_server_set_state(server, WSD_SERVER_FAILED);
}

static gboolean on_restart(gpointer data) {
  struct wsd_server *server = data;
  g_autoptr(GError) error = NULL;
  server->timer = 0;
  if (!wsd_server_start_worker(server, &error)) {
    g_warning("server %" G_GUINT64_FORMAT ": %s", server->number, error->message);
    wsd_server_restart_later(server);
  }
  return G_SOURCE_REMOVE;
}

/* Peers that connect meanwhile wait in the listener's backlog. */
void wsd_server_restart_later(struct wsd_server *server) {
  if (server->restarts >= WSD_RESTARTS_MAX) {
    give_up(server);
    return;
  }
  const struct wsd_timing *timing = &server->service->timing;
  guint delay = MIN(timing->restart_delay_min << server->restarts, timing->restart_delay_max);
  server->restarts++;
  server->timer = g_timeout_add(delay, on_restart, server);
}

void wsd_server_adjust_worker(struct wsd_server *server) {
  struct wsd_worker_settings settings = worker_settings(server);
  server->adjust_owed = !server->worker_ready;
  if (server->worker_ready)
    wsd_worker_adjust(server->worker, &settings);
}
