/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An app of wsserverd on libwsserver's classes, as any app with GLib would be; over D-Bus signals where WS_DELIVERY=signal is set. It
 * takes messages in a handler, or with --emit by the signal "message-receive", which GObject makes dearer.
 */
#include "tools/bench/servers/reaction.h"

#include <stdio.h>
#include <stdlib.h>
#include <wsserver/wsserver.h>

static _Noreturn void fail(const GError *error) {
  g_printerr("app-gobject: %s\n", error->message);
  exit(EXIT_FAILURE);
}

/* Whoever measures bounds what is on its way, so nobody has to wait for room. A connection may be gone, though. */
static void check(gboolean sent, const GError *error) {
  if (!sent && !g_error_matches(error, WS_ERROR, WS_ERROR_CONNECTION_NOT_FOUND))
    fail(error);
}

static void on_message(WsServer *server, WsConnection *connection, WsMessage *message, gpointer user) {
  g_autoptr(GError) error = NULL;
  gsize length;
  const guint8 *data = ws_message_peek(message, &length);
  (void)user;
  switch (bench_reaction_to(data, length)) {
  case BENCH_BROADCAST:
    check(ws_server_broadcast(server, NULL, message, &error) >= 0, error);
    break;
  case BENCH_ECHO:
    check(ws_connection_send(connection, message, &error), error);
    break;
  case BENCH_SINK:
    break;
  }
}

static void on_error(WsServer *server, const GError *error, gpointer user) {
  (void)server;
  (void)user;
  g_printerr("app-gobject: %s\n", error->message);
}

int main(int argc, char **argv) {
  gint64 max_message = 1 << 20;
  gboolean emit = FALSE;
  const GOptionEntry entries[] = {
      {"max-message", 0, 0, G_OPTION_ARG_INT64, &max_message, "Octets of the largest message", "N"},
      {"emit", 0, 0, G_OPTION_ARG_NONE, &emit, "Take messages by the signal", NULL},
      {0},
  };
  g_autoptr(GOptionContext) context = g_option_context_new("- an app of wsserverd for tools/wsbench");
  g_autoptr(GError) error = NULL;
  g_option_context_add_main_entries(context, entries, NULL);
  if (!g_option_context_parse(context, &argc, &argv, &error))
    fail(error);
  g_autoptr(WsServerConfig) config = ws_server_config_new(0);
  g_object_set(config, "server-ip", "127.0.0.1", "max-concurrent-clients-number", 65535u,
               "max-connections-for-one-client", 65535u, "max-message-size", (guint64)max_message, "compression", FALSE,
               NULL);
  g_autoptr(WsServer) server = ws_server_new();
  ws_server_set_lend_binary(server, TRUE); /* what it gets it passes on, and looks at four octets of it */
  if (emit)
    g_signal_connect(server, "message-receive", G_CALLBACK(on_message), NULL);
  else
    ws_server_set_message_handler(server, on_message, NULL, NULL);
  g_signal_connect(server, "error", G_CALLBACK(on_error), NULL);
  if (!ws_server_start(server, config, NULL, &error))
    fail(error);
  printf("listening on ws://127.0.0.1:%u/\n", (unsigned)ws_server_get_port(server));
  fflush(stdout);
  g_main_loop_run(g_main_loop_new(NULL, FALSE));
  return EXIT_SUCCESS;
}
