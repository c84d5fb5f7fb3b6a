/* SPDX-License-Identifier: Apache-2.0 */
/* Starting and stopping. */
#include "client-lib/limits.h"
#include "client-lib/server-config-private.h"
#include "client-lib/server-private.h"

#include <gio/gunixfdlist.h>

/* --- The end of a run --- */

/* Callbacks may ask for the next stop, which is about another run. */
static GQueue take_stops(WsServer *self) {
  GQueue stops = self->stops;
  g_queue_init(&self->stops);
  return stops;
}

static void return_stops(GQueue stops) {
  GTask *task;
  while ((task = g_queue_pop_head(&stops)) != NULL) {
    g_task_return_boolean(task, TRUE);
    g_object_unref(task);
  }
}

/* Signals are over when the service says so, unless the app has paused; a channel has its own end, before which events are still to come. */
static bool has_told_everything(const WsServer *self) {
  return self->delivery == NULL ||
         (!ws_delivery_is_channel(self->delivery) && !ws_signal_delivery_holds_events(self->delivery));
}

void ws_server_finish_stop(WsServer *self) {
  if (self->state != WS_SERVER_STATE_STOPPING || !self->remote_stopped || !has_told_everything(self))
    return;
  bool fails = self->fails;
  self->remote_stopped = self->fails = false;
  ws_server_lose_connections(self);
  ws_server_drop_delivery(self);
  GQueue stops = take_stops(self);
  ws_server_set_state(self, fails ? WS_SERVER_STATE_FAILED : WS_SERVER_STATE_STOPPED);
  return_stops(stops);
}

void ws_server_on_remote_state(WsServer *self, const char *state) {
  bool stopped = g_str_equal(state, "stopped"), failed = g_str_equal(state, "failed");
  if (g_str_equal(state, "running"))
    ws_server_reopen(self);
  if (self->state == WS_SERVER_STATE_RUNNING && (stopped || failed || g_str_equal(state, "stopping"))) {
    ws_server_stop_reopening(self);
    ws_server_set_state(self, WS_SERVER_STATE_STOPPING);
  }
  if (self->state != WS_SERVER_STATE_STOPPING || self->start != NULL || (!stopped && !failed))
    return;
  self->remote_stopped = true;
  self->fails = self->fails || failed;
  ws_server_finish_stop(self);
}

/* Whatever the object was about is over, on the bus too. */
static void let_go_of_object(WsServer *self) {
  ws_server_stop_reopening(self);
  ws_server_lose_connections(self);
  ws_server_drop_delivery(self);
  ws_server_detach_bus(self);
}

void ws_server_on_lost(WsServer *self, const char *why) {
  G_GNUC_UNUSED g_autoptr(WsServer) kept = g_object_ref(self);
  bool was_wanted = self->state == WS_SERVER_STATE_RUNNING;
  bool fails = was_wanted || self->fails || self->state == WS_SERVER_STATE_FAILED;
  bool returns = was_wanted && ws_server_may_return(self);
  g_autofree char *text =
      g_strconcat(why, returns ? ": it is started again when wsserverd is there" : ": start it again", NULL);
  if (self->start != NULL)
    return; /* which fails by itself */
  let_go_of_object(self);
  self->remote_stopped = self->fails = false;
  GQueue stops = take_stops(self);
  ws_server_set_state(self, returns ? WS_SERVER_STATE_RETURNING
                            : fails ? WS_SERVER_STATE_FAILED
                                    : WS_SERVER_STATE_STOPPED);
  return_stops(stops);
  if (was_wanted)
    ws_server_take_error(self, WS_ERROR_FAILED, text);
  ws_server_return(self);
}

/* --- Start --- */

/*
 * From ws_server_start_async() to its last step. Steps are not cancelled, since nobody would know then what they have done: whoever cancels gets his answer at
 * once, and what was done is undone when the step under way is over.
 */
struct start {
  WsServer *server; /* a reference */
  GTask *task;      /* NULL once it was answered */
  GVariant *arguments;
  GUnixFDList *files;
  GSource *cancelled;
  GCancellable *steps; /* for when the service does not answer, and nobody is there who would take the answer */
  bool is_second;      /* the service had forgotten the object: once more, with another */
  bool is_return;      /* nobody has called for it: the server comes back */
  GError *unreadable;  /* why a file cannot be opened; the service only says that it is no certificate */
};

