/* SPDX-License-Identifier: Apache-2.0 */
#include "client-lib/examples/bus-server.h"
#include "client-lib/examples/limits.h"

#define BUS_NAME "org.wsserver1"
#define MANAGER_PATH "/org/wsserver1"
#define MANAGER_INTERFACE "org.wsserver1.Manager"
#define SERVER_INTERFACE "org.wsserver1.Server"
#define PROPERTIES_INTERFACE "org.freedesktop.DBus.Properties"
#define ERROR_PREFIX "org.wsserver1.Error."

struct bus_server {
  const struct bus_server_events *events;
  gpointer user;
  GDBusConnection *bus;
  char *service; /* unique name of wsserverd: a successor knows nothing of our server */
  char *path;
  guint subscription;
  guint watch;
  gboolean over; /* released or lost: nothing is sent any more */
  void (*released)(gpointer user);

  GHashTable *peers;       /* connection id to struct peer */
  GQueue ready;            /* peers that have a message and no call outstanding; each holds a reference */
  guint calls;             /* outstanding calls of Send and Broadcast */
  guint ready_messages;    /* messages of all peers that are not blocked */
  gsize waiting_octets;    /* charged octets of all waiting messages */
  guint64 handled;         /* event signals */
  guint64 acknowledged;    /* of those: reported to the service */
  guint acknowledge_later; /* idle source, or 0 */
};

struct peer {
  struct bus_server *server;
  guint64 id;
  GQueue waiting; /* arguments of Send, first to last; the first stays until its call succeeded */
  gsize octets;   /* charged for waiting */
  gboolean queued;
  gboolean sending;
  gboolean blocked; /* the service said WouldBlock; Drained follows */
  gboolean drained; /* Drained came while a call was outstanding */
  gboolean gone;    /* closed, or being closed: takes nothing more */
};

static void send_next(struct bus_server *server);

static gsize message_cost(GVariant *arguments) {
  return g_variant_get_size(arguments) + BUS_SERVER_MESSAGE_COST;
}

