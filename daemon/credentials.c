/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/credentials.h"

#include "daemon/names.h"

void wsd_credentials_ask(GDBusConnection *connection, const char *name, int timeout, GCancellable *cancellable,
                         GAsyncReadyCallback on_answer, gpointer user) {
  g_dbus_connection_call_with_unix_fd_list(connection, DBUS_NAME, DBUS_PATH, DBUS_NAME, "GetConnectionCredentials",
                                           g_variant_new("(s)", name), G_VARIANT_TYPE("(a{sv})"),
                                           G_DBUS_CALL_FLAGS_NONE, timeout, NULL, cancellable, on_answer, user);
}

GVariant *wsd_credentials_finish(GObject *source, GAsyncResult *result, GUnixFDList **fds, GError **error) {
  g_autoptr(GVariant) reply =
      g_dbus_connection_call_with_unix_fd_list_finish(G_DBUS_CONNECTION(source), fds, result, error);
  return reply ? g_variant_get_child_value(reply, 0) : NULL;
}
