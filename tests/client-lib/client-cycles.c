/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients that connect, have a message echoed, say goodbye and are gone, again and again, in several threads at once, each with a main context of its own.
 *
 *   client-cycles URL CYCLES THREADS [CA]
 *
 * Prints what the heap held after the first fifth of the cycles and at the end, in octets. Between two lives of each kind it is also cancelled, refused and dropped halfway.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wsserver/wsserver.h>

struct visit {
  GMainLoop *loop;
  WsClient *client;
  gboolean echoed, closed;
};

struct plan {
  const char *url, *ca;
  guint cycles;
};

static void fail(const char *what, const GError *error) {
  g_printerr("client-cycles: %s: %s\n", what, error != NULL ? error->message : "no");
  exit(EXIT_FAILURE);
}

static void on_message(WsClient *client, WsMessage *message, struct visit *visit) {
  g_autoptr(GBytes) kept = ws_message_get_bytes(message);
  visit->echoed = g_bytes_get_size(kept) == 20000;
  ws_client_close(client, 1000, "thanks", NULL);
}

static void on_close(WsClient *client, guint code, const char *reason, gboolean clean, struct visit *visit) {
  (void)client;
  visit->closed = clean && code == 1000 && g_str_equal(reason, "thanks");
  g_main_loop_quit(visit->loop);
}

static void on_connected(GObject *source, GAsyncResult *result, gpointer user) {
  g_autoptr(GError) error = NULL;
  g_autofree char *text = g_strnfill(20000, 'x');
  (void)user;
  if (!ws_client_connect_finish(WS_CLIENT(source), result, &error) ||
      !ws_client_send_text(WS_CLIENT(source), text, &error))
    fail("no connection", error);
}

static WsClientConfig *new_config(const struct plan *plan) {
  WsClientConfig *config = ws_client_config_new();
  g_object_set(config, "proxy-mode", WS_PROXY_MODE_NONE, "ca-path", plan->ca, NULL);
  ws_client_config_add_header(config, "X-Cycle", "1");
  return config;
}

static void whole_life(const struct plan *plan, GMainContext *context) {
  struct visit visit = {.loop = g_main_loop_new(context, FALSE)};
  g_autoptr(WsClientConfig) config = new_config(plan);
  visit.client = ws_client_new();
  g_signal_connect(visit.client, "message", G_CALLBACK(on_message), &visit);
  g_signal_connect(visit.client, "close", G_CALLBACK(on_close), &visit);
  ws_client_connect_async(visit.client, plan->url, config, NULL, on_connected, NULL);
  g_main_loop_run(visit.loop);
  if (!visit.echoed || !visit.closed)
    fail("a visit did not go as planned", NULL);
  g_object_unref(visit.client);
  g_main_loop_unref(visit.loop);
}

static void on_not_connected(GObject *source, GAsyncResult *result, gpointer user) {
  g_autoptr(GError) error = NULL;
  if (ws_client_connect_finish(WS_CLIENT(source), result, &error))
    fail("connected", NULL);
  *(gboolean *)user = TRUE;
}

/* One that is cancelled on the way, and one that nobody answers. */
static void half_lives(const struct plan *plan, GMainContext *context) {
  static const char *const urls[] = {NULL, "ws://127.0.0.1:9/"};
  for (gsize i = 0; i < G_N_ELEMENTS(urls); i++) {
    g_autoptr(WsClientConfig) config = new_config(plan);
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_autoptr(WsClient) client = ws_client_new();
    gboolean failed = FALSE;
    ws_client_connect_async(client, urls[i] != NULL ? urls[i] : plan->url, config, cancellable, on_not_connected,
                            &failed);
    if (urls[i] == NULL)
      g_cancellable_cancel(cancellable);
    while (!failed)
      g_main_context_iteration(context, TRUE);
  }
}

/* It goes while it connects: nobody calls back. */
static void dropped_life(const struct plan *plan, GMainContext *context) {
  g_autoptr(WsClientConfig) config = new_config(plan);
  WsClient *client = ws_client_new();
  ws_client_connect_async(client, plan->url, config, NULL, NULL, NULL);
  g_main_context_iteration(context, FALSE);
  g_object_run_dispose(G_OBJECT(client));
  g_object_unref(client);
}

/* What the last dropped client had begun comes to its end; in a context that nobody runs it never would. */
static void settle(GMainContext *context) {
  gint64 until = g_get_monotonic_time() + 500 * G_TIME_SPAN_MILLISECOND;
  while (g_get_monotonic_time() < until)
    if (!g_main_context_iteration(context, FALSE))
      g_usleep(1000);
}

static gpointer run(gpointer user) {
  const struct plan *plan = user;
  GMainContext *context = g_main_context_new();
  g_main_context_push_thread_default(context);
  for (guint i = 0; i < plan->cycles; i++) {
    whole_life(plan, context);
    half_lives(plan, context);
    dropped_life(plan, context);
  }
  settle(context);
  g_main_context_pop_thread_default(context);
  g_main_context_unref(context);
  return NULL;
}

static void run_threads(struct plan *plan, guint count) {
  g_autofree GThread **threads = g_new(GThread *, count);
  for (guint i = 0; i < count; i++)
    threads[i] = g_thread_new("visitor", run, plan);
  for (guint i = 0; i < count; i++)
    g_thread_join(threads[i]);
}

static size_t heap(void) {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

int main(int argc, char **argv) {
  if (argc < 4)
    fail("URL CYCLES THREADS [CA]", NULL);
  guint cycles = (guint)atoi(argv[2]), threads = (guint)atoi(argv[3]);
  struct plan plan = {.url = argv[1], .ca = argc > 4 ? argv[4] : NULL, .cycles = cycles / 5};
  run_threads(&plan, threads);
  size_t before = heap();
  plan.cycles = cycles - cycles / 5;
  run_threads(&plan, threads);
  printf("%zu %zu\n", before, heap());
  return EXIT_SUCCESS;
}
