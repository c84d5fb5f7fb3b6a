/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events by D-Bus signals, messages by D-Bus calls: for buses that pass no descriptors, and for comparison.
 * signal-sending.c has the calls.
 */
#include "client-lib/error-private.h"
#include "client-lib/limits.h"
#include "client-lib/signal-private.h"

/* --- Acknowledging --- */

static void acknowledge(WsServer *server) {
  if (server->events_acknowledged == server->events_handled || server->path == NULL)
    return;
  server->events_acknowledged = server->events_handled;
  ws_server_tell(server, "Acknowledge", g_variant_new("(t)", server->events_handled));
}

static void forget_later(GSource **later) {
  if (*later == NULL)
    return;
  g_source_destroy(*later);
  g_clear_pointer(later, g_source_unref);
}

static void do_soon(struct signal_delivery *delivery, GSource **later, guint milliseconds, GSourceFunc what) {
  *later = g_timeout_source_new(milliseconds);
  g_source_set_callback(*later, what, delivery, NULL);
  g_source_attach(*later, delivery->server->context);
}

static void do_later(struct signal_delivery *delivery, GSource **later, gint priority, GSourceFunc what) {
  *later = g_idle_source_new();
  g_source_set_priority(*later, priority);
  g_source_set_callback(*later, what, delivery, NULL);
  g_source_attach(*later, delivery->server->context);
}

static gboolean acknowledge_in_time(gpointer user) {
  struct signal_delivery *delivery = user;
  forget_later(&delivery->acknowledge_later);
  delivery->octets = 0;
  acknowledge(delivery->server);
  return G_SOURCE_REMOVE;
}

/* In steps, since an acknowledgement costs as much as an event: well before the service waits for one, or after a moment. Not while messages wait for their call: the service then holds back events, and with them the peers. */
void ws_signal_acknowledge_soon(struct signal_delivery *delivery) {
  WsServer *server = delivery->server;
  if (delivery->calls >= WS_SIGNALS_CALLS_MAX)
    return;
  if (server->events_handled - server->events_acknowledged >= WS_SIGNALS_ACKNOWLEDGE_STEP ||
      delivery->octets >= WS_SIGNALS_ACKNOWLEDGE_OCTETS) {
    delivery->octets = 0;
    acknowledge(server);
    return;
  }
  if (delivery->acknowledge_later != NULL || server->events_handled == server->events_acknowledged)
    return;
  do_soon(delivery, &delivery->acknowledge_later, WS_SIGNALS_ACKNOWLEDGE_MS, acknowledge_in_time);
}

void ws_signal_delivery_begin(struct ws_delivery *base) {
  WsServer *server = ((struct signal_delivery *)base)->server;
  ws_server_tell(server, "Acknowledge", g_variant_new("(t)", server->events_acknowledged = server->events_handled));
}

/* --- Events --- */

static struct signal_peer *peer_of(struct signal_delivery *delivery, guint64 id) {
  WsConnection *connection = ws_server_lookup(delivery->server, id);
  return connection != NULL ? ws_signal_link_of(delivery, connection) : NULL;
}

static void take_connect(struct signal_delivery *delivery, GVariant *arguments) {
  guint64 id;
  const char *client_ip;
  guint16 client_port;
  g_autoptr(GVariant) details = NULL;
  g_variant_get(arguments, "(t&sq@a{sv})", &id, &client_ip, &client_port, &details);
  if (peer_of(delivery, id) != NULL)
    return; /* repeated after a crash of the service */
  struct signal_peer *peer = g_rc_box_new0(struct signal_peer);
  peer->delivery = g_rc_box_acquire(delivery);
  peer->id = id;
  g_queue_init(&peer->waiting);
  WsConnection *connection = ws_connection_new(id, &delivery->base, peer);
  peer->connection = connection;
  ws_connection_take_details(connection, ws_details_new_from_bus(client_ip, client_port, details));
  ws_server_take_connected(delivery->server, connection, ws_details_collect_headers_from_bus(details));
}

static void take_message(struct signal_delivery *delivery, GVariant *arguments) {
  guint64 id;
  gboolean text;
  g_autoptr(GVariant) data = NULL;
  g_variant_get(arguments, "(tb@ay)", &id, &text, &data);
  struct signal_peer *peer = peer_of(delivery, id);
  if (peer == NULL)
    return;
  g_autoptr(GBytes) bytes = g_variant_get_data_as_bytes(data);
  ws_server_take_message(delivery->server, peer->connection, text, g_variant_get_data(data), g_variant_get_size(data),
                         bytes, NULL);
}

static void take_closed(struct signal_delivery *delivery, GVariant *arguments) {
  guint64 id;
  guint16 code;
  const char *reason;
  gboolean clean;
  g_variant_get(arguments, "(tq&sb)", &id, &code, &reason, &clean);
  struct signal_peer *peer = peer_of(delivery, id);
  if (peer != NULL)
    ws_server_take_closed(delivery->server, peer->connection, code, reason, clean);
}

static void take_error(struct signal_delivery *delivery, GVariant *arguments) {
  guint32 code;
  const char *text;
  g_variant_get(arguments, "(u&s)", &code, &text);
  ws_server_take_error(delivery->server, ws_error_of_number(code), text);
}

static void take_drained(struct signal_delivery *delivery, GVariant *arguments) {
  guint64 id;
  g_variant_get(arguments, "(t)", &id);
  struct signal_peer *peer = peer_of(delivery, id);
  if (peer == NULL)
    return;
  peer->drained = true;
  peer->blocked = false;
  peer->refused = peer->refused || peer->missed;
  peer->missed = false;
  ws_signal_make_ready(peer);
  ws_signal_tell_room(peer);
}