static void acknowledge(struct bus_server *server) {
  if (server->over || server->acknowledged == server->handled)
    return;
  server->acknowledged = server->handled;
  /* Without a callback GDBus marks the call as one that wants no reply. */
  g_dbus_connection_call(server->bus, server->service, server->path, SERVER_INTERFACE, "Acknowledge",
                         g_variant_new("(t)", server->handled), NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
}

static gboolean acknowledge_when_idle(gpointer user) {
  struct bus_server *server = user;
  server->acknowledge_later = 0;
  if (server->ready_messages <= BUS_SERVER_READY_MAX)
    acknowledge(server);
  return G_SOURCE_REMOVE;
}

/* Not while many messages still wait for their call: the service then holds back events, and with them the peers. */
static void acknowledge_if_due(struct bus_server *server) {
  if (server->ready_messages > BUS_SERVER_READY_MAX)
    return;
  if (server->handled - server->acknowledged >= BUS_SERVER_ACKNOWLEDGE_STEP)
    acknowledge(server);
  else if (server->handled != server->acknowledged && server->acknowledge_later == 0)
    server->acknowledge_later = g_idle_add(acknowledge_when_idle, server);
}

static void peer_clear(gpointer data) {
  struct peer *peer = data;
  g_queue_clear_full(&peer->waiting, (GDestroyNotify)g_variant_unref);
}

static void peer_unref(gpointer data) {
  g_rc_box_release_full(data, peer_clear);
}

static void peer_drop_message(struct peer *peer) {
  g_autoptr(GVariant) arguments = g_queue_pop_head(&peer->waiting);
  gsize cost = message_cost(arguments);
  peer->octets -= cost;
  peer->server->waiting_octets -= cost;
  if (!peer->blocked)
    peer->server->ready_messages--;
}

static void peer_drop_all(struct peer *peer) {
  peer->gone = TRUE;
  while (!g_queue_is_empty(&peer->waiting))
    peer_drop_message(peer);
}

static void peer_set_blocked(struct peer *peer, gboolean blocked) {
  if (peer->blocked == blocked)
    return;
  peer->blocked = blocked;
  guint messages = g_queue_get_length(&peer->waiting);
  peer->server->ready_messages += blocked ? -messages : messages;
}

static void peer_make_ready(struct peer *peer) {
  if (peer->queued || peer->sending || peer->blocked || g_queue_is_empty(&peer->waiting))
    return;
  peer->queued = TRUE;
  g_queue_push_tail(&peer->server->ready, g_rc_box_acquire(peer));
}

static gboolean is_service_error(const GError *error, const char *name) {
  g_autofree char *remote = g_dbus_error_get_remote_error(error);
  return remote != NULL && g_str_has_prefix(remote, ERROR_PREFIX) && g_str_equal(remote + strlen(ERROR_PREFIX), name);
}

static void report_problem(struct bus_server *server, const GError *error) {
  if (server->over || server->events->problem == NULL)
    return;
  g_autofree char *message = g_strdup(error->message);
  server->events->problem(server->user, 0, message);
}

/* Reply to Send. At most one call a connection is outstanding: with two, the second could be taken after the first met WouldBlock. */
static void on_sent(GObject *source, GAsyncResult *result, gpointer user) {
  struct peer *peer = user;
  struct bus_server *server = peer->server;
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
  server->calls--;
  peer->sending = FALSE;

  if (reply != NULL) {
    if (!peer->gone)
      peer_drop_message(peer);
  } else if (is_service_error(error, "WouldBlock")) {
    peer_set_blocked(peer, !peer->drained && !peer->gone);
  } else {
    if (!is_service_error(error, "ConnectionNotFound"))
      report_problem(server, error);
    peer_drop_all(peer);
  }
  peer_make_ready(peer);
  peer_unref(peer);
  send_next(server);
  acknowledge_if_due(server);
}

static void send_next(struct bus_server *server) {
  while (!server->over && server->calls < BUS_SERVER_CALLS_MAX && !g_queue_is_empty(&server->ready)) {
    struct peer *peer = g_queue_pop_head(&server->ready);
    peer->queued = FALSE;
    if (g_queue_is_empty(&peer->waiting)) {
      peer_unref(peer);
      continue;
    }
    peer->sending = TRUE;
    peer->drained = FALSE;
    server->calls++;
    g_dbus_connection_call(server->bus, server->service, server->path, SERVER_INTERFACE, "Send",
                           g_queue_peek_head(&peer->waiting), NULL, G_DBUS_CALL_FLAGS_NONE, BUS_SERVER_REPLY_TIMEOUT,
                           NULL, on_sent, peer);
  }
}

static void close_slow_peer(struct peer *peer) {
  peer_drop_all(peer);
  g_dbus_connection_call(peer->server->bus, peer->server->service, peer->server->path, SERVER_INTERFACE, "Close",
                         g_variant_new("(tqs)", peer->id, 1013, "too much waits for you: read faster"), NULL,
                         G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
}

void bus_server_send(struct bus_server *server, guint64 connection, gboolean text, GVariant *data) {
  g_autoptr(GVariant) arguments = g_variant_ref_sink(g_variant_new("(tb@ay)", connection, text, data));
  struct peer *peer = g_hash_table_lookup(server->peers, &connection);
  if (server->over || peer == NULL || peer->gone)
    return;
  gsize cost = message_cost(arguments);
  if (peer->octets + cost > BUS_SERVER_PEER_MAX || server->waiting_octets + cost > BUS_SERVER_TOTAL_MAX) {
    close_slow_peer(peer);
    return;
  }
  g_queue_push_tail(&peer->waiting, g_steal_pointer(&arguments));
  peer->octets += cost;
  server->waiting_octets += cost;
  if (!peer->blocked)
    server->ready_messages++;
  peer_make_ready(peer);
  send_next(server);
}

static void on_broadcast(GObject *source, GAsyncResult *result, gpointer user) {
  struct bus_server *server = user;
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
  server->calls--;
  if (reply == NULL)
    report_problem(server, error);
  send_next(server);
}

/* One call for all peers that nothing waits for; the others get it behind what was sent to them before. */
void bus_server_broadcast(struct bus_server *server, gboolean text, GVariant *data) {
  g_autoptr(GVariant) kept = g_variant_ref_sink(data);
  GVariantBuilder idle;
  gboolean any_idle = FALSE;
  GHashTableIter iterator;
  gpointer value;
  if (server->over)
    return;
  g_variant_builder_init(&idle, G_VARIANT_TYPE("at"));
  g_hash_table_iter_init(&iterator, server->peers);
  while (g_hash_table_iter_next(&iterator, NULL, &value)) {
    struct peer *peer = value;
    if (!g_queue_is_empty(&peer->waiting) || server->calls >= BUS_SERVER_CALLS_MAX) {
      bus_server_send(server, peer->id, text, kept);
    } else if (!peer->gone) {
      g_variant_builder_add(&idle, "t", peer->id);
      any_idle = TRUE;
    }
  }
  /* To the service an empty list would mean everybody. */
  if (!any_idle) {
    g_variant_builder_clear(&idle);
    return;
  }
  server->calls++;
  g_dbus_connection_call(server->bus, server->service, server->path, SERVER_INTERFACE, "Broadcast",
                         g_variant_new("(atb@ay)", &idle, text, kept), NULL, G_DBUS_CALL_FLAGS_NONE,
                         BUS_SERVER_REPLY_TIMEOUT, NULL, on_broadcast, server);
}

static void lose(struct bus_server *server, const char *why) {
  if (server->over)
    return;
  server->over = TRUE;
  if (server->events->lost != NULL)
    server->events->lost(server->user, why);
}

static void handle_connect(struct bus_server *server, GVariant *arguments) {
  guint64 id;
  const char *client_ip;
  guint16 client_port;
  g_autoptr(GVariant) details = NULL;
  g_variant_get(arguments, "(t&sq@a{sv})", &id, &client_ip, &client_port, &details);
  struct peer *peer = g_rc_box_new0(struct peer);
  peer->server = server;
  peer->id = id;
  g_queue_init(&peer->waiting);
  g_hash_table_replace(server->peers, &peer->id, peer);
  if (server->events->connected != NULL)
    server->events->connected(server->user, id, client_ip, client_port, details);
}

static void handle_message(struct bus_server *server, GVariant *arguments) {
  guint64 id;
  gboolean text;
  g_autoptr(GVariant) data = NULL;
  g_variant_get(arguments, "(tb@ay)", &id, &text, &data);
  if (server->events->message != NULL)
    server->events->message(server->user, id, text, data);
}

static void handle_closed(struct bus_server *server, GVariant *arguments) {
  guint64 id;
  guint16 code;
  const char *reason;
  gboolean clean;
  g_variant_get(arguments, "(tq&sb)", &id, &code, &reason, &clean);
  struct peer *peer = g_hash_table_lookup(server->peers, &id);
  if (peer != NULL) {
    peer_drop_all(peer);
    g_hash_table_remove(server->peers, &id);
  }
  if (server->events->closed != NULL)
    server->events->closed(server->user, id, code, reason, clean);
}

static void handle_error(struct bus_server *server, GVariant *arguments) {
  guint32 code;
  const char *message;
  g_variant_get(arguments, "(u&s)", &code, &message);
  if (server->events->problem != NULL)
    server->events->problem(server->user, code, message);
}

static void handle_drained(struct bus_server *server, GVariant *arguments) {
  guint64 id;
  g_variant_get(arguments, "(t)", &id);
  struct peer *peer = g_hash_table_lookup(server->peers, &id);
  if (peer == NULL)
    return;
  peer->drained = TRUE;
  peer_set_blocked(peer, FALSE);
  peer_make_ready(peer);
  send_next(server);
}

static const struct {
  const char *name;
  const char *signature;
  void (*handle)(struct bus_server *server, GVariant *arguments);
} event_signals[] = {
    {"Connect", "(tsqa{sv})", handle_connect}, {"MessageReceive", "(tbay)", handle_message},
    {"Closed", "(tqsb)", handle_closed},       {"Error", "(us)", handle_error},
    {"Drained", "(t)", handle_drained},
};

static void handle_properties(struct bus_server *server, GVariant *arguments) {
  g_autoptr(GVariant) changed = NULL;
  const char *state;
  if (!g_variant_is_of_type(arguments, G_VARIANT_TYPE("(sa{sv}as)")))
    return;
  g_variant_get_child(arguments, 1, "@a{sv}", &changed);
  if (g_variant_lookup(changed, "State", "&s", &state) && g_str_equal(state, "failed"))
    lose(server, "the server has failed");
}

static void on_signal(GDBusConnection *bus, const char *sender, const char *path, const char *interface,
                      const char *name, GVariant *arguments, gpointer user) {
  struct bus_server *server = user;
  (void)bus;
  (void)sender;
  (void)path;
  if (g_str_equal(interface, PROPERTIES_INTERFACE)) {
    handle_properties(server, arguments);
    return;
  }
  if (!g_str_equal(interface, SERVER_INTERFACE))
    return;
  for (gsize i = 0; i < G_N_ELEMENTS(event_signals); i++) {
    if (g_str_equal(name, event_signals[i].name) &&
        g_variant_is_of_type(arguments, G_VARIANT_TYPE(event_signals[i].signature))) {
      event_signals[i].handle(server, arguments);
      server->handled++;
      acknowledge_if_due(server);
    }
  }
}

static void on_service_vanished(GDBusConnection *bus, const char *name, gpointer user) {
  struct bus_server *server = user;
  (void)bus;
  (void)name;
  lose(server, g_dbus_connection_is_closed(server->bus) ? "the bus went away, and the server with it"
                                                        : "wsserverd went away, and the server with it");
}

/* Calls the bus itself or wsserverd and waits; fine before the main loop runs. */
static GVariant *call(GDBusConnection *bus, const char *name, const char *path, const char *interface,
                      const char *method, GVariant *arguments, const char *reply, GError **error) {
  return g_dbus_connection_call_sync(bus, name, path, interface, method, arguments, G_VARIANT_TYPE(reply),
                                     G_DBUS_CALL_FLAGS_NONE, BUS_SERVER_REPLY_TIMEOUT, NULL, error);
}

static gboolean create(struct bus_server *server, GError **error) {
  g_autoptr(GVariant) created =
      call(server->bus, BUS_NAME, MANAGER_PATH, MANAGER_INTERFACE, "CreateServer", NULL, "(o)", error);
  if (created == NULL)
    return FALSE;
  g_variant_get(created, "(o)", &server->path);
  g_autoptr(GVariant) owner = call(server->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                   "GetNameOwner", g_variant_new("(s)", BUS_NAME), "(s)", error);
  if (owner == NULL)
    return FALSE;
  g_variant_get(owner, "(s)", &server->service);

  /* The signals are sent to us alone and need no match rule. */
  server->subscription =
      g_dbus_connection_signal_subscribe(server->bus, server->service, NULL, NULL, server->path, NULL,
                                         G_DBUS_SIGNAL_FLAGS_NO_MATCH_RULE, on_signal, server, NULL);
  server->watch = g_bus_watch_name_on_connection(server->bus, server->service, G_BUS_NAME_WATCHER_FLAGS_NONE, NULL,
                                                 on_service_vanished, server, NULL);
  return TRUE;
}

struct bus_server *bus_server_new(const struct bus_server_events *events, gpointer user, GError **error) {
  struct bus_server *server = g_new0(struct bus_server, 1);
  server->events = events;
  server->user = user;
  server->peers = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, peer_unref);
  g_queue_init(&server->ready);
  server->bus = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, error);
  if (server->bus != NULL) {
    g_dbus_connection_set_exit_on_close(server->bus, FALSE);
    if (create(server, error))
      return server;
  }
  bus_server_free(server);
  return NULL;
}

