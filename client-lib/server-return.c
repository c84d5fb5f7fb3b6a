/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Coming back. A server that ran when the service was stopped, or was lost with it, is started again as soon as the service is there: with the same
 * configuration, on the same port. Nobody starts the service for that; whoever stopped it had a reason.
 */
#include "client-lib/limits.h"
#include "client-lib/server-config-private.h"
#include "client-lib/server-private.h"

static void stop_trying(WsServer *self) {
  if (self->returning.timer == NULL)
    return;
  g_source_destroy(self->returning.timer);
  g_clear_pointer(&self->returning.timer, g_source_unref);
}

static void stop_watching(WsServer *self) {
  stop_trying(self);
  if (self->returning.watch != 0)
    g_bus_unwatch_name(self->returning.watch);
  self->returning.watch = 0;
}

void ws_server_stay_away(WsServer *self) {
  stop_watching(self);
  g_clear_pointer(&self->returning.said, g_free);
  self->returning.tries = 0;
}

/* --- The configuration --- */

void ws_server_remember(WsServer *self, WsServerConfig *config) {
  g_clear_object(&self->returning.config);
  self->returning.config = ws_server_config_copy(config);
  self->returning.port = 0;
  self->returning.port_is_taken = false;
}

void ws_server_forget(WsServer *self) {
  ws_server_stay_away(self);
  g_clear_object(&self->returning.config);
}

/* Peers look for it where it was, also where any free port would have done the first time. */
GVariant *ws_server_arguments_again(WsServer *self, GUnixFDList **files, GError **unreadable, GError **error) {
  guint wanted;
  g_autoptr(WsServerConfig) config = ws_server_config_copy(self->returning.config);
  g_object_get(config, "server-port", &wanted, NULL);
  if (wanted == 0 && !self->returning.port_is_taken)
    g_object_set(config, "server-port", (guint)self->returning.port, NULL);
  return ws_server_config_to_arguments(config, files, unreadable, error);
}

/* --- Trying --- */

/* Once for each reason. */
static void tell(WsServer *self, const GError *error) {
  g_autofree char *text = g_strdup_printf("the server cannot be started again yet: %s", error->message);
  if (g_strcmp0(text, self->returning.said) == 0)
    return;
  g_free(self->returning.said);
  self->returning.said = g_strdup(text);
  ws_server_take_error(self, error->domain == WS_ERROR ? (WsError)error->code : WS_ERROR_FAILED, text);
}

static gboolean on_time(gpointer user) {
  g_autoptr(WsServer) self = g_object_ref(user);
  stop_watching(self);
  ws_server_start_again(self);
  return G_SOURCE_REMOVE;
}

static guint delay(const WsServer *self) {
  if (self->returning.tries == 0)
    return 0;
  return MIN(WS_RETURN_FIRST_MS << (MIN(self->returning.tries, 16) - 1), WS_RETURN_LAST_MS);
}

static void on_there(GDBusConnection *bus, const char *name, const char *owner, gpointer user) {
  g_autoptr(WsServer) self = g_weak_ref_get(user);
  (void)bus;
  (void)name;
  (void)owner;
  if (self == NULL || self->state != WS_SERVER_STATE_RETURNING)
    return;
  stop_trying(self);
  self->returning.timer = g_timeout_source_new(delay(self));
  g_source_set_callback(self->returning.timer, on_time, self, NULL);
  g_source_attach(self->returning.timer, self->context);
}

static void on_gone(GDBusConnection *bus, const char *name, gpointer user) {
  g_autoptr(WsServer) self = g_weak_ref_get(user);
  (void)name;
  if (self == NULL || self->state != WS_SERVER_STATE_RETURNING)
    return;
  stop_trying(self);
  self->returning.tries = 0; /* the next one is another */
  if (!g_dbus_connection_is_closed(bus))
    return;
  ws_server_stay_away(self);
  ws_server_set_state(self, WS_SERVER_STATE_FAILED);
  ws_server_take_error(self, WS_ERROR_FAILED, "the bus went away: start the server again on another connection");
}

static void watch(WsServer *self) {
  g_main_context_push_thread_default(self->context);
  self->returning.watch = g_bus_watch_name_on_connection(self->bus, WS_SERVICE, G_BUS_NAME_WATCHER_FLAGS_NONE, on_there,
                                                         on_gone, ws_server_new_weak(self), ws_server_free_weak);
  g_main_context_pop_thread_default(self->context);
}

bool ws_server_may_return(const WsServer *self) {
  return self->restarts && !self->disposed && self->returning.config != NULL && self->bus != NULL &&
         !g_dbus_connection_is_closed(self->bus);
}

void ws_server_return(WsServer *self) {
  if (self->state == WS_SERVER_STATE_RETURNING && self->returning.watch == 0 && self->returning.timer == NULL)
    watch(self);
}

void ws_server_try_later(WsServer *self, const GError *error) {
  self->returning.port_is_taken = g_error_matches(error, WS_ERROR, WS_ERROR_PORT_IN_USE);
  self->returning.tries++;
  ws_server_set_state(self, WS_SERVER_STATE_RETURNING);
  if (self->state == WS_SERVER_STATE_RETURNING)
    tell(self, error);
  ws_server_return(self);
}

void ws_server_is_back(WsServer *self) {
  self->returning.port = self->port;
  self->returning.port_is_taken = false;
  ws_server_stay_away(self);
}
