/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/inbox.h"

#include "daemon/error.h"
#include "daemon/limits.h"
#include "daemon/names.h"

#include <gio/gunixfdlist.h>
#include <stdbool.h>
#include <unistd.h>

/* Messages handled per turn of the main loop, so that other sources get theirs. */
#define MESSAGES_PER_TURN 32

/* Shared by both threads; the filter holds a reference, because GDBus may still be running it after its removal. */
struct wsd_inbox {
  gatomicrefcount references;
  GMutex lock;
  GQueue messages; /* under the lock */
  bool scheduled;  /* under the lock */
  bool held;       /* under the lock */
  bool closed;     /* under the lock */
  GDBusConnection *connection;
  guint filter;
  void (*handle)(void *user, GDBusMessage *message);
  void *user;
};

static void inbox_unref(gpointer data) {
  struct wsd_inbox *inbox = data;
  if (!g_atomic_ref_count_dec(&inbox->references))
    return;
  g_queue_clear_full(&inbox->messages, g_object_unref);
  g_mutex_clear(&inbox->lock);
  g_free(inbox);
}

static GDBusMessage *take_message(struct wsd_inbox *inbox, bool *more) {
  g_mutex_lock(&inbox->lock);
  GDBusMessage *message = inbox->closed || inbox->held ? NULL : g_queue_pop_head(&inbox->messages);
  if (!message)
    inbox->scheduled = false;
  *more = message != NULL;
  g_mutex_unlock(&inbox->lock);
  return message;
}

static gboolean on_turn(gpointer data) {
  struct wsd_inbox *inbox = data;
  bool more = true;
  for (int i = 0; i < MESSAGES_PER_TURN && more; i++) {
    GDBusMessage *message = take_message(inbox, &more);
    if (message)
      inbox->handle(inbox->user, message);
  }
  return more ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static void schedule(struct wsd_inbox *inbox) {
  inbox->scheduled = true;
  g_atomic_ref_count_inc(&inbox->references);
  GSource *source = g_idle_source_new();
  g_source_set_priority(source, G_PRIORITY_DEFAULT);
  g_source_set_callback(source, on_turn, inbox, inbox_unref);
  g_source_attach(source, NULL);
  g_source_unref(source);
}

static void refuse(GDBusConnection *connection, GDBusMessage *message) {
  if (!(g_dbus_message_get_flags(message) & G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED)) {
    g_autoptr(GDBusMessage) reply =
        g_dbus_message_new_method_error_literal(message, wsd_error_name(WSD_ERROR_LIMIT_EXCEEDED),
                                                "the service has too many calls to look at; call again later");
    g_dbus_connection_send_message(connection, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
  }
  g_object_unref(message);
}

/* No method of this version takes descriptors. Kept with calls that wait they would use up ours, so they are closed now. */
static void close_descriptors(GDBusMessage *message) {
  GUnixFDList *list = g_dbus_message_get_unix_fd_list(message);
  gint count = 0;
  g_autofree gint *fds = list ? g_unix_fd_list_steal_fds(list, &count) : NULL;
  for (gint i = 0; i < count; i++)
    close(fds[i]);
}

/* Runs in GDBus's thread. */
static GDBusMessage *on_message(GDBusConnection *connection, GDBusMessage *message, gboolean incoming, gpointer data) {
  struct wsd_inbox *inbox = data;
  if (!incoming || g_dbus_message_get_message_type(message) != G_DBUS_MESSAGE_TYPE_METHOD_CALL ||
      g_strcmp0(g_dbus_message_get_interface(message), DBUS_PEER_INTERFACE) == 0)
    return message;
  close_descriptors(message);
  g_mutex_lock(&inbox->lock);
  bool taken = !inbox->closed && g_queue_get_length(&inbox->messages) < WSD_INCOMING_CALLS_MAX;
  if (taken)
    g_queue_push_tail(&inbox->messages, message);
  if (taken && !inbox->scheduled && !inbox->held)
    schedule(inbox);
  g_mutex_unlock(&inbox->lock);
  if (!taken)
    refuse(connection, message);
  return NULL;
}

struct wsd_inbox *wsd_inbox_new(GDBusConnection *connection, void (*handle)(void *user, GDBusMessage *message),
                                void *user) {
  struct wsd_inbox *inbox = g_new0(struct wsd_inbox, 1);
  g_atomic_ref_count_init(&inbox->references);
  g_atomic_ref_count_inc(&inbox->references); /* the filter's */
  g_mutex_init(&inbox->lock);
  g_queue_init(&inbox->messages);
  inbox->connection = g_object_ref(connection);
  inbox->handle = handle;
  inbox->user = user;
  inbox->filter = g_dbus_connection_add_filter(connection, on_message, inbox, inbox_unref);
  return inbox;
}

void wsd_inbox_hold(struct wsd_inbox *inbox) {
  g_mutex_lock(&inbox->lock);
  inbox->held = true;
  g_mutex_unlock(&inbox->lock);
}

void wsd_inbox_continue(struct wsd_inbox *inbox) {
  g_mutex_lock(&inbox->lock);
  inbox->held = false;
  if (!inbox->scheduled && !g_queue_is_empty(&inbox->messages))
    schedule(inbox);
  g_mutex_unlock(&inbox->lock);
}

void wsd_inbox_free(struct wsd_inbox *inbox) {
  if (!inbox)
    return;
  g_mutex_lock(&inbox->lock);
  inbox->closed = true;
  g_mutex_unlock(&inbox->lock);
  g_dbus_connection_remove_filter(inbox->connection, inbox->filter);
  g_clear_object(&inbox->connection);
  inbox_unref(inbox);
}
