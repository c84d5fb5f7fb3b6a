/* SPDX-License-Identifier: Apache-2.0 */
#include "client-lib/connection-private.h"

#include "client-lib/details.h"
#include "client-lib/error-private.h"
#include "client-lib/message-private.h"
#include "websocket/utf8.h"

#include <string.h>

G_DEFINE_FINAL_TYPE(WsConnection, ws_connection, G_TYPE_OBJECT)

enum {
  PROP_ID = 1,
  PROP_CLIENT_IP,
  PROP_CLIENT_PORT,
  PROP_PATH,
  PROP_QUERY,
  PROP_ORIGIN,
  PROP_PROTOCOL,
  PROP_CLIENT_SUBJECT,
  PROP_TLS,
  PROP_CONNECTED_AT,
  PROP_QUEUED,
  PROPERTIES,
};
static GParamSpec *properties[PROPERTIES];

static GQuark headers_quark(void) {
  return g_quark_from_static_string("ws-connection-headers");
}

WsConnection *ws_connection_new(guint64 id, struct ws_delivery *delivery, void *link) {
  WsConnection *self = g_object_new(WS_TYPE_CONNECTION, NULL);
  self->id = id;
  self->delivery = delivery;
  self->link = link;
  return self;
}

void ws_connection_take_details(WsConnection *self, struct ws_details *details) {
  g_free(self->details);
  self->details = details;
}

void ws_connection_lend_headers(WsConnection *self, GHashTable *headers) {
  g_object_set_qdata(G_OBJECT(self), headers_quark(), headers);
}

guint64 ws_connection_get_id(WsConnection *self) {
  g_return_val_if_fail(WS_IS_CONNECTION(self), 0);
  return self->id;
}

static char *get_text(WsConnection *self, enum ws_details_text which) {
  g_return_val_if_fail(WS_IS_CONNECTION(self), NULL);
  return self->details != NULL ? ws_details_get_text(self->details, which) : g_strdup("");
}

char *ws_connection_get_client_ip(WsConnection *self) {
  g_return_val_if_fail(WS_IS_CONNECTION(self), NULL);
  return self->details != NULL ? ws_details_get_client_ip(self->details) : g_strdup("");
}

guint16 ws_connection_get_client_port(WsConnection *self) {
  g_return_val_if_fail(WS_IS_CONNECTION(self), 0);
  return self->details != NULL ? ws_details_get_client_port(self->details) : 0;
}

char *ws_connection_get_path(WsConnection *self) {
  return get_text(self, WS_DETAILS_PATH);
}

char *ws_connection_get_query(WsConnection *self) {
  return get_text(self, WS_DETAILS_QUERY);
}

char *ws_connection_get_origin(WsConnection *self) {
  return get_text(self, WS_DETAILS_ORIGIN);
}

char *ws_connection_get_protocol(WsConnection *self) {
  return get_text(self, WS_DETAILS_PROTOCOL);
}

char *ws_connection_get_client_subject(WsConnection *self) {
  return get_text(self, WS_DETAILS_SUBJECT);
}

gboolean ws_connection_is_tls(WsConnection *self) {
  g_return_val_if_fail(WS_IS_CONNECTION(self), FALSE);
  return self->details != NULL && ws_details_is_tls(self->details);
}

gint64 ws_connection_get_connected_at(WsConnection *self) {
  g_return_val_if_fail(WS_IS_CONNECTION(self), 0);
  return self->details != NULL ? ws_details_get_connected_at(self->details) : 0;
}