static void create_object(struct start *start);

static void answer_start(struct start *start, GError *error) {
  g_autoptr(GTask) task = g_steal_pointer(&start->task);
  if (start->cancelled != NULL)
    g_source_destroy(start->cancelled);
  g_clear_pointer(&start->cancelled, g_source_unref);
  if (task == NULL)
    g_clear_error(&error);
  else if (error != NULL)
    g_task_return_error(task, error);
  else
    g_task_return_boolean(task, TRUE);
}

static void end_start(struct start *start) {
  WsServer *self = start->server;
  self->start = NULL;
  self->start_called = self->start_unwanted = false;
}

static void free_start(struct start *start) {
  g_clear_object(&start->task);
  g_clear_pointer(&start->arguments, g_variant_unref);
  g_clear_object(&start->files);
  g_clear_error(&start->unreadable);
  g_object_unref(start->steps);
  g_object_unref(start->server);
  g_free(start);
}

/* A start that has failed leaves nothing behind: neither an object, nor a channel that a worker may have had. */
static void fail_start(struct start *start, GError *error) {
  WsServer *self = start->server;
  if (start->is_return && !self->start_unwanted && ws_server_may_return(self)) {
    end_start(start);
    let_go_of_object(self);
    ws_server_try_later(self, error);
    g_error_free(error);
    free_start(start);
    return;
  }
  bool waits = self->start_cancelled && self->path != NULL; /* for the answer to Stop, which comes behind this */
  GQueue stops = G_QUEUE_INIT;
  end_start(start);
  if (!waits) {
    self->start_cancelled = self->remote_stopped = false;
    let_go_of_object(self);
    stops = take_stops(self);
  }
  ws_server_set_state(self, waits ? WS_SERVER_STATE_STOPPING : WS_SERVER_STATE_STOPPED);
  answer_start(start, error);
  return_stops(stops);
  free_start(start);
}

static void fail_unwanted(struct start *start) {
  fail_start(start, g_error_new_literal(WS_ERROR, WS_ERROR_SHUTTING_DOWN, "the server was stopped while it started"));
}

/* Whether the next step may be taken; else the start has failed. */
static bool may_go_on(struct start *start) {
  if (!start->server->start_unwanted && !start->server->disposed)
    return true;
  fail_unwanted(start);
  return false;
}

/* What it serves is over before anybody was told that it serves: Stop is under way. */
static void stop_started(struct start *start) {
  WsServer *self = start->server;
  self->start_cancelled = false; /* there is a run, and it has an end */
  end_start(start);
  ws_server_set_state(self, WS_SERVER_STATE_STOPPING);
  answer_start(start, g_error_new_literal(WS_ERROR, WS_ERROR_SHUTTING_DOWN, "the server was stopped while it started"));
  free_start(start);
  ws_server_finish_stop(self);
}

static void on_started_properties(GObject *source, GAsyncResult *result, gpointer user) {
  struct start *start = user;
  g_autoptr(WsServer) self = g_object_ref(start->server);
  GError *error = NULL;
  g_autofree char *state = ws_server_take_properties(self, source, result, &error);
  if (state == NULL || self->disposed) {
    self->start_cancelled = false; /* with its object the server goes, too */
    fail_start(start, error);
    return;
  }
  if (self->start_unwanted) {
    stop_started(start);
    return;
  }
  end_start(start);
  self->remote_stopped = self->fails = false;
  ws_server_is_back(self);
  ws_server_set_state(self, WS_SERVER_STATE_RUNNING);
  answer_start(start, NULL);
  free_start(start);
  ws_server_on_remote_state(self, state);
  ws_server_reopen(self); /* if its worker has died already */
}

/* True when the service did not know the object, and another one is being made. */
static bool begin_again(struct start *start, GError *error) {
  if (!ws_server_is_forgotten(error) || start->is_second || start->server->start_unwanted)
    return false;
  g_error_free(error);
  start->is_second = true;
  start->server->start_called = false;
  let_go_of_object(start->server);
  create_object(start);
  return true;
}

