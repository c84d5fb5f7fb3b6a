/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/traffic-private.h"

#include "daemon/connection-details.h"
#include "daemon/limits.h"

static gboolean send_acknowledge(gpointer data) {
  struct wsd_traffic *traffic = data;
  traffic->acknowledge_source = 0;
  uint8_t body[8];
  wsc_put_u64(body, traffic->acknowledged);
  struct wsc_header header = {.type = WSC_ACKNOWLEDGE};
  if (traffic->channel)
    wsd_channel_send(traffic->channel, &header, NULL, 0, body, sizeof body);
  return G_SOURCE_REMOVE;
}

static void on_delivered(void *user, guint count) {
  struct wsd_traffic *traffic = user;
  guint64 stale = MIN(traffic->stale, count);
  traffic->from_worker -= count;
  traffic->stale -= stale;
  traffic->acknowledged += count - stale;
  if (count > stale && traffic->acknowledge_source == 0)
    traffic->acknowledge_source = g_idle_add_full(G_PRIORITY_DEFAULT, send_acknowledge, traffic, NULL);
}

static void on_room(void *user) {
  struct wsd_traffic *traffic = user;
  if (traffic->channel)
    wsd_channel_resume(traffic->channel);
}

struct wsd_traffic *wsd_traffic_new(struct wsd_delivery *delivery, const char *path,
                                    const struct wsd_traffic_events *events, void *user) {
  static const struct wsd_lane_events lane_events = {on_delivered, on_room};
  struct wsd_traffic *traffic = g_new0(struct wsd_traffic, 1);
  traffic->events = *events;
  traffic->user = user;
  traffic->lane = wsd_lane_new(delivery, path, &lane_events, traffic);
  traffic->connections = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
  g_queue_init(&traffic->pending);
  g_queue_init(&traffic->early);
  g_queue_init(&traffic->early_acknowledgements);
  return traffic;
}

void wsd_traffic_free(struct wsd_traffic *traffic) {
  wsd_traffic_fail_calls(traffic, WSD_ERROR_SHUTTING_DOWN, "the server is being removed");
  g_clear_handle_id(&traffic->acknowledge_source, g_source_remove);
  wsd_channel_free(traffic->channel);
  wsd_lane_free(traffic->lane);
  g_hash_table_unref(traffic->connections);
  g_free(traffic);
}

struct connection *wsd_traffic_find(struct wsd_traffic *traffic, guint64 id) {
  return g_hash_table_lookup(traffic->connections, &id);
}

static struct connection *add(struct wsd_traffic *traffic, guint64 id) {
  struct connection *connection = g_new0(struct connection, 1);
  connection->id = id;
  g_hash_table_insert(traffic->connections, &connection->id, connection);
  return connection;
}

static void emit(struct wsd_traffic *traffic, const char *signal, GVariant *values, gsize octets) {
  traffic->from_worker++;
  wsd_lane_emit(traffic->lane, signal, values, octets, true);
}

/* Records of the worker */

/* The worker's events up to first_event - 1 were acknowledged; those that follow may have been sent. */
static void resume(struct wsd_traffic *traffic, const struct wsc_welcome *welcome) {
  traffic->acknowledged = welcome->first_event - 1;
  traffic->standing_left = welcome->standing;
  traffic->repeats_left = welcome->repeats;
  guint32 repeats = traffic->settled ? 0 : welcome->repeats;
  wsd_lane_restore(traffic->lane, traffic->events_before + traffic->acknowledged, repeats);
  if (repeats > 0)
    wsd_lane_notify(traffic->lane, "Recovered", g_variant_new("(u)", repeats));
}

static const char *take_welcome(struct wsd_traffic *traffic, const struct wsc_record *record) {
  struct wsc_welcome welcome;
  if (!wsc_welcome_decode(record->body, record->header.size, &welcome))
    return "WELCOME is malformed";
  if (welcome.generation != traffic->generation || !welcome.acknowledged || welcome.queue_high == 0)
    return "WELCOME does not fit what was asked for";
  if (!traffic->adopts && (welcome.first_event != 1 || welcome.repeats != 0 || welcome.standing != 0))
    return "WELCOME of a new worker tells of earlier events";
  traffic->welcomed = true;
  traffic->queue_high = welcome.queue_high;
  if (traffic->adopts)
    resume(traffic, &welcome);
  return NULL;
}