void bus_server_free(struct bus_server *server) {
  server->over = TRUE;
  if (server->acknowledge_later != 0)
    g_source_remove(server->acknowledge_later);
  if (server->watch != 0)
    g_bus_unwatch_name(server->watch);
  if (server->subscription != 0)
    g_dbus_connection_signal_unsubscribe(server->bus, server->subscription);
  g_queue_clear_full(&server->ready, peer_unref);
  g_hash_table_unref(server->peers);
  g_clear_object(&server->bus);
  g_free(server->service);
  g_free(server->path);
  g_free(server);
}

gboolean bus_server_start(struct bus_server *server, GVariant *options, GError **error) {
  g_autoptr(GVariant) started = call(server->bus, server->service, server->path, SERVER_INTERFACE, "Start",
                                     g_variant_new("(@a{sv})", options), "()", error);
  return started != NULL;
}

char *bus_server_get_url(struct bus_server *server, GError **error) {
  g_autoptr(GVariant) properties = NULL;
  g_autoptr(GVariant) reply = call(server->bus, server->service, server->path, PROPERTIES_INTERFACE, "GetAll",
                                   g_variant_new("(s)", SERVER_INTERFACE), "(a{sv})", error);
  const char *ip = "";
  guint16 port = 0;
  if (reply == NULL)
    return NULL;
  g_variant_get(reply, "(@a{sv})", &properties);
  g_variant_lookup(properties, "ServerIP", "&s", &ip);
  g_variant_lookup(properties, "ServerPort", "q", &port);
  return g_strdup_printf(strchr(ip, ':') != NULL ? "ws://[%s]:%u/" : "ws://%s:%u/", ip, port);
}

