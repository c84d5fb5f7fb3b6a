/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WsClient on real TCP connections, for tests that play the server with exact octets: reads and writes the same lines as engine-client, but that a refusal is told with the library's
 * own sentence.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wsserver/wsserver.h>

struct visit {
  GMainLoop *loop;
  char *close_with; /* a message that is answered by a Close frame of ours instead of an echo */
  bool failed;      /* this side has found something wrong */
};

static void fail(const char *what, const GError *error) {
  (void)fprintf(stderr, "library-client: %s: %s\n", what, error->message);
  exit(EXIT_FAILURE);
}

static void on_sent(GObject *source, GAsyncResult *result, gpointer user) {
  (void)user;
  ws_client_send_finish(WS_CLIENT(source), result, NULL); /* whoever closes meanwhile does not want it */
}

static void on_message(WsClient *client, WsMessage *message, struct visit *visit) {
  g_autoptr(GError) error = NULL;
  gsize length;
  const guint8 *data = ws_message_peek(message, &length);
  const char *word = visit->close_with;
  if (word != NULL && length >= strlen(word) && memcmp(data, word, strlen(word)) == 0) {
    g_autofree char *reason = g_strndup((const char *)data, strlen(word));
    if (!ws_client_close(client, 1000, reason, &error))
      fail("close", error);
    return;
  }
  ws_client_send_async(client, message, NULL, on_sent, NULL);
}

static void on_error(WsClient *client, const GError *error, struct visit *visit) {
  (void)client;
  (void)error;
  visit->failed = true;
}

static void on_close(WsClient *client, guint code, const char *reason, gboolean clean, struct visit *visit) {
  (void)client;
  (void)clean;
  if (code == 1006)
    printf("lost\n");
  else
    printf("%s %u %s\n", visit->failed ? "failed" : "closed", code, reason);
  g_main_loop_quit(visit->loop);
}

static void on_connected(GObject *source, GAsyncResult *result, gpointer user) {
  struct visit *visit = user;
  g_autoptr(GError) error = NULL;
  WsClient *client = WS_CLIENT(source);
  if (ws_client_connect_finish(client, result, &error)) {
    const char *protocol = ws_client_get_protocol(client);
    printf("open %s\n", protocol != NULL ? protocol : "");
    return;
  }
  printf("refused %s\n", error->message);
  g_main_loop_quit(visit->loop);
}

static WsClientConfig *read_options(char **words, struct visit *visit) {
  WsClientConfig *config = ws_client_config_new();
  g_object_set(config, "compression", FALSE, "proxy-mode", WS_PROXY_MODE_NONE, "max-message-size", (guint64)(32 << 20),
               NULL);
  for (; *words != NULL; words++) {
    if (g_str_has_prefix(*words, "protocols="))
      g_object_set(config, "protocol", *words + strlen("protocols="), NULL);
    else if (g_str_has_prefix(*words, "max="))
      g_object_set(config, "max-message-size", g_ascii_strtoull(*words + strlen("max="), NULL, 10), NULL);
    else if (g_str_has_prefix(*words, "close="))
      visit->close_with = g_strdup(*words + strlen("close="));
    else if (g_str_equal(*words, "compression=1"))
      g_object_set(config, "compression", TRUE, NULL);
    else
      g_error("what is %s?", *words);
  }
  return config;
}

static void pay_visit(char *line) {
  struct visit visit = {.loop = g_main_loop_new(NULL, FALSE)};
  g_auto(GStrv) words = g_strsplit(g_strchomp(line), " ", -1);
  g_autoptr(WsClient) client = ws_client_new();
  g_autoptr(WsClientConfig) config = read_options(words + 1, &visit);
  g_autofree char *url = g_strdup_printf("ws://127.0.0.1:%s/", words[0]);
  g_signal_connect(client, "message", G_CALLBACK(on_message), &visit);
  g_signal_connect(client, "error", G_CALLBACK(on_error), &visit);
  g_signal_connect(client, "close", G_CALLBACK(on_close), &visit);
  ws_client_connect_async(client, url, config, NULL, on_connected, &visit);
  g_main_loop_run(visit.loop);
  while (g_main_context_iteration(NULL, FALSE)) /* the last octets */
    ;
  g_main_loop_unref(visit.loop);
  g_free(visit.close_with);
}

int main(void) {
  char line[4096];
  setvbuf(stdout, NULL, _IOLBF, 0);
  while (fgets(line, sizeof line, stdin) != NULL)
    pay_visit(line);
  return EXIT_SUCCESS;
}