bool wsd_traffic_is_new_id(const struct wsd_traffic *traffic, guint64 id) {
  return id > traffic->last_id && id >> 32 == traffic->generation && (id & G_MAXUINT32) != 0;
}

static const char *take_standing(struct wsd_traffic *traffic, const struct wsc_record *record) {
  guint64 id = record->header.connection;
  if (!traffic->adopts)
    return "STANDING of a new worker";
  if (!wsd_traffic_is_new_id(traffic, id))
    return "STANDING for an id that is not new";
  if (g_hash_table_size(traffic->connections) >= WSD_CONNECTIONS_MAX)
    return "more connections than there may be";
  struct connection *connection = add(traffic, id);
  connection->charged = wsc_get_u64(record->body);
  connection->released = wsc_get_u64(record->body + 8);
  traffic->last_id = id;
  return connection->released > connection->charged ? "more credit than was charged" : NULL;
}

static const char *take_connect(struct wsd_traffic *traffic, const struct wsc_record *record) {
  guint64 id = record->header.connection;
  struct wsc_connect connect;
  if (!wsd_traffic_is_new_id(traffic, id))
    return "CONNECT with an id that is not new";
  if (g_hash_table_size(traffic->connections) >= WSD_CONNECTIONS_MAX)
    return "more connections than there may be";
  if (!wsc_connect_decode(record->body, record->header.size, &connect))
    return "CONNECT is malformed";
  traffic->last_id = id;
  add(traffic, id);
  emit(traffic, "Connect", wsd_connection_details(id, &connect, true), record->header.size);
  return NULL;
}

static const char *take_message(struct wsd_traffic *traffic, const struct wsc_record *record) {
  guint64 id = record->header.connection;
  gboolean text = (record->header.flags & WSC_FLAG_TEXT) != 0;
  if (!wsd_traffic_find(traffic, id))
    return "MESSAGE of a connection that is not there";
  if (text && !wsd_traffic_is_text(record->body, record->header.size))
    return "text that is not UTF-8";
  GVariant *data = g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, record->body, record->header.size, 1);
  emit(traffic, "MessageReceive", g_variant_new("(tb@ay)", id, text, data), record->header.size);
  return NULL;
}

static const char *take_closed(struct wsd_traffic *traffic, const struct wsc_record *record) {
  guint64 id = record->header.connection;
  if (!g_hash_table_remove(traffic->connections, &id))
    return "CLOSED of a connection that is not there";
  g_autofree char *reason = wsd_peer_text((struct wsc_text){(const char *)record->body, record->header.size});
  gboolean clean = (record->header.flags & WSC_FLAG_CLEAN) != 0;
  emit(traffic, "Closed", g_variant_new("(tqsb)", id, record->header.code, reason, clean), record->header.size);
  return NULL;
}

static const char *take_error(struct wsd_traffic *traffic, const struct wsc_record *record) {
  struct wsc_text text = {(const char *)record->body + 4, record->header.size - 4};
  g_autofree char *sentence = wsd_peer_text(text);
  if (record->header.connection != 0 && !wsd_traffic_find(traffic, record->header.connection))
    return "ERROR of a connection that is not there";
  emit(traffic, "Error", g_variant_new("(us)", wsc_get_u32(record->body), sentence), record->header.size);
  return NULL;
}

static const char *take_drained(struct wsd_traffic *traffic, const struct wsc_record *record) {
  struct connection *connection = wsd_traffic_find(traffic, record->header.connection);
  if (!connection)
    return "DRAINED of a connection that is not there";
  connection->wants_drained = false;
  emit(traffic, "Drained", g_variant_new("(t)", connection->id), 0);
  return NULL;
}

static const char *take_credit(struct wsd_traffic *traffic, const struct wsc_record *record) {
  struct connection *connection = wsd_traffic_find(traffic, record->header.connection);
  guint64 released = wsc_get_u64(record->body);
  if (!connection)
    return NULL; /* its CLOSED may be on the way already */
  if (released > connection->charged)
    return "more credit than was charged";
  connection->released = MAX(connection->released, released);
  return NULL;
}

