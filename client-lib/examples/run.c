/* SPDX-License-Identifier: Apache-2.0 */
#include "client-lib/examples/run.h"

#include <glib-unix.h>
#include <stdio.h>
#include <stdlib.h>

struct run {
  const char *program;
  WsServer *server;
  GMainLoop *loop;
  int status;
};

static const struct {
  WsError code;
  const char *hint;
} hints[] = {
    {WS_ERROR_PORT_IN_USE, "Take another port, or 0 for any free one."},
    {WS_ERROR_INVALID_PORT, "Ports are 1 to 65535, or 0 for any free one."},
    {WS_ERROR_INVALID_ADDRESS, "Take an address of this machine (ip address), or 0.0.0.0 for all of them."},
    {WS_ERROR_NOT_SUPPORTED, "The key deviceProfile in wsserverd's configuration decides this."},
};

/* "PROGRAM: DOING: NAME: MESSAGE", and what a person can do about it where we know. */
static void print_error(const char *program, const char *doing, const GError *error) {
  g_autofree char *name = g_dbus_error_encode_gerror(error);
  g_printerr("%s: %s: %s: %s\n", program, doing, name, error->message);
  for (gsize i = 0; i < G_N_ELEMENTS(hints); i++)
    if (g_error_matches(error, WS_ERROR, (gint)hints[i].code))
      g_printerr("  %s\n", hints[i].hint);
  if (g_error_matches(error, WS_ERROR, WS_ERROR_FAILED))
    g_printerr("  \"tools/with-daemon -- COMMAND\" runs COMMAND beside a wsserverd of its own.\n");
  if (error->domain == G_IO_ERROR)
    g_printerr("  Is the system bus running, and does DBUS_SYSTEM_BUS_ADDRESS (if set) name it?\n");
}

WsServer *example_new_server(const char *program) {
  g_autoptr(GError) error = NULL;
  g_autoptr(GDBusConnection) bus = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, &error);
  if (bus == NULL) {
    print_error(program, "cannot reach the bus", error);
    return NULL;
  }
  g_dbus_connection_set_exit_on_close(bus, FALSE); /* we would rather say why we end */
  return ws_server_new_for_bus(bus);
}

static void on_error(WsServer *server, const GError *error, struct run *run) {
  (void)server;
  g_printerr("%s: error %u: %s\n", run->program, ws_error_get_number(error), error->message);
}

static void on_state(WsServer *server, GParamSpec *property, struct run *run) {
  (void)property;
  if (ws_server_get_state(server) != WS_SERVER_STATE_FAILED)
    return;
  run->status = EXIT_FAILURE;
  g_main_loop_quit(run->loop);
}

static void on_stopped(GObject *source, GAsyncResult *result, gpointer user) {
  struct run *run = user;
  ws_server_stop_finish(WS_SERVER(source), result, NULL);
  g_main_loop_quit(run->loop);
}

static gboolean on_end_signal(gpointer user) {
  struct run *run = user;
  ws_server_stop_async(run->server, NULL, on_stopped, run);
  return G_SOURCE_REMOVE; /* a second Ctrl-C ends at once */
}

/* The server says why it fails after it says that it does. */
static void settle(GMainLoop *loop) {
  while (g_main_context_iteration(g_main_loop_get_context(loop), FALSE))
    ;
}

int example_serve(const char *program, WsServer *server, WsServerConfig *config) {
  struct run run = {program, server, g_main_loop_new(NULL, FALSE), EXIT_SUCCESS};
  g_autoptr(GError) error = NULL;
  gulong handlers[] = {
      g_signal_connect(server, "error", G_CALLBACK(on_error), &run),
      g_signal_connect(server, "notify::state", G_CALLBACK(on_state), &run),
  };
  if (ws_server_start(server, config, NULL, &error)) {
    g_autofree char *uri = ws_server_get_uri(server);
    g_unix_signal_add(SIGINT, on_end_signal, &run);
    g_unix_signal_add(SIGTERM, on_end_signal, &run);
    printf("listening on %s\n", uri);
    g_main_loop_run(run.loop);
    settle(run.loop);
  } else {
    print_error(program, "cannot start", error);
    run.status = EXIT_FAILURE;
  }
  for (gsize i = 0; i < G_N_ELEMENTS(handlers); i++)
    g_signal_handler_disconnect(server, handlers[i]);
  g_main_loop_unref(run.loop);
  return run.status;
}
