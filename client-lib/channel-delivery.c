/* SPDX-License-Identifier: Apache-2.0 */
/* Events and messages over the channel, driven by the server's main context. */
#include "client-lib/channel-private.h"
#include "client-lib/error-private.h"
#include "client-lib/limits.h"
#include "client-lib/server-private.h"

#include <poll.h>
#include <string.h>

struct channel_delivery {
  struct ws_delivery base;
  WsServer *server;
  struct ws_channel *channel;
  GSource *source;
};

/*
 * A source that writes what was sent before the loop goes to sleep: all that one turn of the loop has sent, by whichever handler, leaves in one write.
 */
struct channel_source {
  GSource source;
  struct channel_delivery *delivery; /* NULL once that is freed */
  gpointer tag;                      /* of the polled descriptor; NULL while it is not */
  GIOCondition polled;
  bool busy;  /* since the last time that we looked whether it is idle */
  bool armed; /* to look again */
};

static WsConnection *connection_of(const struct ws_channel_peer *peer) {
  return ws_channel_peer_get_data(peer);
}

/* --- Events --- */

static void on_connected(void *user, struct ws_channel_peer *peer, const struct ws_channel_details *details) {
  struct channel_delivery *delivery = user;
  guint64 id = ws_channel_peer_get_id(peer);
  WsConnection *known = ws_server_lookup(delivery->server, id);
  if (details == NULL && known != NULL) { /* it came by signals before there was a channel */
    ws_channel_peer_set_data(peer, known);
    known->delivery = &delivery->base;
    known->link = peer;
    return;
  }
  WsConnection *connection = ws_connection_new(id, &delivery->base, peer);
  ws_channel_peer_set_data(peer, connection);
  if (details != NULL)
    ws_connection_take_details(connection, ws_details_new(details));
  ws_server_take_connected(delivery->server, connection, details != NULL ? ws_details_collect_headers(details) : NULL);
}

static void on_message(void *user, struct ws_channel_peer *peer, bool text, const uint8_t *data, size_t length) {
  struct channel_delivery *delivery = user;
  ws_server_take_message(delivery->server, connection_of(peer), text, data, length, NULL, delivery->channel);
}

static void on_closed(void *user, struct ws_channel_peer *peer, uint16_t code, const char *reason, size_t length,
                      bool clean) {
  struct channel_delivery *delivery = user;
  g_autofree char *text = g_utf8_make_valid(reason, (gssize)length);
  ws_server_take_closed(delivery->server, connection_of(peer), code, text, clean);
}

static void on_drained(void *user, struct ws_channel_peer *peer) {
  struct channel_delivery *delivery = user;
  ws_server_take_drained(delivery->server, connection_of(peer));
}

static void on_written(void *user, struct ws_channel_peer *peer) {
  (void)user;
  ws_connection_take_written(connection_of(peer));
}

static void on_error(void *user, struct ws_channel_peer *peer, uint32_t code, const char *text, size_t length) {
  struct channel_delivery *delivery = user;
  (void)peer;
  g_autofree char *sentence = g_utf8_make_valid(text, (gssize)length);
  ws_server_take_error(delivery->server, ws_error_of_number(code), sentence);
}

static const struct ws_channel_events channel_events = {
    .connected = on_connected,
    .message = on_message,
    .closed = on_closed,
    .drained = on_drained,
    .written = on_written,
    .error = on_error,
};

/* --- Sending --- */

static enum ws_channel_result send_message(WsConnection *connection, const WsMessage *message, bool notify) {
  gsize length;
  const guint8 *data = ws_message_peek(message, &length);
  return ws_channel_send_checked(connection->link, message->text, data, length, notify);
}

