/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events by D-Bus signals, messages by D-Bus calls: for buses that pass no descriptors, and for comparison.
 *
 * Messages for one connection leave one call at a time: with two, the second could be taken after the first met WouldBlock. Of all connections
 * together so many calls are outstanding that the bus does not mind. A message counts as written when the service has taken it.
 */
#include "channel/limits.h"
#include "client-lib/error-private.h"
#include "client-lib/limits.h"
#include "client-lib/server-private.h"
#include "websocket/close-code.h"

#include <string.h>

struct signal_delivery {
  struct ws_delivery base;
  WsServer *server;     /* NULL once it is freed; calls and peers may outlive that */
  GQueue ready;         /* peers that have a message and no call outstanding; each holds a reference */
  GQueue held_back;     /* struct signal: while the app has paused */
  guint calls;          /* outstanding calls of Send and Broadcast */
  gsize waiting_octets; /* charged for all waiting messages */
  bool crowded;         /* somebody was refused because of these */
  bool is_away;         /* the service has left the bus: nothing is called until it is back */
  gsize octets;         /* of events handled since the last acknowledgement */
  GSource *acknowledge_later, *resume_later;
};

struct signal {
  char *name;
  GVariant *arguments;
};

/* One connection; lives as long as it or a call for it. */
struct signal_peer {
  struct signal_delivery *delivery; /* a reference */
  guint64 id;
  WsConnection *connection; /* NULL once it is closed */
  GQueue waiting;           /* arguments of Send, first to last; the first stays until its call succeeded */
  guint64 charged, written;
  bool queued, sending;
  bool blocked;    /* the service said WouldBlock; Drained follows */
  bool drained;    /* Drained came while a call was outstanding */
  bool refused;    /* the app was told to wait */
  bool missed;     /* a broadcast has left out some, and this may be one of them */
  GVariant *close; /* arguments of Close, which goes behind what waits, until it was called */
  bool close_called;
  bool closing;
  bool hold;
};

static void make_ready(struct signal_peer *peer);
static void send_next(struct signal_delivery *delivery);

static gsize cost_of(GVariant *arguments) {
  g_autoptr(GVariant) data = g_variant_get_child_value(arguments, 2);
  return g_variant_get_size(data) + WSC_MESSAGE_COST;
}

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
static void acknowledge_soon(struct signal_delivery *delivery) {
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

/* --- One peer --- */

/* It may be back already, if the bus was slow to tell. */
static void note_absence(struct signal_delivery *delivery) {
  delivery->is_away = delivery->server->service_owner == NULL;
}

static void clear_peer(gpointer data) {
  struct signal_peer *peer = data;
  g_queue_clear_full(&peer->waiting, (GDestroyNotify)g_variant_unref);
  g_clear_pointer(&peer->close, g_variant_unref);
  g_rc_box_release(peer->delivery);
}

static void unref_peer(gpointer data) {
  g_rc_box_release_full(data, clear_peer);
}

static void drop_first(struct signal_peer *peer) {
  g_autoptr(GVariant) arguments = g_queue_pop_head(&peer->waiting);
  gsize cost = cost_of(arguments);
  peer->written += cost;
  peer->delivery->waiting_octets -= cost;
}

static void drop_all(struct signal_peer *peer) {
  while (!g_queue_is_empty(&peer->waiting))
    drop_first(peer);
}

/* Reply to Close. Closed tells the rest, unless the service was not there to hear it. */
static void on_closing(GObject *source, GAsyncResult *result, gpointer user) {
  struct signal_peer *peer = user;
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) reply = ws_server_call_finish(source, NULL, result, &error);
  peer->close_called = false;
  if (peer->connection != NULL && reply == NULL && ws_error_is_absence(error))
    note_absence(peer->delivery);
  else
    g_clear_pointer(&peer->close, g_variant_unref);
  if (peer->connection != NULL)
    make_ready(peer);
  unref_peer(peer);
}

static void call_close(struct signal_peer *peer) {
  WsServer *server = peer->delivery->server;
  if (peer->close_called || peer->delivery->is_away || server->path == NULL)
    return;
  peer->close_called = true;
  g_main_context_push_thread_default(server->context);
  ws_server_call(server, "Close", peer->close, "()", NULL, NULL, on_closing, g_rc_box_acquire(peer));
  g_main_context_pop_thread_default(server->context);
}

