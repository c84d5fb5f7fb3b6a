/* SPDX-License-Identifier: Apache-2.0 */
#include "client-lib/client-connect.h"
#include "client-lib/client-private.h"
#include "client-lib/details.h"
#include "client-lib/error-private.h"
#include "client-lib/marshal.h"
#include "client-lib/message-private.h"

G_DEFINE_FINAL_TYPE(WsClient, ws_client, G_TYPE_OBJECT)

G_DEFINE_ENUM_TYPE(WsClientState, ws_client_state, G_DEFINE_ENUM_VALUE(WS_CLIENT_STATE_CLOSED, "closed"),
                   G_DEFINE_ENUM_VALUE(WS_CLIENT_STATE_CONNECTING, "connecting"),
                   G_DEFINE_ENUM_VALUE(WS_CLIENT_STATE_OPEN, "open"),
                   G_DEFINE_ENUM_VALUE(WS_CLIENT_STATE_CLOSING, "closing"))

enum { PROP_STATE = 1, PROP_PROTOCOL, PROP_QUEUED, PROP_PAUSED, PROPERTIES };
static GParamSpec *properties[PROPERTIES];

enum {
  SIGNAL_OPEN,
  SIGNAL_HEADER_RECEIVE,
  SIGNAL_MESSAGE,
  SIGNAL_DATA_END,
  SIGNAL_CLOSE,
  SIGNAL_ERROR,
  SIGNAL_DRAINED,
  SIGNALS
};
static guint signals[SIGNALS];

WsClient *ws_client_new(void) {
  return g_object_new(WS_TYPE_CLIENT, NULL);
}

static void set_state(WsClient *self, WsClientState state) {
  if (self->state == state)
    return;
  self->state = state;
  g_object_notify_by_pspec(G_OBJECT(self), properties[PROP_STATE]);
}

static void emit_error(WsClient *self, const GError *error) {
  g_signal_emit(self, signals[SIGNAL_ERROR], 0, error);
}

/* --- Connecting --- */

static void stop_watching(WsClient *self, GTask *task) {
  GCancellable *given = g_task_get_cancellable(task);
  if (self->cancelled != 0)
    g_cancellable_disconnect(given, self->cancelled);
  self->cancelled = 0;
  if (self->timeout != NULL) {
    g_source_destroy(self->timeout);
    g_clear_pointer(&self->timeout, g_source_unref);
  }
  g_clear_object(&self->cancellable);
}

static void forget_terms(WsClient *self) {
  g_clear_pointer(&self->url, ws_url_free);
  g_clear_pointer(&self->terms, ws_client_terms_free);
}

/* Takes the error. What cancelled it says more than that it was. */
static GError *explain_cancelling(WsClient *self, GError *error) {
  GError *reason = NULL;
  if (self->is_closed)
    reason = g_error_new_literal(WS_ERROR, WS_ERROR_SHUTTING_DOWN, "the connection was closed before it was open");
  else if (self->is_late)
    reason = g_error_new(WS_ERROR, WS_ERROR_FAILED, "%s did not answer within %u seconds", self->url->authority,
                         self->terms->connect_timeout);
  if (reason == NULL)
    return error;
  g_error_free(error);
  return reason;
}

/* Takes the error. */
static void fail_connecting(WsClient *self, GError *error) {
  g_autoptr(GTask) task = g_steal_pointer(&self->connecting);
  error = explain_cancelling(self, error);
  stop_watching(self, task);
  forget_terms(self);
  set_state(self, WS_CLIENT_STATE_CLOSED);
  g_autoptr(GError) told = g_error_copy(error);
  g_task_return_error(task, error);
  emit_error(self, told);
}

/* --- What the link tells --- */

static GHashTable *collect_headers(const struct wsp_client_handshake *handshake) {
  GHashTable *headers = ws_headers_new();
  for (size_t i = 0; i < wsp_client_handshake_header_count(handshake); i++) {
    const struct wsp_header header = wsp_client_handshake_header(handshake, i);
    ws_headers_add(headers, header.name.text, header.name.length, header.value.text, header.value.length);
  }
  return headers;
}

