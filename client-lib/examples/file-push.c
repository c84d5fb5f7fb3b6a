/* SPDX-License-Identifier: Apache-2.0 */
/* Sends a file to everybody who connects, piece by piece, and shows how far each has got. Run it with: file-push FILE [PORT] */
#include <stdlib.h>
#include <string.h>
#include <wsserver/wsserver.h>

enum { PIECE = 65536 };

struct push {
  GBytes *file;
  gsize sent;
};

static void send_next(WsConnection *connection, struct push *push);

static void end(struct push *push) {
  g_bytes_unref(push->file);
  g_free(push);
}

/* The piece is in the peer's socket: a peer that reads slowly makes this one wait, and nobody else. */
static void on_sent(GObject *source, GAsyncResult *result, gpointer user) {
  WsConnection *connection = WS_CONNECTION(source);
  struct push *push = user;
  g_autoptr(GError) error = NULL;
  if (ws_connection_send_finish(connection, result, &error)) {
    g_print("%" G_GUINT64_FORMAT ": %3u %%\n", ws_connection_get_id(connection) & G_MAXUINT32,
            (guint)(push->sent * 100 / g_bytes_get_size(push->file)));
    send_next(connection, push);
    return;
  }
  g_print("%" G_GUINT64_FORMAT ": %s\n", ws_connection_get_id(connection) & G_MAXUINT32, error->message);
  end(push);
}

static void send_next(WsConnection *connection, struct push *push) {
  gsize length = MIN(g_bytes_get_size(push->file) - push->sent, PIECE);
  if (length == 0) {
    ws_connection_close(connection, 1000, "that was all", NULL);
    end(push);
    return;
  }
  g_autoptr(GBytes) piece = g_bytes_new_from_bytes(push->file, push->sent, length);
  g_autoptr(WsMessage) message = ws_message_new_binary(piece);
  push->sent += length;
  ws_connection_send_async(connection, message, NULL, on_sent, push);
}

static void on_connect(WsServer *server, WsConnection *connection, GBytes *file) {
  struct push *push = g_new0(struct push, 1);
  (void)server;
  push->file = g_bytes_ref(file);
  send_next(connection, push);
}

int main(int argc, char **argv) {
  g_autoptr(GError) error = NULL;
  g_autoptr(GMappedFile) file = argc > 1 ? g_mapped_file_new(argv[1], FALSE, &error) : NULL;
  if (file == NULL) {
    g_printerr("%s\n", error != NULL ? error->message : "file-push FILE [PORT]");
    return EXIT_FAILURE;
  }
  g_autoptr(GBytes) content = g_mapped_file_get_bytes(file);
  g_autoptr(WsServer) server = ws_server_new();
  g_autoptr(WsServerConfig) config = ws_server_config_new(argc > 2 ? (guint)atoi(argv[2]) : 8080);
  g_signal_connect(server, "connect", G_CALLBACK(on_connect), content);
  if (!ws_server_start(server, config, NULL, &error)) {
    g_printerr("%s\n", error->message);
    return EXIT_FAILURE;
  }
  g_autofree char *uri = ws_server_get_uri(server);
  g_print("%s\n", uri);
  g_main_loop_run(g_main_loop_new(NULL, FALSE));
  return EXIT_SUCCESS;
}
