/* SPDX-License-Identifier: Apache-2.0 */
/* While the main loop of a server or a client runs in one thread, who calls it in another is warned, and nothing happens. */
#include <wsserver/wsserver.h>

typedef void (*call_function)(gpointer object);

struct attempt {
  call_function call;
  gpointer object;
};

static gpointer try_it(gpointer user) {
  const struct attempt *attempt = user;
  attempt->call(attempt->object);
  return NULL;
}

static void assert_warned(call_function call, gpointer object) {
  struct attempt attempt = {call, object};
  g_test_expect_message("wsserver", G_LOG_LEVEL_CRITICAL, "*failed*");
  g_thread_join(g_thread_new("stranger", try_it, &attempt));
  g_test_assert_expected_messages();
}

static void on_never(GObject *source, GAsyncResult *result, gpointer user) {
  (void)source;
  (void)result;
  (void)user;
  g_assert_not_reached();
}

static void start_server(gpointer server) {
  g_autoptr(WsServerConfig) config = ws_server_config_new(0);
  ws_server_start_async(server, config, NULL, on_never, NULL);
}

static void stop_server(gpointer server) {
  ws_server_stop_async(server, NULL, on_never, NULL);
}

static void pause_server(gpointer server) {
  ws_server_set_paused(server, TRUE);
}

static void test_server(void) {
  g_autoptr(WsServer) server = ws_server_new();
  assert_warned(start_server, server);
  assert_warned(stop_server, server);
  assert_warned(pause_server, server);
  g_assert_cmpint(ws_server_get_state(server), ==, WS_SERVER_STATE_STOPPED);
  g_assert_false(ws_server_get_paused(server));
}

static void connect_client(gpointer client) {
  ws_client_connect_async(client, "ws://127.0.0.1:9/", NULL, NULL, on_never, NULL);
}

static void close_client(gpointer client) {
  g_assert_false(ws_client_close(client, 1000, NULL, NULL));
}

static void test_client(void) {
  g_autoptr(WsClient) client = ws_client_new();
  assert_warned(connect_client, client);
  assert_warned(close_client, client);
  g_assert_cmpint(ws_client_get_state(client), ==, WS_CLIENT_STATE_CLOSED);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_assert_true(g_main_context_acquire(NULL)); /* as a main loop that runs here */
  g_test_add_func("/threads/a-server-belongs-to-one", test_server);
  g_test_add_func("/threads/a-client-belongs-to-one", test_client);
  return g_test_run();
}
