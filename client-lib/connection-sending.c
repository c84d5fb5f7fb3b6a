/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of a connection whose sender wants to know when they are written. */
#include "client-lib/connection-private.h"
#include "client-lib/error-private.h"
#include "client-lib/limits.h"

/* One for each call of ws_connection_send_async() that has not completed. Those that wait for room stand behind those that are on their way. */
struct send {
  GTask *task;
  WsMessage *message; /* while it waits for room */
  guint64 done_at;    /* it is written when so much is written in total */
  gulong cancelled;   /* handler, while it waits */
};

struct sends {
  GQueue on_their_way; /* of struct send */
  GQueue waiting;
  gsize waiting_octets;
};

static struct sends *get_sends(WsConnection *self) {
  if (self->sends == NULL) {
    self->sends = g_new(struct sends, 1);
    *self->sends = (struct sends){G_QUEUE_INIT, G_QUEUE_INIT, 0};
  }
  return self->sends;
}

bool ws_connection_has_waiting(const WsConnection *self) {
  return self->sends != NULL && !g_queue_is_empty(&self->sends->waiting);
}

static void hold(WsConnection *self) {
  if (self->delivery != NULL)
    self->delivery->class->hold(self, ws_connection_has_waiting(self));
}

/* After some of them have completed. */
static void drop_sends_if_done(WsConnection *self) {
  hold(self);
  if (self->sends != NULL && g_queue_is_empty(&self->sends->on_their_way) && g_queue_is_empty(&self->sends->waiting))
    g_clear_pointer(&self->sends, g_free);
}

static void free_send(struct send *send) {
  g_clear_pointer(&send->message, ws_message_unref);
  g_object_unref(send->task);
  g_free(send);
}

/* Nobody cancels it from here on. Cancelling runs in any thread, and disconnecting waits for it. */
static void stop_watching(struct send *send) {
  GCancellable *cancellable = g_task_get_cancellable(send->task);
  if (send->cancelled != 0)
    g_cancellable_disconnect(cancellable, send->cancelled);
  send->cancelled = 0;
}

static void fail_send(struct send *send, enum ws_channel_result result) {
  GError *error = NULL;
  ws_error_set_result(&error, result);
  stop_watching(send);
  g_task_return_error(send->task, error);
  free_send(send);
}

/* Hands the message over if there is room. */
static enum ws_channel_result hand_over(WsConnection *self, struct send *send) {
  enum ws_channel_result result = WS_CHANNEL_GONE;
  if (self->delivery != NULL)
    result = self->delivery->class->send(self, send->message, true);
  if (result != WS_CHANNEL_SENT)
    return result;
  stop_watching(send);
  g_clear_pointer(&send->message, ws_message_unref);
  send->done_at = self->delivery->class->get_sent(self);
  g_queue_push_tail(&get_sends(self)->on_their_way, send);
  return result;
}

/* It waits no longer. */
static void unlink_waiting(WsConnection *self, GList *link) {
  const struct send *send = link->data;
  self->sends->waiting_octets -= ws_message_get_length(send->message);
  g_queue_delete_link(&self->sends->waiting, link);
}

static bool is_cancelled(const struct send *send) {
  return g_cancellable_is_cancelled(g_task_get_cancellable(send->task));
}

/* In the server's thread, some time after somebody has cancelled. Callbacks may do anything, so all are taken out before the first is called. */
static gboolean drop_cancelled(gpointer user) {
  WsConnection *self = user;
  GQueue cancelled = G_QUEUE_INIT;
  struct send *send;
  GList *next;
  for (GList *link = self->sends != NULL ? self->sends->waiting.head : NULL; link != NULL; link = next) {
    next = link->next;
    if (!is_cancelled(link->data))
      continue;
    g_queue_push_tail(&cancelled, link->data);
    unlink_waiting(self, link);
  }
  while ((send = g_queue_pop_head(&cancelled)) != NULL) {
    stop_watching(send);
    (void)g_task_return_error_if_cancelled(send->task);
    free_send(send);
  }
  (void)ws_connection_take_drained(self); /* what stood behind it may be small enough */
  return G_SOURCE_REMOVE;
}

static void on_cancelled(GCancellable *cancellable, gpointer user) {
  GTask *task = user;
  (void)cancellable;
  GSource *source = g_idle_source_new();
  g_source_set_callback(source, drop_cancelled, g_object_ref(g_task_get_source_object(task)), g_object_unref);
  g_source_attach(source, g_task_get_context(task));
  g_source_unref(source);
}

static void wait_for_room(WsConnection *self, struct send *send) {
  GCancellable *cancellable = g_task_get_cancellable(send->task);
  g_queue_push_tail(&get_sends(self)->waiting, send);
  self->sends->waiting_octets += ws_message_get_length(send->message);
  hold(self);
  if (cancellable != NULL)
    send->cancelled =
        g_cancellable_connect(cancellable, G_CALLBACK(on_cancelled), g_object_ref(send->task), g_object_unref);
}