static enum ws_channel_result broadcast(struct ws_delivery *base, GPtrArray *connections, const WsMessage *message,
                                        gsize *sent) {
  struct channel_delivery *delivery = (struct channel_delivery *)base;
  gsize length;
  const guint8 *data = ws_message_peek(message, &length);
  if (connections == NULL)
    return ws_channel_broadcast_checked(delivery->channel, NULL, 0, message->text, data, length, sent);
  g_autofree struct ws_channel_peer **peers = g_new(struct ws_channel_peer *, connections->len + 1);
  gsize count = 0;
  for (guint i = 0; i < connections->len; i++) {
    const WsConnection *connection = g_ptr_array_index(connections, i);
    if (connection->delivery == base)
      peers[count++] = connection->link;
  }
  return ws_channel_broadcast_checked(delivery->channel, peers, count, message->text, data, length, sent);
}

static void hold(WsConnection *connection, bool hold) {
  struct ws_channel_peer *peer = connection->link;
  peer->hold = hold;
}

static enum ws_channel_result close_connection(WsConnection *connection, guint16 code, const char *reason) {
  return ws_channel_close(connection->link, code, reason, strlen(reason));
}

static bool is_closing(WsConnection *connection) {
  return ((struct ws_channel_peer *)connection->link)->closing;
}

static guint64 get_sent(WsConnection *connection) {
  return ws_channel_peer_get_sent(connection->link);
}

static guint64 get_written(WsConnection *connection) {
  return ws_channel_peer_get_written(connection->link);
}

/* --- The source --- */

static void poll_for(struct channel_source *source) {
  short wanted = ws_channel_get_poll_events(source->delivery->channel);
  GIOCondition condition = (wanted & POLLIN ? G_IO_IN : 0) | (wanted & POLLOUT ? G_IO_OUT : 0);
  if (condition == source->polled)
    return;
  if (source->polled == 0)
    source->tag = g_source_add_unix_fd(&source->source, ws_channel_get_fd(source->delivery->channel), condition);
  else if (condition == 0) /* else its end, which is always polled for, would wake the loop again and again */
    g_source_remove_unix_fd(&source->source, g_steal_pointer(&source->tag));
  else
    g_source_modify_unix_fd(&source->source, source->tag, condition);
  source->polled = condition;
}

static gboolean prepare(GSource *base, gint *timeout) {
  struct channel_source *source = (struct channel_source *)base;
  *timeout = -1;
  if (source->delivery == NULL)
    return FALSE;
  ws_channel_flush(source->delivery->channel);
  poll_for(source);
  return ws_channel_is_half_read(source->delivery->channel);
}

static bool is_ready(struct channel_source *source) {
  return source->tag != NULL && g_source_query_unix_fd(&source->source, source->tag) != 0;
}

static gboolean check(GSource *base) {
  struct channel_source *source = (struct channel_source *)base;
  return source->delivery != NULL && is_ready(source);
}

static void end(struct channel_delivery *delivery) {
  WsServer *server = delivery->server;
  bool broken = ws_channel_get_state(delivery->channel) == WS_CHANNEL_BROKEN;
  g_autofree char *reason = g_strdup(ws_channel_get_reason(delivery->channel));
  ws_server_drop_delivery(server);
  ws_server_on_delivery_ended(server, broken, reason);
}

/* False when that was the end, and the delivery is no more. */
static bool dispatch_channel(struct channel_delivery *delivery) {
  g_autoptr(WsServer) server = g_object_ref(delivery->server);
  GSource *source = g_source_ref(delivery->source);
  server->emitting++;
  enum ws_channel_state state = ws_channel_dispatch(delivery->channel);
  bool is_there = ((struct channel_source *)source)->delivery != NULL; /* no handler has let go of it */
  g_source_unref(source);
  server->emitting--;
  if (is_there && state != WS_CHANNEL_OPEN)
    end(delivery);
  return is_there && state == WS_CHANNEL_OPEN;
}

static void look_again(struct channel_source *source) {
  if (!source->armed)
    g_source_set_ready_time(&source->source, g_get_monotonic_time() + WS_CHANNEL_IDLE_MS * G_TIME_SPAN_MILLISECOND);
  source->armed = true;
}