static void emit_headers(WsClient *self, const struct wsp_client_handshake *handshake) {
  g_autoptr(GHashTable) headers = collect_headers(handshake);
  if (g_hash_table_size(headers) == 0)
    return;
  g_clear_pointer(&self->headers, g_hash_table_unref);
  self->headers = g_hash_table_ref(headers);
  g_signal_emit(self, signals[SIGNAL_HEADER_RECEIVE], 0, headers);
}

static void on_opened(void *user, const struct wsp_client_handshake *handshake) {
  g_autoptr(WsClient) self = g_object_ref(user);
  const struct wsp_slice protocol = wsp_client_handshake_protocol(handshake);
  g_autoptr(GTask) task = g_steal_pointer(&self->connecting);
  self->protocol = protocol.text != NULL ? g_strndup(protocol.text, protocol.length) : NULL;
  stop_watching(self, task);
  set_state(self, WS_CLIENT_STATE_OPEN);
  g_task_return_boolean(task, TRUE);
  emit_headers(self, handshake);
  g_signal_emit(self, signals[SIGNAL_OPEN], 0, wsp_client_handshake_status(handshake), "Switching Protocols");
}

static void on_failed(void *user, const struct wsp_client_handshake *handshake, GError *error) {
  g_autoptr(WsClient) self = g_object_ref(user);
  struct ws_link *link = g_steal_pointer(&self->link);
  if (handshake != NULL)
    emit_headers(self, handshake);
  ws_link_drop(link);
  fail_connecting(self, error);
}

static void on_message(void *user, bool text, const guint8 *data, gsize length) {
  g_autoptr(WsClient) self = g_object_ref(user);
  WsMessage *message = g_steal_pointer(&self->message); /* a main loop inside of a handler needs another */
  ws_message_lend(&message, text, data, length, NULL, NULL);
  g_signal_emit(self, signals[SIGNAL_MESSAGE], 0, message);
  ws_message_settle(&message);
  g_free(self->message);
  self->message = message;
}

static void on_data_ended(void *user) {
  g_autoptr(WsClient) self = g_object_ref(user);
  g_signal_emit(self, signals[SIGNAL_DATA_END], 0);
}

static void on_closed(void *user, guint16 code, const char *reason, bool clean, const GError *error) {
  g_autoptr(WsClient) self = g_object_ref(user);
  g_autofree char *kept = g_strdup(reason);
  ws_sends_take_written(&self->sends); /* before the end came, and not told yet */
  if (self->link != NULL)              /* whoever was told has not let go of the client */
    ws_link_release(g_steal_pointer(&self->link));
  g_clear_pointer(&self->protocol, g_free);
  ws_sends_end(&self->sends);
  set_state(self, WS_CLIENT_STATE_CLOSED);
  if (error != NULL)
    emit_error(self, error);
  g_signal_emit(self, signals[SIGNAL_CLOSE], 0, (guint)code, kept, (gboolean)clean);
}

static void on_drained(void *user) {
  g_autoptr(WsClient) self = g_object_ref(user);
  if (ws_sends_take_room(&self->sends))
    g_signal_emit(self, signals[SIGNAL_DRAINED], 0);
}

static void on_written(void *user) {
  g_autoptr(WsClient) self = g_object_ref(user);
  ws_sends_take_written(&self->sends);
}

static const struct ws_link_events link_events = {
    .opened = on_opened,
    .failed = on_failed,
    .message = on_message,
    .data_ended = on_data_ended,
    .closed = on_closed,
    .drained = on_drained,
    .written = on_written,
};

/* --- Connect --- */

static void on_socket(GObject *source, GAsyncResult *result, gpointer user) {
  g_autoptr(WsClient) self = user;
  GError *error = NULL;
  g_autoptr(GSocketConnection) connection = ws_client_connect_socket_finish(source, result, &error);
  if (self->connecting == NULL) /* it was disposed of meanwhile */
    g_clear_error(&error);
  else if (connection != NULL && !g_cancellable_set_error_if_cancelled(self->cancellable, &error))
    self->link = ws_link_new(connection, self->url, self->terms, self->context, &link_events, self, &error);
  if (error != NULL)
    fail_connecting(self, error);
  else if (self->link != NULL)
    ws_link_set_paused(self->link, self->paused);
}