/* Takes the error. */
static GError *explain_refusal(struct start *start, GError *error) {
  if (start->unreadable == NULL || !g_error_matches(error, WS_ERROR, WS_ERROR_CERTIFICATE_NOT_FOUND))
    return error;
  g_error_free(error);
  return g_steal_pointer(&start->unreadable);
}

static void on_started(GObject *source, GAsyncResult *result, gpointer user) {
  struct start *start = user;
  GError *error = NULL;
  g_autoptr(GVariant) reply = ws_server_call_finish(source, NULL, result, &error);
  if (reply != NULL && !start->server->disposed)
    ws_server_ask_properties(start->server, start->steps, on_started_properties, start);
  else if (reply != NULL)
    fail_unwanted(start);
  else if (!begin_again(start, error))
    fail_start(start, explain_refusal(start, error));
}

static void on_delivery_opened(gpointer user, GError *error) {
  struct start *start = user;
  WsServer *self = start->server;
  if (error != NULL) {
    if (!begin_again(start, error))
      fail_start(start, error);
    return;
  }
  if (!may_go_on(start))
    return;
  if (self->delivery != NULL && !ws_delivery_is_channel(self->delivery))
    ws_signal_delivery_begin(self->delivery);
  self->start_called = true;
  ws_server_call(self, "Start", start->arguments, "()", start->files, start->steps, on_started, start);
}

static void open_delivery(struct start *start) {
  if (may_go_on(start))
    ws_server_open_delivery(start->server, start->steps, on_delivery_opened, start);
}

static void on_created(GObject *source, GAsyncResult *result, gpointer user) {
  struct start *start = user;
  GError *error = NULL;
  const char *path;
  g_autoptr(GVariant) reply = ws_server_call_finish(source, NULL, result, &error);
  if (reply == NULL) {
    fail_start(start, error);
    return;
  }
  g_variant_get(reply, "(&o)", &path);
  ws_server_attach_bus(start->server, path);
  open_delivery(start);
}

static void create_object(struct start *start) {
  WsServer *self = start->server;
  if (self->path != NULL) {
    open_delivery(start);
    return;
  }
  g_dbus_connection_call_with_unix_fd_list(self->bus, WS_SERVICE, WS_MANAGER_PATH, WS_MANAGER_INTERFACE, "CreateServer",
                                           NULL, G_VARIANT_TYPE("(o)"),
                                           start->is_return ? G_DBUS_CALL_FLAGS_NO_AUTO_START : G_DBUS_CALL_FLAGS_NONE,
                                           WS_CALL_TIMEOUT_MS, NULL, start->steps, on_created, start);
}

static void on_bus(GObject *source, GAsyncResult *result, gpointer user) {
  struct start *start = user;
  WsServer *self = start->server;
  GError *error = NULL;
  (void)source;
  self->bus = g_bus_get_finish(result, &error);
  self->bus_is_ours = true;
  if (self->bus == NULL) {
    fail_start(start, error);
    return;
  }
  g_dbus_connection_set_exit_on_close(self->bus, FALSE); /* the app hears of it as an error of its server */
  if (may_go_on(start))
    create_object(start);
}

static bool may_start(WsServer *self, GTask *task) {
  if (g_task_return_error_if_cancelled(task))
    return false;
  if (!self->disposed && (self->state == WS_SERVER_STATE_STOPPED || self->state == WS_SERVER_STATE_FAILED))
    return true;
  g_task_return_new_error(task, WS_ERROR, WS_ERROR_ALREADY_RUNNING,
                          "the server runs already, or is about to start or stop: stop it first");
  return false;
}

/* What is left of a start that is not wanted any more goes on in the background. */
static void give_up_start(WsServer *self) {
  if (self->start_called && !self->start_cancelled)
    ws_server_call_stop(self);
  self->start_cancelled = self->start_called;
  self->start_unwanted = true;
}

