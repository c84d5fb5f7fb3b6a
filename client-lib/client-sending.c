/* SPDX-License-Identifier: Apache-2.0 */
/* How the messages of a client leave. */
#include "client-lib/client-private.h"
#include "client-lib/error-private.h"
#include "client-lib/message-private.h"

#include <string.h>

static enum ws_channel_result send_now(WsClient *self, const WsMessage *message) {
  gsize length;
  const guint8 *data = ws_message_peek(message, &length);
  if (self->link == NULL || self->state != WS_CLIENT_STATE_OPEN)
    return WS_CHANNEL_GONE;
  return ws_link_send(self->link, message->text, data, length);
}

void ws_client_set_send_error(GError **error, enum ws_channel_result result) {
  if (result == WS_CHANNEL_GONE)
    g_set_error_literal(error, WS_ERROR, WS_ERROR_NOT_RUNNING, "the connection is not open: connect first");
  else if (result == WS_CHANNEL_WOULD_BLOCK)
    g_set_error_literal(error, WS_ERROR, WS_ERROR_WOULD_BLOCK,
                        "too much waits for the server: send again when drained is emitted");
  else
    ws_error_set_result(error, result);
}

gboolean ws_client_send(WsClient *self, WsMessage *message, GError **error) {
  g_return_val_if_fail(WS_IS_CLIENT(self), FALSE);
  g_return_val_if_fail(message != NULL, FALSE);
  enum ws_channel_result result = ws_sends_have_waiting(self->sends) ? WS_CHANNEL_WOULD_BLOCK : send_now(self, message);
  if (result == WS_CHANNEL_SENT)
    return TRUE;
  ws_client_set_send_error(error, result);
  return FALSE;
}

gboolean ws_client_send_text(WsClient *self, const char *text, GError **error) {
  g_return_val_if_fail(text != NULL, FALSE);
  g_autoptr(GBytes) bytes = g_bytes_new_static(text, strlen(text));
  g_autoptr(WsMessage) message = ws_message_new_text_from_bytes(bytes, error);
  return message != NULL && ws_client_send(self, message, error);
}

gboolean ws_client_send_data(WsClient *self, const guint8 *data, gsize length, GError **error) {
  g_return_val_if_fail(data != NULL || length == 0, FALSE);
  g_autoptr(GBytes) bytes = g_bytes_new_static(data, length);
  g_autoptr(WsMessage) message = ws_message_new_binary(bytes);
  return ws_client_send(self, message, error);
}

static enum ws_channel_result sends_send(GObject *owner, const WsMessage *message) {
  return send_now(WS_CLIENT(owner), message);
}

static guint64 sends_get_sent(GObject *owner) {
  WsClient *self = WS_CLIENT(owner);
  return self->link != NULL ? ws_link_get_sent(self->link) : 0;
}

static guint64 sends_get_written(GObject *owner) {
  WsClient *self = WS_CLIENT(owner);
  return self->link != NULL ? ws_link_get_written(self->link) : 0;
}

/* Only while somebody waits does the link tell when something was written. */
static void sends_changed(GObject *owner, bool is_waiting) {
  WsClient *self = WS_CLIENT(owner);
  (void)is_waiting;
  if (self->link != NULL)
    ws_link_want_written(self->link, self->sends != NULL);
}

static const struct ws_sends_class sends_class = {
    .send = sends_send,
    .get_sent = sends_get_sent,
    .get_written = sends_get_written,
    .changed = sends_changed,
    .set_error = ws_client_set_send_error,
};

void ws_client_send_async(WsClient *self, WsMessage *message, GCancellable *cancellable, GAsyncReadyCallback callback,
                          gpointer user_data) {
  g_return_if_fail(WS_IS_CLIENT(self) && ws_client_is_ours(self));
  g_return_if_fail(message != NULL);
  GTask *task = g_task_new(self, cancellable, callback, user_data);
  g_task_set_source_tag(task, ws_client_send_async);
  ws_sends_begin(&self->sends, &sends_class, task, message);
}

gboolean ws_client_send_finish(WsClient *self, GAsyncResult *result, GError **error) {
  g_return_val_if_fail(g_task_is_valid(result, self), FALSE);
  return g_task_propagate_boolean(G_TASK(result), error);
}
