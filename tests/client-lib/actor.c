/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/client-lib/actor.h"

/* --- What handlers are told to do --- */

static void run_plan(struct actor *actor, const char *event, WsConnection *connection, WsMessage *message) {
  struct json_object *commands;
  if (!json_object_object_get_ex(actor->plans, event, &commands))
    return;
  WsConnection *outer_connection = actor->connection;
  WsMessage *outer_message = actor->message;
  actor->connection = connection;
  actor->message = message;
  json_object_get(commands);
  for (size_t i = 0; i < json_object_array_length(commands); i++)
    command_run(actor, json_object_array_get_idx(commands, i));
  json_object_put(commands);
  actor->connection = outer_connection;
  actor->message = outer_message;
}

static struct json_object *new_event(struct actor *actor, const char *name, WsConnection *connection) {
  struct json_object *line = line_new("event", name);
  line_add_string(line, "server", actor->name);
  if (connection != NULL)
    line_add_number(line, "connection", ws_connection_get_id(connection));
  if (g_main_context_is_owner(actor->context) == FALSE)
    line_add_flag(line, "elsewhere", TRUE); /* which is always wrong */
  return line;
}

/* --- Handlers --- */

static void on_connect(WsServer *server, WsConnection *connection, struct actor *actor) {
  struct json_object *line = new_event(actor, "connect", connection);
  g_autoptr(GHashTable) headers = ws_connection_get_headers(connection);
  g_autofree char *path = ws_connection_get_path(connection), *ip = ws_connection_get_client_ip(connection);
  struct json_object *shown = json_object_new_object();
  GHashTableIter iterator;
  gpointer name, value;
  (void)server;
  g_hash_table_iter_init(&iterator, headers);
  while (g_hash_table_iter_next(&iterator, &name, &value))
    line_add_string(shown, name, value);
  line_add(line, "headers", shown);
  line_add_string(line, "path", path);
  line_add_string(line, "ip", ip);
  line_add_number(line, "port", ws_connection_get_client_port(connection));
  line_print(line);
  run_plan(actor, "connect", connection, NULL);
}

static void on_message(WsServer *server, WsConnection *connection, WsMessage *message, struct actor *actor) {
  (void)server;
  if (actor->is_quiet) {
    actor->quiet_count++;
    actor->quiet_octets += ws_message_get_length(message);
  } else {
    struct json_object *line = new_event(actor, "message", connection);
    line_add_message(line, "message", message);
    line_print(line);
  }
  run_plan(actor, "message", connection, message);
}

static void on_close(WsServer *server, WsConnection *connection, guint code, const char *reason, gboolean clean,
                     struct actor *actor) {
  struct json_object *line = new_event(actor, "close", connection);
  (void)server;
  line_add_number(line, "code", code);
  line_add_string(line, "reason", reason);
  line_add_flag(line, "clean", clean);
  line_add_flag(line, "open", ws_connection_is_open(connection));
  line_print(line);
  run_plan(actor, "close", connection, NULL);
}

static void on_error(WsServer *server, const GError *error, struct actor *actor) {
  struct json_object *line = new_event(actor, "error", NULL);
  (void)server;
  line_add_error(line, "error", error);
  line_print(line);
  run_plan(actor, "error", NULL, NULL);
}

static void on_drained(WsServer *server, WsConnection *connection, struct actor *actor) {
  (void)server;
  line_print(new_event(actor, "drained", connection));
  run_plan(actor, "drained", connection, NULL);
}

/* A plan for a state is named as the state is. */
static void on_notify(WsServer *server, GParamSpec *property, struct actor *actor) {
  struct json_object *line = new_event(actor, "notify", NULL);
  g_auto(GValue) value = G_VALUE_INIT;
  g_value_init(&value, property->value_type);
  g_object_get_property(G_OBJECT(server), property->name, &value);
  line_add_string(line, "property", property->name);
  if (!G_VALUE_HOLDS_ENUM(&value)) {
    g_autofree char *shown = g_strdup_value_contents(&value);
    line_add_string(line, "value", shown);
    line_print(line);
    return;
  }
  const char *state = g_enum_get_value(g_type_class_peek(property->value_type), g_value_get_enum(&value))->value_nick;
  line_add_string(line, "value", state);
  line_print(line);
  run_plan(actor, state, NULL, NULL);
}

