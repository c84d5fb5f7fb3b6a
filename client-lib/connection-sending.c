/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of a connection whose sender wants to know when they are written. */
#include "client-lib/connection-private.h"
#include "client-lib/error-private.h"
#include "client-lib/sends.h"

static enum ws_channel_result send_message(GObject *owner, const WsMessage *message) {
  WsConnection *self = WS_CONNECTION(owner);
  return self->delivery != NULL ? self->delivery->class->send(self, message, true) : WS_CHANNEL_GONE;
}

static guint64 get_sent(GObject *owner) {
  WsConnection *self = WS_CONNECTION(owner);
  return self->delivery != NULL ? self->delivery->class->get_sent(self) : 0;
}

static guint64 get_written(GObject *owner) {
  WsConnection *self = WS_CONNECTION(owner);
  return self->delivery != NULL ? self->delivery->class->get_written(self) : 0;
}

/* No broadcast overtakes those that wait. */
static void hold(GObject *owner, bool is_waiting) {
  WsConnection *self = WS_CONNECTION(owner);
  if (self->delivery != NULL)
    self->delivery->class->hold(self, is_waiting);
}

static const struct ws_sends_class sends_class = {
    .send = send_message,
    .get_sent = get_sent,
    .get_written = get_written,
    .changed = hold,
    .set_error = ws_error_set_result,
};

bool ws_connection_has_waiting(const WsConnection *self) {
  return ws_sends_have_waiting(self->sends);
}

void ws_connection_send_async(WsConnection *self, WsMessage *message, GCancellable *cancellable,
                              GAsyncReadyCallback callback, gpointer user_data) {
  g_return_if_fail(WS_IS_CONNECTION(self) && ws_connection_is_ours(self));
  g_return_if_fail(message != NULL);
  GTask *task = g_task_new(self, cancellable, callback, user_data);
  g_task_set_source_tag(task, ws_connection_send_async);
  ws_sends_begin(&self->sends, &sends_class, task, message);
}

gboolean ws_connection_send_finish(WsConnection *self, GAsyncResult *result, GError **error) {
  g_return_val_if_fail(g_task_is_valid(result, self), FALSE);
  return g_task_propagate_boolean(G_TASK(result), error);
}

void ws_connection_take_written(WsConnection *self) {
  if (self->delivery != NULL)
    ws_sends_take_written(&self->sends);
}

bool ws_connection_take_drained(WsConnection *self) {
  return ws_sends_take_room(&self->sends);
}

void ws_connection_take_closed(WsConnection *self) {
  if (self->delivery != NULL && self->delivery->class->forget != NULL)
    self->delivery->class->forget(self);
  self->delivery = NULL;
  self->link = NULL;
  ws_sends_end(&self->sends);
}

void ws_connection_take_lost(WsConnection *self, const GError *error) {
  ws_sends_lose(&self->sends, error);
}
