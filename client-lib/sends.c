/* SPDX-License-Identifier: Apache-2.0 */
#include "client-lib/sends.h"

#include "client-lib/limits.h"

#include <wsserver/ws-error.h>

/* One for each that has not completed. Those that wait for room stand behind those that are on their way. */
struct send {
  GTask *task;
  WsMessage *message; /* while it waits for room */
  guint64 done_at;    /* it is written when so much is written in total */
  gulong cancelled;   /* handler, while it waits */
};

struct ws_sends {
  struct ws_sends **place; /* the owner's */
  const struct ws_sends_class *class;
  GObject *owner;
  GQueue on_their_way; /* of struct send */
  GQueue waiting;
  gsize waiting_octets;
};

static struct ws_sends *get_sends(struct ws_sends **place, const struct ws_sends_class *class, GObject *owner) {
  if (*place == NULL) {
    *place = g_new(struct ws_sends, 1);
    **place = (struct ws_sends){place, class, owner, G_QUEUE_INIT, G_QUEUE_INIT, 0};
  }
  return *place;
}

bool ws_sends_have_waiting(const struct ws_sends *sends) {
  return sends != NULL && sends->waiting.length > 0;
}

/* After something has come, gone or got on its way. *place is NULL afterwards if none is left. */
static void settle(struct ws_sends **place) {
  struct ws_sends *sends = *place;
  const struct ws_sends_class *class = sends->class;
  GObject *owner = sends->owner;
  bool is_waiting = ws_sends_have_waiting(sends);
  if (!is_waiting && g_queue_is_empty(&sends->on_their_way)) {
    *place = NULL;
    g_free(sends);
  }
  class->changed(owner, is_waiting);
}

static void free_send(struct send *send) {
  g_clear_pointer(&send->message, ws_message_unref);
  g_object_unref(send->task);
  g_free(send);
}

/* Nobody cancels it from here on. Cancelling runs in any thread, and disconnecting waits for it. */
static void stop_watching(struct send *send) {
  if (send->cancelled != 0)
    g_cancellable_disconnect(g_task_get_cancellable(send->task), send->cancelled);
  send->cancelled = 0;
}

static void fail_send(const struct ws_sends_class *class, struct send *send, enum ws_channel_result result) {
  GError *error = NULL;
  class->set_error(&error, result);
  stop_watching(send);
  g_task_return_error(send->task, error);
  free_send(send);
}

static enum ws_channel_result hand_over(struct ws_sends *sends, struct send *send) {
  enum ws_channel_result result = sends->class->send(sends->owner, send->message);
  if (result != WS_CHANNEL_SENT)
    return result;
  stop_watching(send);
  g_clear_pointer(&send->message, ws_message_unref);
  send->done_at = sends->class->get_sent(sends->owner);
  g_queue_push_tail(&sends->on_their_way, send);
  return result;
}

/* --- Cancelling --- */

static bool is_cancelled(const struct send *send) {
  return g_cancellable_is_cancelled(g_task_get_cancellable(send->task));
}

static void take_out_cancelled(struct ws_sends *sends, GQueue *cancelled) {
  GList *next;
  for (GList *link = sends->waiting.head; link != NULL; link = next) {
    struct send *send = link->data;
    next = link->next;
    if (!is_cancelled(send))
      continue;
    sends->waiting_octets -= ws_message_get_length(send->message);
    g_queue_push_tail(cancelled, send);
    g_queue_delete_link(&sends->waiting, link);
  }
}

/* In the owner's thread, some time after somebody has cancelled. Callbacks may do anything, so all are taken out before the first is called. What stood behind
 * them may be small enough. */
static gboolean drop_cancelled(gpointer user) {
  GTask *task = user;
  struct ws_sends **place = g_task_get_task_data(task);
  GQueue cancelled = G_QUEUE_INIT;
  struct send *send;
  if (*place != NULL)
    take_out_cancelled(*place, &cancelled);
  if (!g_queue_is_empty(&cancelled))
    (void)ws_sends_take_room(place);
  while ((send = g_queue_pop_head(&cancelled)) != NULL) {
    stop_watching(send);
    (void)g_task_return_error_if_cancelled(send->task);
    free_send(send);
  }
  return G_SOURCE_REMOVE;
}

/* The task keeps the owner, and with it the place. */
static void on_cancelled(GCancellable *cancellable, gpointer user) {
  GTask *task = user;
  (void)cancellable;
  GSource *source = g_idle_source_new();
  g_source_set_callback(source, drop_cancelled, g_object_ref(task), g_object_unref);
  g_source_attach(source, g_task_get_context(task));
  g_source_unref(source);
}