static const char *take_record(struct wsd_traffic *traffic, const struct wsc_record *record) {
  if (record->header.type == WSC_WELCOME)
    return traffic->welcomed ? "a second WELCOME" : take_welcome(traffic, record);
  if (!traffic->welcomed)
    return "the first record is not WELCOME";
  switch (record->header.type) {
  case WSC_STANDING:
    return take_standing(traffic, record);
  case WSC_CREDIT:
    return take_credit(traffic, record);
  case WSC_CONNECT:
    return take_connect(traffic, record);
  case WSC_MESSAGE:
    return take_message(traffic, record);
  case WSC_CLOSED:
    return take_closed(traffic, record);
  case WSC_ERROR:
    return take_error(traffic, record);
  case WSC_DRAINED:
    return take_drained(traffic, record);
  default:
    return "a record of unknown type";
  }
}

static const char *on_record(void *user, const struct wsc_record *record) {
  struct wsd_traffic *traffic = user;
  const char *fault = take_record(traffic, record);
  if (fault || !traffic->catching_up)
    return fault;
  if (record->header.type == WSC_STANDING && traffic->standing_left > 0)
    traffic->standing_left--;
  if (wsc_type_is_event(record->header.type) && traffic->repeats_left > 0)
    traffic->repeats_left--;
  if (traffic->standing_left == 0 && traffic->repeats_left == 0)
    wsd_traffic_stop_catching_up(traffic);
  wsd_traffic_release_early_calls(traffic);
  return NULL;
}

static bool on_ready(void *user, const struct wsc_record *record) {
  struct wsd_traffic *traffic = user;
  if (!wsc_type_is_event(record->header.type))
    return true;
  if (!traffic->open || traffic->held)
    return false;
  if (wsd_lane_has_room(traffic->lane, record->header.size))
    return true;
  wsd_lane_want_room(traffic->lane);
  return false;
}

static void on_ended(void *user, const char *fault) {
  struct wsd_traffic *traffic = user;
  traffic->events.ended(traffic->user, fault);
}

static void on_written(void *user) {
  struct wsd_traffic *traffic = user;
  struct pending *pending;
  while (traffic->channel && (pending = g_queue_peek_head(&traffic->pending)) &&
         pending->position <= wsd_channel_written(traffic->channel)) {
    g_queue_pop_head(&traffic->pending);
    wsd_call_return(pending->call, pending->values);
    g_clear_pointer(&pending->values, g_variant_unref);
    g_free(pending);
  }
}

/* Life of the link */

static void link_to(struct wsd_traffic *traffic, int fd, guint64 generation, guint64 max_message) {
  static const struct wsd_channel_events channel_events = {on_ready, on_record, on_ended};
  g_assert(!traffic->channel);
  traffic->generation = generation;
  traffic->last_id = generation << 32;
  traffic->max_message = max_message;
  traffic->welcomed = traffic->open = false;
  traffic->stale = traffic->from_worker;
  traffic->acknowledged = 0;
  wsd_traffic_stop_catching_up(traffic);
  traffic->channel = wsd_channel_new(fd, max_message, &channel_events, traffic);
  wsd_channel_on_written(traffic->channel, on_written);
}

void wsd_traffic_attach(struct wsd_traffic *traffic, int fd, guint64 generation, guint64 max_message) {
  traffic->adopts = false;
  link_to(traffic, fd, generation, max_message);
}

static gboolean on_catch_up_timeout(gpointer data) {
  struct wsd_traffic *traffic = data;
  traffic->catch_up_timeout = 0;
  wsd_traffic_stop_catching_up(traffic);
  wsd_traffic_release_early_calls(traffic);
  return G_SOURCE_REMOVE;
}

void wsd_traffic_adopt(struct wsd_traffic *traffic, int fd, guint64 generation, guint64 max_message,
                       guint64 events_before, bool settled) {
  traffic->adopts = true;
  traffic->settled = settled;
  traffic->events_before = events_before;
  link_to(traffic, fd, generation, max_message);
  traffic->catching_up = true;
  traffic->catch_up_timeout = g_timeout_add(WSD_CATCH_UP_MS, on_catch_up_timeout, traffic);
}

