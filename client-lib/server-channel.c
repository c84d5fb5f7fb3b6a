/* SPDX-License-Identifier: Apache-2.0 */
/* Opening the delivery of a run, and another when a worker has died. */
#include "client-lib/error-private.h"
#include "client-lib/limits.h"
#include "client-lib/server-private.h"

#include <gio/gunixfdlist.h>
#include <unistd.h>

/* --- OpenChannel --- */

/* Duplicates what the reply names. False and an error when it is not there. */
static bool take_descriptors(GVariant *reply, GUnixFDList *fds, int taken[], gsize count, GError **error) {
  for (gsize i = 0; i < count; i++) {
    gint32 index;
    g_variant_get_child(reply, i, "h", &index);
    bool is_there = fds != NULL && index >= 0 && index < g_unix_fd_list_get_length(fds);
    taken[i] = is_there ? g_unix_fd_list_get(fds, index, error) : -1;
    if (!is_there)
      g_set_error_literal(error, WS_ERROR, WS_ERROR_FAILED, "the service answered OpenChannel without a channel");
    if (taken[i] >= 0)
      continue;
    while (i > 0)
      close(taken[--i]);
    return false;
  }
  return true;
}

static void open_channel(WsServer *self, bool with_memory, GCancellable *cancellable, GAsyncReadyCallback callback,
                         gpointer user) {
  self->asked_memory = with_memory && g_strcmp0(g_getenv("WS_DELIVERY"), "stream") != 0;
  if (self->asked_memory)
    ws_server_call(self, "OpenSharedChannel", NULL, "(hhh)", NULL, cancellable, callback, user);
  else
    ws_server_call(self, "OpenChannel", NULL, "(h)", NULL, cancellable, callback, user);
}

/* A service, a worker, or a bus policy of a release that has no shared memory: to be asked again without. */
static bool is_refused_memory(WsServer *self, const GError *error) {
  return self->asked_memory &&
         (g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_METHOD) ||
          g_error_matches(error, WS_ERROR, WS_ERROR_FAILED) ||
          g_error_matches(error, WS_ERROR, WS_ERROR_PERMISSION_DENIED)) &&
         !ws_error_is_absence(error) && !ws_server_is_forgotten(error);
}

/* False and an error when there is none. With `self` NULL nobody wants it any more. */
static bool open_channel_finish(WsServer *self, GObject *source, GAsyncResult *result, GError **error) {
  g_autoptr(GUnixFDList) fds = NULL;
  g_autoptr(GVariant) reply = ws_server_call_finish(source, &fds, result, error);
  int taken[3];
  if (reply == NULL || self == NULL || !take_descriptors(reply, fds, taken, g_variant_n_children(reply), error))
    return false;
  bool shared = g_variant_n_children(reply) > 1;
  self->delivery = shared ? ws_channel_delivery_new_shared(self, taken[0], taken[1], taken[2])
                          : ws_channel_delivery_new(self, taken[0]);
  self->opened_at = g_get_monotonic_time();
  if (self->delivery == NULL)
    g_set_error_literal(error, WS_ERROR, WS_ERROR_FAILED, "the service's shared memory is none");
  return self->delivery != NULL;
}

/* --- The first of a run --- */

struct opening {
  WsServer *server;
  GCancellable *cancellable;
  WsServerOpened opened;
  gpointer user;
};

static bool prefers_signals(WsServer *self) {
  bool passes_fds = g_dbus_connection_get_capabilities(self->bus) & G_DBUS_CAPABILITY_FLAGS_UNIX_FD_PASSING;
  return !passes_fds || g_strcmp0(g_getenv("WS_DELIVERY"), "signal") == 0;
}

static void on_opened(GObject *source, GAsyncResult *result, gpointer user) {
  struct opening *opening = user;
  g_autoptr(GError) error = NULL;
  bool is_open = open_channel_finish(opening->server, source, result, &error);
  if (!is_open && opening->server->delivery != NULL && g_error_matches(error, WS_ERROR, WS_ERROR_CHANNEL_IN_USE))
    g_clear_error(&error); /* it is ours: asked for when the last run ended in the middle, and answered before */
  if (error != NULL && is_refused_memory(opening->server, error)) {
    open_channel(opening->server, false, opening->cancellable, on_opened, opening);
    return;
  }
  opening->opened(opening->user, g_steal_pointer(&error));
  g_clear_object(&opening->cancellable);
  g_object_unref(opening->server);
  g_free(opening);
}

