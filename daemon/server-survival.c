/* SPDX-License-Identifier: Apache-2.0 */
/* What a later process of the service has to know of a server, and how it goes on there. */
#include "daemon/app.h"
#include "daemon/listener.h"
#include "daemon/server-private.h"
#include "daemon/state.h"

#include <poll.h>
#include <unistd.h>

void wsd_server_describe(const struct wsd_server *server, struct wsd_kept_server *kept) {
  const struct wsd_identity *owner = server->app->identity;
  kept->number = server->number;
  kept->owner = g_strdup(server->app->name);
  kept->owner_uid = owner ? owner->uid : G_MAXUINT32;
  kept->owner_label = g_strdup(owner ? owner->label : NULL);
  kept->state = g_strdup(wsd_server_state_name(server->state));
  wsd_start_options_copy(&kept->options, &server->options);
  kept->generation = server->generation;
  kept->by_channel = server->by_channel;
  kept->channel_open = server->channel_open;
  kept->worker_version = WSC_CONTROL_VERSION;
  kept->worker_last_request = server->worker ? wsd_worker_last_request(server->worker) : 0;
  kept->events_before = server->worker ? server->events_before : wsd_traffic_emitted(server->traffic);
  kept->settled = server->settled;
}

/* Whether the worker runs, though it cannot be talked to: it shuts the listener down when it leaves, for others who hold it too. */
static bool is_alive(int control, int pidfd) {
  struct pollfd ended = {.fd = pidfd, .events = POLLIN};
  return control >= 0 || (pidfd >= 0 && poll(&ended, 1, 0) == 0);
}

static bool renew_listener(struct wsd_server *server) {
  g_autoptr(GError) error = NULL;
  wsd_server_keep_no_longer(server, "listener");
  server->listener = wsd_listener_renew(server->listener, &server->options, &error);
  wsd_server_keep(server, "listener", server->listener);
  if (server->listener < 0)
    g_warning("server %" G_GUINT64_FORMAT ": %s", server->number, error->message);
  return server->listener >= 0;
}

/* Its connections were known to it alone, so there is no Closed for each of them. */
static void replace_worker(struct wsd_server *server, const struct wsd_kept_server *kept, int control, int pidfd) {
  bool listens = !is_alive(control, pidfd) || renew_listener(server);
  server->channel_open = wsd_app_channel_is_there(&server->app_channel); /* one that it had has ended with it */
  if (control >= 0)
    close(control); /* kept no longer either, below: it says 1001 to its peers and leaves */
  if (pidfd >= 0)
    close(pidfd);
  wsd_server_keep_no_longer(server, "control");
  wsd_server_keep_no_longer(server, "pidfd");
  wsd_traffic_restore(server->traffic, kept->events_before);
  wsd_traffic_error(
      server->traffic, WSD_ERROR_FAILED,
      listens ? "the server's process ended while the service was away: all its connections are lost, and it is "
                "started again"
              : "the server's process and its port were lost while the service was away: call Start to try again");
  if (listens) {
    wsd_server_restart_later(server);
    return;
  }
  wsd_server_drop_vault(server);
  server->state = WSD_SERVER_FAILED;
}

static void adopt_running(struct wsd_server *server, const struct wsd_kept_server *kept,
                          const struct wsd_server_remains *remains) {
  server->state = WSD_SERVER_RUNNING;
  server->listener = remains->listener;
  server->vault = remains->vault;
  server->by_channel = kept->by_channel;
  server->channel_open = kept->channel_open;
  server->app_channel = remains->channel;
  if (!wsd_server_adopt_worker(server, kept, remains->control, remains->pidfd))
    replace_worker(server, kept, remains->control, remains->pidfd);
  if (g_str_equal(kept->state, "stopping") && server->state == WSD_SERVER_RUNNING)
    wsd_server_begin_stop(server);
}

