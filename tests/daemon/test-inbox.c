/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/inbox.h"
#include "daemon/limits.h"
#include "tests/daemon/bus-double.h"

#include <gio/gunixfdlist.h>
#include <sys/resource.h>
#include <unistd.h>

static void on_message(void *user, GDBusMessage *message) {
  g_ptr_array_add(user, message);
}

static void send_call(struct bus_double *bus, const char *interface, GDBusMessageFlags flags) {
  g_autoptr(GDBusMessage) message = g_dbus_message_new_method_call(NULL, "/", interface, "Member");
  g_dbus_message_set_flags(message, flags);
  g_dbus_connection_send_message(bus->app, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
}

static void test_order_and_bound(void) {
  g_autoptr(GPtrArray) handled = g_ptr_array_new_with_free_func(g_object_unref);
  struct bus_double *bus = bus_double_new();
  struct wsd_inbox *inbox = wsd_inbox_new(bus->daemon, on_message, handled);
  for (guint i = 0; i < WSD_INCOMING_CALLS_MAX + 3; i++)
    send_call(bus, "test.Interface", G_DBUS_MESSAGE_FLAGS_NONE);
  /* The main loop has not run: what is beyond the bound is answered by the reading thread. */
  while (bus_double_count(bus) < 3)
    g_usleep(1000);
  for (guint i = 0; i < 3; i++)
    g_assert_cmpstr(bus_double_name(bus, i), ==, "org.wsserver1.Error.LimitExceeded");
  while (handled->len < WSD_INCOMING_CALLS_MAX)
    g_main_context_iteration(NULL, TRUE);
  for (guint i = 1; i < handled->len; i++)
    g_assert_cmpuint(g_dbus_message_get_serial(handled->pdata[i]), >, g_dbus_message_get_serial(handled->pdata[i - 1]));
  wsd_inbox_free(inbox);
  bus_double_free(bus);
}

static void send_start_with_file(struct bus_double *bus, guint files) {
  g_autoptr(GDBusMessage) message = g_dbus_message_new_method_call(NULL, "/", "test.Interface", "Start");
  g_autoptr(GUnixFDList) list = g_unix_fd_list_new();
  for (guint i = 0; i < files; i++)
    g_assert_cmpint(g_unix_fd_list_append(list, STDIN_FILENO, NULL), >=, 0);
  g_dbus_message_set_unix_fd_list(message, list);
  g_dbus_connection_send_message(bus->app, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
  g_dbus_connection_flush_sync(bus->app, NULL, NULL);
}

/* Each call counts for as many descriptors as one may have, until nobody needs it any more. */
static void test_bound_of_descriptors(void) {
  const guint calls = WSD_INCOMING_FDS_MAX / WSD_CALL_FDS_MAX;
  const struct rlimit enough = {2 * WSD_INCOMING_FDS_MAX, 2 * WSD_INCOMING_FDS_MAX};
  if (setrlimit(RLIMIT_NOFILE, &enough) < 0) {
    g_test_skip("this user may not have so many descriptors");
    return;
  }
  g_autoptr(GPtrArray) handled = g_ptr_array_new_with_free_func(g_object_unref);
  struct bus_double *bus = bus_double_new();
  struct wsd_inbox *inbox = wsd_inbox_new(bus->daemon, on_message, handled);
  for (guint i = 0; i < calls; i++)
    send_start_with_file(bus, 1);
  while (handled->len < calls)
    g_main_context_iteration(NULL, TRUE);
  send_start_with_file(bus, 1);
  bus_double_wait(bus, 1);
  g_assert_cmpstr(bus_double_name(bus, 0), ==, "org.wsserver1.Error.LimitExceeded");
  send_call(bus, "test.Interface", G_DBUS_MESSAGE_FLAGS_NONE); /* one that carries none */
  while (handled->len < calls + 1)
    g_main_context_iteration(NULL, TRUE);
  g_ptr_array_set_size(handled, 1);
  send_start_with_file(bus, WSD_CALL_FDS_MAX + 1);
  bus_double_wait(bus, 2);
  g_assert_cmpstr(bus_double_name(bus, 1), ==, "org.wsserver1.Error.InvalidArgument");
  send_start_with_file(bus, WSD_CALL_FDS_MAX);
  while (handled->len < 2)
    g_main_context_iteration(NULL, TRUE);
  wsd_inbox_free(inbox);
  bus_double_free(bus);
}

static void test_nothing_after_free(void) {
  g_autoptr(GPtrArray) handled = g_ptr_array_new_with_free_func(g_object_unref);
  struct bus_double *bus = bus_double_new();
  struct wsd_inbox *inbox = wsd_inbox_new(bus->daemon, on_message, handled);
  send_call(bus, "test.Interface", G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
  g_dbus_connection_flush_sync(bus->app, NULL, NULL);
  wsd_inbox_free(inbox);
  bus_double_settle(bus);
  g_assert_cmpuint(handled->len, ==, 0);
  bus_double_free(bus);
}

static void test_hold(void) {
  g_autoptr(GPtrArray) handled = g_ptr_array_new_with_free_func(g_object_unref);
  struct bus_double *bus = bus_double_new();
  struct wsd_inbox *inbox = wsd_inbox_new(bus->daemon, on_message, handled);
  wsd_inbox_hold(inbox);
  send_call(bus, "test.Interface", G_DBUS_MESSAGE_FLAGS_NONE);
  g_dbus_connection_flush_sync(bus->app, NULL, NULL);
  bus_double_settle(bus);
  g_assert_cmpuint(handled->len, ==, 0);
  wsd_inbox_continue(inbox);
  while (handled->len < 1)
    g_main_context_iteration(NULL, TRUE);
  send_call(bus, "test.Interface", G_DBUS_MESSAGE_FLAGS_NONE);
  while (handled->len < 2)
    g_main_context_iteration(NULL, TRUE);
  wsd_inbox_free(inbox);
  bus_double_free(bus);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/inbox/calls keep their order, and too many are refused", test_order_and_bound);
  g_test_add_func("/inbox/calls wait while servers come back, and are handled then", test_hold);
  g_test_add_func("/inbox/calls whose descriptors are too many are refused", test_bound_of_descriptors);
  g_test_add_func("/inbox/a closed inbox hands out nothing", test_nothing_after_free);
  return g_test_run();
}
