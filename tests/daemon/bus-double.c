/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/daemon/bus-double.h"

#include "daemon/names.h"

#include <sys/socket.h>

static void answer(GDBusConnection *connection, GDBusMessage *ping, const char *sender) {
  g_autoptr(GDBusMessage) reply = g_dbus_message_new_method_reply(ping);
  g_dbus_message_set_sender(reply, sender);
  g_dbus_connection_send_message(connection, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
}

static GDBusMessage *on_app_message(GDBusConnection *connection, GDBusMessage *message, gboolean incoming,
                                    gpointer data) {
  struct bus_double *bus = data;
  if (!incoming)
    return message;
  g_mutex_lock(&bus->lock);
  bool ping = g_strcmp0(g_dbus_message_get_member(message), "Ping") == 0;
  if (ping && bus->answer_pings)
    answer(connection, message, bus->ping_sender);
  else
    g_ptr_array_add(ping ? bus->pings : bus->received, g_object_ref(message));
  g_mutex_unlock(&bus->lock);
  g_object_unref(message);
  g_main_context_wakeup(NULL);
  return NULL;
}

static void on_connection(GObject *source, GAsyncResult *result, gpointer data) {
  (void)source;
  *(GDBusConnection **)data = g_dbus_connection_new_finish(result, NULL);
  g_assert_nonnull(*(GDBusConnection **)data);
}

/* Both ends say who they are, which is when they agree on passing descriptors. */
static void connect_on(int fd, GDBusConnectionFlags flags, const char *guid, GDBusConnection **connection) {
  g_autoptr(GSocket) socket = g_socket_new_from_fd(fd, NULL);
  g_autoptr(GSocketConnection) stream = g_socket_connection_factory_create_connection(socket);
  g_dbus_connection_new(G_IO_STREAM(stream), guid, flags, NULL, NULL, on_connection, connection);
}

struct bus_double *bus_double_new(void) {
  struct bus_double *bus = g_new0(struct bus_double, 1);
  int sockets[2];
  g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), ==, 0);
  g_mutex_init(&bus->lock);
  bus->received = g_ptr_array_new_with_free_func(g_object_unref);
  bus->pings = g_ptr_array_new_with_free_func(g_object_unref);
  bus->ping_sender = DOUBLE_APP;
  g_autofree char *guid = g_dbus_generate_guid();
  connect_on(sockets[0], G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER, guid, &bus->daemon);
  connect_on(sockets[1], G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, &bus->app);
  while (!bus->daemon || !bus->app)
    g_main_context_iteration(NULL, TRUE);
  g_dbus_connection_add_filter(bus->app, on_app_message, bus, NULL);
  return bus;
}

void bus_double_free(struct bus_double *bus) {
  g_dbus_connection_close_sync(bus->app, NULL, NULL);
  g_dbus_connection_close_sync(bus->daemon, NULL, NULL);
  g_object_unref(bus->app);
  g_object_unref(bus->daemon);
  while (g_main_context_iteration(NULL, FALSE))
    continue;
  g_ptr_array_unref(bus->received);
  g_ptr_array_unref(bus->pings);
  g_mutex_clear(&bus->lock);
  g_free(bus);
}

static guint length_of(struct bus_double *bus, const GPtrArray *messages) {
  g_mutex_lock(&bus->lock);
  guint length = messages->len;
  g_mutex_unlock(&bus->lock);
  return length;
}

static gboolean on_too_late(gpointer data) {
  (void)data;
  g_error("what the test waits for did not come");
  return G_SOURCE_REMOVE;
}

static void wait_for(struct bus_double *bus, const GPtrArray *messages, guint count) {
  guint timeout = g_timeout_add_seconds(30, on_too_late, NULL);
  while (length_of(bus, messages) < count)
    g_main_context_iteration(NULL, TRUE);
  g_source_remove(timeout);
}

void bus_double_wait(struct bus_double *bus, guint count) {
  wait_for(bus, bus->received, count);
}
void bus_double_wait_pings(struct bus_double *bus, guint count) {
  wait_for(bus, bus->pings, count);
}
guint bus_double_count(struct bus_double *bus) {
  return length_of(bus, bus->received);
}

void bus_double_settle(struct bus_double *bus) {
  for (int i = 0; i < 2; i++) { /* what the first round let arrive may have queued more */
    while (g_main_context_iteration(NULL, FALSE))
      continue;
    g_autoptr(GDBusMessage) mark = g_dbus_message_new_signal("/mark", "test.Mark", "Mark");
    guint before = bus_double_count(bus);
    g_dbus_connection_send_message(bus->daemon, mark, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
    bool found = false;
    while (!found) {
      bus_double_wait(bus, ++before);
      found = g_str_equal(bus_double_name(bus, before - 1), "Mark");
    }
    g_mutex_lock(&bus->lock);
    g_ptr_array_remove_index(bus->received, before - 1);
    g_mutex_unlock(&bus->lock);
  }
}

/* The array may be growing in the other thread; the messages in it stay. */
static GDBusMessage *message_at(struct bus_double *bus, guint index) {
  g_mutex_lock(&bus->lock);
  GDBusMessage *message = bus->received->pdata[index];
  g_mutex_unlock(&bus->lock);
  return message;
}

const char *bus_double_name(struct bus_double *bus, guint index) {
  GDBusMessage *message = message_at(bus, index);
  switch (g_dbus_message_get_message_type(message)) {
  case G_DBUS_MESSAGE_TYPE_SIGNAL:
    return g_dbus_message_get_member(message);
  case G_DBUS_MESSAGE_TYPE_ERROR:
    return g_dbus_message_get_error_name(message);
  default:
    return "return";
  }
}

GVariant *bus_double_body(struct bus_double *bus, guint index) {
  return g_dbus_message_get_body(message_at(bus, index));
}

void bus_double_answer_ping(struct bus_double *bus, const char *sender) {
  g_mutex_lock(&bus->lock);
  answer(bus->app, bus->pings->pdata[0], sender);
  g_ptr_array_remove_index(bus->pings, 0);
  g_mutex_unlock(&bus->lock);
}
