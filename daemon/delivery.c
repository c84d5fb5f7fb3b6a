/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/delivery.h"

#include "daemon/limits.h"
#include "daemon/names.h"

/* One event on its way. */
struct entry {
  guint64 position; /* over all lanes of the app, for Ping */
  gsize octets;
  guint64 sent; /* octets of other messages before this one */
  bool from_worker;
};

struct wsd_lane {
  struct wsd_delivery *delivery;
  char *path;
  struct wsd_lane_events events;
  void *user;
  GQueue entries; /* of struct entry, oldest first */
  guint64 emitted;
  guint64 acknowledged;
  guint64 repeats;   /* events that the app may have counted twice */
  bool acknowledges; /* the app calls Acknowledge: Ping replies no longer count */
  bool wants_room;
};

struct wsd_delivery {
  GDBusConnection *connection;
  GCancellable *cancellable;
  char *name;
  GQueue lanes;        /* in the order in which they get room next */
  guint window_events; /* on the way */
  gsize window_octets;
  guint64 position;              /* of the last event sent */
  guint64 ping_position;         /* what the Ping in flight stands behind */
  guint64 sent, read;            /* octets of all other messages, and how many of them the app has read for certain */
  guint64 ping_sent;             /* octets before the Ping in flight */
  void (*caught_up)(void *user); /* set while somebody waits for that */
  void *caught_up_user;
  bool ping_in_flight;
  gint ping_timeout; /* ms; 0: the first one */
  bool ping_denied_logged;
  bool abandoned;
  guint ping_source; /* scheduled Ping */
  guint room_source; /* scheduled hand-out of room */
};

static void schedule_ping(struct wsd_delivery *delivery, guint delay);

struct wsd_delivery *wsd_delivery_new(GDBusConnection *connection, const char *name) {
  struct wsd_delivery *delivery = g_new0(struct wsd_delivery, 1);
  delivery->connection = g_object_ref(connection);
  delivery->cancellable = g_cancellable_new();
  delivery->name = g_strdup(name);
  g_queue_init(&delivery->lanes);
  return delivery;
}

void wsd_delivery_abandon(struct wsd_delivery *delivery) {
  delivery->abandoned = true;
  delivery->caught_up = NULL;
  g_cancellable_cancel(delivery->cancellable);
  g_clear_handle_id(&delivery->ping_source, g_source_remove);
}

void wsd_delivery_free(struct wsd_delivery *delivery) {
  g_assert(g_queue_is_empty(&delivery->lanes));
  wsd_delivery_abandon(delivery);
  g_clear_handle_id(&delivery->room_source, g_source_remove);
  g_object_unref(delivery->cancellable);
  g_object_unref(delivery->connection);
  g_free(delivery->name);
  g_free(delivery);
}

static guint64 unread(const struct wsd_delivery *delivery) {
  return delivery->sent - delivery->read;
}

static void mark_read(struct wsd_delivery *delivery, guint64 sent) {
  delivery->read = MAX(delivery->read, sent);
  if (!delivery->caught_up || wsd_delivery_is_behind(delivery))
    return;
  void (*caught_up)(void *user) = delivery->caught_up;
  delivery->caught_up = NULL;
  caught_up(delivery->caught_up_user);
}

bool wsd_delivery_is_behind(const struct wsd_delivery *delivery) {
  return !delivery->abandoned && unread(delivery) > WSD_UNREAD_OCTETS_MAX;
}

void wsd_delivery_on_caught_up(struct wsd_delivery *delivery, void (*caught_up)(void *user), void *user) {
  delivery->caught_up = caught_up;
  delivery->caught_up_user = user;
}

void wsd_delivery_charge(struct wsd_delivery *delivery, GDBusMessage *message) {
  GVariant *body = g_dbus_message_get_body(message);
  delivery->sent += WSD_MESSAGE_HEADER_COST + (body ? g_variant_get_size(body) : 0);
  if (unread(delivery) > WSD_UNREAD_OCTETS_ASK)
    schedule_ping(delivery, 0);
}

static GDBusMessage *new_signal(const struct wsd_delivery *delivery, const char *path, const char *interface,
                                const char *signal, GVariant *values) {
  GDBusMessage *message = g_dbus_message_new_signal(path, interface, signal);
  g_dbus_message_set_destination(message, delivery->name);
  g_dbus_message_set_body(message, values);
  return message;
}

