/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of the app: Send, Broadcast, Close and Acknowledge become records for the worker. */
#include "daemon/limits.h"
#include "daemon/traffic-private.h"

#include <string.h>

/* Answers when everything up to `position` is in the socket. Takes floating `values`. */
static void answer_at(struct wsd_traffic *traffic, struct wsd_call *call, guint64 position, GVariant *values) {
  if (position == 0) {
    g_clear_pointer(&values, g_variant_unref);
    wsd_call_fail(call, WSD_ERROR_FAILED, "the server's process has just ended; Error and Closed tell what follows");
    return;
  }
  if (position <= wsd_channel_written(traffic->channel)) {
    wsd_call_return(call, values);
    return;
  }
  struct pending *pending = g_new(struct pending, 1);
  *pending = (struct pending){call, position, values ? g_variant_ref_sink(values) : NULL};
  g_queue_push_tail(&traffic->pending, pending);
}

bool wsd_traffic_is_text(const guint8 *data, gsize length) {
  /* GLib takes U+0000 for a fault, WebSocket text does not. */
  const guint8 *end = data + length;
  while (data < end) {
    const guint8 *zero = memchr(data, 0, (gsize)(end - data));
    const guint8 *stop = zero ? zero : end;
    if (!g_utf8_validate_len((const char *)data, (gsize)(stop - data), NULL))
      return false;
    data = zero ? zero + 1 : end;
  }
  return true;
}

/* True when the data may be sent; else the call was answered. */
static bool check_data(struct wsd_traffic *traffic, struct wsd_call *call, bool text, const guint8 *data,
                       gsize length) {
  if (length > traffic->max_message)
    wsd_call_fail(call, WSD_ERROR_MESSAGE_TOO_BIG,
                  "data: %" G_GSIZE_FORMAT " octets are more than maxMessageSize, which is %" G_GUINT64_FORMAT
                  "; send less at a time, or Start with more",
                  length, traffic->max_message);
  else if (text && !wsd_traffic_is_text(data, length))
    wsd_call_fail(call, WSD_ERROR_INVALID_ARGUMENT, "data: is not UTF-8; send it as binary, with text false");
  else
    return true;
  return false;
}

/* Asked once for each call, which may be to very many peers. */
static void ask_owner(struct wsd_traffic *traffic) {
  traffic->owner_has_room = !traffic->events.has_room || traffic->events.has_room(traffic->user);
}

/* Whether the peer's queue takes another message. If not, the worker is asked to say when it does. */
static bool may_queue(struct wsd_traffic *traffic, struct connection *connection) {
  if (connection->charged - connection->released < traffic->queue_high &&
      wsd_channel_queued(traffic->channel) < WSD_CHANNEL_QUEUE_HIGH && traffic->owner_has_room)
    return true;
  struct wsc_header header = {.type = WSC_WANT_DRAINED, .connection = connection->id};
  if (!connection->wants_drained)
    connection->wants_drained = wsd_channel_send(traffic->channel, &header, NULL, 0, NULL, 0) != 0;
  return false;
}

/* The connection, or NULL when the call was answered. */
static struct connection *find_for(struct wsd_traffic *traffic, struct wsd_call *call, guint64 id) {
  struct connection *connection = wsd_traffic_find(traffic, id);
  if (connection && !connection->closing && traffic->channel)
    return connection;
  wsd_call_fail(call, WSD_ERROR_CONNECTION_NOT_FOUND,
                "connection: there is no connection %" G_GUINT64_FORMAT
                " (any more); ListAllConnections names the open ones",
                id);
  return NULL;
}

static void send_now(struct wsd_traffic *traffic, struct wsd_call *call) {
  guint64 id;
  gboolean text;
  g_autoptr(GVariant) array = NULL;
  gsize length = 0;
  g_variant_get(call->arguments, "(tb@ay)", &id, &text, &array);
  const guint8 *data = g_variant_get_fixed_array(array, &length, 1);
  struct connection *connection = find_for(traffic, call, id);
  if (!connection || !check_data(traffic, call, text, data, length))
    return;
  ask_owner(traffic);
  if (!may_queue(traffic, connection)) {
    wsd_call_fail(call, WSD_ERROR_WOULD_BLOCK,
                  "connection: the queue of connection %" G_GUINT64_FORMAT " is full; send again after Drained", id);
    return;
  }
  struct wsc_header header = {.type = WSC_SEND, .flags = text ? WSC_FLAG_TEXT : 0, .connection = id};
  guint64 position = wsd_channel_send(traffic->channel, &header, NULL, 0, data, length);
  if (position > 0)
    connection->charged += WSC_MESSAGE_COST + length;
  answer_at(traffic, call, position, NULL);
}