/* What waits for its turn gets in line. */
static void make_ready(struct signal_peer *peer) {
  if (peer->queued || peer->sending || peer->blocked)
    return;
  if (g_queue_is_empty(&peer->waiting)) {
    if (peer->close != NULL)
      call_close(peer);
    return;
  }
  peer->queued = true;
  g_queue_push_tail(&peer->delivery->ready, g_rc_box_acquire(peer));
}

/* Tells the app that there is room again, if it was refused. */
static void tell_room(struct signal_peer *peer) {
  if (!peer->refused || peer->connection == NULL || peer->blocked || peer->delivery->crowded ||
      peer->charged - peer->written >= WS_SIGNALS_PEER_LOW)
    return;
  peer->refused = false;
  ws_server_take_drained(peer->delivery->server, peer->connection);
}

static struct signal_peer *link_of(struct signal_delivery *delivery, const WsConnection *connection) {
  return connection->delivery == &delivery->base ? connection->link : NULL;
}

/* The same for all, when it was because of what waits for all of them. The caller keeps the delivery. */
static void tell_all_room(struct signal_delivery *delivery) {
  if (!delivery->crowded || delivery->server == NULL || delivery->waiting_octets >= WS_SIGNALS_TOTAL_LOW)
    return;
  delivery->crowded = false;
  g_autoptr(GPtrArray) all = ws_server_list_connections(delivery->server);
  for (guint i = 0; i < all->len && delivery->server != NULL; i++) {
    struct signal_peer *peer = link_of(delivery, g_ptr_array_index(all, i));
    if (peer != NULL)
      tell_room(peer);
  }
}

/* Errors of which Closed, or the state of the server, tells. */
static bool is_over(const GError *error) {
  return g_error_matches(error, WS_ERROR, WS_ERROR_CONNECTION_NOT_FOUND) ||
         g_error_matches(error, WS_ERROR, WS_ERROR_NOT_RUNNING) ||
         g_error_matches(error, WS_ERROR, WS_ERROR_SHUTTING_DOWN) || ws_server_is_forgotten(error);
}

/* The message stays the first one, unless it cannot be sent at all. */
static void take_send_error(struct signal_peer *peer, const GError *error) {
  if (g_error_matches(error, WS_ERROR, WS_ERROR_WOULD_BLOCK)) {
    peer->blocked = !peer->drained;
    return;
  }
  if (ws_error_is_absence(error)) {
    note_absence(peer->delivery);
    return;
  }
  drop_all(peer);
  ws_connection_take_lost(peer->connection, error);
  if (!is_over(error) && peer->delivery->server != NULL)
    ws_server_take_error(peer->delivery->server, WS_ERROR_FAILED, error->message);
}

static void take_send_result(struct signal_peer *peer, bool sent, const GError *error) {
  if (peer->connection == NULL) {
    drop_all(peer);
  } else if (!sent) {
    take_send_error(peer, error);
  } else {
    drop_first(peer);
    ws_connection_take_written(peer->connection);
  }
}

/* Reply to Send. */
static void on_sent(GObject *source, GAsyncResult *result, gpointer user) {
  struct signal_peer *peer = user;
  struct signal_delivery *delivery = peer->delivery;
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) reply = ws_server_call_finish(source, NULL, result, &error);
  g_autoptr(WsServer) server = delivery->server != NULL ? g_object_ref(delivery->server) : NULL;
  peer->sending = false;
  delivery->calls--;
  if (server != NULL)
    take_send_result(peer, reply != NULL, error);
  if (delivery->server != NULL && peer->connection != NULL) {
    make_ready(peer);
    tell_room(peer);
  }
  tell_all_room(delivery);
  if (delivery->server != NULL) {
    send_next(delivery);
    acknowledge_soon(delivery);
  }
  unref_peer(peer);
}

static void send_next(struct signal_delivery *delivery) {
  WsServer *server = delivery->server;
  while (delivery->calls < WS_SIGNALS_CALLS_MAX && !delivery->is_away && !g_queue_is_empty(&delivery->ready) &&
         server->path != NULL) {
    struct signal_peer *peer = g_queue_pop_head(&delivery->ready);
    peer->queued = false;
    if (g_queue_is_empty(&peer->waiting)) {
      unref_peer(peer);
      continue;
    }
    peer->sending = true;
    peer->drained = false;
    delivery->calls++;
    g_main_context_push_thread_default(server->context);
    ws_server_call(server, "Send", g_queue_peek_head(&peer->waiting), "()", NULL, NULL, on_sent, peer);
    g_main_context_pop_thread_default(server->context);
  }
}

