/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that are about one server. Each answers with one line: {"tag", "do", "server", "result" or "error", ...}. */
#include "tests/client-lib/actor.h"

#include <string.h>

typedef void (*Command)(struct actor *actor, struct json_object *command, struct json_object *answer);

/* --- Fields of a command --- */

static struct json_object *field(struct json_object *command, const char *key) {
  return json_object_object_get(command, key);
}

static const char *string_of(struct json_object *command, const char *key) {
  return json_object_get_string(field(command, key));
}

static gboolean flag_of(struct json_object *command, const char *key) {
  return json_object_get_boolean(field(command, key));
}

static guint64 number_of(struct json_object *command, const char *key) {
  return json_object_get_uint64(field(command, key));
}

/* The one with that id, open or held; without an id that of the handler. */
static WsConnection *connection_of(struct actor *actor, struct json_object *command) {
  guint64 id = number_of(command, "connection");
  if (id == 0)
    return actor->connection;
  WsConnection *held = g_hash_table_lookup(actor->held, &id);
  return held != NULL ? held : ws_server_find_connection(actor->server, id);
}

/* "text", "hex", or "size" octets that begin with "number"; without any, the message of the handler. */
static WsMessage *message_of(struct actor *actor, struct json_object *command, GError **error) {
  struct json_object *text = field(command, "text"), *hex = field(command, "hex"), *size = field(command, "size");
  g_autoptr(GByteArray) octets = g_byte_array_new();
  if (text == NULL && hex == NULL && size == NULL)
    return actor->message != NULL ? ws_message_ref(actor->message) : NULL;
  if (text != NULL)
    g_byte_array_append(octets, (const guint8 *)json_object_get_string(text), (guint)json_object_get_string_len(text));
  for (const char *at = hex != NULL ? json_object_get_string(hex) : ""; *at != '\0'; at += 2) {
    guint8 octet = (guint8)(g_ascii_xdigit_value(at[0]) << 4 | g_ascii_xdigit_value(at[1]));
    g_byte_array_append(octets, &octet, 1);
  }
  if (size != NULL) {
    guint32 number = GUINT32_TO_BE((guint32)number_of(command, "number"));
    g_byte_array_set_size(octets, (guint)number_of(command, "size"));
    memset(octets->data, 'x', octets->len);
    memcpy(octets->data, &number, MIN(octets->len, sizeof number));
  }
  g_autoptr(GBytes) bytes = g_byte_array_free_to_bytes(g_steal_pointer(&octets));
  return text != NULL || flag_of(command, "is_text") ? ws_message_new_text_from_bytes(bytes, error)
                                                     : ws_message_new_binary(bytes);
}

static void no_such_connection(struct json_object *answer) {
  line_add_string(answer, "result", "no such connection");
}

/* --- Completions --- */

struct completion {
  struct json_object *answer;
  gboolean (*finish)(gpointer source, GAsyncResult *result, GError **error);
  struct actor *actor;
  struct json_object *then; /* commands to be carried out in the callback */
};

static void on_completed(GObject *source, GAsyncResult *result, gpointer user) {
  struct completion *completion = user;
  g_autoptr(GError) error = NULL;
  line_add_flag(completion->answer, "result", completion->finish(source, result, &error));
  line_add_error(completion->answer, "error", error);
  line_print(completion->answer);
  for (size_t i = 0; completion->then != NULL && i < json_object_array_length(completion->then); i++)
    command_run(completion->actor, json_object_array_get_idx(completion->then, i));
  json_object_put(completion->then);
  g_free(completion);
}

#define COMPLETION(actor, command, answer, function)                                                                   \
  new_completion(actor, command, answer, (gboolean(*)(gpointer, GAsyncResult *, GError **))(void (*)(void))function)

static struct completion *new_completion(struct actor *actor, struct json_object *command, struct json_object *answer,
                                         gboolean (*finish)(gpointer, GAsyncResult *, GError **)) {
  struct completion *completion = g_new(struct completion, 1);
  *completion = (struct completion){json_object_get(answer), finish, actor, json_object_get(field(command, "then"))};
  line_add_flag(answer, "later", TRUE);
  return completion;
}

static void add_outcome(struct json_object *answer, gboolean result, const GError *error) {
  line_add_flag(answer, "result", result);
  line_add_error(answer, "error", error);
}

