/* SPDX-License-Identifier: Apache-2.0 */
#include "client-lib/server-private.h"

#include "client-lib/error-private.h"
#include "client-lib/marshal.h"

#include <string.h>

G_DEFINE_FINAL_TYPE(WsServer, ws_server, G_TYPE_OBJECT)

G_DEFINE_ENUM_TYPE(WsServerState, ws_server_state, G_DEFINE_ENUM_VALUE(WS_SERVER_STATE_STOPPED, "stopped"),
                   G_DEFINE_ENUM_VALUE(WS_SERVER_STATE_STARTING, "starting"),
                   G_DEFINE_ENUM_VALUE(WS_SERVER_STATE_RUNNING, "running"),
                   G_DEFINE_ENUM_VALUE(WS_SERVER_STATE_STOPPING, "stopping"),
                   G_DEFINE_ENUM_VALUE(WS_SERVER_STATE_FAILED, "failed"),
                   G_DEFINE_ENUM_VALUE(WS_SERVER_STATE_RETURNING, "returning"))

enum {
  PROP_BUS = 1,
  PROP_STATE,
  PROP_PORT,
  PROP_URI,
  PROP_OBJECT_PATH,
  PROP_PAUSED,
  PROP_LEND_BINARY,
  PROP_RESTART,
  PROPERTIES
};
static GParamSpec *properties[PROPERTIES];

enum { SIGNAL_CONNECT, SIGNAL_MESSAGE_RECEIVE, SIGNAL_CLOSE, SIGNAL_ERROR, SIGNAL_DRAINED, SIGNALS };
static guint signals[SIGNALS];

WsServer *ws_server_new(void) {
  return g_object_new(WS_TYPE_SERVER, NULL);
}

WsServer *ws_server_new_for_bus(GDBusConnection *bus) {
  g_return_val_if_fail(G_IS_DBUS_CONNECTION(bus), NULL);
  return g_object_new(WS_TYPE_SERVER, "bus", bus, NULL);
}

/* --- Questions --- */

WsServerState ws_server_get_state(WsServer *self) {
  g_return_val_if_fail(WS_IS_SERVER(self), WS_SERVER_STATE_STOPPED);
  return self->state;
}

guint16 ws_server_get_port(WsServer *self) {
  g_return_val_if_fail(WS_IS_SERVER(self), 0);
  return self->port;
}

char *ws_server_get_uri(WsServer *self) {
  g_return_val_if_fail(WS_IS_SERVER(self), NULL);
  if (self->port == 0 || self->ip == NULL)
    return NULL;
  bool is_ipv6 = strchr(self->ip, ':') != NULL;
  return g_strdup_printf(is_ipv6 ? "%s://[%s]:%u/" : "%s://%s:%u/", self->tls ? "wss" : "ws", self->ip, self->port);
}

const char *ws_server_get_object_path(WsServer *self) {
  g_return_val_if_fail(WS_IS_SERVER(self), NULL);
  return self->path;
}

static gint compare_ids(gconstpointer one, gconstpointer other) {
  const WsConnection *a = *(WsConnection *const *)one, *b = *(WsConnection *const *)other;
  return (a->id > b->id) - (a->id < b->id);
}

GPtrArray *ws_server_list_connections(WsServer *self) {
  g_return_val_if_fail(WS_IS_SERVER(self), NULL);
  GPtrArray *list = g_ptr_array_new_with_free_func(g_object_unref);
  struct wsc_identified *entry = NULL;
  while ((entry = wsc_id_table_next(&self->connections, entry)) != NULL)
    g_ptr_array_add(list, g_object_ref(ws_connection_of_entry(entry)));
  g_ptr_array_sort(list, compare_ids);
  return list;
}

guint ws_server_get_connection_count(WsServer *self) {
  g_return_val_if_fail(WS_IS_SERVER(self), 0);
  return self->connections.count;
}

WsConnection *ws_server_lookup(WsServer *self, guint64 id) {
  struct wsc_identified *entry = wsc_id_table_find(&self->connections, id);
  return entry != NULL ? ws_connection_of_entry(entry) : NULL;
}

WsConnection *ws_server_find_connection(WsServer *self, guint64 id) {
  g_return_val_if_fail(WS_IS_SERVER(self), NULL);
  return ws_server_lookup(self, id);
}