/* --- Sending --- */

static GVariant *data_of(const WsMessage *message) {
  if (message->bytes != NULL)
    return g_variant_new_from_bytes(G_VARIANT_TYPE("ay"), message->bytes, TRUE);
  return g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, ws_message_peek(message, NULL), message->length, 1);
}

static enum ws_channel_result check_peer(struct signal_peer *peer) {
  if (peer->closing)
    return WS_CHANNEL_GONE;
  if (peer->delivery->waiting_octets >= WS_SIGNALS_TOTAL_HIGH)
    peer->delivery->crowded = true;
  else if (peer->charged - peer->written < WS_SIGNALS_PEER_HIGH)
    return WS_CHANNEL_SENT;
  peer->refused = true;
  return WS_CHANNEL_WOULD_BLOCK;
}

static enum ws_channel_result send_message(WsConnection *connection, const WsMessage *message, bool notify) {
  struct signal_peer *peer = connection->link;
  (void)notify;
  if (message->length > peer->delivery->server->max_message)
    return WS_CHANNEL_TOO_BIG;
  enum ws_channel_result result = check_peer(peer);
  if (result != WS_CHANNEL_SENT)
    return result;
  GVariant *arguments = g_variant_new("(tb@ay)", peer->id, (gboolean)message->text, data_of(message));
  g_queue_push_tail(&peer->waiting, g_variant_ref_sink(arguments));
  peer->charged += message->length + WSC_MESSAGE_COST;
  peer->delivery->waiting_octets += message->length + WSC_MESSAGE_COST;
  make_ready(peer);
  send_next(peer->delivery);
  return WS_CHANNEL_SENT;
}

/* A call of Broadcast. */
struct broadcast {
  struct signal_delivery *delivery; /* a reference */
  GPtrArray *peers;                 /* references to those it goes to */
};

/* The service tells how many got it, and is about to tell Drained of each that did not. */
static void mark_missed(const GPtrArray *peers, GVariant *reply) {
  guint32 reached;
  g_variant_get(reply, "(u)", &reached);
  for (guint i = 0; i < peers->len && reached < peers->len; i++)
    ((struct signal_peer *)g_ptr_array_index(peers, i))->missed = true;
}

static void on_broadcast(GObject *source, GAsyncResult *result, gpointer user) {
  struct broadcast *call = user;
  struct signal_delivery *delivery = call->delivery;
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) reply = ws_server_call_finish(source, NULL, result, &error);
  g_autoptr(WsServer) server = delivery->server != NULL ? g_object_ref(delivery->server) : NULL;
  delivery->calls--;
  if (reply != NULL)
    mark_missed(call->peers, reply);
  else if (server != NULL && !is_over(error))
    ws_server_take_error(server, WS_ERROR_FAILED, error->message);
  if (delivery->server != NULL) {
    send_next(delivery);
    acknowledge_soon(delivery);
  }
  g_ptr_array_unref(call->peers);
  g_free(call);
  g_rc_box_release(delivery);
}

/* Takes the peers. */
static void call_broadcast(struct signal_delivery *delivery, GPtrArray *peers, const WsMessage *message) {
  WsServer *server = delivery->server;
  struct broadcast *call = g_new(struct broadcast, 1);
  *call = (struct broadcast){g_rc_box_acquire(delivery), peers};
  GVariantBuilder targets;
  g_variant_builder_init(&targets, G_VARIANT_TYPE("at"));
  for (guint i = 0; i < peers->len; i++)
    g_variant_builder_add(&targets, "t", ((struct signal_peer *)g_ptr_array_index(peers, i))->id);
  delivery->calls++;
  g_main_context_push_thread_default(server->context);
  ws_server_call(server, "Broadcast", g_variant_new("(atb@ay)", &targets, (gboolean)message->text, data_of(message)),
                 "(u)", NULL, NULL, on_broadcast, call);
  g_main_context_pop_thread_default(server->context);
}