static bool is_full(WsConnection *self, gsize length) {
  if (self->sends == NULL)
    return false;
  guint count = g_queue_get_length(&self->sends->waiting) + g_queue_get_length(&self->sends->on_their_way);
  return count >= WS_SENDS_MAX ||
         (self->sends->waiting_octets > 0 && self->sends->waiting_octets + length > WS_SENDS_OCTETS);
}

void ws_connection_send_async(WsConnection *self, WsMessage *message, GCancellable *cancellable,
                              GAsyncReadyCallback callback, gpointer user_data) {
  g_return_if_fail(WS_IS_CONNECTION(self));
  g_return_if_fail(message != NULL);
  GTask *task = g_task_new(self, cancellable, callback, user_data);
  g_task_set_source_tag(task, ws_connection_send_async);
  if (is_full(self, ws_message_get_length(message))) {
    g_task_return_new_error(task, WS_ERROR, WS_ERROR_LIMIT_EXCEEDED,
                            "%u messages of this connection wait already, or too many octets: wait for one of them",
                            g_queue_get_length(&self->sends->waiting));
    g_object_unref(task);
    return;
  }
  if (g_task_return_error_if_cancelled(task)) {
    g_object_unref(task);
    return;
  }
  g_task_set_check_cancellable(task,
                               FALSE); /* a message that is on its way is written, whatever is cancelled meanwhile */
  struct send *send = g_new0(struct send, 1);
  send->task = task;
  send->message = ws_message_ref(message);
  enum ws_channel_result result = ws_connection_has_waiting(self) ? WS_CHANNEL_WOULD_BLOCK : hand_over(self, send);
  if (result == WS_CHANNEL_WOULD_BLOCK)
    wait_for_room(self, send);
  else if (result != WS_CHANNEL_SENT)
    fail_send(send, result);
}

gboolean ws_connection_send_finish(WsConnection *self, GAsyncResult *result, GError **error) {
  g_return_val_if_fail(g_task_is_valid(result, self), FALSE);
  return g_task_propagate_boolean(G_TASK(result), error);
}

void ws_connection_take_written(WsConnection *self) {
  G_GNUC_UNUSED g_autoptr(WsConnection) kept = g_object_ref(self); /* whatever callbacks let go of */
  struct send *send;
  if (self->sends == NULL || self->delivery == NULL)
    return;
  guint64 written = self->delivery->class->get_written(self);
  while (self->sends != NULL && (send = g_queue_peek_head(&self->sends->on_their_way)) != NULL &&
         send->done_at <= written) {
    g_queue_pop_head(&self->sends->on_their_way);
    g_task_return_boolean(send->task, TRUE);
    free_send(send);
  }
  drop_sends_if_done(self);
}

bool ws_connection_take_drained(WsConnection *self) {
  G_GNUC_UNUSED g_autoptr(WsConnection) kept = g_object_ref(self);
  struct send *send;
  while (self->sends != NULL && (send = g_queue_peek_head(&self->sends->waiting)) != NULL) {
    gsize length = ws_message_get_length(send->message);
    enum ws_channel_result result = hand_over(self, send);
    if (result == WS_CHANNEL_WOULD_BLOCK)
      return false;
    self->sends->waiting_octets -= length;
    g_queue_pop_head(&self->sends->waiting);
    if (result != WS_CHANNEL_SENT)
      fail_send(send, result);
  }
  drop_sends_if_done(self);
  return true;
}

static void fail_all(GQueue *queue, enum ws_channel_result result) {
  struct send *send;
  while ((send = g_queue_pop_head(queue)) != NULL)
    fail_send(send, result);
}

void ws_connection_take_closed(WsConnection *self) {
  if (self->delivery != NULL && self->delivery->class->forget != NULL)
    self->delivery->class->forget(self);
  self->delivery = NULL;
  self->link = NULL;
  struct sends *sends = g_steal_pointer(&self->sends);
  if (sends == NULL)
    return;
  fail_all(&sends->on_their_way, WS_CHANNEL_GONE);
  fail_all(&sends->waiting, WS_CHANNEL_GONE);
  g_free(sends);
}

void ws_connection_take_lost(WsConnection *self, const GError *error) {
  GQueue lost = G_QUEUE_INIT;
  struct send *send;
  if (self->sends == NULL)
    return;
  while ((send = g_queue_pop_head(&self->sends->on_their_way)) != NULL)
    g_queue_push_tail(&lost, send);
  drop_sends_if_done(self);
  while ((send = g_queue_pop_head(&lost)) != NULL) {
    g_task_return_error(send->task, g_error_copy(error));
    free_send(send);
  }
}