/* --- Requests --- */

gint ws_server_broadcast(WsServer *self, GPtrArray *connections, WsMessage *message, GError **error) {
  gsize sent = 0;
  g_return_val_if_fail(WS_IS_SERVER(self), -1);
  g_return_val_if_fail(message != NULL, -1);
  if (self->state != WS_SERVER_STATE_RUNNING && self->state != WS_SERVER_STATE_STARTING) {
    g_set_error_literal(error, WS_ERROR, WS_ERROR_NOT_RUNNING, "the server does not run: start it first");
    return -1;
  }
  if (self->delivery == NULL) /* between two workers: nobody is there */
    return 0;
  enum ws_channel_result result = self->delivery->class->broadcast(self->delivery, connections, message, &sent);
  if (result == WS_CHANNEL_SENT || result == WS_CHANNEL_GONE)
    return (gint)sent;
  ws_error_set_result(error, result);
  return -1;
}

void ws_server_set_message_handler(WsServer *self, WsMessageHandler handler, gpointer user_data,
                                   GDestroyNotify destroy) {
  g_return_if_fail(WS_IS_SERVER(self) && (self->disposed || ws_server_is_ours(self)));
  GDestroyNotify former_destroy = self->handler_destroy;
  gpointer former_data = self->handler_data;
  self->handler = handler;
  self->handler_data = user_data;
  self->handler_destroy = destroy;
  if (former_destroy != NULL)
    former_destroy(former_data);
}

void ws_server_set_paused(WsServer *self, gboolean paused) {
  g_return_if_fail(WS_IS_SERVER(self) && (self->disposed || ws_server_is_ours(self)));
  if (self->paused == (bool)paused)
    return;
  self->paused = paused;
  if (self->delivery != NULL && ws_delivery_is_channel(self->delivery))
    ws_channel_delivery_set_paused(self->delivery, paused);
  else if (self->delivery != NULL)
    ws_signal_delivery_set_paused(self->delivery, paused);
  g_object_notify_by_pspec(G_OBJECT(self), properties[PROP_PAUSED]);
}

void ws_server_set_lend_binary(WsServer *self, gboolean lend) {
  g_return_if_fail(WS_IS_SERVER(self) && (self->disposed || ws_server_is_ours(self)));
  if (self->lends_binary == (bool)lend)
    return;
  self->lends_binary = lend;
  if (self->delivery != NULL && ws_delivery_is_channel(self->delivery))
    ws_channel_delivery_set_lending(self->delivery, lend);
  g_object_notify_by_pspec(G_OBJECT(self), properties[PROP_LEND_BINARY]);
}

gboolean ws_server_get_lend_binary(WsServer *self) {
  g_return_val_if_fail(WS_IS_SERVER(self), FALSE);
  return self->lends_binary;
}

void ws_server_set_restart(WsServer *self, gboolean restart) {
  g_return_if_fail(WS_IS_SERVER(self) && (self->disposed || ws_server_is_ours(self)));
  if (self->restarts == (bool)restart)
    return;
  self->restarts = restart;
  g_object_notify_by_pspec(G_OBJECT(self), properties[PROP_RESTART]);
  if (restart || self->state != WS_SERVER_STATE_RETURNING)
    return;
  ws_server_stay_away(self);
  ws_server_set_state(self, WS_SERVER_STATE_FAILED);
}

gboolean ws_server_get_restart(WsServer *self) {
  g_return_val_if_fail(WS_IS_SERVER(self), FALSE);
  return self->restarts;
}

gboolean ws_server_get_paused(WsServer *self) {
  g_return_val_if_fail(WS_IS_SERVER(self), FALSE);
  return self->paused;
}

/* --- What a delivery reports --- */

/* Whoever waits in a handler for the end of the server would wait for himself. */
#define EMIT(self, signal, ...)                                                                                        \
  do {                                                                                                                 \
    (self)->emitting++;                                                                                                \
    g_signal_emit(self, signals[signal], 0, __VA_ARGS__);                                                              \
    (self)->emitting--;                                                                                                \
  } while (0)

static void notify(WsServer *self, guint property) {
  self->emitting++;
  g_object_notify_by_pspec(G_OBJECT(self), properties[property]);
  self->emitting--;
}