/* --- Start and stop --- */

/* Octets that no JSON string can hold come as an array. */
static char *text_of(struct json_object *value) {
  if (!json_object_is_type(value, json_type_array))
    return g_strdup(json_object_get_string(value));
  GString *text = g_string_new(NULL);
  for (size_t i = 0; i < json_object_array_length(value); i++)
    g_string_append_c(text, (char)json_object_get_int(json_object_array_get_idx(value, i)));
  return g_string_free(text, FALSE);
}

static void set_property(WsServerConfig *config, const char *name, struct json_object *value) {
  GParamSpec *property = g_object_class_find_property(G_OBJECT_GET_CLASS(config), name);
  g_assert_nonnull(property);
  if (property->value_type == G_TYPE_STRV) {
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    for (size_t i = 0; i < json_object_array_length(value); i++) {
      g_autofree char *text = text_of(json_object_array_get_idx(value, i));
      g_strv_builder_add(builder, text);
    }
    g_auto(GStrv) list = g_strv_builder_end(builder);
    g_object_set(config, name, list, NULL);
  } else if (property->value_type == G_TYPE_STRING) {
    g_autofree char *text = text_of(value);
    g_object_set(config, name, text, NULL);
  } else if (property->value_type == G_TYPE_UINT64) {
    g_object_set(config, name, json_object_get_uint64(value), NULL);
  } else {
    g_object_set(config, name, (guint)json_object_get_uint64(value), NULL);
  }
}

static WsServerConfig *make_config(struct json_object *command) {
  WsServerConfig *config = ws_server_config_new((guint)number_of(command, "port"));
  g_object_set(config, "server-ip", "127.0.0.1", NULL);
  json_object *properties = field(command, "config");
  if (properties != NULL) {
    json_object_object_foreach(properties, name, value) set_property(config, name, value);
  }
  return config;
}

/* "cancellable" names one; "cancel": it is cancelled right after the call. */
static GCancellable *cancellable_of(struct json_object *command) {
  const char *name = string_of(command, "cancellable");
  return name != NULL ? driver_get_cancellable(name) : NULL;
}

static void cancel_if_asked(struct json_object *command) {
  if (flag_of(command, "cancel"))
    g_cancellable_cancel(cancellable_of(command));
}

static void start(struct actor *actor, struct json_object *command, struct json_object *answer) {
  g_autoptr(WsServerConfig) config = make_config(command);
  g_autoptr(GError) error = NULL;
  if (flag_of(command, "sync")) {
    gboolean result = ws_server_start(actor->server, config, cancellable_of(command), &error);
    add_outcome(answer, result, error);
    line_add_number(answer, "port", ws_server_get_port(actor->server));
    return;
  }
  struct completion *completion = COMPLETION(actor, command, answer, ws_server_start_finish);
  ws_server_start_async(actor->server, config, cancellable_of(command), on_completed, completion);
  g_object_set(config, "server-port", 1u, "server-ip", "192.0.2.1", NULL); /* which must not matter any more */
  cancel_if_asked(command);
}

static void stop(struct actor *actor, struct json_object *command, struct json_object *answer) {
  g_autoptr(GError) error = NULL;
  if (flag_of(command, "sync")) {
    gboolean result = ws_server_stop(actor->server, cancellable_of(command), &error);
    add_outcome(answer, result, error);
    return;
  }
  struct completion *completion = COMPLETION(actor, command, answer, ws_server_stop_finish);
  ws_server_stop_async(actor->server, cancellable_of(command), on_completed, completion);
  cancel_if_asked(command);
}

/* --- Questions --- */

static void state(struct actor *actor, struct json_object *command, struct json_object *answer) {
  WsServer *server = actor->server;
  g_autoptr(GEnumClass) states = g_type_class_ref(WS_TYPE_SERVER_STATE);
  g_autofree char *uri = ws_server_get_uri(server);
  (void)command;
  line_add_string(answer, "state", g_enum_get_value(states, (gint)ws_server_get_state(server))->value_nick);
  line_add_number(answer, "port", ws_server_get_port(server));
  line_add_string(answer, "uri", uri);
  line_add_string(answer, "path", ws_server_get_object_path(server));
  line_add_flag(answer, "paused", ws_server_get_paused(server));
  line_add_number(answer, "count", ws_server_get_connection_count(server));
  line_add_number(answer, "messages", actor->quiet_count);
  line_add_number(answer, "octets", actor->quiet_octets);
}