static const struct {
  const char *name;
  const char *signature;
  void (*take)(struct signal_delivery *delivery, GVariant *arguments);
} events[] = {
    {"Connect", "(tsqa{sv})", take_connect}, {"MessageReceive", "(tbay)", take_message},
    {"Closed", "(tqsb)", take_closed},       {"Error", "(us)", take_error},
    {"Drained", "(t)", take_drained},
};

/* The caller keeps delivery and server. */
static void take_event(struct signal_delivery *delivery, const char *name, GVariant *arguments) {
  WsServer *server = delivery->server;
  for (gsize i = 0; i < G_N_ELEMENTS(events); i++) {
    if (!g_str_equal(name, events[i].name) || !g_variant_is_of_type(arguments, G_VARIANT_TYPE(events[i].signature)))
      continue;
    server->events_handled++;
    delivery->octets += g_variant_get_size(arguments);
    events[i].take(delivery, arguments);
    ws_signal_tell_all_room(delivery);
    if (delivery->server == NULL) /* a handler has let go of it */
      return;
    ws_signal_acknowledge_soon(delivery);
    ws_signal_send_next(delivery);
    return;
  }
}

void ws_signal_delivery_take(struct ws_delivery *base, const char *name, GVariant *arguments) {
  struct signal_delivery *delivery = (struct signal_delivery *)base;
  if (!delivery->server->paused && g_queue_is_empty(&delivery->held_back)) {
    WsServer *server = g_object_ref(delivery->server);
    g_rc_box_acquire(delivery);
    take_event(delivery, name, arguments);
    g_rc_box_release(delivery);
    g_object_unref(server);
    return;
  }
  struct signal *signal = g_new(struct signal, 1);
  *signal = (struct signal){g_strdup(name), g_variant_ref(arguments)};
  g_queue_push_tail(&delivery->held_back, signal); /* no more than a window, since none is acknowledged */
}

/* --- The delivery --- */

static void free_signal(gpointer data) {
  struct signal *signal = data;
  g_variant_unref(signal->arguments);
  g_free(signal->name);
  g_free(signal);
}

/* Not in the call that ends the pause, which may be inside of a handler. */
static gboolean resume(gpointer user) {
  struct signal_delivery *delivery = user;
  g_autoptr(WsServer) server = g_object_ref(delivery->server);
  struct signal *signal;
  forget_later(&delivery->resume_later);
  g_rc_box_acquire(delivery);
  server->emitting++;
  while (delivery->server != NULL && !server->paused && (signal = g_queue_pop_head(&delivery->held_back)) != NULL) {
    take_event(delivery, signal->name, signal->arguments);
    free_signal(signal);
  }
  server->emitting--;
  if (delivery->server != NULL && g_queue_is_empty(&delivery->held_back))
    ws_server_finish_stop(server);
  g_rc_box_release(delivery);
  return G_SOURCE_REMOVE;
}

void ws_signal_delivery_set_paused(struct ws_delivery *base, bool paused) {
  struct signal_delivery *delivery = (struct signal_delivery *)base;
  if (!paused && !g_queue_is_empty(&delivery->held_back) && delivery->resume_later == NULL)
    do_later(delivery, &delivery->resume_later, G_PRIORITY_DEFAULT, resume);
}

bool ws_signal_delivery_holds_events(const struct ws_delivery *base) {
  return !g_queue_is_empty((GQueue *)&((const struct signal_delivery *)base)->held_back);
}

void ws_signal_delivery_call_again(struct ws_delivery *base) {
  struct signal_delivery *delivery = (struct signal_delivery *)base;
  g_autoptr(GPtrArray) all = ws_server_list_connections(delivery->server);
  delivery->is_away = false;
  for (guint i = 0; i < all->len; i++) {
    struct signal_peer *peer = ws_signal_link_of(delivery, g_ptr_array_index(all, i));
    if (peer != NULL)
      ws_signal_make_ready(peer);
  }
  ws_signal_send_next(delivery);
}

static void forget_peer(WsConnection *connection) {
  struct signal_peer *peer = connection->link;
  ws_signal_drop_all(peer);
  peer->connection = NULL;
  ws_signal_peer_unref(peer);
}

static void free_delivery(struct ws_delivery *base) {
  struct signal_delivery *delivery = (struct signal_delivery *)base;
  forget_later(&delivery->acknowledge_later);
  forget_later(&delivery->resume_later);
  g_queue_clear_full(&delivery->ready, ws_signal_peer_unref);
  g_queue_clear_full(&delivery->held_back, free_signal);
  delivery->server = NULL;
  g_rc_box_release(delivery);
}

static const struct ws_delivery_class delivery_class = {
    .free = free_delivery,
    .forget = forget_peer,
    .send = ws_signal_send,
    .broadcast = ws_signal_broadcast,
    .hold = ws_signal_hold,
    .close = ws_signal_close,
    .is_closing = ws_signal_is_closing,
    .get_sent = ws_signal_get_sent,
    .get_written = ws_signal_get_written,
};

struct ws_delivery *ws_signal_delivery_new(WsServer *server) {
  struct signal_delivery *delivery = g_rc_box_new0(struct signal_delivery);
  delivery->base.class = &delivery_class;
  delivery->base.context = server->context;
  delivery->server = server;
  g_queue_init(&delivery->ready);
  g_queue_init(&delivery->held_back);
  return &delivery->base;
}