/* Nothing serves it: what is there of it is let go. */
static void adopt_idle(struct wsd_server *server, const struct wsd_kept_server *kept,
                       const struct wsd_server_remains *remains) {
  const char *const kinds[] = {"control", "listener", "pidfd", wsd_server_vault_kind(&kept->options)};
  const int fds[] = {remains->control, remains->listener, remains->pidfd, remains->vault};
  for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
    if (fds[i] >= 0)
      close(fds[i]);
    wsd_server_keep_no_longer(server, kinds[i]);
  }
  wsd_traffic_restore(server->traffic, kept->events_before);
  server->app_channel = remains->channel;
  server->by_channel = server->channel_open = wsd_app_channel_is_there(&remains->channel);
  bool was_active = g_str_equal(kept->state, "running") || g_str_equal(kept->state, "starting");
  server->state = g_str_equal(kept->state, "created")  ? WSD_SERVER_CREATED
                  : g_str_equal(kept->state, "failed") ? WSD_SERVER_FAILED
                                                       : WSD_SERVER_STOPPED;
  if (!was_active)
    return;
  server->state = WSD_SERVER_FAILED;
  wsd_traffic_error(server->traffic, WSD_ERROR_FAILED,
                    g_str_equal(kept->state, "starting")
                        ? "the start was interrupted by a restart of the service: call Start again"
                        : "the server's socket was lost while the service was away: the server has failed; call Start "
                          "to try again");
}

void wsd_server_adopt(struct wsd_server *server, const struct wsd_kept_server *kept,
                      const struct wsd_server_remains *remains) {
  wsd_start_options_clear(&server->options);
  wsd_start_options_copy(&server->options, &kept->options);
  server->generation = kept->generation;
  bool stopping = g_str_equal(kept->state, "stopping");
  bool active = stopping || g_str_equal(kept->state, "running") || g_str_equal(kept->state, "starting");
  if (active && (remains->listener >= 0 || (stopping && remains->control >= 0)))
    adopt_running(server, kept, remains);
  else
    adopt_idle(server, kept, remains);
}

void wsd_server_hold(struct wsd_server *server) {
  wsd_traffic_hold(server->traffic);
}

void wsd_server_settle(struct wsd_server *server) {
  server->settled = wsd_traffic_settle(server->traffic);
}

void wsd_server_let_go(struct wsd_server *server) {
  static const char text[] = "the service is being restarted; call again";
  wsd_server_clear_timer(server);
  wsd_server_close_worker_channel(server);
  server->worker_ready = false;
  wsd_traffic_let_go(server->traffic);
  wsd_traffic_fail_calls(server->traffic, WSD_ERROR_SHUTTING_DOWN, text);
  g_clear_pointer(&server->worker, wsd_worker_let_go);
  if (server->listener >= 0)
    close(server->listener); /* no shutdown: it lives on */
  server->listener = -1;
  if (server->vault >= 0)
    close(server->vault); /* kept on, and so is the one before it where the state names that */
  server->vault = -1;
  wsd_app_channel_close(&server->app_channel);
  wsd_lent_arenas_forget(&server->lent); /* still in use */
  wsd_server_cancel_handover(server, text);
  wsd_server_cancel_replacement(server, text);
  g_clear_pointer(&server->preparation, wsd_preparation_free);
  if (server->start_call)
    wsd_call_fail(g_steal_pointer(&server->start_call), WSD_ERROR_SHUTTING_DOWN, text);
  for (guint i = 0; i < server->stop_calls->len; i++)
    wsd_call_fail(server->stop_calls->pdata[i], WSD_ERROR_SHUTTING_DOWN, text);
  g_ptr_array_set_size(server->stop_calls, 0);
  bool stopping = server->state == WSD_SERVER_STOPPING;
  server->state = WSD_SERVER_STOPPED;
  if (stopping)
    wsd_server_unref(server); /* taken by wsd_server_begin_stop() */
}