void ws_server_set_state(WsServer *self, WsServerState state) {
  if (self->state == state)
    return;
  self->state = state;
  if (state == WS_SERVER_STATE_STOPPED || state == WS_SERVER_STATE_FAILED || state == WS_SERVER_STATE_RETURNING)
    ws_server_set_address(self, NULL, 0, false);
  notify(self, PROP_STATE);
}

void ws_server_set_address(WsServer *self, const char *ip, guint16 port, bool tls) {
  if (self->port == port && self->tls == tls && g_strcmp0(self->ip, ip) == 0)
    return;
  g_free(self->ip);
  self->ip = g_strdup(ip);
  self->port = port;
  self->tls = tls;
  notify(self, PROP_PORT);
  notify(self, PROP_URI);
}

void ws_server_take_connected(WsServer *self, WsConnection *connection, GHashTable *headers) {
  if (!wsc_id_table_add(&self->connections, &connection->identified))
    g_error("no memory for a connection"); /* as GLib would */
  g_object_ref(connection);
  ws_connection_lend_headers(connection, headers);
  EMIT(self, SIGNAL_CONNECT, connection);
  ws_connection_lend_headers(connection, NULL);
  g_object_unref(connection);
  g_clear_pointer(&headers, g_hash_table_unref);
}

void ws_server_take_message(WsServer *self, WsConnection *connection, bool text, const guint8 *data, gsize length,
                            GBytes *bytes, struct ws_channel *channel) {
  WsMessage *message = g_steal_pointer(&self->message); /* a main loop inside of a handler needs another */
  ws_message_lend(&message, text, data, length, bytes, channel);
  g_object_ref(connection); /* whatever the handler drops */
  self->emitting++;
  if (self->handler != NULL)
    self->handler(self, connection, message, self->handler_data);
  else
    g_signal_emit(self, signals[SIGNAL_MESSAGE_RECEIVE], 0, connection, message);
  self->emitting--;
  g_object_unref(connection);
  ws_message_settle(&message);
  g_free(self->message);
  self->message = message;
}

void ws_server_take_closed(WsServer *self, WsConnection *connection, guint16 code, const char *reason, bool clean) {
  wsc_id_table_remove(&self->connections, &connection->identified);
  ws_connection_take_closed(connection);
  EMIT(self, SIGNAL_CLOSE, connection, (guint)code, reason, (gboolean)clean);
  g_object_unref(connection);
}

void ws_server_take_drained(WsServer *self, WsConnection *connection) {
  G_GNUC_UNUSED g_autoptr(WsConnection) kept = g_object_ref(connection);
  if (ws_connection_take_drained(connection))
    EMIT(self, SIGNAL_DRAINED, connection);
}

void ws_server_take_error(WsServer *self, WsError code, const char *text) {
  g_autoptr(GError) error = g_error_new_literal(WS_ERROR, (gint)code, text);
  EMIT(self, SIGNAL_ERROR, error);
}

/* One by one, since a handler may ask for those that are left. */
void ws_server_lose_connections(WsServer *self) {
  g_autoptr(GPtrArray) list = ws_server_list_connections(self);
  for (guint i = 0; i < list->len; i++) {
    WsConnection *connection = g_ptr_array_index(list, i);
    if (ws_server_lookup(self, connection->id) == connection)
      ws_server_take_closed(self, connection, 1006, "", false);
  }
}

void ws_server_drop_delivery(WsServer *self) {
  struct ws_delivery *delivery = g_steal_pointer(&self->delivery);
  if (delivery != NULL)
    delivery->class->free(delivery);
}

/* --- GObject --- */

static void get_property(GObject *object, guint property, GValue *value, GParamSpec *spec) {
  WsServer *self = WS_SERVER(object);
  switch (property) {
  case PROP_BUS:
    g_value_set_object(value, self->bus);
    break;
  case PROP_STATE:
    g_value_set_enum(value, (gint)self->state);
    break;
  case PROP_PORT:
    g_value_set_uint(value, self->port);
    break;
  case PROP_URI:
    g_value_take_string(value, ws_server_get_uri(self));
    break;
  case PROP_OBJECT_PATH:
    g_value_set_string(value, self->path);
    break;
  case PROP_RESTART:
    g_value_set_boolean(value, self->restarts);
    break;
  case PROP_LEND_BINARY:
    g_value_set_boolean(value, self->lends_binary);
    break;
  case PROP_PAUSED:
    g_value_set_boolean(value, self->paused);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID(object, property, spec);
  }
}