/* Appends the connection to the targets unless it is closing, full, or there already. */
static void add_target(struct wsd_traffic *traffic, GHashTable *seen, GByteArray *targets,
                       struct connection *connection) {
  if (!connection || connection->closing || !g_hash_table_add(seen, connection) || !may_queue(traffic, connection))
    return;
  guint8 id[8];
  wsc_put_u64(id, connection->id);
  g_byte_array_append(targets, id, sizeof id);
}

/* The BROADCAST record's list: u32 count, u32 zero, ids. */
static GByteArray *collect_targets(struct wsd_traffic *traffic, const guint64 *ids, gsize count) {
  GByteArray *targets = g_byte_array_new();
  g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
  g_byte_array_set_size(targets, 8);
  memset(targets->data, 0, 8);
  GHashTableIter iterator;
  gpointer value;
  g_hash_table_iter_init(&iterator, traffic->connections);
  while (count == 0 && traffic->channel && g_hash_table_iter_next(&iterator, NULL, &value))
    add_target(traffic, seen, targets, value);
  for (gsize i = 0; i < count && traffic->channel; i++)
    add_target(traffic, seen, targets, wsd_traffic_find(traffic, ids[i]));
  wsc_put_u32(targets->data, (targets->len - 8) / 8);
  return targets;
}

static void charge_targets(struct wsd_traffic *traffic, const GByteArray *targets, gsize cost) {
  for (guint offset = 8; offset < targets->len; offset += 8)
    wsd_traffic_find(traffic, wsc_get_u64(targets->data + offset))->charged += cost;
}

static void broadcast_now(struct wsd_traffic *traffic, struct wsd_call *call) {
  gboolean text;
  g_autoptr(GVariant) id_array = NULL;
  g_autoptr(GVariant) array = NULL;
  gsize length = 0;
  gsize id_count = 0;
  g_variant_get(call->arguments, "(@atb@ay)", &id_array, &text, &array);
  const guint64 *ids = g_variant_get_fixed_array(id_array, &id_count, sizeof *ids);
  const guint8 *data = g_variant_get_fixed_array(array, &length, 1);
  if (!check_data(traffic, call, text, data, length))
    return;
  if (id_count > WSC_BROADCAST_TARGETS_MAX) {
    wsd_call_fail(call, WSD_ERROR_INVALID_ARGUMENT, "connections: at most %u; an empty list means all",
                  WSC_BROADCAST_TARGETS_MAX);
    return;
  }
  ask_owner(traffic);
  g_autoptr(GByteArray) targets = collect_targets(traffic, ids, id_count);
  guint32 count = (targets->len - 8) / 8;
  if (count == 0) {
    wsd_call_return(call, g_variant_new("(u)", 0));
    return;
  }
  struct wsc_header header = {.type = WSC_BROADCAST, .flags = text ? WSC_FLAG_TEXT : 0};
  guint64 position = wsd_channel_send(traffic->channel, &header, targets->data, targets->len, data, length);
  if (position > 0)
    charge_targets(traffic, targets, WSC_MESSAGE_COST + length);
  answer_at(traffic, call, position, g_variant_new("(u)", count));
}

