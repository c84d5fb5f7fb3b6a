/* SPDX-License-Identifier: Apache-2.0 */
/* The server's object on the bus: calls, signals, and the service that comes and goes. */
#include "client-lib/error-private.h"
#include "client-lib/limits.h"
#include "client-lib/server-private.h"

#include <gio/gunixfdlist.h>

#define PROPERTIES_INTERFACE "org.freedesktop.DBus.Properties"

/* --- Calls --- */

void ws_server_call(WsServer *self, const char *method, GVariant *arguments, const char *reply, GUnixFDList *fds,
                    GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user) {
  g_dbus_connection_call_with_unix_fd_list(self->bus, WS_SERVICE, self->path, WS_SERVER_INTERFACE, method, arguments,
                                           G_VARIANT_TYPE(reply), G_DBUS_CALL_FLAGS_NO_AUTO_START, WS_CALL_TIMEOUT_MS,
                                           fds, cancellable, callback, user);
}

GVariant *ws_server_call_finish(GObject *source, GUnixFDList **fds, GAsyncResult *result, GError **error) {
  GError *problem = NULL;
  GVariant *reply = g_dbus_connection_call_with_unix_fd_list_finish(G_DBUS_CONNECTION(source), fds, result, &problem);
  if (problem != NULL)
    g_propagate_error(error, ws_error_of_call(problem));
  return reply;
}

bool ws_server_is_forgotten(const GError *error) {
  return g_error_matches(error, WS_ERROR, WS_ERROR_FAILED) && g_str_has_prefix(error->message, WS_ERROR_FORGOTTEN_TEXT);
}

struct asked {
  WsServer *server;
  guint object;
};

gpointer ws_server_asks(WsServer *self) {
  struct asked *asked = g_new(struct asked, 1);
  *asked = (struct asked){g_object_ref(self), self->object};
  return asked;
}

WsServer *ws_server_answered(gpointer user, bool *matters) {
  struct asked *asked = user;
  WsServer *self = asked->server;
  *matters = self->path != NULL && self->object == asked->object;
  g_free(asked);
  return self;
}

void ws_server_tell(WsServer *self, const char *method, GVariant *arguments) {
  /* Without a callback GDBus marks the call as one that wants no reply. */
  g_dbus_connection_call(self->bus, WS_SERVICE, self->path, WS_SERVER_INTERFACE, method, arguments, NULL,
                         G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, NULL, NULL, NULL);
}

void ws_server_ask_properties(WsServer *self, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user) {
  g_dbus_connection_call_with_unix_fd_list(self->bus, WS_SERVICE, self->path, PROPERTIES_INTERFACE, "GetAll",
                                           g_variant_new("(s)", WS_SERVER_INTERFACE), G_VARIANT_TYPE("(a{sv})"),
                                           G_DBUS_CALL_FLAGS_NO_AUTO_START, WS_CALL_TIMEOUT_MS, NULL, cancellable,
                                           callback, user);
}

char *ws_server_take_properties(WsServer *self, GObject *source, GAsyncResult *result, GError **error) {
  g_autoptr(GVariant) reply = ws_server_call_finish(source, NULL, result, error);
  g_autoptr(GVariant) values = NULL;
  const char *state = "", *ip = "";
  guint16 port = 0;
  gboolean tls = FALSE;
  if (reply == NULL)
    return NULL;
  g_variant_get(reply, "(@a{sv})", &values);
  g_variant_lookup(values, "State", "&s", &state);
  g_variant_lookup(values, "ServerIP", "&s", &ip);
  g_variant_lookup(values, "ServerPort", "q", &port);
  g_variant_lookup(values, "Tls", "b", &tls);
  if (self != NULL)
    ws_server_set_address(self, ip, port, tls);
  return g_strdup(state);
}

/* --- Signals --- */

static void take_properties_changed(WsServer *self, GVariant *arguments) {
  g_autoptr(GVariant) changed = NULL;
  const char *state;
  if (!g_variant_is_of_type(arguments, G_VARIANT_TYPE("(sa{sv}as)")))
    return;
  g_variant_get_child(arguments, 1, "@a{sv}", &changed);
  if (g_variant_lookup(changed, "State", "&s", &state))
    ws_server_on_remote_state(self, state);
}

static void take_signal(WsServer *self, const char *name, GVariant *arguments) {
  guint32 code;
  const char *text;
  if (self->delivery != NULL && !ws_delivery_is_channel(self->delivery)) {
    ws_signal_delivery_take(self->delivery, name, arguments);
  } else if (g_str_equal(name, "Error") && g_variant_is_of_type(arguments, G_VARIANT_TYPE("(us)"))) {
    self->events_handled++;
    g_variant_get(arguments, "(u&s)", &code, &text);
    ws_server_take_error(self, ws_error_of_number(code), text);
  }
}

