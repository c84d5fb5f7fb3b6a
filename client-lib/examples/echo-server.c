/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest useful app: a WebSocket server that sends each message back to whoever sent it, in order. */
#include "client-lib/examples/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_connect(WsServer *server, WsConnection *connection, gpointer user) {
  (void)server;
  (void)user;
  g_autofree char *ip = ws_connection_get_client_ip(connection), *path = ws_connection_get_path(connection);
  printf("%" G_GUINT64_FORMAT " connected from %s port %u, path %s\n", ws_connection_get_id(connection), ip,
         ws_connection_get_client_port(connection), path);
}

static void on_message_told(WsServer *server, WsConnection *connection, WsMessage *message, gpointer user) {
  (void)server;
  (void)user;
  printf("%" G_GUINT64_FORMAT " sent %" G_GSIZE_FORMAT " octets of %s\n", ws_connection_get_id(connection),
         ws_message_get_length(message), ws_message_is_text(message) ? "text" : "data");
}

static void on_close(WsServer *server, WsConnection *connection, guint code, const char *reason, gboolean clean,
                     gpointer user) {
  (void)server;
  (void)user;
  printf("%" G_GUINT64_FORMAT " closed with %u \"%s\"%s\n", ws_connection_get_id(connection), code, reason,
         clean ? "" : ", not clean");
}

static void on_sent(GObject *source, GAsyncResult *result, gpointer user) {
  WsConnection *connection = WS_CONNECTION(source);
  g_autoptr(GError) error = NULL;
  (void)user;
  if (!ws_connection_send_finish(connection, result, &error) &&
      g_error_matches(error, WS_ERROR, WS_ERROR_LIMIT_EXCEEDED))
    ws_connection_close(connection, 1013, "too much waits for you: read faster", NULL);
}

/* Answers for a peer that reads too slowly wait for it alone, and are bounded. */
static void on_message(WsServer *server, WsConnection *connection, WsMessage *message, gpointer user) {
  g_autoptr(GError) error = NULL;
  (void)server;
  (void)user;
  if (!ws_connection_send(connection, message, &error) && g_error_matches(error, WS_ERROR, WS_ERROR_WOULD_BLOCK))
    ws_connection_send_async(connection, message, NULL, on_sent, NULL);
}

/* "KEY=VALUE", KEY as the service names it and VALUE as GVariant text, such as "maxMessageSize=1048576". */
static gboolean set_option(WsServerConfig *config, const char *text, GError **error) {
  const char *equals = strchr(text, '=');
  if (equals == NULL) {
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "--option %s is not KEY=VALUE", text);
    return FALSE;
  }
  g_autoptr(GString) name = g_string_new(NULL);
  for (const char *at = text; at < equals; at++) {
    if (g_ascii_isupper(*at) && !(at > text && g_ascii_isupper(at[-1])))
      g_string_append_c(name, '-');
    g_string_append_c(name, g_ascii_tolower(*at));
  }
  g_autoptr(GVariant) value = g_variant_parse(NULL, equals + 1, NULL, NULL, error);
  GParamSpec *property = g_object_class_find_property(G_OBJECT_GET_CLASS(config), name->str);
  g_auto(GValue) given = G_VALUE_INIT;
  if (value == NULL)
    return FALSE;
  g_dbus_gvariant_to_gvalue(value, &given);
  if (property == NULL || !g_value_type_transformable(G_VALUE_TYPE(&given), property->value_type)) {
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "--option %s: no such option, or not of that type",
                text);
    return FALSE;
  }
  g_object_set_property(G_OBJECT(config), name->str, &given);
  return TRUE;
}

static WsServerConfig *make_config(int port, const char *ip, const char *protocol, int clients, int connections,
                                   char **others, GError **error) {
  g_autoptr(WsServerConfig) config = ws_server_config_new((guint)port);
  /* As the person typed it: the service knows best what a legal port or limit is. */
  g_object_set(config, "server-ip", ip, "protocol", protocol, NULL);
  if (clients > 0)
    g_object_set(config, "max-concurrent-clients-number", (guint)clients, NULL);
  if (connections > 0)
    g_object_set(config, "max-connections-for-one-client", (guint)connections, NULL);
  for (; others != NULL && *others != NULL; others++)
    if (!set_option(config, *others, error))
      return NULL;
  return g_steal_pointer(&config);
}

static int serve(WsServerConfig *config, gboolean verbose) {
  g_autoptr(WsServer) server = example_new_server("echo-server");
  if (server == NULL)
    return EXIT_FAILURE;
  if (verbose) {
    g_signal_connect(server, "connect", G_CALLBACK(on_connect), NULL);
    g_signal_connect(server, "message-receive", G_CALLBACK(on_message_told), NULL);
    g_signal_connect(server, "close", G_CALLBACK(on_close), NULL);
  }
  g_signal_connect(server, "message-receive", G_CALLBACK(on_message), NULL);
  return example_serve("echo-server", server, config);
}

int main(int argc, char **argv) {
  int port = -1, clients = 0, connections = 0;
  gboolean verbose = FALSE;
  g_autofree char *ip = NULL, *protocol = NULL;
  g_auto(GStrv) others = NULL;
  const GOptionEntry entries[] = {
      {"port", 'p', 0, G_OPTION_ARG_INT, &port, "Port to listen on; 0: any free one", "N"},
      {"ip", 0, 0, G_OPTION_ARG_STRING, &ip, "Address to listen on (default: 0.0.0.0)", "A"},
      {"protocol", 0, 0, G_OPTION_ARG_STRING, &protocol, "Subprotocol, or a comma list of them", "P"},
      {"max-clients", 0, 0, G_OPTION_ARG_INT, &clients, "Distinct client addresses (default: 10)", "N"},
      {"max-connections", 0, 0, G_OPTION_ARG_INT, &connections, "Connections of one address (default: 10)", "N"},
      {"option", 'o', 0, G_OPTION_ARG_STRING_ARRAY, &others,
       "Any other option of Start, its value as GVariant text: 'maxMessageSize=1048576', 'certificate=\"cert.pem\"'",
       "KEY=VALUE"},
      {"verbose", 'v', 0, G_OPTION_ARG_NONE, &verbose, "Print what happens", NULL},
      {0},
  };
  g_autoptr(GOptionContext) context = g_option_context_new("- a WebSocket echo server through wsserverd");
  g_autoptr(GError) error = NULL;
  g_option_context_add_main_entries(context, entries, NULL);
  if (!g_option_context_parse(context, &argc, &argv, &error) || argc > 1 || port < 0) {
    g_printerr("echo-server: %s (see --help)\n",
               error != NULL ? error->message
                             : (argc > 1 ? "takes options only" : "which port? give --port N, 0 for any free one"));
    return EXIT_FAILURE;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  g_autoptr(WsServerConfig) config = make_config(port, ip, protocol, clients, connections, others, &error);
  if (config == NULL) {
    g_printerr("echo-server: %s (see --help)\n", error->message);
    return EXIT_FAILURE;
  }
  return serve(config, verbose);
}