static void set_property(GObject *object, guint property, const GValue *value, GParamSpec *spec) {
  WsServer *self = WS_SERVER(object);
  switch (property) {
  case PROP_BUS:
    self->bus = g_value_dup_object(value);
    break;
  case PROP_RESTART:
    ws_server_set_restart(self, g_value_get_boolean(value));
    break;
  case PROP_LEND_BINARY:
    ws_server_set_lend_binary(self, g_value_get_boolean(value));
    break;
  case PROP_PAUSED:
    ws_server_set_paused(self, g_value_get_boolean(value));
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID(object, property, spec);
  }
}

/* No handler hears of connections that end with their server: it is not there any more. */
static void forget_connections(WsServer *self) {
  struct wsc_identified *entry;
  while ((entry = wsc_id_table_next(&self->connections, NULL)) != NULL) {
    WsConnection *connection = ws_connection_of_entry(entry);
    wsc_id_table_remove(&self->connections, entry);
    ws_connection_take_closed(connection);
    g_object_unref(connection);
  }
}

static void dispose(GObject *object) {
  WsServer *self = WS_SERVER(object);
  self->disposed = true;
  g_cancellable_cancel(self->calls);
  ws_server_stop_reopening(self);
  forget_connections(self);
  ws_server_drop_delivery(self);
  ws_server_detach_bus(self);
  ws_server_set_message_handler(self, NULL, NULL, NULL);
  ws_server_forget(self);
  ws_server_return_all(self);
  G_OBJECT_CLASS(ws_server_parent_class)->dispose(object);
}

static void finalize(GObject *object) {
  WsServer *self = WS_SERVER(object);
  wsc_id_table_clear(&self->connections);
  g_clear_object(&self->bus);
  g_clear_object(&self->calls);
  g_main_context_unref(self->context);
  g_free(self->ip);
  g_free(self->message);
  G_OBJECT_CLASS(ws_server_parent_class)->finalize(object);
}

static void ws_server_init(WsServer *self) {
  self->restarts = true;
  self->context = g_main_context_ref_thread_default();
  self->calls = g_cancellable_new();
  g_queue_init(&self->stops);
}

#define READABLE (G_PARAM_READABLE | G_PARAM_STATIC_STRINGS)
#define NOTIFIED (READABLE | G_PARAM_EXPLICIT_NOTIFY)

static void install_properties(GObjectClass *class) {
  /**
   * WsServer:bus:
   *
   * The bus on which wsserverd is. %NULL: the system bus, from the first start on.
   */
  properties[PROP_BUS] = g_param_spec_object("bus", NULL, NULL, G_TYPE_DBUS_CONNECTION,
                                             G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);
  /**
   * WsServer:state:
   *
   * What the server is about.
   */
  properties[PROP_STATE] =
      g_param_spec_enum("state", NULL, NULL, WS_TYPE_SERVER_STATE, WS_SERVER_STATE_STOPPED, NOTIFIED);
  /**
   * WsServer:port:
   *
   * The port it listens on; 0 while it does not run.
   */
  properties[PROP_PORT] = g_param_spec_uint("port", NULL, NULL, 0, G_MAXUINT16, 0, NOTIFIED);
  /**
   * WsServer:uri:
   *
   * Where peers find it; %NULL while it does not run.
   */
  properties[PROP_URI] = g_param_spec_string("uri", NULL, NULL, NULL, NOTIFIED);
  /**
   * WsServer:object-path:
   *
   * Its object on the bus; %NULL before the first start.
   */
  properties[PROP_OBJECT_PATH] = g_param_spec_string("object-path", NULL, NULL, NULL, READABLE);
  /**
   * WsServer:paused:
   *
   * Whether events are held back, see [method@Server.set_paused].
   */
  properties[PROP_PAUSED] = g_param_spec_boolean("paused", NULL, NULL, FALSE, NOTIFIED | G_PARAM_WRITABLE);
  /**
   * WsServer:restart:
   *
   * Whether it comes back by itself, see [method@Server.set_restart].
   */
  properties[PROP_RESTART] = g_param_spec_boolean("restart", NULL, NULL, TRUE, NOTIFIED | G_PARAM_WRITABLE);
  /**
   * WsServer:lend-binary:
   *
   * Whether large binary messages are lent without a copy, see [method@Server.set_lend_binary].
   */
  properties[PROP_LEND_BINARY] = g_param_spec_boolean("lend-binary", NULL, NULL, FALSE, NOTIFIED | G_PARAM_WRITABLE);
  g_object_class_install_properties(class, PROPERTIES, properties);
}

