/* SPDX-License-Identifier: Apache-2.0 */
/* libsoup's WebSocket server: a message is sent back as the library gives it, without a copy. */
#include "tools/bench/servers/reaction.h"

#include <libsoup/soup.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

struct server {
  GHashTable *connections;
  guint64 max_message;
};

static void send_to(SoupWebsocketConnection *connection, SoupWebsocketDataType type, GBytes *message) {
  if (soup_websocket_connection_get_state(connection) == SOUP_WEBSOCKET_STATE_OPEN)
    soup_websocket_connection_send_message(connection, type, message);
}

static void on_message(SoupWebsocketConnection *connection, SoupWebsocketDataType type, GBytes *message,
                       gpointer user) {
  struct server *server = user;
  GHashTableIter iterator;
  gpointer other;
  gsize length;
  const void *data = g_bytes_get_data(message, &length);
  switch (bench_reaction_to(data, length)) {
  case BENCH_BROADCAST:
    g_hash_table_iter_init(&iterator, server->connections);
    while (g_hash_table_iter_next(&iterator, &other, NULL))
      send_to(other, type, message);
    break;
  case BENCH_ECHO:
    send_to(connection, type, message);
    break;
  case BENCH_SINK:
    break;
  }
}

static void on_closed(SoupWebsocketConnection *connection, gpointer user) {
  struct server *server = user;
  g_hash_table_remove(server->connections, connection);
}

static void on_connected(SoupServer *soup, SoupServerMessage *message, const char *path,
                         SoupWebsocketConnection *connection, gpointer user) {
  struct server *server = user;
  (void)soup;
  (void)message;
  (void)path;
  soup_websocket_connection_set_max_incoming_payload_size(connection, server->max_message);
  soup_websocket_connection_set_keepalive_interval(connection, 0);
  g_hash_table_add(server->connections, g_object_ref(connection));
  g_signal_connect(connection, "message", G_CALLBACK(on_message), server);
  g_signal_connect(connection, "closed", G_CALLBACK(on_closed), server);
}

/* It warns of each connection that is cut off. */
static GLogWriterOutput say_nothing(GLogLevelFlags level, const GLogField *fields, gsize count, gpointer user) {
  (void)level;
  (void)fields;
  (void)count;
  (void)user;
  return G_LOG_WRITER_HANDLED;
}

/* The library's own way of listening lets ten connections wait at most. */
static GSocket *listen_on_loopback(GError **error) {
  g_autoptr(GInetAddress) loopback = g_inet_address_new_loopback(G_SOCKET_FAMILY_IPV4);
  g_autoptr(GSocketAddress) address = g_inet_socket_address_new(loopback, 0);
  g_autoptr(GSocket) socket = g_socket_new(G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, error);
  if (socket == NULL)
    return NULL;
  g_socket_set_listen_backlog(socket, 511);
  if (!g_socket_bind(socket, address, TRUE, error) || !g_socket_listen(socket, error))
    return NULL;
  return g_steal_pointer(&socket);
}

int main(int argc, char **argv) {
  struct server server = {.connections = g_hash_table_new_full(NULL, NULL, g_object_unref, NULL)};
  gint64 max_message = 1 << 20;
  const GOptionEntry entries[] = {
      {"max-message", 0, 0, G_OPTION_ARG_INT64, &max_message, "Octets of the largest message", "N"}, {0}};
  g_autoptr(GOptionContext) context = g_option_context_new("- an echo server for tools/wsbench");
  g_autoptr(GError) error = NULL;
  struct rlimit descriptors;
  g_log_set_writer_func(say_nothing, NULL, NULL);
  g_option_context_add_main_entries(context, entries, NULL);
  if (getrlimit(RLIMIT_NOFILE, &descriptors) == 0) {
    descriptors.rlim_cur = descriptors.rlim_max;
    setrlimit(RLIMIT_NOFILE, &descriptors);
  }
  g_autoptr(SoupServer) soup = soup_server_new(NULL, NULL);
  soup_server_remove_websocket_extension(soup, SOUP_TYPE_WEBSOCKET_EXTENSION_DEFLATE);
  soup_server_add_websocket_handler(soup, NULL, NULL, NULL, on_connected, &server, NULL);
  g_autoptr(GSocket) socket = NULL;
  if (!g_option_context_parse(context, &argc, &argv, &error) || (socket = listen_on_loopback(&error)) == NULL ||
      !soup_server_listen_socket(soup, socket, 0, &error)) {
    g_printerr("libsoup: %s\n", error->message);
    return 1;
  }
  server.max_message = (guint64)max_message;
  GSList *uris = soup_server_get_uris(soup);
  printf("listening on ws://127.0.0.1:%d/\n", g_uri_get_port(uris->data));
  fflush(stdout);
  g_slist_free_full(uris, (GDestroyNotify)g_uri_unref);
  g_main_loop_run(g_main_loop_new(NULL, FALSE));
  return 0;
}
