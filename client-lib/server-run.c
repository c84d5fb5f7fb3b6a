/* SPDX-License-Identifier: Apache-2.0 */
/* Starting and stopping. */
#include "client-lib/error-private.h"
#include "client-lib/limits.h"
#include "client-lib/server-config-private.h"
#include "client-lib/server-private.h"

#include <gio/gunixfdlist.h>

/* --- The end of a run --- */

static void return_stops(WsServer *self) {
  GTask *task;
  while ((task = g_queue_pop_head(&self->stops)) != NULL) {
    g_task_return_boolean(task, TRUE);
    g_object_unref(task);
  }
}

/* Signals are over when the service says so; a channel has its own end, before which events are still to come. */
static bool has_told_everything(const WsServer *self) {
  return self->delivery == NULL || !ws_delivery_is_channel(self->delivery);
}

void ws_server_finish_stop(WsServer *self) {
  if (self->state != WS_SERVER_STATE_STOPPING || !self->remote_stopped || !has_told_everything(self))
    return;
  bool fails = self->fails;
  self->remote_stopped = self->fails = false;
  ws_server_lose_connections(self);
  ws_server_drop_delivery(self);
  ws_server_set_state(self, fails ? WS_SERVER_STATE_FAILED : WS_SERVER_STATE_STOPPED);
  return_stops(self);
}

void ws_server_on_remote_state(WsServer *self, const char *state) {
  bool stopped = g_str_equal(state, "stopped"), failed = g_str_equal(state, "failed");
  if (g_str_equal(state, "running"))
    ws_server_reopen(self);
  if (self->state == WS_SERVER_STATE_RUNNING && (stopped || failed || g_str_equal(state, "stopping"))) {
    ws_server_stop_reopening(self);
    ws_server_set_state(self, WS_SERVER_STATE_STOPPING);
  }
  if (self->state != WS_SERVER_STATE_STOPPING || (!stopped && !failed))
    return;
  self->remote_stopped = true;
  self->fails = self->fails || failed;
  ws_server_finish_stop(self);
}

void ws_server_on_lost(WsServer *self, const char *why) {
  bool was_wanted = self->state == WS_SERVER_STATE_RUNNING;
  g_autofree char *text = g_strdup(why);
  ws_server_stop_reopening(self);
  ws_server_lose_connections(self);
  ws_server_drop_delivery(self);
  ws_server_detach_bus(self);
  if (self->state == WS_SERVER_STATE_STARTING)
    return; /* which fails by itself */
  self->remote_stopped = self->fails = false;
  if (self->state != WS_SERVER_STATE_FAILED)
    ws_server_set_state(self, was_wanted ? WS_SERVER_STATE_FAILED : WS_SERVER_STATE_STOPPED);
  return_stops(self);
  if (was_wanted)
    ws_server_take_error(self, WS_ERROR_FAILED, text);
}

/* --- Start --- */

/* Data of the task. */
struct start {
  GVariant *arguments;
  GUnixFDList *files;
  bool is_second; /* the service had forgotten the object: once more, with another */
};

static void free_start(gpointer data) {
  struct start *start = data;
  g_variant_unref(start->arguments);
  g_object_unref(start->files);
  g_free(start);
}

static void create_object(GTask *task);
static void stop_on_bus(WsServer *self);

/* Takes the task. */
static void fail_start(GTask *task, GError *error) {
  g_autoptr(WsServer) self = g_object_ref(g_task_get_source_object(task));
  bool waits = self->start_cancelled && self->path != NULL; /* for the answer to Stop, which comes behind this */
  self->start_called = false;
  ws_server_set_state(self, waits ? WS_SERVER_STATE_STOPPING : WS_SERVER_STATE_STOPPED);
  g_task_return_error(task, error);
  g_object_unref(task);
  if (!waits)
    return_stops(self);
}