static guint new_signal(const char *name, GSignalCMarshaller marshaller, GSignalCVaMarshaller va_marshaller,
                        guint count, const GType *types) {
  guint id = g_signal_newv(name, WS_TYPE_SERVER, G_SIGNAL_RUN_LAST, NULL, NULL, NULL, marshaller, G_TYPE_NONE, count,
                           (GType *)(guintptr)types);
  g_signal_set_va_marshaller(id, WS_TYPE_SERVER, va_marshaller);
  return id;
}

/* Arguments outlive the emission, so none of them is copied for it. */
#define LENT(type) ((type) | G_SIGNAL_TYPE_STATIC_SCOPE)

static void install_signals(void) {
  const GType connect[] = {WS_TYPE_CONNECTION}, drained[] = {WS_TYPE_CONNECTION};
  const GType message[] = {WS_TYPE_CONNECTION, LENT(WS_TYPE_MESSAGE)};
  const GType close[] = {WS_TYPE_CONNECTION, G_TYPE_UINT, LENT(G_TYPE_STRING), G_TYPE_BOOLEAN};
  const GType error[] = {LENT(G_TYPE_ERROR)};
  /**
   * WsServer::connect:
   * @self: the server
   * @connection: the connection
   *
   * A peer has connected. Messages may be sent to it at once.
   */
  signals[SIGNAL_CONNECT] =
      new_signal("connect", g_cclosure_marshal_VOID__OBJECT, g_cclosure_marshal_VOID__OBJECTv, 1, connect);
  /**
   * WsServer::message-receive:
   * @self: the server
   * @connection: from whom
   * @message: what
   *
   * A whole message has arrived. Who wants to keep @message beyond the handler takes a reference. See also [method@Server.set_message_handler].
   */
  signals[SIGNAL_MESSAGE_RECEIVE] =
      new_signal("message-receive", ws_marshal_VOID__OBJECT_BOXED, ws_marshal_VOID__OBJECT_BOXEDv, 2, message);
  /**
   * WsServer::close:
   * @self: the server
   * @connection: the connection, which is no longer open
   * @code: that of the first Close frame either side sent; 1005: it had none; 1006: there was no Close frame
   * @reason: what that frame gave as a reason
   * @clean: whether both sides sent one
   *
   * A connection has ended. It is the last that is heard of it.
   */
  signals[SIGNAL_CLOSE] = new_signal("close", ws_marshal_VOID__OBJECT_UINT_STRING_BOOLEAN,
                                     ws_marshal_VOID__OBJECT_UINT_STRING_BOOLEANv, 4, close);
  /**
   * WsServer::error:
   * @self: the server
   * @error: what
   *
   * Something has gone wrong that no call was about. The server goes on where its state says so.
   */
  signals[SIGNAL_ERROR] =
      new_signal("error", g_cclosure_marshal_VOID__BOXED, g_cclosure_marshal_VOID__BOXEDv, 1, error);
  /**
   * WsServer::drained:
   * @self: the server
   * @connection: the connection
   *
   * After %WS_ERROR_WOULD_BLOCK: messages may be sent to this peer again.
   */
  signals[SIGNAL_DRAINED] =
      new_signal("drained", g_cclosure_marshal_VOID__OBJECT, g_cclosure_marshal_VOID__OBJECTv, 1, drained);
}

static void ws_server_class_init(WsServerClass *class) {
  GObjectClass *object_class = G_OBJECT_CLASS(class);
  (void)ws_error_quark(); /* so that GDBus knows the names of our errors */
  object_class->get_property = get_property;
  object_class->set_property = set_property;
  object_class->dispose = dispose;
  object_class->finalize = finalize;
  install_properties(object_class);
  install_signals();
}
