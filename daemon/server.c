/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/server-private.h"

#include "daemon/account.h"
#include "daemon/app.h"
#include "daemon/delivery.h"
#include "daemon/journal.h"
#include "daemon/keeper.h"
#include "daemon/limits.h"
#include "daemon/listener.h"
#include "daemon/names.h"
#include "daemon/server-query.h"

#include <unistd.h>

struct wsd_server *wsd_server_new(struct wsd_service *service, struct wsd_app *app, guint64 number) {
  static const struct wsd_traffic_events traffic_events = {wsd_server_on_traffic_ended, wsd_server_owner_has_room};
  struct wsd_server *server = g_new0(struct wsd_server, 1);
  server->references = 1;
  server->service = service;
  server->app = wsd_app_ref(app);
  service->server_count++;
  app->server_count++;
  app->account->servers++;
  server->number = number;
  server->path = g_strdup_printf(WSD_SERVERS_PATH "/%" G_GUINT64_FORMAT, number);
  server->listener = server->worker_channel = server->vault = -1;
  server->app_channel = WSD_NO_CHANNEL;
  server->lent = WSD_NO_ARENAS;
  server->terms = WSD_TERMS_WIDEST; /* until a rule lets it run */
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
  if (server->vault >= 0)
    close(server->vault);
  wsd_app_channel_close(&server->app_channel);
  wsd_lent_arenas_empty(&server->lent);
  wsd_start_options_clear(&server->options);
  wsd_start_options_clear(&server->wanted);
  g_ptr_array_unref(server->stop_calls);
  wsd_app_unref(server->app);
  g_free(server->rule);
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
guint64 wsd_server_generation(const struct wsd_server *server) {
  return server->generation;
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

const char *wsd_server_rule(const struct wsd_server *server) {
  return server->rule;
}

bool wsd_server_channel_is_open(const struct wsd_server *server) {
  return server->channel_open;
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

void wsd_server_set_state(struct wsd_server *server, enum wsd_server_state state) {
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
    g_variant_builder_add(&changed, "{sv}", "Tls", g_variant_new_boolean(server->options.tls));
  }
  g_variant_builder_add(&changed, "{sv}", "ServerPort", g_variant_new_uint16(wsd_server_port(server)));
  wsd_delivery_send(server->app->delivery, server->path, DBUS_PROPERTIES_INTERFACE, "PropertiesChanged",
                    g_variant_new("(sa{sv}as)", WSD_SERVER_INTERFACE, &changed, NULL));
}

void wsd_server_clear_timer(struct wsd_server *server) {
  g_clear_handle_id(&server->timer, g_source_remove);
}

/* Ends */

static void log_refusal(const struct wsd_server *server, enum wsd_error code, const char *text) {
  struct wsd_scene scene = wsd_scene_of_server(server);
  scene.error = wsd_error_name(code);
  wsd_journal(code == WSD_ERROR_LIMIT_EXCEEDED ? WSD_EVENT_QUOTA : WSD_EVENT_START_REFUSED, &scene,
              "%s may not start server %" G_GUINT64_FORMAT ": %s", server->app->account->app_id, server->number, text);
}

void wsd_server_fail_start(struct wsd_server *server, enum wsd_error code, const char *text) {
  wsd_server_drop_worker(server);
  wsd_server_drop_listener(server);
  wsd_server_drop_vault(server);
  if (!wsd_app_channel_is_there(&server->app_channel))
    wsd_server_forget_channel(server); /* the worker has had it */
  wsd_server_set_state(server, WSD_SERVER_FAILED);
  log_refusal(server, code, text);
  if (server->start_call)
    wsd_call_fail(g_steal_pointer(&server->start_call), code, "%s", text);
}

/* It no longer counts among the servers there may be. */
static void leave_place(struct wsd_server *server) {
  server->service->server_count--;
  server->app->server_count--;
  server->app->account->servers--;
}

static void on_release_kept(void *user) {
  wsd_call_return(user, NULL);
}

/* What was released must not be there again after a crash. */
static void answer_release(struct wsd_server *server, struct wsd_call *call) {
  if (server->service->keeper)
    wsd_keeper_commit(server->service->keeper, on_release_kept, call);
  else
    wsd_call_return(call, NULL);
}

/* Everything that was running is gone; whoever waits for that is told. */
void wsd_server_finish_stop(struct wsd_server *server) {
  wsd_server_drop_worker(server);
  wsd_server_drop_listener(server);
  wsd_server_drop_vault(server);
  wsd_server_forget_channel(server);
  wsd_traffic_close_all(server->traffic, 1001, "");
  wsd_traffic_fail_calls(server->traffic, WSD_ERROR_SHUTTING_DOWN,
                         "the server was stopped meanwhile; call Start to serve again");
  wsd_server_set_state(server, WSD_SERVER_STOPPED);
  const struct wsd_scene scene = wsd_scene_of_server(server);
  wsd_journal(WSD_EVENT_STOPPED, &scene, "server %" G_GUINT64_FORMAT " of %s has stopped", server->number,
              server->app->account->app_id);
  g_autoptr(GPtrArray) calls = g_steal_pointer(&server->stop_calls);
  server->stop_calls = g_ptr_array_new();
  for (guint i = 0; i < calls->len; i++)
    wsd_call_return(calls->pdata[i], NULL);
  if (server->released)
    leave_place(server);
  if (server->release_call)
    answer_release(server, g_steal_pointer(&server->release_call));
  wsd_server_unref(server); /* taken by wsd_server_begin_stop() */
}

static gboolean on_stop_timeout(gpointer data) {
  struct wsd_server *server = data;
  server->timer = 0;
  const struct wsd_scene scene = wsd_scene_of_server(server);
  wsd_journal(WSD_EVENT_WORKER_FAULT, &scene,
              "the worker of server %" G_GUINT64_FORMAT " did not stop in time and is ended", server->number);
  wsd_worker_kill(server->worker);
  wsd_server_finish_stop(server);
  return G_SOURCE_REMOVE;
}

/* Out of starting or running. Ends in wsd_server_finish_stop(), now or later. */
void wsd_server_begin_stop(struct wsd_server *server) {
  const struct wsd_timing *timing = &server->service->timing;
  bool serving = server->state == WSD_SERVER_RUNNING && server->worker_ready;
  wsd_server_ref(server);
  wsd_server_clear_timer(server);
  wsd_server_set_state(server, WSD_SERVER_STOPPING);
  wsd_keeper_write(server->service->keeper); /* before the listener is kept no longer: a successor has to know why */
  wsd_server_drop_listener(server);
  wsd_server_cancel_replacement(server, "the server was stopped meanwhile; call Start to serve again");
  wsd_server_cancel_handover(server, "the server was stopped meanwhile; call Start to serve again");
  g_clear_pointer(&server->preparation, wsd_preparation_free);
  wsd_start_options_clear(&server->wanted);
  if (server->start_call)
    wsd_call_fail(g_steal_pointer(&server->start_call), WSD_ERROR_SHUTTING_DOWN,
                  "the server was stopped while it started; call Start again to serve");
  if (serving && wsd_worker_stop(server->worker, 1001, timing->stop_deadline)) {
    wsd_traffic_drain(server->traffic);
    server->timer = g_timeout_add(timing->stop_deadline + timing->stop_grace, on_stop_timeout, server);
  } else {
    wsd_server_finish_stop(server);
  }
}

/* Calls */

void wsd_server_refuse_start(struct wsd_server *server, GError *error) {
  struct wsd_call *call = g_steal_pointer(&server->start_call);
  wsd_start_options_clear(&server->wanted);
  wsd_server_drop_vault(server);
  wsd_server_set_state(server, server->state_before);
  log_refusal(server, wsd_error_code(error), error->message);
  wsd_call_take_error(call, error);
}

void wsd_server_listen(struct wsd_server *server) {
  GError *error = NULL;
  int listener = wsd_listener_open(&server->wanted, &error);
  if (listener < 0) {
    wsd_server_refuse_start(server, error);
    return;
  }
  wsd_start_options_clear(&server->options);
  server->options = server->wanted;
  server->wanted = (struct wsd_start_options){0};
  server->listener = listener;
  wsd_server_keep(server, "listener", listener);
  server->counters = (struct wsc_counters){0};
  server->restarts = 0;
  wsd_server_set_state(server, WSD_SERVER_STARTING);
  if (!wsd_server_start_worker(server, &error)) {
    wsd_server_fail_start(server, WSD_ERROR_FAILED, error->message);
    g_error_free(error);
  }
}

void wsd_server_start(struct wsd_server *server, struct wsd_call *call) {
  if (server->state == WSD_SERVER_STARTING || server->state == WSD_SERVER_RUNNING ||
      server->state == WSD_SERVER_STOPPING) {
    wsd_call_fail(call, WSD_ERROR_ALREADY_RUNNING, "the server is %s; call Stop first, or create another one",
                  wsd_server_state_name(server->state));
    return;
  }
  struct wsd_start_options options = {0};
  g_autoptr(GVariant) dictionary = g_variant_get_child_value(call->arguments, 0);
  GUnixFDList *fds = g_dbus_message_get_unix_fd_list(call->message);
  GError *error = NULL;
  if (!wsd_server_admit(server, dictionary, fds, &options, &error)) {
    wsd_start_options_clear(&options);
    log_refusal(server, wsd_error_code(error), error->message);
    wsd_call_take_error(call, error);
    return;
  }
  server->wanted = options;
  server->state_before = server->state;
  server->start_call = call;
  if (!options.tls) {
    wsd_server_listen(server);
    return;
  }
  wsd_server_set_state(server, WSD_SERVER_STARTING);
  wsd_server_check_certificate(server);
}

void wsd_server_stop(struct wsd_server *server, struct wsd_call *call) {
  switch (server->state) {
  case WSD_SERVER_STARTING:
  case WSD_SERVER_RUNNING:
    g_ptr_array_add(server->stop_calls, call);
    wsd_server_begin_stop(server);
    break;
  case WSD_SERVER_STOPPING:
    g_ptr_array_add(server->stop_calls, call);
    break;
  case WSD_SERVER_FAILED:
    wsd_server_set_state(server, WSD_SERVER_STOPPED);
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
    wsd_call_fail(server->stop_calls->pdata[i], WSD_ERROR_SHUTTING_DOWN,
                  "the server was released meanwhile; call CreateServer for another one");
  g_ptr_array_set_size(server->stop_calls, 0);
  wsd_traffic_fail_calls(server->traffic, WSD_ERROR_SHUTTING_DOWN,
                         "the server was released meanwhile; call CreateServer for another one");
  bool active = server->state == WSD_SERVER_STARTING || server->state == WSD_SERVER_RUNNING;
  if (!active && server->state != WSD_SERVER_STOPPING)
    wsd_server_forget_channel(server);
  if (active || server->state == WSD_SERVER_STOPPING)
    server->release_call = call;
  else
    leave_place(server);
  if (call && !server->release_call)
    answer_release(server, call);
  if (active)
    wsd_server_begin_stop(server);
  wsd_server_unref(server);
}

void wsd_server_release(struct wsd_server *server, struct wsd_call *call) {
  release(server, call);
}

void wsd_server_abandon(struct wsd_server *server) {
  release(server, NULL);
}

static bool check_running(struct wsd_server *server, struct wsd_call *call) {
  if (server->state == WSD_SERVER_RUNNING)
    return true;
  wsd_call_fail(call, WSD_ERROR_NOT_RUNNING, "the server is %s; call Start first",
                wsd_server_state_name(server->state));
  return false;
}

void wsd_server_send(struct wsd_server *server, struct wsd_call *call) {
  if (check_running(server, call) && !wsd_server_uses_channel(server, call))
    wsd_traffic_send(server->traffic, call);
}

void wsd_server_broadcast(struct wsd_server *server, struct wsd_call *call) {
  if (check_running(server, call) && !wsd_server_uses_channel(server, call))
    wsd_traffic_broadcast(server->traffic, call);
}

void wsd_server_close(struct wsd_server *server, struct wsd_call *call) {
  if (!check_running(server, call))
    return;
  if (server->by_channel)
    wsd_server_close_past_channel(server, call);
  else
    wsd_traffic_close(server->traffic, call);
}

void wsd_server_acknowledge(struct wsd_server *server, struct wsd_call *call) {
  if (!wsd_server_uses_channel(server, call))
    wsd_traffic_acknowledge(server->traffic, call);
}