/* Whether the next step may be taken; else the start has failed. */
static bool may_go_on(GTask *task) {
  WsServer *self = g_task_get_source_object(task);
  if (g_queue_is_empty(&self->stops))
    return true;
  fail_start(task, g_error_new_literal(WS_ERROR, WS_ERROR_SHUTTING_DOWN, "the server was stopped while it started"));
  return false;
}

static void on_started_properties(GObject *source, GAsyncResult *result, gpointer user) {
  g_autoptr(GTask) task = user;
  WsServer *self = g_task_get_source_object(task);
  g_autoptr(GError) error = NULL;
  g_autofree char *state = ws_server_take_properties(self, source, result, &error);
  if (state == NULL) /* it runs all the same, so it is stopped again */
    ws_server_tell(self, "Stop", NULL);
  if (state == NULL) {
    fail_start(g_steal_pointer(&task), g_steal_pointer(&error));
    return;
  }
  self->start_called = self->start_cancelled = self->remote_stopped = self->fails = false;
  ws_server_set_state(self, WS_SERVER_STATE_RUNNING);
  g_task_return_boolean(task, TRUE);
  if (!g_queue_is_empty(&self->stops)) { /* Stop came too late to cancel it */
    ws_server_set_state(self, WS_SERVER_STATE_STOPPING);
    stop_on_bus(self);
  } else {
    ws_server_on_remote_state(self, state);
    ws_server_reopen(self); /* if its worker has died already */
  }
}

static void on_started(GObject *source, GAsyncResult *result, gpointer user) {
  GTask *task = user;
  WsServer *self = g_task_get_source_object(task);
  struct start *start = g_task_get_task_data(task);
  GError *error = NULL;
  g_autoptr(GVariant) reply = ws_server_call_finish(source, NULL, result, &error);
  if (reply != NULL) {
    ws_server_ask_properties(self, g_task_get_cancellable(task), on_started_properties, task);
    return;
  }
  if (ws_server_is_forgotten(error) && !start->is_second) {
    g_error_free(error);
    start->is_second = true;
    ws_server_on_lost(self, "forgotten");
    create_object(task);
    return;
  }
  if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    ws_server_tell(self, "Stop", NULL);
  fail_start(task, error);
}

static void on_delivery_opened(gpointer user, GError *error) {
  GTask *task = user;
  WsServer *self = g_task_get_source_object(task);
  struct start *start = g_task_get_task_data(task);
  if (error != NULL && ws_server_is_forgotten(error) && !start->is_second) {
    g_error_free(error);
    start->is_second = true;
    ws_server_on_lost(self, "forgotten");
    create_object(task);
    return;
  }
  if (error != NULL) {
    fail_start(task, error);
    return;
  }
  if (!may_go_on(task))
    return;
  self->start_called = true;
  ws_server_call(self, "Start", start->arguments, "()", start->files, g_task_get_cancellable(task), on_started, task);
}

static void open_delivery(GTask *task) {
  if (may_go_on(task))
    ws_server_open_delivery(g_task_get_source_object(task), g_task_get_cancellable(task), on_delivery_opened, task);
}

static void on_created(GObject *source, GAsyncResult *result, gpointer user) {
  GTask *task = user;
  WsServer *self = g_task_get_source_object(task);
  GError *error = NULL;
  const char *path;
  g_autoptr(GVariant) reply = ws_server_call_finish(source, NULL, result, &error);
  if (reply == NULL) {
    fail_start(task, error);
    return;
  }
  g_variant_get(reply, "(&o)", &path);
  ws_server_attach_bus(self, path);
  open_delivery(task);
}

static void create_object(GTask *task) {
  WsServer *self = g_task_get_source_object(task);
  if (self->path != NULL) {
    open_delivery(task);
    return;
  }
  g_dbus_connection_call_with_unix_fd_list(self->bus, WS_SERVICE, WS_MANAGER_PATH, WS_MANAGER_INTERFACE, "CreateServer",
                                           NULL, G_VARIANT_TYPE("(o)"), G_DBUS_CALL_FLAGS_NONE, WS_CALL_TIMEOUT_MS,
                                           NULL, g_task_get_cancellable(task), on_created, task);
}