/* One call for all that nothing waits for; the others get it behind what was sent to them before. To the service an empty list would mean everybody. */
static enum ws_channel_result broadcast(struct ws_delivery *base, GPtrArray *connections, const WsMessage *message,
                                        gsize *sent) {
  struct signal_delivery *delivery = (struct signal_delivery *)base;
  g_autoptr(GPtrArray) all =
      connections != NULL ? g_ptr_array_ref(connections) : ws_server_list_connections(delivery->server);
  g_autoptr(GPtrArray) now = g_ptr_array_new_with_free_func(unref_peer);
  if (message->length > delivery->server->max_message)
    return WS_CHANNEL_TOO_BIG;
  for (guint i = 0; i < all->len; i++) {
    WsConnection *connection = g_ptr_array_index(all, i);
    struct signal_peer *peer = link_of(delivery, connection);
    if (peer == NULL || peer->hold || check_peer(peer) != WS_CHANNEL_SENT)
      continue;
    *sent += 1;
    if (g_queue_is_empty(&peer->waiting) && delivery->calls < WS_SIGNALS_CALLS_MAX && !delivery->is_away)
      g_ptr_array_add(now, g_rc_box_acquire(peer));
    else
      (void)send_message(connection, message, false);
  }
  if (now->len > 0)
    call_broadcast(delivery, g_steal_pointer(&now), message);
  return WS_CHANNEL_SENT;
}

static void hold(WsConnection *connection, bool hold) {
  ((struct signal_peer *)connection->link)->hold = hold;
}

static enum ws_channel_result close_connection(WsConnection *connection, guint16 code, const char *reason) {
  struct signal_peer *peer = connection->link;
  if (code == 0)
    code = 1000;
  if (!wsp_close_code_is_sendable(code) || strlen(reason) > WSC_REASON_MAX || !g_utf8_validate(reason, -1, NULL))
    return WS_CHANNEL_INVALID;
  if (peer->closing)
    return WS_CHANNEL_GONE;
  peer->closing = true;
  peer->close = g_variant_ref_sink(g_variant_new("(tqs)", peer->id, code, reason));
  make_ready(peer);
  return WS_CHANNEL_SENT;
}

static bool is_closing(WsConnection *connection) {
  return ((struct signal_peer *)connection->link)->closing;
}

static guint64 get_sent(WsConnection *connection) {
  return ((struct signal_peer *)connection->link)->charged;
}

static guint64 get_written(WsConnection *connection) {
  return ((struct signal_peer *)connection->link)->written;
}

/* --- Events --- */

static struct signal_peer *peer_of(struct signal_delivery *delivery, guint64 id) {
  WsConnection *connection = ws_server_lookup(delivery->server, id);
  return connection != NULL ? link_of(delivery, connection) : NULL;
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
  make_ready(peer);
  tell_room(peer);
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
    tell_all_room(delivery);
    if (delivery->server == NULL) /* a handler has let go of it */
      return;
    acknowledge_soon(delivery);
    send_next(delivery);
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
    struct signal_peer *peer = link_of(delivery, g_ptr_array_index(all, i));
    if (peer != NULL)
      make_ready(peer);
  }
  send_next(delivery);
}

static void forget_peer(WsConnection *connection) {
  struct signal_peer *peer = connection->link;
  drop_all(peer);
  peer->connection = NULL;
  unref_peer(peer);
}

static void free_delivery(struct ws_delivery *base) {
  struct signal_delivery *delivery = (struct signal_delivery *)base;
  forget_later(&delivery->acknowledge_later);
  forget_later(&delivery->resume_later);
  g_queue_clear_full(&delivery->ready, unref_peer);
  g_queue_clear_full(&delivery->held_back, free_signal);
  delivery->server = NULL;
  g_rc_box_release(delivery);
}

static const struct ws_delivery_class delivery_class = {
    .free = free_delivery,
    .forget = forget_peer,
    .send = send_message,
    .broadcast = broadcast,
    .hold = hold,
    .close = close_connection,
    .is_closing = is_closing,
    .get_sent = get_sent,
    .get_written = get_written,
};

struct ws_delivery *ws_signal_delivery_new(WsServer *server) {
  struct signal_delivery *delivery = g_rc_box_new0(struct signal_delivery);
  delivery->base.class = &delivery_class;
  delivery->server = server;
  g_queue_init(&delivery->ready);
  g_queue_init(&delivery->held_back);
  return &delivery->base;
}
