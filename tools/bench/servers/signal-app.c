/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An app of wsserverd that takes messages as D-Bus signals: it unpacks each, acknowledges them in steps, and answers those
 * that ask for it.
 */
#include "tools/bench/servers/reaction.h"
#include "tools/bench/servers/session.h"

#define ACKNOWLEDGE_STEP 32u

struct app {
  struct bench_session session;
  guint64 handled, acknowledged;
  guint later;
};

/* Without a callback GDBus marks the call as one that wants no reply. */
static void call(struct app *app, const char *method, GVariant *arguments) {
  g_dbus_connection_call(app->session.bus, app->session.service, app->session.path, BENCH_SERVER_INTERFACE, method,
                         arguments, NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
}

static gboolean acknowledge(gpointer user) {
  struct app *app = user;
  app->later = 0;
  if (app->acknowledged != app->handled)
    call(app, "Acknowledge", g_variant_new("(t)", app->handled));
  app->acknowledged = app->handled;
  return G_SOURCE_REMOVE;
}

static void on_message(struct app *app, GVariant *arguments) {
  guint64 connection;
  gboolean text;
  g_autoptr(GVariant) data = NULL;
  g_variant_get(arguments, "(tb@ay)", &connection, &text, &data);
  gsize length;
  const void *octets = g_variant_get_fixed_array(data, &length, 1);
  switch (bench_reaction_to(octets, length)) {
  case BENCH_BROADCAST:
    call(app, "Broadcast", g_variant_new("(@atb@ay)", g_variant_new("at", NULL), text, data));
    break;
  case BENCH_ECHO:
    call(app, "Send", g_variant_new("(tb@ay)", connection, text, data));
    break;
  case BENCH_SINK:
    break;
  }
}

static void on_signal(GDBusConnection *bus, const char *sender, const char *path, const char *interface,
                      const char *name, GVariant *arguments, gpointer user) {
  struct app *app = user;
  (void)bus;
  (void)sender;
  (void)path;
  if (!g_str_equal(interface, BENCH_SERVER_INTERFACE))
    return;
  if (g_str_equal(name, "MessageReceive"))
    on_message(app, arguments);
  app->handled++;
  if (app->handled - app->acknowledged >= ACKNOWLEDGE_STEP)
    acknowledge(app);
  else if (app->later == 0)
    app->later = g_timeout_add(5, acknowledge, app);
}

int main(int argc, char **argv) {
  static struct app app;
  bench_session_begin(&app.session, argc, argv, NULL);
  g_dbus_connection_signal_subscribe(app.session.bus, app.session.service, NULL, NULL, app.session.path, NULL,
                                     G_DBUS_SIGNAL_FLAGS_NO_MATCH_RULE, on_signal, &app, NULL);
  g_main_loop_run(g_main_loop_new(NULL, FALSE));
  return 0;
}