static void send_message(struct wsd_delivery *delivery, GDBusMessage *message) {
  if (!delivery->abandoned)
    g_dbus_connection_send_message(delivery->connection, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
}

void wsd_delivery_send(struct wsd_delivery *delivery, const char *path, const char *interface, const char *signal,
                       GVariant *values) {
  g_autoptr(GDBusMessage) message = new_signal(delivery, path, interface, signal, values);
  wsd_delivery_charge(delivery, message);
  send_message(delivery, message);
}

struct wsd_lane *wsd_lane_new(struct wsd_delivery *delivery, const char *path, const struct wsd_lane_events *events,
                              void *user) {
  struct wsd_lane *lane = g_new0(struct wsd_lane, 1);
  lane->delivery = delivery;
  lane->path = g_strdup(path);
  lane->events = *events;
  lane->user = user;
  g_queue_init(&lane->entries);
  g_queue_push_tail(&delivery->lanes, lane);
  return lane;
}

/* Room goes to the lanes that asked, each in turn: the one served goes to the back. */
static gboolean hand_out_room(gpointer data) {
  struct wsd_delivery *delivery = data;
  delivery->room_source = 0;
  g_autoptr(GPtrArray) asking = g_ptr_array_new();
  for (GList *link = delivery->lanes.head; link; link = link->next)
    if (((struct wsd_lane *)link->data)->wants_room)
      g_ptr_array_add(asking, link->data);
  for (guint i = 0; i < asking->len && wsd_lane_has_room(asking->pdata[i], 0); i++) {
    struct wsd_lane *lane = asking->pdata[i];
    if (!g_queue_remove(&delivery->lanes, lane))
      continue; /* freed by a callback before */
    g_queue_push_tail(&delivery->lanes, lane);
    lane->wants_room = false;
    lane->events.room(lane->user);
  }
  return G_SOURCE_REMOVE;
}

static void schedule_room(struct wsd_delivery *delivery) {
  if (delivery->room_source == 0)
    delivery->room_source = g_idle_add_full(G_PRIORITY_DEFAULT, hand_out_room, delivery, NULL);
}

/* Takes delivered entries off the window: those at or before `position`, at most `count`. */
static void deliver(struct wsd_lane *lane, guint64 position, guint64 count) {
  struct wsd_delivery *delivery = lane->delivery;
  guint from_worker = 0;
  guint64 sent = 0;
  struct entry *entry;
  while (count-- > 0 && (entry = g_queue_peek_head(&lane->entries)) && entry->position <= position) {
    g_queue_pop_head(&lane->entries);
    lane->acknowledged++;
    delivery->window_events--;
    delivery->window_octets -= entry->octets;
    from_worker += entry->from_worker;
    sent = entry->sent;
    g_free(entry);
  }
  schedule_room(delivery);
  if (from_worker > 0)
    lane->events.delivered(lane->user, from_worker);
  mark_read(delivery, sent);
}

void wsd_lane_free(struct wsd_lane *lane) {
  struct wsd_delivery *delivery = lane->delivery;
  struct entry *entry;
  while ((entry = g_queue_pop_head(&lane->entries))) {
    delivery->window_events--;
    delivery->window_octets -= entry->octets;
    g_free(entry);
  }
  g_queue_remove(&delivery->lanes, lane);
  if (!g_queue_is_empty(&delivery->lanes))
    schedule_room(delivery);
  g_free(lane->path);
  g_free(lane);
}

bool wsd_lane_has_room(const struct wsd_lane *lane, gsize octets) {
  const struct wsd_delivery *delivery = lane->delivery;
  return delivery->abandoned || delivery->window_events == 0 ||
         (delivery->window_events < WSD_WINDOW_EVENTS && delivery->window_octets + octets <= WSD_WINDOW_OCTETS);
}

/* Room comes with the next delivery, and there is one: without events on the way there would have been room. */
void wsd_lane_want_room(struct wsd_lane *lane) {
  lane->wants_room = true;
}

void wsd_lane_emit(struct wsd_lane *lane, const char *signal, GVariant *values, gsize octets, bool from_worker) {
  struct wsd_delivery *delivery = lane->delivery;
  g_autoptr(GDBusMessage) message = new_signal(delivery, lane->path, WSD_SERVER_INTERFACE, signal, values);
  struct entry *entry = g_new(struct entry, 1);
  *entry = (struct entry){.position = ++delivery->position, .octets = octets, .from_worker = from_worker};
  entry->sent = delivery->sent;
  g_queue_push_tail(&lane->entries, entry);
  lane->emitted++;
  delivery->window_events++;
  delivery->window_octets += octets;
  send_message(delivery, message);
  if (!lane->acknowledges)
    schedule_ping(delivery, 0);
}

void wsd_lane_notify(struct wsd_lane *lane, const char *signal, GVariant *values) {
  wsd_delivery_send(lane->delivery, lane->path, WSD_SERVER_INTERFACE, signal, values);
}

bool wsd_lane_acknowledge(struct wsd_lane *lane, guint64 events) {
  if (events > lane->emitted + lane->repeats)
    return false;
  lane->acknowledges = true;
  events = MIN(events, lane->emitted);
  if (events > lane->acknowledged)
    deliver(lane, G_MAXUINT64, events - lane->acknowledged);
  return true;
}

guint64 wsd_lane_emitted(const struct wsd_lane *lane) {
  return lane->emitted;
}

void wsd_lane_restore(struct wsd_lane *lane, guint64 emitted, guint64 repeats) {
  lane->emitted = lane->acknowledged = emitted;
  lane->repeats += repeats;
}

static bool has_unconfirmed(const struct wsd_delivery *delivery) {
  if (unread(delivery) > WSD_UNREAD_OCTETS_ASK)
    return true;
  for (GList *link = delivery->lanes.head; link; link = link->next) {
    const struct wsd_lane *lane = link->data;
    if (!lane->acknowledges && !g_queue_is_empty((GQueue *)&lane->entries))
      return true;
  }
  return false;
}

static void confirm(struct wsd_delivery *delivery) {
  g_autoptr(GPtrArray) lanes = g_ptr_array_new();
  for (GList *link = delivery->lanes.head; link; link = link->next)
    g_ptr_array_add(lanes, link->data);
  for (guint i = 0; i < lanes->len; i++) {
    struct wsd_lane *lane = lanes->pdata[i];
    if (g_queue_find(&delivery->lanes, lane) && !lane->acknowledges)
      deliver(lane, delivery->ping_position, G_MAXUINT64);
  }
}

static void on_ping_reply(GObject *source, GAsyncResult *result, gpointer data) {
  g_autoptr(GError) error = NULL;
  g_autoptr(GDBusMessage) reply =
      g_dbus_connection_send_message_with_reply_finish(G_DBUS_CONNECTION(source), result, &error);
  if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return; /* the delivery is gone */
  struct wsd_delivery *delivery = data;
  delivery->ping_in_flight = false;
  if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)) {
    /* Slow, or its reply was lost: a bus refuses it when others have filled our queue. */
    schedule_ping(delivery, 0);
    return;
  }
  delivery->ping_timeout = 0;
  if (reply && g_strcmp0(g_dbus_message_get_sender(reply), delivery->name) == 0) {
    confirm(delivery);
    mark_read(delivery, delivery->ping_sent);
    if (has_unconfirmed(delivery))
      schedule_ping(delivery, 0);
    return;
  }
  const char *name = reply ? g_dbus_message_get_error_name(reply) : error ? error->message : NULL;
  if (g_strcmp0(name, "org.freedesktop.DBus.Error.AccessDenied") == 0)
    mark_read(delivery, delivery->ping_sent); /* on such a bus nobody can tell, and calls are to be answered */
  if (!delivery->ping_denied_logged)
    g_message("%s: the bus did not deliver a Ping (%s); signals wait until the client calls Acknowledge. The bus "
              "policy has to "
              "let this service send " DBUS_PEER_INTERFACE ".Ping",
              delivery->name, name ? name : "no reason given");
  delivery->ping_denied_logged = true;
  schedule_ping(delivery, WSD_PING_RETRY_MS);
}