static void on_bus(GObject *source, GAsyncResult *result, gpointer user) {
  GTask *task = user;
  WsServer *self = g_task_get_source_object(task);
  GError *error = NULL;
  (void)source;
  self->bus = g_bus_get_finish(result, &error);
  self->bus_is_ours = true;
  if (self->bus == NULL)
    fail_start(task, error);
  else if (may_go_on(task))
    create_object(task);
}

static bool may_start(WsServer *self, GTask *task) {
  if (self->state == WS_SERVER_STATE_STOPPED || self->state == WS_SERVER_STATE_FAILED)
    return true;
  g_task_return_new_error(task, WS_ERROR, WS_ERROR_ALREADY_RUNNING,
                          "the server runs already, or is about to start or stop: stop it first");
  return false;
}

void ws_server_start_async(WsServer *self, WsServerConfig *config, GCancellable *cancellable,
                           GAsyncReadyCallback callback, gpointer user_data) {
  g_return_if_fail(WS_IS_SERVER(self));
  g_return_if_fail(WS_IS_SERVER_CONFIG(config));
  g_autoptr(GTask) task = g_task_new(self, cancellable, callback, user_data);
  g_autoptr(GUnixFDList) files = NULL;
  GError *error = NULL;
  g_task_set_source_tag(task, ws_server_start_async);
  if (!may_start(self, task))
    return;
  GVariant *arguments = ws_server_config_to_arguments(config, &files, &error);
  if (arguments == NULL) {
    g_task_return_error(task, error);
    return;
  }
  struct start *start = g_new(struct start, 1);
  *start = (struct start){g_variant_ref_sink(arguments), g_steal_pointer(&files), false};
  g_task_set_task_data(task, start, free_start);
  g_object_get(config, "max-message-size", &self->max_message, NULL);
  ws_server_set_state(self, WS_SERVER_STATE_STARTING);
  if (self->bus_is_ours && self->bus != NULL && g_dbus_connection_is_closed(self->bus))
    g_clear_object(&self->bus);
  if (self->bus != NULL)
    create_object(g_steal_pointer(&task));
  else
    g_bus_get(G_BUS_TYPE_SYSTEM, cancellable, on_bus, g_steal_pointer(&task));
}

gboolean ws_server_start_finish(WsServer *self, GAsyncResult *result, GError **error) {
  g_return_val_if_fail(g_task_is_valid(result, self), FALSE);
  return g_task_propagate_boolean(G_TASK(result), error);
}

static void on_done(GObject *source, GAsyncResult *result, gpointer user) {
  GAsyncResult **place = user;
  (void)source;
  *place = g_object_ref(result);
}

gboolean ws_server_start(WsServer *self, WsServerConfig *config, GCancellable *cancellable, GError **error) {
  g_return_val_if_fail(WS_IS_SERVER(self), FALSE);
  g_autoptr(GMainContext) context = g_main_context_new();
  g_autoptr(GAsyncResult) result = NULL;
  g_main_context_push_thread_default(context);
  ws_server_start_async(self, config, cancellable, on_done, &result);
  while (result == NULL)
    g_main_context_iteration(context, TRUE);
  g_main_context_pop_thread_default(context);
  return ws_server_start_finish(self, result, error);
}

/* --- Stop --- */

static void on_stopped(GObject *source, GAsyncResult *result, gpointer user) {
  g_autoptr(WsServer) self = user;
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) reply = ws_server_call_finish(source, NULL, result, &error);
  if (self->state != WS_SERVER_STATE_STOPPING)
    return;
  if (reply == NULL && !g_error_matches(error, WS_ERROR, WS_ERROR_NOT_RUNNING)) {
    ws_server_on_lost(self, error->message);
    return;
  }
  if (self->start_cancelled) { /* there was no run that could have an end */
    self->start_cancelled = false;
    ws_server_set_state(self, WS_SERVER_STATE_STOPPED);
    return_stops(self);
    return;
  }
  self->remote_stopped = true;
  ws_server_finish_stop(self);
}