static void wait_for_room(struct ws_sends *sends, struct send *send) {
  GCancellable *cancellable = g_task_get_cancellable(send->task);
  g_queue_push_tail(&sends->waiting, send);
  sends->waiting_octets += ws_message_get_length(send->message);
  g_task_set_task_data(send->task, sends->place, NULL);
  if (cancellable != NULL)
    send->cancelled =
        g_cancellable_connect(cancellable, G_CALLBACK(on_cancelled), g_object_ref(send->task), g_object_unref);
}

/* --- What its owner calls --- */

static bool is_full(const struct ws_sends *sends, gsize length) {
  if (sends == NULL)
    return false;
  guint count = sends->waiting.length + sends->on_their_way.length;
  return count >= WS_SENDS_MAX || (sends->waiting_octets > 0 && sends->waiting_octets + length > WS_SENDS_OCTETS);
}

void ws_sends_begin(struct ws_sends **place, const struct ws_sends_class *class, GTask *task, WsMessage *message) {
  if (is_full(*place, ws_message_get_length(message))) {
    g_task_return_new_error(task, WS_ERROR, WS_ERROR_LIMIT_EXCEEDED,
                            "%u messages wait already, or too many octets: wait for one of them",
                            g_queue_get_length(&(*place)->waiting));
    g_object_unref(task);
    return;
  }
  if (g_task_return_error_if_cancelled(task)) {
    g_object_unref(task);
    return;
  }
  g_task_set_check_cancellable(task,
                               FALSE); /* a message that is on its way is written, whatever is cancelled meanwhile */
  struct ws_sends *sends = get_sends(place, class, g_task_get_source_object(task));
  struct send *send = g_new(struct send, 1);
  *send = (struct send){task, ws_message_ref(message), 0, 0};
  enum ws_channel_result result = ws_sends_have_waiting(sends) ? WS_CHANNEL_WOULD_BLOCK : hand_over(sends, send);
  if (result == WS_CHANNEL_WOULD_BLOCK)
    wait_for_room(sends, send);
  settle(place);
  if (result != WS_CHANNEL_WOULD_BLOCK && result != WS_CHANNEL_SENT)
    fail_send(class, send, result);
}

void ws_sends_take_written(struct ws_sends **place) {
  struct send *send;
  if (*place == NULL)
    return;
  g_autoptr(GObject) owner = g_object_ref((*place)->owner);
  guint64 written = (*place)->class->get_written(owner);
  while (*place != NULL && (send = g_queue_peek_head(&(*place)->on_their_way)) != NULL && send->done_at <= written) {
    g_queue_pop_head(&(*place)->on_their_way);
    settle(place);
    g_task_return_boolean(send->task, TRUE);
    free_send(send);
  }
}

bool ws_sends_take_room(struct ws_sends **place) {
  struct send *send;
  if (*place == NULL)
    return true;
  g_autoptr(GObject) owner = g_object_ref((*place)->owner);
  (void)owner; /* whatever callbacks let go of */
  while (*place != NULL && (send = g_queue_peek_head(&(*place)->waiting)) != NULL) {
    const struct ws_sends_class *class = (*place)->class;
    gsize length = ws_message_get_length(send->message);
    enum ws_channel_result result = hand_over(*place, send);
    if (result == WS_CHANNEL_WOULD_BLOCK)
      return false;
    (*place)->waiting_octets -= length;
    g_queue_pop_head(&(*place)->waiting);
    settle(place);
    if (result != WS_CHANNEL_SENT)
      fail_send(class, send, result);
  }
  if (*place != NULL)
    settle(place);
  return true;
}

void ws_sends_lose(struct ws_sends **place, const GError *error) {
  GQueue lost = G_QUEUE_INIT;
  struct send *send;
  if (*place == NULL)
    return;
  while ((send = g_queue_pop_head(&(*place)->on_their_way)) != NULL)
    g_queue_push_tail(&lost, send);
  settle(place);
  while ((send = g_queue_pop_head(&lost)) != NULL) {
    g_task_return_error(send->task, g_error_copy(error));
    free_send(send);
  }
}

void ws_sends_end(struct ws_sends **place) {
  struct ws_sends *sends = g_steal_pointer(place);
  struct send *send;
  if (sends == NULL)
    return;
  const struct ws_sends_class *class = sends->class;
  while ((send = g_queue_pop_head(&sends->on_their_way)) != NULL)
    fail_send(class, send, WS_CHANNEL_GONE);
  while ((send = g_queue_pop_head(&sends->waiting)) != NULL)
    fail_send(class, send, WS_CHANNEL_GONE);
  g_free(sends);
}