static void list(struct actor *actor, struct json_object *command, struct json_object *answer) {
  g_autoptr(GPtrArray) connections = ws_server_list_connections(actor->server);
  struct json_object *ids = json_object_new_array();
  (void)command;
  for (guint i = 0; i < connections->len; i++)
    json_object_array_add(ids, json_object_new_uint64(ws_connection_get_id(g_ptr_array_index(connections, i))));
  line_add(answer, "result", ids);
}

static void find(struct actor *actor, struct json_object *command, struct json_object *answer) {
  line_add_flag(answer, "result", ws_server_find_connection(actor->server, number_of(command, "connection")) != NULL);
}

/* Each property both ways: by function and by name. */
static void describe(struct actor *actor, struct json_object *command, struct json_object *answer) {
  WsConnection *connection = connection_of(actor, command);
  if (connection == NULL) {
    no_such_connection(answer);
    return;
  }
  g_autofree char *ip = ws_connection_get_client_ip(connection), *path = ws_connection_get_path(connection);
  g_autofree char *query = ws_connection_get_query(connection), *origin = ws_connection_get_origin(connection);
  g_autofree char *protocol = ws_connection_get_protocol(connection);
  g_autofree char *subject = ws_connection_get_client_subject(connection);
  g_autoptr(GHashTable) headers = ws_connection_get_headers(connection);
  line_add_number(answer, "id", ws_connection_get_id(connection));
  line_add_string(answer, "client-ip", ip);
  line_add_number(answer, "client-port", ws_connection_get_client_port(connection));
  line_add_string(answer, "path", path);
  line_add_string(answer, "query", query);
  line_add_string(answer, "origin", origin);
  line_add_string(answer, "protocol", protocol);
  line_add_string(answer, "client-subject", subject);
  line_add_flag(answer, "tls", ws_connection_is_tls(connection));
  line_add_number(answer, "connected-at", (guint64)ws_connection_get_connected_at(connection));
  line_add_number(answer, "queued", ws_connection_get_queued(connection));
  line_add_flag(answer, "open", ws_connection_is_open(connection));
  line_add_number(answer, "headers", g_hash_table_size(headers));
  struct json_object *named = json_object_new_object();
  guint count;
  g_autofree GParamSpec **properties = g_object_class_list_properties(G_OBJECT_GET_CLASS(connection), &count);
  for (guint i = 0; i < count; i++) {
    g_auto(GValue) value = G_VALUE_INIT, text = G_VALUE_INIT;
    g_value_init(&value, properties[i]->value_type);
    g_value_init(&text, G_TYPE_STRING);
    g_object_get_property(G_OBJECT(connection), properties[i]->name, &value);
    g_value_transform(&value, &text);
    line_add_string(named, properties[i]->name, g_value_get_string(&text));
  }
  line_add(answer, "properties", named);
}

/* --- Sending --- */

/* "via": "send", "text", "data" or "async". */
static void send_one(struct actor *actor, struct json_object *command, struct json_object *answer) {
  WsConnection *connection = connection_of(actor, command);
  const char *via = string_of(command, "via");
  g_autoptr(GError) error = NULL;
  gboolean result;
  if (connection == NULL) {
    no_such_connection(answer);
    return;
  }
  g_autoptr(WsMessage) message = message_of(actor, command, &error);
  if (message == NULL) {
    add_outcome(answer, FALSE, error);
  } else if (g_strcmp0(via, "async") == 0) {
    struct completion *completion = COMPLETION(actor, command, answer, ws_connection_send_finish);
    ws_connection_send_async(connection, message, cancellable_of(command), on_completed, completion);
    cancel_if_asked(command);
  } else {
    gsize length;
    const guint8 *data = ws_message_peek(message, &length);
    if (g_strcmp0(via, "text") == 0)
      result = ws_connection_send_text(connection, string_of(command, "text"), &error);
    else if (g_strcmp0(via, "data") == 0)
      result = ws_connection_send_data(connection, length > 0 ? data : NULL, length, &error);
    else
      result = ws_connection_send(connection, message, &error);
    add_outcome(answer, result, error);
  }
}