static void stop_on_bus(WsServer *self) {
  ws_server_stop_reopening(self);
  ws_server_call(self, "Stop", NULL, "()", NULL, NULL, on_stopped, g_object_ref(self));
}

/* Whoever asked no longer waits; the server stops all the same. */
static gboolean on_stop_cancelled(GCancellable *cancellable, gpointer user) {
  GTask *task = user;
  WsServer *self = g_task_get_source_object(task);
  (void)cancellable;
  if (g_queue_remove(&self->stops, task)) {
    (void)g_task_return_error_if_cancelled(task);
    g_object_unref(task);
  }
  return G_SOURCE_CONTINUE; /* it goes with the task */
}

static void forget_source(gpointer data) {
  g_source_destroy(data);
  g_source_unref(data);
}

static void watch_cancellable(GTask *task) {
  GCancellable *cancellable = g_task_get_cancellable(task);
  if (cancellable == NULL)
    return;
  GSource *source = g_cancellable_source_new(cancellable);
  g_source_set_callback(source, G_SOURCE_FUNC(on_stop_cancelled), task, NULL);
  g_source_attach(source, g_task_get_context(task));
  g_task_set_task_data(task, source, forget_source);
}

/* Waits for the end that is under way, or causes it. */
static void begin_stop(WsServer *self) {
  switch (self->state) {
  case WS_SERVER_STATE_STARTING:
    if (self->start_called && !self->start_cancelled)
      stop_on_bus(self);
    self->start_cancelled = self->start_called;
    return;
  case WS_SERVER_STATE_FAILED: /* nothing is there any more */
    ws_server_set_state(self, WS_SERVER_STATE_STOPPED);
    return_stops(self);
    return;
  case WS_SERVER_STATE_RUNNING:
    ws_server_set_state(self, WS_SERVER_STATE_STOPPING);
    stop_on_bus(self);
    return;
  default:
    return;
  }
}

void ws_server_stop_async(WsServer *self, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data) {
  g_return_if_fail(WS_IS_SERVER(self));
  GTask *task = g_task_new(self, cancellable, callback, user_data);
  g_task_set_source_tag(task, ws_server_stop_async);
  if (self->state == WS_SERVER_STATE_STOPPED) {
    g_task_return_new_error(task, WS_ERROR, WS_ERROR_NOT_RUNNING, "the server does not run");
    g_object_unref(task);
    return;
  }
  g_queue_push_tail(&self->stops, task);
  watch_cancellable(task);
  begin_stop(self);
}

gboolean ws_server_stop_finish(WsServer *self, GAsyncResult *result, GError **error) {
  g_return_val_if_fail(g_task_is_valid(result, self), FALSE);
  return g_task_propagate_boolean(G_TASK(result), error);
}

gboolean ws_server_stop(WsServer *self, GCancellable *cancellable, GError **error) {
  g_return_val_if_fail(WS_IS_SERVER(self), FALSE);
  g_autoptr(GAsyncResult) result = NULL;
  if (self->emitting > 0) {
    g_set_error_literal(
        error, WS_ERROR, WS_ERROR_FAILED,
        "ws_server_stop() would wait for itself in a handler of the server: call ws_server_stop_async()");
    return FALSE;
  }
  g_main_context_push_thread_default(self->context);
  ws_server_stop_async(self, cancellable, on_done, &result);
  while (result == NULL)
    g_main_context_iteration(self->context, TRUE);
  g_main_context_pop_thread_default(self->context);
  return ws_server_stop_finish(self, result, error);
}