/* Behind the connected socket nobody looks at the cancellable any more, so we do. */
static void cancel(WsClient *self) {
  g_cancellable_cancel(self->cancellable);
  if (self->link == NULL)
    return; /* whoever connects gives up */
  ws_link_drop(g_steal_pointer(&self->link));
  fail_connecting(self, g_error_new_literal(G_IO_ERROR, G_IO_ERROR_CANCELLED, "connecting was cancelled"));
}

static gboolean on_late(gpointer user) {
  WsClient *self = user;
  self->is_late = true;
  cancel(self);
  return G_SOURCE_REMOVE;
}

static gboolean cancel_here(gpointer user) {
  WsClient *self = user;
  if (self->connecting != NULL)
    cancel(self);
  return G_SOURCE_REMOVE;
}

/* In whichever thread. */
static void on_cancelled(GCancellable *cancellable, gpointer user) {
  WsClient *self = user;
  (void)cancellable;
  GSource *source = g_idle_source_new();
  g_source_set_priority(source, G_PRIORITY_DEFAULT);
  g_source_set_callback(source, cancel_here, g_object_ref(self), g_object_unref);
  g_source_attach(source, self->context);
  g_source_unref(source);
}

static void watch(WsClient *self, GCancellable *cancellable) {
  self->cancellable = g_cancellable_new();
  self->is_late = self->is_closed = false;
  if (self->terms->connect_timeout > 0) {
    self->timeout = g_timeout_source_new_seconds(self->terms->connect_timeout);
    g_source_set_callback(self->timeout, on_late, self, NULL);
    g_source_attach(self->timeout, self->context);
  }
  if (cancellable != NULL)
    self->cancelled = g_cancellable_connect(cancellable, G_CALLBACK(on_cancelled), g_object_ref(self), g_object_unref);
}

static struct ws_client_terms *terms_of(WsClientConfig *config) {
  g_autoptr(WsClientConfig) defaults = config == NULL ? ws_client_config_new() : NULL;
  return ws_client_config_to_terms(config != NULL ? config : defaults);
}

void ws_client_connect_async(WsClient *self, const char *url, WsClientConfig *config, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer user_data) {
  g_return_if_fail(WS_IS_CLIENT(self) && ws_client_is_ours(self));
  g_return_if_fail(url != NULL);
  GError *error = NULL;
  g_autoptr(GTask) task = g_task_new(self, cancellable, callback, user_data);
  g_task_set_source_tag(task, ws_client_connect_async);
  if (self->state != WS_CLIENT_STATE_CLOSED) {
    g_task_return_new_error(task, WS_ERROR, WS_ERROR_ALREADY_CONNECTED,
                            "the client is connected already, or about to be: close it first, or take another");
    return;
  }
  if (g_task_return_error_if_cancelled(task))
    return;
  struct ws_url *parsed = ws_url_parse(url, &error);
  if (parsed == NULL) {
    g_task_return_error(task, error);
    return;
  }
  g_task_set_check_cancellable(task, FALSE); /* what it came to is said where it is known */
  forget_terms(self);
  g_clear_pointer(&self->headers, g_hash_table_unref);
  self->url = parsed;
  self->terms = terms_of(config);
  self->connecting = g_steal_pointer(&task);
  set_state(self, WS_CLIENT_STATE_CONNECTING);
  watch(self, cancellable);
  ws_client_connect_socket(self->url, self->terms, self->cancellable, on_socket, g_object_ref(self));
}

gboolean ws_client_connect_finish(WsClient *self, GAsyncResult *result, GError **error) {
  g_return_val_if_fail(g_task_is_valid(result, self), FALSE);
  return g_task_propagate_boolean(G_TASK(result), error);
}

/* --- Closing --- */