static bool is_legal_code(guint16 code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

bool wsd_traffic_read_close(struct wsd_call *call, struct wsd_close_request *request) {
  g_variant_get(call->arguments, "(tq&s)", &request->connection, &request->code, &request->reason);
  if (request->code == 0)
    request->code = 1000;
  if (!is_legal_code(request->code))
    wsd_call_fail(call, WSD_ERROR_INVALID_ARGUMENT,
                  "code: %u may not be sent; legal are 0 (for 1000), 1000-1003, 1007-1014 and 3000-4999",
                  request->code);
  else if (strlen(request->reason) > WSC_REASON_MAX)
    wsd_call_fail(call, WSD_ERROR_INVALID_ARGUMENT, "reason: has %" G_GSIZE_FORMAT " octets, at most %u are allowed",
                  strlen(request->reason), WSC_REASON_MAX);
  else
    return true;
  return false;
}

static void close_now(struct wsd_traffic *traffic, struct wsd_call *call) {
  struct wsd_close_request request;
  if (!wsd_traffic_read_close(call, &request))
    return;
  struct connection *connection = find_for(traffic, call, request.connection);
  if (!connection)
    return;
  struct wsc_header header = {.type = WSC_CLOSE, .code = request.code, .connection = request.connection};
  guint64 position = wsd_channel_send(traffic->channel, &header, NULL, 0, request.reason, strlen(request.reason));
  connection->closing = position > 0;
  answer_at(traffic, call, position, NULL);
}

/* Calls while an adopted worker names its connections. Each is named in the order of the ids: by STANDING, or, where the app may have
 * heard of it from an earlier process of the service only just before that ended, by a repeated CONNECT. */

void wsd_traffic_stop_catching_up(struct wsd_traffic *traffic) {
  traffic->catching_up = false;
  g_clear_handle_id(&traffic->catch_up_timeout, g_source_remove);
}

static bool is_too_early(const struct wsd_traffic *traffic, const struct early_call *early) {
  if (!traffic->catching_up)
    return false;
  if (!traffic->welcomed || traffic->standing_left > 0)
    return true;
  if (early->carry_out == broadcast_now)
    return traffic->repeats_left > 0;
  guint64 id;
  g_variant_get_child(early->call->arguments, 0, "t", &id);
  return wsd_traffic_is_new_id(traffic, id);
}

static void acknowledge_now(struct wsd_traffic *traffic, struct wsd_call *call) {
  guint64 events;
  g_variant_get(call->arguments, "(t)", &events);
  if (wsd_lane_acknowledge(traffic->lane, events))
    wsd_call_return(call, NULL);
  else
    wsd_call_fail(call, WSD_ERROR_INVALID_ARGUMENT,
                  "events: only %" G_GUINT64_FORMAT " event signals of this server were sent so far",
                  wsd_lane_emitted(traffic->lane));
}

/* Until its WELCOME nobody knows how many events the worker has had delivered. From then on nothing may wait before an
 * acknowledgement: what it makes room for may be what the other calls wait for. */
static bool is_counted(const struct wsd_traffic *traffic) {
  return traffic->welcomed || !traffic->catching_up;
}

void wsd_traffic_release_early_calls(struct wsd_traffic *traffic) {
  struct wsd_call *acknowledgement;
  while (is_counted(traffic) && (acknowledgement = g_queue_pop_head(&traffic->early_acknowledgements)))
    acknowledge_now(traffic, acknowledgement);
  struct early_call *early;
  while ((early = g_queue_peek_head(&traffic->early)) && !is_too_early(traffic, early)) {
    g_queue_pop_head(&traffic->early);
    early->carry_out(traffic, early->call);
    g_free(early);
  }
}

static void carry_out(struct wsd_traffic *traffic, struct wsd_call *call, carry_out_call now) {
  struct early_call *early = g_new(struct early_call, 1);
  *early = (struct early_call){call, now};
  g_queue_push_tail(&traffic->early, early);
  wsd_traffic_release_early_calls(traffic);
}

void wsd_traffic_send(struct wsd_traffic *traffic, struct wsd_call *call) {
  carry_out(traffic, call, send_now);
}

void wsd_traffic_broadcast(struct wsd_traffic *traffic, struct wsd_call *call) {
  carry_out(traffic, call, broadcast_now);
}

void wsd_traffic_close(struct wsd_traffic *traffic, struct wsd_call *call) {
  carry_out(traffic, call, close_now);
}

void wsd_traffic_acknowledge(struct wsd_traffic *traffic, struct wsd_call *call) {
  g_queue_push_tail(&traffic->early_acknowledgements, call);
  wsd_traffic_release_early_calls(traffic);
}
