/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages by D-Bus calls. Those for one connection leave one call at a time: with two, the second could be taken after the first met WouldBlock. Of all connections
 * together so many calls are outstanding that the bus does not mind. A message counts as written when the service has taken it.
 */
#include "channel/limits.h"
#include "client-lib/error-private.h"
#include "client-lib/limits.h"
#include "client-lib/signal-private.h"
#include "websocket/close-code.h"

#include <string.h>

static gsize cost_of(GVariant *arguments) {
  g_autoptr(GVariant) data = g_variant_get_child_value(arguments, 2);
  return g_variant_get_size(data) + WSC_MESSAGE_COST;
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

void ws_signal_peer_unref(gpointer data) {
  g_rc_box_release_full(data, clear_peer);
}

static void drop_first(struct signal_peer *peer) {
  g_autoptr(GVariant) arguments = g_queue_pop_head(&peer->waiting);
  gsize cost = cost_of(arguments);
  peer->written += cost;
  peer->delivery->waiting_octets -= cost;
}

void ws_signal_drop_all(struct signal_peer *peer) {
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
    ws_signal_make_ready(peer);
  ws_signal_peer_unref(peer);
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
void ws_signal_make_ready(struct signal_peer *peer) {
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
void ws_signal_tell_room(struct signal_peer *peer) {
  if (!peer->refused || peer->connection == NULL || peer->blocked || peer->delivery->crowded ||
      peer->charged - peer->written >= WS_SIGNALS_PEER_LOW)
    return;
  peer->refused = false;
  ws_server_take_drained(peer->delivery->server, peer->connection);
}

struct signal_peer *ws_signal_link_of(struct signal_delivery *delivery, const WsConnection *connection) {
  return connection->delivery == &delivery->base ? connection->link : NULL;
}

/* The same for all, when it was because of what waits for all of them. The caller keeps the delivery. */
void ws_signal_tell_all_room(struct signal_delivery *delivery) {
  if (!delivery->crowded || delivery->server == NULL || delivery->waiting_octets >= WS_SIGNALS_TOTAL_LOW)
    return;
  delivery->crowded = false;
  g_autoptr(GPtrArray) all = ws_server_list_connections(delivery->server);
  for (guint i = 0; i < all->len && delivery->server != NULL; i++) {
    struct signal_peer *peer = ws_signal_link_of(delivery, g_ptr_array_index(all, i));
    if (peer != NULL)
      ws_signal_tell_room(peer);
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
  ws_signal_drop_all(peer);
  ws_connection_take_lost(peer->connection, error);
  if (!is_over(error) && peer->delivery->server != NULL)
    ws_server_take_error(peer->delivery->server, WS_ERROR_FAILED, error->message);
}

static void take_send_result(struct signal_peer *peer, bool sent, const GError *error) {
  if (peer->connection == NULL) {
    ws_signal_drop_all(peer);
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
    ws_signal_make_ready(peer);
    ws_signal_tell_room(peer);
  }
  ws_signal_tell_all_room(delivery);
  if (delivery->server != NULL) {
    ws_signal_send_next(delivery);
    ws_signal_acknowledge_soon(delivery);
  }
  ws_signal_peer_unref(peer);
}

void ws_signal_send_next(struct signal_delivery *delivery) {
  WsServer *server = delivery->server;
  while (delivery->calls < WS_SIGNALS_CALLS_MAX && !delivery->is_away && !g_queue_is_empty(&delivery->ready) &&
         server->path != NULL) {
    struct signal_peer *peer = g_queue_pop_head(&delivery->ready);
    peer->queued = false;
    if (g_queue_is_empty(&peer->waiting)) {
      ws_signal_peer_unref(peer);
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

enum ws_channel_result ws_signal_send(WsConnection *connection, const WsMessage *message, bool notify) {
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
  ws_signal_make_ready(peer);
  ws_signal_send_next(peer->delivery);
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
    ws_signal_send_next(delivery);
    ws_signal_acknowledge_soon(delivery);
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
enum ws_channel_result ws_signal_broadcast(struct ws_delivery *base, GPtrArray *connections, const WsMessage *message,
                                           gsize *sent) {
  struct signal_delivery *delivery = (struct signal_delivery *)base;
  g_autoptr(GPtrArray) all =
      connections != NULL ? g_ptr_array_ref(connections) : ws_server_list_connections(delivery->server);
  g_autoptr(GPtrArray) now = g_ptr_array_new_with_free_func(ws_signal_peer_unref);
  if (message->length > delivery->server->max_message)
    return WS_CHANNEL_TOO_BIG;
  for (guint i = 0; i < all->len; i++) {
    WsConnection *connection = g_ptr_array_index(all, i);
    struct signal_peer *peer = ws_signal_link_of(delivery, connection);
    if (peer == NULL || peer->hold || check_peer(peer) != WS_CHANNEL_SENT)
      continue;
    *sent += 1;
    if (g_queue_is_empty(&peer->waiting) && delivery->calls < WS_SIGNALS_CALLS_MAX && !delivery->is_away)
      g_ptr_array_add(now, g_rc_box_acquire(peer));
    else
      (void)ws_signal_send(connection, message, false);
  }
  if (now->len > 0)
    call_broadcast(delivery, g_steal_pointer(&now), message);
  return WS_CHANNEL_SENT;
}

void ws_signal_hold(WsConnection *connection, bool hold) {
  ((struct signal_peer *)connection->link)->hold = hold;
}

enum ws_channel_result ws_signal_close(WsConnection *connection, guint16 code, const char *reason) {
  struct signal_peer *peer = connection->link;
  if (code == 0)
    code = 1000;
  if (!wsp_close_code_is_sendable(code) || strlen(reason) > WSC_REASON_MAX || !g_utf8_validate(reason, -1, NULL))
    return WS_CHANNEL_INVALID;
  if (peer->closing)
    return WS_CHANNEL_GONE;
  peer->closing = true;
  peer->close = g_variant_ref_sink(g_variant_new("(tqs)", peer->id, code, reason));
  ws_signal_make_ready(peer);
  return WS_CHANNEL_SENT;
}

bool ws_signal_is_closing(WsConnection *connection) {
  return ((struct signal_peer *)connection->link)->closing;
}

guint64 ws_signal_get_sent(WsConnection *connection) {
  return ((struct signal_peer *)connection->link)->charged;
}

guint64 ws_signal_get_written(WsConnection *connection) {
  return ((struct signal_peer *)connection->link)->written;
}