guint64 wsd_traffic_emitted(const struct wsd_traffic *traffic) {
  return wsd_lane_emitted(traffic->lane);
}

void wsd_traffic_restore(struct wsd_traffic *traffic, guint64 emitted) {
  wsd_lane_restore(traffic->lane, emitted, 0);
}

void wsd_traffic_hold(struct wsd_traffic *traffic) {
  traffic->held = true;
}

bool wsd_traffic_settle(struct wsd_traffic *traffic) {
  if (!traffic->channel || !traffic->welcomed)
    return false;
  traffic->acknowledged += traffic->from_worker - traffic->stale;
  traffic->stale = traffic->from_worker; /* when they are delivered, they are acknowledged already */
  g_clear_handle_id(&traffic->acknowledge_source, g_source_remove);
  send_acknowledge(traffic);
  return wsd_channel_flush(traffic->channel, WSD_SETTLE_MS);
}

int wsd_traffic_hand_over(struct wsd_traffic *traffic) {
  traffic->held = true;
  bool settled = !traffic->catching_up && g_queue_is_empty(&traffic->early) && wsd_traffic_settle(traffic);
  if (settled)
    on_written(traffic);
  traffic->held = false;
  if (!settled) {
    on_room(traffic);
    return -1;
  }
  int fd = wsd_channel_duplicate(traffic->channel);
  if (fd < 0)
    return -1;
  wsd_traffic_let_go(traffic);
  return fd;
}

void wsd_traffic_forget_connections(struct wsd_traffic *traffic) {
  g_hash_table_remove_all(traffic->connections);
}

void wsd_traffic_let_go(struct wsd_traffic *traffic) {
  g_clear_handle_id(&traffic->acknowledge_source, g_source_remove);
  g_clear_pointer(&traffic->channel, wsd_channel_free);
}

void wsd_traffic_open(struct wsd_traffic *traffic) {
  traffic->open = true;
  if (traffic->channel)
    wsd_channel_resume(traffic->channel);
}

void wsd_traffic_drain(struct wsd_traffic *traffic) {
  if (traffic->channel)
    wsd_channel_drain(traffic->channel);
}

void wsd_traffic_detach(struct wsd_traffic *traffic) {
  wsd_traffic_drain(traffic);
  g_clear_handle_id(&traffic->acknowledge_source, g_source_remove);
  g_clear_pointer(&traffic->channel, wsd_channel_free);
}

void wsd_traffic_close_all(struct wsd_traffic *traffic, guint16 code, const char *reason) {
  GHashTableIter iterator;
  gpointer value;
  g_hash_table_iter_init(&iterator, traffic->connections);
  while (g_hash_table_iter_next(&iterator, NULL, &value)) {
    guint64 id = ((struct connection *)value)->id;
    wsd_lane_emit(traffic->lane, "Closed", g_variant_new("(tqsb)", id, code, reason, FALSE), 0, false);
    g_hash_table_iter_remove(&iterator);
  }
}

void wsd_traffic_fail_calls(struct wsd_traffic *traffic, enum wsd_error error, const char *text) {
  struct pending *pending;
  while ((pending = g_queue_pop_head(&traffic->pending))) {
    wsd_call_fail(pending->call, error, "%s", text);
    g_clear_pointer(&pending->values, g_variant_unref);
    g_free(pending);
  }
  struct early_call *early;
  while ((early = g_queue_pop_head(&traffic->early))) {
    wsd_call_fail(early->call, error, "%s", text);
    g_free(early);
  }
  struct wsd_call *acknowledgement;
  while ((acknowledgement = g_queue_pop_head(&traffic->early_acknowledgements)))
    wsd_call_fail(acknowledgement, error, "%s", text);
  wsd_traffic_stop_catching_up(traffic);
}

void wsd_traffic_error(struct wsd_traffic *traffic, enum wsd_error error, const char *text) {
  wsd_lane_emit(traffic->lane, "Error", g_variant_new("(us)", wsd_error_number(error), text), 0, false);
}

gsize wsd_traffic_queued(const struct wsd_traffic *traffic) {
  return traffic->channel ? wsd_channel_queued(traffic->channel) : 0;
}