/* An idle channel gives back what it keeps for the next messages. */
static void look_whether_idle(struct channel_source *source) {
  gint64 due = g_source_get_ready_time(&source->source);
  if (due < 0 || g_source_get_time(&source->source) < due)
    return;
  g_source_set_ready_time(&source->source, -1);
  source->armed = false;
  if (!source->busy)
    ws_channel_trim(source->delivery->channel);
  else
    look_again(source);
  source->busy = false;
}

static gboolean dispatch(GSource *base, GSourceFunc callback, gpointer user) {
  struct channel_source *source = (struct channel_source *)base;
  (void)callback;
  (void)user;
  if (source->delivery != NULL && source->armed)
    look_whether_idle(source);
  if (source->delivery != NULL && (is_ready(source) || ws_channel_is_half_read(source->delivery->channel))) {
    source->busy = true;
    bool is_open = dispatch_channel(source->delivery);
    if (is_open && source->delivery != NULL /* the server may have gone with the last handler */ &&
        ws_channel_has_spare_memory(source->delivery->channel))
      look_again(source);
  }
  return G_SOURCE_CONTINUE; /* or it is destroyed already */
}

static GSourceFuncs source_functions = {.prepare = prepare, .check = check, .dispatch = dispatch};

/* --- The delivery --- */

static void free_delivery(struct ws_delivery *base) {
  struct channel_delivery *delivery = (struct channel_delivery *)base;
  ((struct channel_source *)delivery->source)->delivery = NULL;
  g_source_destroy(delivery->source);
  g_source_unref(delivery->source);
  ws_channel_free(delivery->channel);
  g_free(delivery);
}

static const struct ws_delivery_class delivery_class = {
    .free = free_delivery,
    .send = send_message,
    .broadcast = broadcast,
    .hold = hold,
    .close = close_connection,
    .is_closing = is_closing,
    .get_sent = get_sent,
    .get_written = get_written,
};

bool ws_delivery_is_channel(const struct ws_delivery *delivery) {
  return delivery->class == &delivery_class;
}

void ws_channel_delivery_set_paused(struct ws_delivery *base, bool paused) {
  ws_channel_set_paused(((struct channel_delivery *)base)->channel, paused);
}

void ws_channel_delivery_set_lending(struct ws_delivery *base, bool lends) {
  ws_channel_set_lending(((struct channel_delivery *)base)->channel, lends);
}

static struct ws_delivery *new_delivery(WsServer *server, struct channel_delivery *delivery) {
  delivery->base.class = &delivery_class;
  delivery->base.context = server->context;
  delivery->server = server;
  delivery->source = g_source_new(&source_functions, sizeof(struct channel_source));
  struct channel_source *source = (struct channel_source *)delivery->source;
  source->delivery = delivery;
  source->polled = G_IO_IN;
  source->tag = g_source_add_unix_fd(delivery->source, ws_channel_get_fd(delivery->channel), G_IO_IN);
  g_source_set_static_name(delivery->source, "WsServer channel");
  g_source_attach(delivery->source, server->context);
  ws_channel_set_paused(delivery->channel, server->paused);
  ws_channel_set_lending(delivery->channel, server->lends_binary);
  return &delivery->base;
}

struct ws_delivery *ws_channel_delivery_new(WsServer *server, int fd) {
  struct channel_delivery *delivery = g_new0(struct channel_delivery, 1);
  delivery->channel = ws_channel_new(fd, &channel_events, delivery);
  if (delivery->channel == NULL)
    g_error("no memory for a channel"); /* as GLib would */
  return new_delivery(server, delivery);
}

struct ws_delivery *ws_channel_delivery_new_shared(WsServer *server, int fd, int events, int commands) {
  struct channel_delivery *delivery = g_new0(struct channel_delivery, 1);
  delivery->channel = ws_channel_new_shared(fd, events, commands, &channel_events, delivery);
  if (delivery->channel != NULL)
    return new_delivery(server, delivery);
  g_free(delivery);
  return NULL;
}