gboolean ws_client_close(WsClient *self, guint16 code, const char *reason, GError **error) {
  g_return_val_if_fail(WS_IS_CLIENT(self) && ws_client_is_ours(self), FALSE);
  if (self->state == WS_CLIENT_STATE_CONNECTING) {
    self->is_closed = true;
    cancel(self);
    return TRUE;
  }
  enum ws_channel_result result =
      self->link != NULL ? ws_link_close(self->link, code, reason != NULL ? reason : "") : WS_CHANNEL_GONE;
  if (result == WS_CHANNEL_SENT)
    set_state(self, WS_CLIENT_STATE_CLOSING);
  else if (result == WS_CHANNEL_INVALID)
    g_set_error_literal(
        error, WS_ERROR, WS_ERROR_INVALID_ARGUMENT,
        "code or reason: codes are 1000-1003, 1007-1014 and 3000-4999, reasons UTF-8 of at most 123 octets");
  else
    ws_client_set_send_error(error, result);
  return result == WS_CHANNEL_SENT;
}

/* --- Questions --- */

WsClientState ws_client_get_state(WsClient *self) {
  g_return_val_if_fail(WS_IS_CLIENT(self), WS_CLIENT_STATE_CLOSED);
  return self->state;
}

const char *ws_client_get_protocol(WsClient *self) {
  g_return_val_if_fail(WS_IS_CLIENT(self), NULL);
  return self->protocol;
}

GHashTable *ws_client_get_headers(WsClient *self) {
  g_return_val_if_fail(WS_IS_CLIENT(self), NULL);
  return self->headers != NULL ? g_hash_table_ref(self->headers) : ws_headers_new();
}

guint64 ws_client_get_queued(WsClient *self) {
  g_return_val_if_fail(WS_IS_CLIENT(self), 0);
  return self->link != NULL ? ws_link_get_sent(self->link) - ws_link_get_written(self->link) : 0;
}

void ws_client_set_paused(WsClient *self, gboolean paused) {
  g_return_if_fail(WS_IS_CLIENT(self) && ws_client_is_ours(self));
  if (self->paused == (bool)paused)
    return;
  self->paused = paused;
  if (self->link != NULL)
    ws_link_set_paused(self->link, paused);
  g_object_notify_by_pspec(G_OBJECT(self), properties[PROP_PAUSED]);
}

gboolean ws_client_get_paused(WsClient *self) {
  g_return_val_if_fail(WS_IS_CLIENT(self), FALSE);
  return self->paused;
}

/* --- GObject --- */

static void get_property(GObject *object, guint property, GValue *value, GParamSpec *spec) {
  WsClient *self = WS_CLIENT(object);
  switch (property) {
  case PROP_STATE:
    g_value_set_enum(value, (gint)self->state);
    break;
  case PROP_PROTOCOL:
    g_value_set_string(value, self->protocol);
    break;
  case PROP_QUEUED:
    g_value_set_uint64(value, ws_client_get_queued(self));
    break;
  case PROP_PAUSED:
    g_value_set_boolean(value, self->paused);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID(object, property, spec);
  }
}

static void set_property(GObject *object, guint property, const GValue *value, GParamSpec *spec) {
  if (property == PROP_PAUSED)
    ws_client_set_paused(WS_CLIENT(object), g_value_get_boolean(value));
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID(object, property, spec);
}

static void dispose(GObject *object) {
  WsClient *self = WS_CLIENT(object);
  if (self->link != NULL)
    ws_link_drop(g_steal_pointer(&self->link));
  ws_sends_end(&self->sends);
  G_OBJECT_CLASS(ws_client_parent_class)->dispose(object);
}

static void finalize(GObject *object) {
  WsClient *self = WS_CLIENT(object);
  forget_terms(self);
  g_clear_pointer(&self->headers, g_hash_table_unref);
  g_free(self->protocol);
  g_free(self->message);
  g_main_context_unref(self->context);
  G_OBJECT_CLASS(ws_client_parent_class)->finalize(object);
}

static void ws_client_init(WsClient *self) {
  self->context = g_main_context_ref_thread_default();
}

#define READABLE (G_PARAM_READABLE | G_PARAM_STATIC_STRINGS)
#define NOTIFIED (READABLE | G_PARAM_EXPLICIT_NOTIFY)