GHashTable *ws_connection_get_headers(WsConnection *self) {
  g_return_val_if_fail(WS_IS_CONNECTION(self), NULL);
  GHashTable *headers = g_object_get_qdata(G_OBJECT(self), headers_quark());
  return headers != NULL ? g_hash_table_ref(headers) : g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

gboolean ws_connection_is_open(WsConnection *self) {
  g_return_val_if_fail(WS_IS_CONNECTION(self), FALSE);
  return self->delivery != NULL && !self->delivery->class->is_closing(self);
}

guint64 ws_connection_get_queued(WsConnection *self) {
  g_return_val_if_fail(WS_IS_CONNECTION(self), 0);
  if (self->delivery == NULL)
    return 0;
  return self->delivery->class->get_sent(self) - self->delivery->class->get_written(self);
}

/* --- Sending --- */

static gboolean send_message(WsConnection *self, const WsMessage *message, GError **error) {
  enum ws_channel_result result = WS_CHANNEL_GONE;
  if (self->delivery != NULL)
    result =
        ws_connection_has_waiting(self) ? WS_CHANNEL_WOULD_BLOCK : self->delivery->class->send(self, message, false);
  if (result == WS_CHANNEL_SENT)
    return TRUE;
  ws_error_set_result(error, result);
  return FALSE;
}

gboolean ws_connection_send(WsConnection *self, WsMessage *message, GError **error) {
  g_return_val_if_fail(WS_IS_CONNECTION(self), FALSE);
  g_return_val_if_fail(message != NULL, FALSE);
  return send_message(self, message, error);
}

/* The caller's memory, which nobody may keep: whoever needs it for longer copies it. */
static WsMessage borrow(const void *data, gsize length, bool text) {
  return (WsMessage){.references = 1, .text = text, .lent = true, .data = data, .length = length};
}

gboolean ws_connection_send_text(WsConnection *self, const char *text, GError **error) {
  g_return_val_if_fail(WS_IS_CONNECTION(self), FALSE);
  g_return_val_if_fail(text != NULL, FALSE);
  const WsMessage message = borrow(text, strlen(text), true);
  if (wsp_utf8_is_valid(message.data, message.length))
    return send_message(self, &message, error);
  ws_error_set_result(error, WS_CHANNEL_INVALID);
  return FALSE;
}

gboolean ws_connection_send_data(WsConnection *self, const guint8 *data, gsize length, GError **error) {
  g_return_val_if_fail(WS_IS_CONNECTION(self), FALSE);
  g_return_val_if_fail(data != NULL || length == 0, FALSE);
  const WsMessage message = borrow(data, length, false);
  return send_message(self, &message, error);
}

gboolean ws_connection_close(WsConnection *self, guint16 code, const char *reason, GError **error) {
  g_return_val_if_fail(WS_IS_CONNECTION(self) && ws_connection_is_ours(self), FALSE);
  enum ws_channel_result result = WS_CHANNEL_GONE;
  if (self->delivery != NULL)
    result = self->delivery->class->close(self, code, reason != NULL ? reason : "");
  if (result == WS_CHANNEL_SENT)
    return TRUE;
  if (result == WS_CHANNEL_INVALID)
    g_set_error_literal(
        error, WS_ERROR, WS_ERROR_INVALID_ARGUMENT,
        "code or reason: codes are 1000-1003, 1007-1014 and 3000-4999, reasons UTF-8 of at most 123 octets");
  else
    ws_error_set_result(error, result);
  return FALSE;
}

/* --- GObject --- */

static void get_property(GObject *object, guint property, GValue *value, GParamSpec *spec) {
  WsConnection *self = WS_CONNECTION(object);
  switch (property) {
  case PROP_ID:
    g_value_set_uint64(value, self->id);
    break;
  case PROP_CLIENT_IP:
    g_value_take_string(value, ws_connection_get_client_ip(self));
    break;
  case PROP_CLIENT_PORT:
    g_value_set_uint(value, ws_connection_get_client_port(self));
    break;
  case PROP_PATH:
    g_value_take_string(value, ws_connection_get_path(self));
    break;
  case PROP_QUERY:
    g_value_take_string(value, ws_connection_get_query(self));
    break;
  case PROP_ORIGIN:
    g_value_take_string(value, ws_connection_get_origin(self));
    break;
  case PROP_PROTOCOL:
    g_value_take_string(value, ws_connection_get_protocol(self));
    break;
  case PROP_CLIENT_SUBJECT:
    g_value_take_string(value, ws_connection_get_client_subject(self));
    break;
  case PROP_TLS:
    g_value_set_boolean(value, ws_connection_is_tls(self));
    break;
  case PROP_CONNECTED_AT:
    g_value_set_int64(value, ws_connection_get_connected_at(self));
    break;
  case PROP_QUEUED:
    g_value_set_uint64(value, ws_connection_get_queued(self));
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID(object, property, spec);
  }
}

static void finalize(GObject *object) {
  WsConnection *self = WS_CONNECTION(object);
  g_free(self->details);
  G_OBJECT_CLASS(ws_connection_parent_class)->finalize(object);
}

static void ws_connection_init(WsConnection *self) {
  (void)self;
}

#define READABLE (G_PARAM_READABLE | G_PARAM_STATIC_STRINGS)

static void ws_connection_class_init(WsConnectionClass *class) {
  GObjectClass *object_class = G_OBJECT_CLASS(class);
  object_class->get_property = get_property;
  object_class->finalize = finalize;

  /**
   * WsConnection:id:
   *
   * The number of the connection.
   */
  properties[PROP_ID] = g_param_spec_uint64("id", NULL, NULL, 0, G_MAXUINT64, 0, READABLE);
  /**
   * WsConnection:client-ip:
   *
   * The peer's address.
   */
  properties[PROP_CLIENT_IP] = g_param_spec_string("client-ip", NULL, NULL, NULL, READABLE);
  /**
   * WsConnection:client-port:
   *
   * The peer's port.
   */
  properties[PROP_CLIENT_PORT] = g_param_spec_uint("client-port", NULL, NULL, 0, G_MAXUINT16, 0, READABLE);
  /**
   * WsConnection:path:
   *
   * The path the peer asked for.
   */
  properties[PROP_PATH] = g_param_spec_string("path", NULL, NULL, NULL, READABLE);
  /**
   * WsConnection:query:
   *
   * What stood behind the question mark.
   */
  properties[PROP_QUERY] = g_param_spec_string("query", NULL, NULL, NULL, READABLE);
  /**
   * WsConnection:origin:
   *
   * The web page's origin.
   */
  properties[PROP_ORIGIN] = g_param_spec_string("origin", NULL, NULL, NULL, READABLE);
  /**
   * WsConnection:protocol:
   *
   * The subprotocol agreed on.
   */
  properties[PROP_PROTOCOL] = g_param_spec_string("protocol", NULL, NULL, NULL, READABLE);
  /**
   * WsConnection:client-subject:
   *
   * The subject of the peer's certificate.
   */
  properties[PROP_CLIENT_SUBJECT] = g_param_spec_string("client-subject", NULL, NULL, NULL, READABLE);
  /**
   * WsConnection:tls:
   *
   * Whether it is encrypted.
   */
  properties[PROP_TLS] = g_param_spec_boolean("tls", NULL, NULL, FALSE, READABLE);
  /**
   * WsConnection:connected-at:
   *
   * When it was established, in microseconds since the epoch.
   */
  properties[PROP_CONNECTED_AT] = g_param_spec_int64("connected-at", NULL, NULL, 0, G_MAXINT64, 0, READABLE);
  /**
   * WsConnection:queued:
   *
   * How much waits for this peer, see [method@Connection.get_queued]. Not notified.
   */
  properties[PROP_QUEUED] = g_param_spec_uint64("queued", NULL, NULL, 0, G_MAXUINT64, 0, READABLE);
  g_object_class_install_properties(object_class, PROPERTIES, properties);
}
