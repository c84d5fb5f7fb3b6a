/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/inbox.h"

#include "daemon/error.h"
#include "daemon/fair-queue.h"
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
  struct wsd_fair_queue *messages; /* under the lock */
  bool scheduled;                  /* under the lock */
  bool held;                       /* under the lock */
  bool closed;                     /* under the lock */
  gint descriptors;                /* atomic: that calls not yet answered hold, at most */
  GDBusConnection *connection;
  guint filter;
  void (*handle)(void *user, GDBusMessage *message);
  void *user;
};

static void inbox_unref(gpointer data) {
  struct wsd_inbox *inbox = data;
  if (!g_atomic_ref_count_dec(&inbox->references))
    return;
  wsd_fair_queue_free(inbox->messages);
  g_mutex_clear(&inbox->lock);
  g_free(inbox);
}

static GDBusMessage *take_message(struct wsd_inbox *inbox, bool *more) {
  g_mutex_lock(&inbox->lock);
  GDBusMessage *message = inbox->closed || inbox->held ? NULL : wsd_fair_queue_pop(inbox->messages);
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

/* Takes the message. */
static void refuse(GDBusConnection *connection, GDBusMessage *message, enum wsd_error code, const char *text) {
  if (!(g_dbus_message_get_flags(message) & G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED)) {
    g_autoptr(GDBusMessage) reply = g_dbus_message_new_method_error_literal(message, wsd_error_name(code), text);
    g_dbus_connection_send_message(connection, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
  }
  g_object_unref(message);
}

static void close_descriptors(GDBusMessage *message) {
  GUnixFDList *list = g_dbus_message_get_unix_fd_list(message);
  gint count = 0;
  g_autofree gint *fds = list ? g_unix_fd_list_steal_fds(list, &count) : NULL;
  for (gint i = 0; i < count; i++)
    close(fds[i]);
}

/* Only these two take certificates. What comes with other calls would, kept with those that wait, use up our descriptors. */
static bool takes_descriptors(GDBusMessage *message) {
  const char *member = g_dbus_message_get_member(message);
  return g_strcmp0(member, "Start") == 0 || g_strcmp0(member, "ReplaceCertificate") == 0;
}

/* Called when the message is gone, and its descriptors with it. */
static void forget_descriptors(gpointer data) {
  struct wsd_inbox *inbox = data;
  g_atomic_int_add(&inbox->descriptors, -(gint)WSD_CALL_FDS_MAX);
  inbox_unref(inbox);
}

/* True when the message may stay as it is; else it was refused. Counted are the most descriptors that it might have. */
static bool admit_descriptors(struct wsd_inbox *inbox, GDBusConnection *connection, GDBusMessage *message) {
  GUnixFDList *list = g_dbus_message_get_unix_fd_list(message);
  gint count = list ? g_unix_fd_list_get_length(list) : 0;
  if (count == 0 || !takes_descriptors(message)) {
    close_descriptors(message);
    return true;
  }
  if (count > (gint)WSD_CALL_FDS_MAX) {
    close_descriptors(message);
    refuse(connection, message, WSD_ERROR_INVALID_ARGUMENT,
           "the call carries more file descriptors than its options can name; pass only those");
    return false;
  }
  if (g_atomic_int_add(&inbox->descriptors, (gint)WSD_CALL_FDS_MAX) + (gint)WSD_CALL_FDS_MAX >
      (gint)WSD_INCOMING_FDS_MAX) {
    g_atomic_int_add(&inbox->descriptors, -(gint)WSD_CALL_FDS_MAX);
    close_descriptors(message);
    refuse(connection, message, WSD_ERROR_LIMIT_EXCEEDED,
           "the service holds as many file descriptors of calls as it may; call again later");
    return false;
  }
  g_atomic_ref_count_inc(&inbox->references);
  g_object_set_data_full(G_OBJECT(message), "wsd-descriptors", inbox, forget_descriptors);
  return true;
}

static void refuse_surplus(struct wsd_inbox *inbox, GDBusConnection *connection) {
  for (;;) {
    g_mutex_lock(&inbox->lock);
    GDBusMessage *surplus = wsd_fair_queue_take_surplus(inbox->messages);
    g_mutex_unlock(&inbox->lock);
    if (!surplus)
      return;
    refuse(connection, surplus, WSD_ERROR_LIMIT_EXCEEDED,
           "the service has too many calls to look at, most of them yours; wait for answers");
  }
}

/* Runs in GDBus's thread. */
static GDBusMessage *on_message(GDBusConnection *connection, GDBusMessage *message, gboolean incoming, gpointer data) {
  struct wsd_inbox *inbox = data;
  if (!incoming || g_dbus_message_get_message_type(message) != G_DBUS_MESSAGE_TYPE_METHOD_CALL ||
      g_strcmp0(g_dbus_message_get_interface(message), DBUS_PEER_INTERFACE) == 0)
    return message;
  if (!admit_descriptors(inbox, connection, message))
    return NULL;
  g_mutex_lock(&inbox->lock);
  bool closed = inbox->closed;
  if (!closed)
    wsd_fair_queue_push(inbox->messages, message);
  if (!closed && !inbox->scheduled && !inbox->held)
    schedule(inbox);
  g_mutex_unlock(&inbox->lock);
  if (closed)
    refuse(connection, message, WSD_ERROR_SHUTTING_DOWN, "the service is leaving; call again");
  else
    refuse_surplus(inbox, connection);
  return NULL;
}

struct wsd_inbox *wsd_inbox_new(GDBusConnection *connection, void (*handle)(void *user, GDBusMessage *message),
                                void *user) {
  struct wsd_inbox *inbox = g_new0(struct wsd_inbox, 1);
  g_atomic_ref_count_init(&inbox->references);
  g_atomic_ref_count_inc(&inbox->references); /* the filter's */
  g_mutex_init(&inbox->lock);
  inbox->messages = wsd_fair_queue_new(WSD_INCOMING_CALLS_MAX, WSD_INCOMING_OCTETS_MAX);
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
  if (!inbox->scheduled && wsd_fair_queue_length(inbox->messages) > 0)
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