static void install_properties(GObjectClass *class) {
  /**
   * WsClient:state:
   *
   * What the client is about.
   */
  properties[PROP_STATE] =
      g_param_spec_enum("state", NULL, NULL, WS_TYPE_CLIENT_STATE, WS_CLIENT_STATE_CLOSED, NOTIFIED);
  /**
   * WsClient:protocol:
   *
   * The subprotocol that the server chose.
   */
  properties[PROP_PROTOCOL] = g_param_spec_string("protocol", NULL, NULL, NULL, READABLE);
  /**
   * WsClient:queued:
   *
   * Octets that wait to be written to the socket. Not notified.
   */
  properties[PROP_QUEUED] = g_param_spec_uint64("queued", NULL, NULL, 0, G_MAXUINT64, 0, READABLE);
  /**
   * WsClient:paused:
   *
   * Whether messages are held back, see [method@Client.set_paused].
   */
  properties[PROP_PAUSED] = g_param_spec_boolean("paused", NULL, NULL, FALSE, NOTIFIED | G_PARAM_WRITABLE);
  g_object_class_install_properties(class, PROPERTIES, properties);
}

#define LENT(type) ((type) | G_SIGNAL_TYPE_STATIC_SCOPE)

static guint new_signal(const char *name, guint count, const GType *types) {
  return g_signal_newv(name, WS_TYPE_CLIENT, G_SIGNAL_RUN_LAST, NULL, NULL, NULL, NULL, G_TYPE_NONE, count,
                       (GType *)(guintptr)types);
}

static void install_signals(void) {
  const GType open[] = {G_TYPE_UINT, LENT(G_TYPE_STRING)}, headers[] = {G_TYPE_HASH_TABLE},
              message[] = {LENT(WS_TYPE_MESSAGE)};
  const GType close[] = {G_TYPE_UINT, LENT(G_TYPE_STRING), G_TYPE_BOOLEAN}, error[] = {LENT(G_TYPE_ERROR)};
  /**
   * WsClient::open:
   * @self: the client
   * @status: of the server's answer, 101
   * @text: what that status means
   *
   * The connection is open: messages go both ways.
   */
  signals[SIGNAL_OPEN] = new_signal("open", 2, open);
  /**
   * WsClient::header-receive:
   * @self: the client
   * @headers: (element-type utf8 utf8): name to value, names in lower case
   *
   * The server has answered the request, with 101 or with a refusal.
   */
  signals[SIGNAL_HEADER_RECEIVE] = new_signal("header-receive", 1, headers);
  /**
   * WsClient::message:
   * @self: the client
   * @message: what
   *
   * A whole message has arrived. Who wants to keep @message beyond the handler takes a reference.
   */
  signals[SIGNAL_MESSAGE] = new_signal("message", 1, message);
  /**
   * WsClient::data-end:
   * @self: the client
   *
   * The server will send nothing more. [signal@Client::close] follows.
   */
  signals[SIGNAL_DATA_END] = new_signal("data-end", 0, NULL);
  /**
   * WsClient::close:
   * @self: the client
   * @code: that of the first Close frame either side sent; 1005: it had none; 1006: there was no Close frame
   * @reason: what that frame gave as a reason
   * @clean: whether both sides sent one
   *
   * The connection has ended. Fine to connect again.
   */
  signals[SIGNAL_CLOSE] = new_signal("close", 3, close);
  /**
   * WsClient::error:
   * @self: the client
   * @error: what
   *
   * Connecting failed, or the connection ends because of this; [signal@Client::close] follows then.
   */
  signals[SIGNAL_ERROR] = new_signal("error", 1, error);
  /**
   * WsClient::drained:
   * @self: the client
   *
   * After %WS_ERROR_WOULD_BLOCK: messages may be sent again.
   */
  signals[SIGNAL_DRAINED] = new_signal("drained", 0, NULL);
}

static void ws_client_class_init(WsClientClass *class) {
  GObjectClass *object_class = G_OBJECT_CLASS(class);
  object_class->get_property = get_property;
  object_class->set_property = set_property;
  object_class->dispose = dispose;
  object_class->finalize = finalize;
  (void)ws_error_quark();
  install_properties(object_class);
  install_signals();
}
