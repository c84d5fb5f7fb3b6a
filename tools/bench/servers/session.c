/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/servers/session.h"

#include <gio/gunixfdlist.h>
#include <stdio.h>
#include <stdlib.h>

#define SERVICE "org.wsserver1"
#define PATIENCE_MS 20000
#define CONNECTIONS_MAX 65535u

static GVariant *call(const struct bench_session *session, const char *service, const char *path, const char *interface,
                      const char *method, GVariant *arguments, const char *reply, GError **error) {
  return g_dbus_connection_call_sync(session->bus, service, path, interface, method, arguments, G_VARIANT_TYPE(reply),
                                     G_DBUS_CALL_FLAGS_NONE, PATIENCE_MS, NULL, error);
}

gboolean bench_session_open(struct bench_session *session, GError **error) {
  session->bus = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, error);
  if (session->bus == NULL)
    return FALSE;
  g_autoptr(GVariant) created =
      call(session, SERVICE, "/org/wsserver1", "org.wsserver1.Manager", "CreateServer", NULL, "(o)", error);
  if (created == NULL)
    return FALSE;
  g_variant_get(created, "(o)", &session->path);
  g_autoptr(GVariant) owner = call(session, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                   "GetNameOwner", g_variant_new("(s)", SERVICE), "(s)", error);
  if (owner == NULL)
    return FALSE;
  g_variant_get(owner, "(s)", &session->service);
  return TRUE;
}

static int descriptor(GVariant *reply, GUnixFDList *descriptors, gsize index) {
  gint32 handle;
  if (index >= g_variant_n_children(reply))
    return -1;
  g_variant_get_child(reply, index, "h", &handle);
  return g_unix_fd_list_get(descriptors, handle, NULL);
}

gboolean bench_session_open_channel(struct bench_session *session, struct bench_channel *channel, GError **error) {
  g_autoptr(GUnixFDList) descriptors = NULL;
  gboolean plain = g_strcmp0(g_getenv("WS_DELIVERY"), "stream") == 0;
  g_autoptr(GVariant) reply = g_dbus_connection_call_with_unix_fd_list_sync(
      session->bus, session->service, session->path, BENCH_SERVER_INTERFACE,
      plain ? "OpenChannel" : "OpenSharedChannel", NULL, G_VARIANT_TYPE(plain ? "(h)" : "(hhh)"),
      G_DBUS_CALL_FLAGS_NONE, PATIENCE_MS, NULL, &descriptors, NULL, error);
  if (reply == NULL)
    return FALSE;
  *channel = (struct bench_channel){descriptor(reply, descriptors, 0), descriptor(reply, descriptors, 1),
                                    descriptor(reply, descriptors, 2)};
  return TRUE;
}

gboolean bench_session_start(struct bench_session *session, guint64 max_message, GError **error) {
  GVariantDict options;
  g_autoptr(GVariant) port = NULL;
  guint16 number = 0;
  g_variant_dict_init(&options, NULL);
  g_variant_dict_insert(&options, "serverPort", "q", 0);
  g_variant_dict_insert(&options, "serverIP", "s", "127.0.0.1");
  g_variant_dict_insert(&options, "maxConcurrentClientsNumber", "u", CONNECTIONS_MAX);
  g_variant_dict_insert(&options, "maxConnectionsForOneClient", "u", CONNECTIONS_MAX);
  g_variant_dict_insert(&options, "maxMessageSize", "t", max_message);
  g_variant_dict_insert(&options, "compression", "b", FALSE);
  GVariant *arguments = g_variant_new("(@a{sv})", g_variant_dict_end(&options));
  g_autoptr(GVariant) started =
      call(session, session->service, session->path, BENCH_SERVER_INTERFACE, "Start", arguments, "()", error);
  if (started == NULL)
    return FALSE;
  g_autoptr(GVariant) reply = call(session, session->service, session->path, "org.freedesktop.DBus.Properties", "Get",
                                   g_variant_new("(ss)", BENCH_SERVER_INTERFACE, "ServerPort"), "(v)", error);
  if (reply == NULL)
    return FALSE;
  g_variant_get(reply, "(v)", &port);
  number = g_variant_get_uint16(port);
  printf("listening on ws://127.0.0.1:%u/\n", (unsigned)number);
  fflush(stdout);
  return TRUE;
}

void bench_session_begin(struct bench_session *session, int argc, char **argv, struct bench_channel *channel) {
  gint64 max_message = 1 << 20;
  const GOptionEntry entries[] = {
      {"max-message", 0, 0, G_OPTION_ARG_INT64, &max_message, "Octets of the largest message", "N"}, {0}};
  g_autoptr(GOptionContext) context = g_option_context_new("- an app of wsserverd for tools/wsbench");
  g_autoptr(GError) error = NULL;
  g_option_context_add_main_entries(context, entries, NULL);
  if (!g_option_context_parse(context, &argc, &argv, &error) || !bench_session_open(session, &error) ||
      (channel != NULL && !bench_session_open_channel(session, channel, &error)) ||
      !bench_session_start(session, (guint64)max_message, &error)) {
    g_printerr("%s: %s\n", argv[0], error->message);
    exit(EXIT_FAILURE);
  }
}