/* Messages of "size" octets, numbered from "number", until one is refused or "count" are sent; "broadcast": to everybody. */
static void flood(struct actor *actor, struct json_object *command, struct json_object *answer) {
  WsConnection *connection = connection_of(actor, command);
  guint64 first = number_of(command, "number"), count = number_of(command, "count"), sent = 0;
  g_autoptr(GError) error = NULL;
  if (connection == NULL) {
    no_such_connection(answer);
    return;
  }
  json_object_object_add(command, "size", json_object_new_uint64(number_of(command, "size")));
  for (; sent < count; sent++) {
    json_object_object_add(command, "number", json_object_new_uint64(first + sent));
    g_autoptr(WsMessage) message = message_of(actor, command, NULL);
    if (!ws_connection_send(connection, message, &error))
      break;
  }
  json_object_object_add(command, "number", json_object_new_uint64(first));
  line_add_number(answer, "sent", sent);
  line_add_error(answer, "error", error);
}

static void broadcast(struct actor *actor, struct json_object *command, struct json_object *answer) {
  struct json_object *ids = field(command, "connections");
  g_autoptr(GPtrArray) connections = ids != NULL ? g_ptr_array_new() : NULL;
  g_autoptr(GError) error = NULL;
  for (size_t i = 0; ids != NULL && i < json_object_array_length(ids); i++) {
    guint64 id = json_object_get_uint64(json_object_array_get_idx(ids, i));
    WsConnection *held = g_hash_table_lookup(actor->held, &id);
    WsConnection *connection = held != NULL ? held : ws_server_find_connection(actor->server, id);
    if (connection != NULL)
      g_ptr_array_add(connections, connection);
  }
  g_autoptr(WsMessage) message = message_of(actor, command, &error);
  gint result = message != NULL ? ws_server_broadcast(actor->server, connections, message, &error) : -1;
  line_add(answer, "result", json_object_new_int(result));
  line_add_error(answer, "error", error);
}

static void close_one(struct actor *actor, struct json_object *command, struct json_object *answer) {
  WsConnection *connection = connection_of(actor, command);
  g_autoptr(GError) error = NULL;
  if (connection == NULL) {
    no_such_connection(answer);
    return;
  }
  gboolean result =
      ws_connection_close(connection, (guint16)number_of(command, "code"), string_of(command, "reason"), &error);
  add_outcome(answer, result, error);
}

/* --- The rest --- */

static void set_restart(struct actor *actor, struct json_object *command, struct json_object *answer) {
  ws_server_set_restart(actor->server, flag_of(command, "restart"));
  line_add_flag(answer, "result", ws_server_get_restart(actor->server));
}

static void pause_server(struct actor *actor, struct json_object *command, struct json_object *answer) {
  ws_server_set_paused(actor->server, flag_of(command, "paused"));
  line_add_flag(answer, "result", ws_server_get_paused(actor->server));
}

static void keep(struct actor *actor, struct json_object *command, struct json_object *answer) {
  (void)command;
  (void)answer;
  g_ptr_array_add(actor->kept, ws_message_ref(actor->message));
}

static void show_kept(struct actor *actor, struct json_object *command, struct json_object *answer) {
  struct json_object *shown = json_object_new_array();
  for (guint i = 0; i < actor->kept->len; i++) {
    WsMessage *message = g_ptr_array_index(actor->kept, i);
    struct json_object *one = json_object_new_object();
    g_autoptr(GBytes) bytes = ws_message_get_bytes(message);
    g_autofree char *text = ws_message_get_text(message);
    line_add_message(one, "message", message);
    line_add_string(one, "string", text);
    line_add_flag(one, "same",
                  g_bytes_get_size(bytes) == ws_message_get_length(message) &&
                      memcmp(ws_message_peek(message, NULL),
                             g_bytes_get_data(bytes, NULL) != NULL ? g_bytes_get_data(bytes, NULL) : (gconstpointer) "",
                             g_bytes_get_size(bytes)) == 0);
    json_object_array_add(shown, one);
  }
  line_add(answer, "result", shown);
  if (flag_of(command, "drop"))
    g_ptr_array_set_size(actor->kept, 0);
}