/* Anybody on the bus may send signals to anybody, so only those of the service count. */
static void on_signal(GDBusConnection *bus, const char *sender, const char *path, const char *interface,
                      const char *name, GVariant *arguments, gpointer user) {
  g_autoptr(WsServer) self = g_weak_ref_get(user);
  (void)bus;
  (void)path;
  if (self == NULL || g_strcmp0(sender, self->service_owner) != 0)
    return;
  self->emitting++;
  if (g_str_equal(interface, PROPERTIES_INTERFACE))
    take_properties_changed(self, arguments);
  else if (g_str_equal(interface, WS_SERVER_INTERFACE))
    take_signal(self, name, arguments);
  self->emitting--;
}

/* --- The service comes and goes --- */

static void stop_waiting(WsServer *self) {
  if (self->away == NULL)
    return;
  g_source_destroy(self->away);
  g_clear_pointer(&self->away, g_source_unref);
}

static gboolean on_away_too_long(gpointer user) {
  g_autoptr(WsServer) self = g_object_ref(user);
  stop_waiting(self);
  ws_server_on_lost(self, "wsserverd has left the bus and did not come back");
  return G_SOURCE_REMOVE;
}

void ws_server_wait_for_service(WsServer *self, guint milliseconds) {
  stop_waiting(self);
  self->away = g_timeout_source_new(milliseconds);
  g_source_set_callback(self->away, on_away_too_long, self, NULL);
  g_source_attach(self->away, self->context);
}

static void on_vanished(GDBusConnection *bus, const char *name, gpointer user) {
  g_autoptr(WsServer) self = g_weak_ref_get(user);
  (void)bus;
  (void)name;
  if (self == NULL)
    return;
  g_clear_pointer(&self->service_owner, g_free);
  self->was_away = true;
  if (g_dbus_connection_is_closed(self->bus))
    ws_server_on_lost(self, "the bus went away, and the server with it");
  else if (self->path != NULL)
    ws_server_wait_for_service(self, self->delivery != NULL ? WS_AWAY_MS : WS_AWAY_ENDED_MS);
}

/* A service that was restarted knows the object still; one that was stopped and started does not. */
static void on_asked_again(GObject *source, GAsyncResult *result, gpointer user) {
  bool matters;
  g_autoptr(WsServer) self = ws_server_answered(user, &matters);
  g_autoptr(GError) error = NULL;
  g_autofree char *state = ws_server_take_properties(matters ? self : NULL, source, result, &error);
  if (!matters)
    return;
  if (state != NULL)
    ws_server_on_remote_state(self, state);
  else if (ws_server_is_forgotten(error))
    ws_server_on_lost(self, "wsserverd was stopped and started: the server is gone");
}

static void on_appeared(GDBusConnection *bus, const char *name, const char *owner, gpointer user) {
  g_autoptr(WsServer) self = g_weak_ref_get(user);
  (void)bus;
  (void)name;
  if (self == NULL || self->path == NULL)
    return;
  g_free(self->service_owner);
  self->service_owner = g_strdup(owner);
  stop_waiting(self);
  if (self->was_away)
    ws_server_ask_properties(self, self->calls, on_asked_again, ws_server_asks(self));
  self->was_away = false;
  if (self->delivery != NULL && !ws_delivery_is_channel(self->delivery))
    ws_signal_delivery_call_again(self->delivery);
}

/* --- The object --- */

void ws_server_free_weak(gpointer user) {
  GWeakRef *weak = user;
  g_weak_ref_clear(weak);
  g_free(weak);
}

GWeakRef *ws_server_new_weak(WsServer *self) {
  GWeakRef *weak = g_new(GWeakRef, 1);
  g_weak_ref_init(weak, self);
  return weak;
}

void ws_server_attach_bus(WsServer *self, const char *path) {
  self->path = g_strdup(path);
  self->object++;
  self->events_handled = self->events_acknowledged = 0;
  g_main_context_push_thread_default(self->context); /* where signals are emitted, whoever waits in another meanwhile */
  /* The signals are sent to us alone and need no match rule. */
  self->subscription =
      g_dbus_connection_signal_subscribe(self->bus, NULL, NULL, NULL, path, NULL, G_DBUS_SIGNAL_FLAGS_NO_MATCH_RULE,
                                         on_signal, ws_server_new_weak(self), ws_server_free_weak);
  self->watch = g_bus_watch_name_on_connection(self->bus, WS_SERVICE, G_BUS_NAME_WATCHER_FLAGS_NONE, on_appeared,
                                               on_vanished, ws_server_new_weak(self), ws_server_free_weak);
  g_main_context_pop_thread_default(self->context);
}

void ws_server_detach_bus(WsServer *self) {
  stop_waiting(self);
  if (self->watch != 0)
    g_bus_unwatch_name(self->watch);
  if (self->subscription != 0)
    g_dbus_connection_signal_unsubscribe(self->bus, self->subscription);
  self->watch = self->subscription = 0;
  if (self->path != NULL && !g_dbus_connection_is_closed(self->bus))
    ws_server_tell(self, "Release", NULL);
  g_clear_pointer(&self->path, g_free);
  g_clear_pointer(&self->service_owner, g_free);
  self->was_away = self->reopen_called = false;
}
