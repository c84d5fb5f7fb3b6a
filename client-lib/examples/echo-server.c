/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest useful app: a WebSocket server that sends each message back to whoever sent it, in order. */
#include "client-lib/examples/bus-server.h"

#include <glib-unix.h>
#include <stdio.h>
#include <stdlib.h>

struct echo {
  GMainLoop *loop;
  struct bus_server *server;
  gboolean verbose;
  int status;
};

static void on_connected(gpointer user, guint64 connection, const char *client_ip, guint16 client_port,
                         GVariant *details) {
  struct echo *echo = user;
  const char *path = "";
  g_variant_lookup(details, "path", "&s", &path);
  if (echo->verbose)
    printf("%" G_GUINT64_FORMAT " connected from %s port %u, path %s\n", connection, client_ip, client_port, path);
}

static void on_message(gpointer user, guint64 connection, gboolean text, GVariant *data) {
  struct echo *echo = user;
  if (echo->verbose)
    printf("%" G_GUINT64_FORMAT " sent %" G_GSIZE_FORMAT " octets of %s\n", connection, g_variant_get_size(data),
           text ? "text" : "data");
  bus_server_send(echo->server, connection, text, data);
}

static void on_closed(gpointer user, guint64 connection, guint16 code, const char *reason, gboolean clean) {
  struct echo *echo = user;
  if (echo->verbose)
    printf("%" G_GUINT64_FORMAT " closed with %u \"%s\"%s\n", connection, code, reason, clean ? "" : ", not clean");
}

static void on_problem(gpointer user, guint32 code, const char *message) {
  (void)user;
  g_printerr("echo-server: error %u: %s\n", code, message);
}

static void on_lost(gpointer user, const char *why) {
  struct echo *echo = user;
  g_printerr("echo-server: %s\n", why);
  echo->status = EXIT_FAILURE;
  g_main_loop_quit(echo->loop);
}

static void on_released(gpointer user) {
  struct echo *echo = user;
  g_main_loop_quit(echo->loop);
}

static gboolean on_end_signal(gpointer user) {
  struct echo *echo = user;
  bus_server_release(echo->server, on_released);
  return G_SOURCE_REMOVE; /* a second Ctrl-C ends at once */
}

/* "KEY=VALUE" with the value as GVariant text, such as "maxMessageSize=uint64 1048576". */
static gboolean insert_option(GVariantDict *options, const char *text, GError **error) {
  const char *equals = strchr(text, '=');
  if (equals == NULL) {
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "--option %s is not KEY=VALUE", text);
    return FALSE;
  }
  g_autofree char *key = g_strndup(text, (gsize)(equals - text));
  g_autoptr(GVariant) value = g_variant_parse(NULL, equals + 1, NULL, NULL, error);
  if (value == NULL)
    return FALSE;
  g_variant_dict_insert_value(options, key, value);
  return TRUE;
}

static GVariant *make_options(int port, const char *ip, const char *protocol, int clients, int connections,
                              char **others, GError **error) {
  GVariantDict options;
  g_variant_dict_init(&options, NULL);
  /* As the person typed it: the service knows best what a legal port or limit is. */
  g_variant_dict_insert(&options, "serverPort", "i", port);
  if (ip != NULL)
    g_variant_dict_insert(&options, "serverIP", "s", ip);
  if (protocol != NULL)
    g_variant_dict_insert(&options, "protocol", "s", protocol);
  if (clients > 0)
    g_variant_dict_insert(&options, "maxConcurrentClientsNumber", "u", (guint32)clients);
  if (connections > 0)
    g_variant_dict_insert(&options, "maxConnectionsForOneClient", "u", (guint32)connections);
  for (; others != NULL && *others != NULL; others++) {
    if (!insert_option(&options, *others, error)) {
      g_variant_dict_clear(&options);
      return NULL;
    }
  }
  return g_variant_dict_end(&options);
}

static const struct bus_server_events echo_events = {on_connected, on_message, on_closed, on_problem, on_lost};

static void serve(struct echo *echo, GVariant *options) {
  g_autoptr(GError) error = NULL;
  g_autofree char *url = NULL;
  if (!bus_server_start(echo->server, options, &error) || (url = bus_server_get_url(echo->server, &error)) == NULL) {
    bus_server_print_error("echo-server", "cannot start", error);
    echo->status = EXIT_FAILURE;
    return;
  }
  g_unix_signal_add(SIGINT, on_end_signal, echo);
  g_unix_signal_add(SIGTERM, on_end_signal, echo);
  printf("listening on %s\n", url);
  g_main_loop_run(echo->loop);
}

int main(int argc, char **argv) {
  struct echo echo = {0};
  int port = -1, clients = 0, connections = 0;
  g_autofree char *ip = NULL, *protocol = NULL;
  g_auto(GStrv) others = NULL;
  const GOptionEntry entries[] = {
      {"port", 'p', 0, G_OPTION_ARG_INT, &port, "Port to listen on; 0: any free one", "N"},
      {"ip", 0, 0, G_OPTION_ARG_STRING, &ip, "Address to listen on (default: 0.0.0.0)", "A"},
      {"protocol", 0, 0, G_OPTION_ARG_STRING, &protocol, "Subprotocol, or a comma list of them", "P"},
      {"max-clients", 0, 0, G_OPTION_ARG_INT, &clients, "Distinct client addresses (default: 10)", "N"},
      {"max-connections", 0, 0, G_OPTION_ARG_INT, &connections, "Connections of one address (default: 10)", "N"},
      {"option", 'o', 0, G_OPTION_ARG_STRING_ARRAY, &others,
       "Any other option of Start as GVariant text: 'maxMessageSize=uint64 1048576'", "KEY=VALUE"},
      {"verbose", 'v', 0, G_OPTION_ARG_NONE, &echo.verbose, "Print what happens", NULL},
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
  g_autoptr(GVariant) options = make_options(port, ip, protocol, clients, connections, others, &error);
  if (options == NULL) {
    g_printerr("echo-server: %s (see --help)\n", error->message);
    return EXIT_FAILURE;
  }
  g_variant_ref_sink(options);

  echo.server = bus_server_new(&echo_events, &echo, &error);
  if (echo.server == NULL) {
    bus_server_print_error("echo-server", "cannot create a server", error);
    return EXIT_FAILURE;
  }
  echo.loop = g_main_loop_new(NULL, FALSE);
  serve(&echo, options);
  bus_server_free(echo.server);
  g_main_loop_unref(echo.loop);
  return echo.status;
}