static void hold(struct actor *actor, struct json_object *command, struct json_object *answer) {
  WsConnection *connection = connection_of(actor, command);
  (void)answer;
  if (connection == NULL)
    return;
  guint64 *id = g_new(guint64, 1);
  *id = ws_connection_get_id(connection);
  g_hash_table_replace(actor->held, id, g_object_ref(connection));
}

static void unhold(struct actor *actor, struct json_object *command, struct json_object *answer) {
  (void)command;
  (void)answer;
  g_hash_table_remove_all(actor->held);
}

static void plan(struct actor *actor, struct json_object *command, struct json_object *answer) {
  (void)answer;
  json_object_object_add(actor->plans, string_of(command, "event"), json_object_get(field(command, "commands")));
}

static void quiet(struct actor *actor, struct json_object *command, struct json_object *answer) {
  (void)answer;
  actor->is_quiet = flag_of(command, "quiet");
}

static void use_handler(struct actor *actor, struct json_object *command, struct json_object *answer) {
  (void)answer;
  actor_use_handler(actor, flag_of(command, "use"));
}

static void drop(struct actor *actor, struct json_object *command, struct json_object *answer) {
  (void)answer;
  if (flag_of(command, "dispose"))
    g_object_run_dispose(G_OBJECT(actor->server));
  else
    actor_drop_server(actor);
}

/* A main loop inside of a handler, until the command "unnest". */
static void nest(struct actor *actor, struct json_object *command, struct json_object *answer) {
  g_autoptr(GMainLoop) loop = g_main_loop_new(actor->context, FALSE);
  (void)command;
  (void)answer;
  line_print(line_new("event", "nested"));
  actor->nested = g_slist_prepend(actor->nested, loop);
  g_main_loop_run(loop);
  if (actor->message != NULL)
    line_add_message(answer, "message", actor->message);
}

static void unnest(struct actor *actor, struct json_object *command, struct json_object *answer) {
  (void)command;
  (void)answer;
  if (actor->nested == NULL)
    return;
  g_main_loop_quit(actor->nested->data);
  actor->nested = g_slist_delete_link(actor->nested, actor->nested);
}

static void sleep_a_while(struct actor *actor, struct json_object *command, struct json_object *answer) {
  (void)actor;
  (void)answer;
  g_usleep(1000 * (gulong)number_of(command, "ms"));
}

static const struct {
  const char *name;
  Command run;
  gboolean needs_server;
} commands[] = {
    {"start", start, TRUE},
    {"stop", stop, TRUE},
    {"state", state, TRUE},
    {"list", list, TRUE},
    {"find", find, TRUE},
    {"describe", describe, TRUE},
    {"send", send_one, TRUE},
    {"flood", flood, TRUE},
    {"broadcast", broadcast, TRUE},
    {"close", close_one, TRUE},
    {"restart", set_restart, TRUE},
    {"pause", pause_server, TRUE},
    {"keep", keep, TRUE},
    {"kept", show_kept, FALSE},
    {"hold", hold, TRUE},
    {"unhold", unhold, FALSE},
    {"handler", use_handler, TRUE},
    {"plan", plan, FALSE},
    {"quiet", quiet, FALSE},
    {"drop", drop, TRUE},
    {"nest", nest, FALSE},
    {"unnest", unnest, FALSE},
    {"sleep", sleep_a_while, FALSE},
};

void command_run(struct actor *actor, struct json_object *command) {
  const char *name = string_of(command, "do");
  struct actor *named = driver_find_actor(string_of(command, "server"));
  actor = named != NULL ? named : actor;
  struct json_object *answer = line_new("do", name);
  line_add(answer, "tag", json_object_get(field(command, "tag")));
  line_add_string(answer, "server", actor->name);
  for (gsize i = 0; i < G_N_ELEMENTS(commands); i++) {
    if (g_strcmp0(name, commands[i].name) != 0)
      continue;
    if (commands[i].needs_server && actor->server == NULL)
      line_add_string(answer, "result", "no server");
    else
      commands[i].run(actor, command, answer);
    if (field(answer, "later") == NULL)
      line_print(answer);
    else
      json_object_put(answer);
    return;
  }
  g_error("no such command: %s", name);
}