static gboolean on_start_cancelled(GCancellable *cancellable, gpointer user) {
  struct start *start = user;
  g_autoptr(WsServer) self = g_object_ref(start->server);
  (void)cancellable;
  give_up_start(self);
  ws_server_set_state(self, WS_SERVER_STATE_STOPPING);
  answer_start(start, g_error_new_literal(G_IO_ERROR, G_IO_ERROR_CANCELLED, "the start was cancelled"));
  return G_SOURCE_REMOVE;
}

static void watch_start(struct start *start, GCancellable *cancellable) {
  if (cancellable == NULL)
    return;
  start->cancelled = g_cancellable_source_new(cancellable);
  g_source_set_callback(start->cancelled, G_SOURCE_FUNC(on_start_cancelled), start, NULL);
  g_source_attach(start->cancelled, g_task_get_context(start->task));
}

/* The system bus may have gone and come since the last start; a bus that the app gave is the app's to replace. */
static void forget_closed_bus(WsServer *self) {
  if (!self->bus_is_ours || self->bus == NULL || !g_dbus_connection_is_closed(self->bus))
    return;
  let_go_of_object(self);
  g_clear_object(&self->bus);
}

static void begin_start(struct start *start) {
  WsServer *self = start->server;
  self->start = start;
  self->reopen_tries = 0;
  forget_closed_bus(self);
  ws_server_set_state(self, WS_SERVER_STATE_STARTING);
  if (self->bus != NULL)
    create_object(start);
  else
    g_bus_get(G_BUS_TYPE_SYSTEM, start->steps, on_bus, start);
}

void ws_server_start_async(WsServer *self, WsServerConfig *config, GCancellable *cancellable,
                           GAsyncReadyCallback callback, gpointer user_data) {
  g_return_if_fail(WS_IS_SERVER(self) && ws_server_is_ours(self));
  g_return_if_fail(WS_IS_SERVER_CONFIG(config));
  g_autoptr(GTask) task = g_task_new(self, cancellable, callback, user_data);
  g_autoptr(GUnixFDList) files = NULL;
  GError *error = NULL, *unreadable = NULL;
  g_task_set_source_tag(task, ws_server_start_async);
  if (!may_start(self, task))
    return;
  GVariant *arguments = ws_server_config_to_arguments(config, &files, &unreadable, &error);
  if (arguments == NULL) {
    g_task_return_error(task, error);
    return;
  }
  g_object_get(config, "max-message-size", &self->max_message, NULL);
  ws_server_remember(self, config);
  g_task_set_check_cancellable(task, FALSE); /* a server that runs was not cancelled */
  struct start *start = g_new(struct start, 1);
  *start = (struct start){g_object_ref(self),
                          g_steal_pointer(&task),
                          g_variant_ref_sink(arguments),
                          g_steal_pointer(&files),
                          NULL,
                          g_cancellable_new(),
                          false,
                          false,
                          unreadable};
  watch_start(start, cancellable);
  begin_start(start);
}