void ws_server_open_delivery(WsServer *self, GCancellable *cancellable, WsServerOpened opened, gpointer user) {
  if (self->delivery == NULL && prefers_signals(self))
    self->delivery = ws_signal_delivery_new(self);
  if (self->delivery != NULL) { /* also that of a start that failed */
    opened(user, NULL);
    return;
  }
  struct opening *opening = g_new(struct opening, 1);
  *opening = (struct opening){g_object_ref(self), cancellable ? g_object_ref(cancellable) : NULL, opened, user};
  open_channel(self, true, cancellable, on_opened, opening);
}

/* --- After the death of a worker --- */

void ws_server_stop_reopening(WsServer *self) {
  if (self->reopening == NULL)
    return;
  g_source_destroy(self->reopening);
  g_clear_pointer(&self->reopening, g_source_unref);
}

static gboolean on_try_again(gpointer user) {
  WsServer *self = user;
  ws_server_stop_reopening(self);
  ws_server_reopen(self);
  return G_SOURCE_REMOVE;
}

/* The service has not noticed yet that the worker died, or is busy with it. */
static void try_again_later(WsServer *self, const char *why) {
  if (self->reopen_tries++ >= WS_REOPEN_TRIES) {
    g_autofree char *text = g_strdup_printf("the channel cannot be opened again: %s", why);
    ws_server_on_lost(self, text);
    return;
  }
  guint delay = MIN(WS_REOPEN_FIRST_MS << (self->reopen_tries - 1), WS_REOPEN_LAST_MS);
  self->reopening = g_timeout_source_new(delay);
  g_source_set_callback(self->reopening, on_try_again, self, NULL);
  g_source_attach(self->reopening, self->context);
}

static void reopen(WsServer *self, bool with_memory);

static void on_reopened(GObject *source, GAsyncResult *result, gpointer user) {
  bool matters;
  g_autoptr(WsServer) self = ws_server_answered(user, &matters);
  g_autoptr(GError) error = NULL;
  if (matters)
    self->reopen_called = false;
  if (open_channel_finish(matters && self->delivery == NULL ? self : NULL, source, result, &error) || !matters)
    return;
  if (error == NULL || self->state != WS_SERVER_STATE_RUNNING ||
      g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  if (is_refused_memory(self, error))
    reopen(self, false);
  else if (g_dbus_connection_is_closed(self->bus))
    ws_server_on_lost(self, "the bus went away, and the server with it");
  else if (ws_server_is_forgotten(error))
    ws_server_on_lost(self, error->message);
  else if (self->service_owner != NULL)
    try_again_later(self, error->message);
  else /* as soon as it comes back */
    ws_server_wait_for_service(self, WS_AWAY_ENDED_MS);
}

static void reopen(WsServer *self, bool with_memory) {
  self->reopen_called = true;
  g_main_context_push_thread_default(self->context);
  open_channel(self, with_memory, self->calls, on_reopened, ws_server_asks(self));
  g_main_context_pop_thread_default(self->context);
}

void ws_server_reopen(WsServer *self) {
  if (self->delivery != NULL || self->reopening != NULL || self->reopen_called || self->path == NULL ||
      self->state != WS_SERVER_STATE_RUNNING)
    return;
  self->reopen_tries += self->reopen_tries == 0; /* the first is at once */
  reopen(self, true);
}

void ws_server_on_delivery_ended(WsServer *self, bool broken, const char *reason) {
  if (broken && self->state == WS_SERVER_STATE_RUNNING) {
    self->fails = true;
    ws_server_set_state(self, WS_SERVER_STATE_STOPPING);
    ws_server_call_stop(self);
    ws_server_take_error(self, WS_ERROR_FAILED, reason);
  }
  ws_server_finish_stop(self);
  if (self->state != WS_SERVER_STATE_RUNNING || self->delivery != NULL)
    return;
  if (g_get_monotonic_time() - self->opened_at > WS_REOPEN_STEADY_MS * G_TIME_SPAN_MILLISECOND)
    self->reopen_tries = 0;
  if (self->reopen_tries == 0)
    ws_server_reopen(self);
  else if (self->reopening == NULL)
    try_again_later(self, "its worker ends again and again");
}