/* --- The thread --- */

static gpointer run_thread(gpointer data) {
  struct actor *actor = data;
  g_main_context_push_thread_default(actor->context);
  g_main_loop_run(actor->loop);
  while (g_main_context_iteration(actor->context, FALSE))
    ;
  g_main_context_pop_thread_default(actor->context);
  return NULL;
}

void actor_post(struct actor *actor, GSourceFunc function, gpointer data) {
  g_autoptr(GSource) source = g_idle_source_new();
  g_source_set_priority(source, G_PRIORITY_DEFAULT);
  g_source_set_callback(source, function, data, NULL);
  g_source_attach(source, actor->context);
}

static gboolean quit(gpointer data) {
  g_main_loop_quit(data);
  return G_SOURCE_REMOVE;
}

/* --- Beginning and end --- */

static WsServer *new_server(struct actor *actor, GDBusConnection *bus) {
  WsServer *server = bus != NULL ? ws_server_new_for_bus(bus) : ws_server_new();
  ws_server_set_restart(server, FALSE); /* most tests look at what happens without; see set-restart */
  g_signal_connect(server, "connect", G_CALLBACK(on_connect), actor);
  g_signal_connect(server, "message-receive", G_CALLBACK(on_message), actor);
  g_signal_connect(server, "close", G_CALLBACK(on_close), actor);
  g_signal_connect(server, "error", G_CALLBACK(on_error), actor);
  g_signal_connect(server, "drained", G_CALLBACK(on_drained), actor);
  g_signal_connect(server, "notify", G_CALLBACK(on_notify), actor);
  return server;
}

struct actor *actor_new(const char *name, GDBusConnection *bus, gboolean has_thread) {
  struct actor *actor = g_new0(struct actor, 1);
  actor->name = g_strdup(name);
  actor->plans = json_object_new_object();
  actor->kept = g_ptr_array_new_with_free_func((GDestroyNotify)ws_message_unref);
  actor->held = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_object_unref);
  actor->context = has_thread ? g_main_context_new() : g_main_context_ref_thread_default();
  g_main_context_push_thread_default(actor->context);
  actor->server = new_server(actor, bus);
  g_main_context_pop_thread_default(actor->context);
  if (has_thread) {
    actor->loop = g_main_loop_new(actor->context, FALSE);
    actor->thread = g_thread_new(name, run_thread, actor);
  }
  return actor;
}

static void take_message(WsServer *server, WsConnection *connection, WsMessage *message, gpointer user) {
  on_message(server, connection, message, user);
}

void actor_use_handler(struct actor *actor, gboolean use) {
  ws_server_set_message_handler(actor->server, use ? take_message : NULL, actor, NULL);
}

void actor_drop_server(struct actor *actor) {
  WsServer *server = g_steal_pointer(&actor->server);
  if (server == NULL)
    return;
  g_signal_handlers_disconnect_by_data(server, actor);
  ws_server_set_message_handler(server, NULL, NULL, NULL);
  g_object_unref(server);
}

static gboolean drop_all(gpointer data) {
  struct actor *actor = data;
  actor_drop_server(actor);
  g_ptr_array_set_size(actor->kept, 0);
  g_hash_table_remove_all(actor->held);
  return G_SOURCE_REMOVE;
}

void actor_free(struct actor *actor) {
  if (actor->thread != NULL) {
    actor_post(actor, drop_all, actor);
    actor_post(actor, quit, actor->loop);
    g_thread_join(actor->thread);
    g_main_loop_unref(actor->loop);
  } else {
    drop_all(actor);
  }
  g_ptr_array_unref(actor->kept);
  g_hash_table_unref(actor->held);
  json_object_put(actor->plans);
  g_main_context_unref(actor->context);
  g_free(actor->name);
  g_free(actor);
}