static gboolean send_ping(gpointer data) {
  struct wsd_delivery *delivery = data;
  delivery->ping_source = 0;
  if (delivery->ping_in_flight || !has_unconfirmed(delivery))
    return G_SOURCE_REMOVE;
  g_autoptr(GDBusMessage) ping = g_dbus_message_new_method_call(delivery->name, "/", DBUS_PEER_INTERFACE, "Ping");
  delivery->ping_position = delivery->position;
  delivery->ping_sent = delivery->sent;
  delivery->ping_in_flight = true;
  delivery->ping_timeout = CLAMP(2 * delivery->ping_timeout, WSD_PING_AGAIN_MIN_MS, WSD_PING_AGAIN_MAX_MS);
  g_dbus_connection_send_message_with_reply(delivery->connection, ping, G_DBUS_SEND_MESSAGE_FLAGS_NONE,
                                            delivery->ping_timeout, NULL, delivery->cancellable, on_ping_reply,
                                            delivery);
  return G_SOURCE_REMOVE;
}

static void schedule_ping(struct wsd_delivery *delivery, guint delay) {
  if (delivery->ping_source != 0 || delivery->ping_in_flight || delivery->abandoned)
    return;
  delivery->ping_source = delay == 0 ? g_idle_add_full(G_PRIORITY_DEFAULT, send_ping, delivery, NULL)
                                     : g_timeout_add(delay, send_ping, delivery);
}