static void on_released(GObject *source, GAsyncResult *result, gpointer user) {
  struct bus_server *server = user;
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
  if (reply == NULL)
    g_debug("Release failed, but leaving the bus releases as well: %s", error->message);
  server->released(server->user);
}

void bus_server_release(struct bus_server *server, void (*done)(gpointer user)) {
  server->over = TRUE;
  server->released = done;
  g_dbus_connection_call(server->bus, server->service, server->path, SERVER_INTERFACE, "Release", NULL, NULL,
                         G_DBUS_CALL_FLAGS_NONE, BUS_SERVER_REPLY_TIMEOUT, NULL, on_released, server);
}

static const struct {
  const char *error;
  const char *hint;
} hints[] = {
    {"org.freedesktop.DBus.Error.ServiceUnknown", "Nobody offers org.wsserver1 on this bus. Is wsserverd running? "
                                                  "\"tools/with-daemon -- COMMAND\" runs COMMAND beside "
                                                  "one of its own."},
    {"org.freedesktop.DBus.Error.AccessDenied",
     "The bus policy does not let you call wsserverd. Is dbus/org.wsserver1.conf installed?"},
    {ERROR_PREFIX "PortInUse", "Take another port, or 0 for any free one."},
    {ERROR_PREFIX "InvalidPort", "Ports are 1 to 65535, or 0 for any free one."},
    {ERROR_PREFIX "InvalidAddress", "Take an address of this machine (ip address), or 0.0.0.0 for all of them."},
    {ERROR_PREFIX "NotSupported", "The key deviceProfile in wsserverd's configuration decides this."},
};

void bus_server_print_error(const char *program, const char *doing, const GError *error) {
  g_autofree char *name = g_dbus_error_get_remote_error(error);
  g_autoptr(GError) plain = g_error_copy(error);
  g_dbus_error_strip_remote_error(plain);
  g_printerr("%s: %s: %s: %s\n", program, doing, name != NULL ? name : "no answer from the bus", plain->message);
  for (gsize i = 0; i < G_N_ELEMENTS(hints); i++)
    if (g_strcmp0(name, hints[i].error) == 0)
      g_printerr("  %s\n", hints[i].hint);
  if (name == NULL)
    g_printerr("  Is the system bus running, and does DBUS_SYSTEM_BUS_ADDRESS (if set) name it?\n");
}