void ws_server_start_again(WsServer *self) {
  g_autoptr(GUnixFDList) files = NULL;
  g_autoptr(GError) error = NULL;
  GError *unreadable = NULL;
  GVariant *arguments =
      ws_server_arguments_again(self, &files, &unreadable, &error); /* opens certificates, which may be others by now */
  if (arguments == NULL) {
    ws_server_try_later(self, error);
    return;
  }
  struct start *start = g_new0(struct start, 1);
  start->server = g_object_ref(self);
  start->arguments = g_variant_ref_sink(arguments);
  start->files = g_steal_pointer(&files);
  start->steps = g_cancellable_new();
  start->unreadable = unreadable;
  start->is_return = true;
  g_main_context_push_thread_default(self->context);
  begin_start(start);
  g_main_context_pop_thread_default(self->context);
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

static gboolean on_undone_too_late(gpointer user) {
  g_cancellable_cancel(user);
  return G_SOURCE_REMOVE;
}

/* Steps of a start that was cancelled would never be taken in a main context that nobody runs. A service that does not answer is not waited for. */
static void finish_steps(WsServer *self, GMainContext *context) {
  if (self->start == NULL)
    return;
  g_autoptr(GSource) timeout = g_timeout_source_new(WS_UNDO_MS);
  g_source_set_callback(timeout, on_undone_too_late, g_object_ref(self->start->steps), g_object_unref);
  g_source_attach(timeout, context);
  while (self->start != NULL)
    g_main_context_iteration(context, TRUE);
  g_source_destroy(timeout);
}

gboolean ws_server_start(WsServer *self, WsServerConfig *config, GCancellable *cancellable, GError **error) {
  g_return_val_if_fail(WS_IS_SERVER(self) && ws_server_is_ours(self), FALSE);
  g_autoptr(GMainContext) context = g_main_context_new();
  g_autoptr(GAsyncResult) result = NULL;
  g_object_freeze_notify(G_OBJECT(self));
  g_main_context_push_thread_default(context);
  ws_server_start_async(self, config, cancellable, on_done, &result);
  while (result == NULL)
    g_main_context_iteration(context, TRUE);
  finish_steps(self, context);
  g_main_context_pop_thread_default(context);
  gboolean started = ws_server_start_finish(self, result, error);
  g_object_thaw_notify(G_OBJECT(self));
  return started;
}

/* --- Stop --- */

static void on_stopped(GObject *source, GAsyncResult *result, gpointer user) {
  bool matters;
  g_autoptr(WsServer) self = ws_server_answered(user, &matters);
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) reply = ws_server_call_finish(source, NULL, result, &error);
  if (matters && self->start != NULL) { /* a step in another main context has not been taken yet */
    self->start_cancelled = false;
    self->remote_stopped = true;
  }
  if (!matters || self->start != NULL || self->state != WS_SERVER_STATE_STOPPING)
    return;
  if (reply == NULL && !g_error_matches(error, WS_ERROR, WS_ERROR_NOT_RUNNING)) {
    ws_server_on_lost(self, error->message);
    return;
  }
  if (self->start_cancelled) { /* there was no run that could have an end */
    self->start_cancelled = false;
    let_go_of_object(self);
    self->fails = false;
    GQueue stops = take_stops(self);
    ws_server_set_state(self, WS_SERVER_STATE_STOPPED);
    return_stops(stops);
    return;
  }
  self->remote_stopped = true;
  ws_server_finish_stop(self);
}

void ws_server_call_stop(WsServer *self) {
  ws_server_stop_reopening(self);
  g_main_context_push_thread_default(self->context); /* which may be waited for later, and by somebody else */
  ws_server_call(self, "Stop", NULL, "()", NULL, NULL, on_stopped, ws_server_asks(self));
  g_main_context_pop_thread_default(self->context);
}

void ws_server_return_all(WsServer *self) {
  GQueue stops = take_stops(self);
  self->state = WS_SERVER_STATE_STOPPED;
  if (self->start != NULL)
    answer_start(self->start,
                 g_error_new_literal(WS_ERROR, WS_ERROR_SHUTTING_DOWN, "the server was disposed of while it started"));
  return_stops(stops);
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
    give_up_start(self);
    return;
  case WS_SERVER_STATE_RETURNING:
  case WS_SERVER_STATE_FAILED: { /* nothing is there any more */
    ws_server_stay_away(self);
    GQueue stops = take_stops(self);
    ws_server_set_state(self, WS_SERVER_STATE_STOPPED);
    return_stops(stops);
    return;
  }
  case WS_SERVER_STATE_RUNNING:
    ws_server_call_stop(self);
    ws_server_set_state(self, WS_SERVER_STATE_STOPPING);
    return;
  default:
    return;
  }
}

void ws_server_stop_async(WsServer *self, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data) {
  g_return_if_fail(WS_IS_SERVER(self) && ws_server_is_ours(self));
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
  ws_server_set_paused(self, FALSE); /* what is left is told before it is over */
}

gboolean ws_server_stop_finish(WsServer *self, GAsyncResult *result, GError **error) {
  g_return_val_if_fail(g_task_is_valid(result, self), FALSE);
  return g_task_propagate_boolean(G_TASK(result), error);
}

gboolean ws_server_stop(WsServer *self, GCancellable *cancellable, GError **error) {
  g_return_val_if_fail(WS_IS_SERVER(self) && ws_server_is_ours(self), FALSE);
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
