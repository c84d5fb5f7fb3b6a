/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The television's side of the demo: phones connect with index.html, press keys and chat; the television does what the keys say
 * and tells every phone.
 *
 * Messages are text, one JSON object each, told apart by "type":
 *   phone to TV   {"type":"key","key":"up"}   {"type":"chat","text":"hello"}
 *   TV to phone   {"type":"welcome","name":"phone 1","columns":3,"tiles":[...]}   once, then the state
 *                 {"type":"state","row":1,"column":1,"selected":"Music","open":false,"volume":20,"muted":false}
 *                 {"type":"chat","from":"phone 1","text":"hello"}   {"type":"phones","count":2}
 *                 {"type":"error","text":"..."}   to the phone that sent what the TV cannot use
 */
#include "client-lib/examples/bus-server.h"
#include "client-lib/examples/limits.h"
#include "client-lib/examples/second-screen/screen.h"

#include <glib-unix.h>
#include <stdio.h>
#include <stdlib.h>

struct tv {
  GMainLoop *loop;
  struct bus_server *server;
  struct screen screen;
  GHashTable *names; /* connection id to the phone's name */
  guint last_number; /* of a phone */
  int status;
};

/* Takes the object. */
static GVariant *to_message(json_object *object) {
  gsize length;
  const char *text = json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN, &length);
  GVariant *data = g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, text, length, 1);
  json_object_put(object);
  return data;
}

static void tell_all(struct tv *tv, json_object *object) {
  bus_server_broadcast(tv->server, TRUE, to_message(object));
}

static void tell(struct tv *tv, guint64 connection, json_object *object) {
  bus_server_send(tv->server, connection, TRUE, to_message(object));
}

static void tell_error(struct tv *tv, guint64 connection, const char *text) {
  json_object *object = json_object_new_object();
  json_object_object_add(object, "type", json_object_new_string("error"));
  json_object_object_add(object, "text", json_object_new_string(text));
  tell(tv, connection, object);
}

static void tell_count(struct tv *tv) {
  json_object *object = json_object_new_object();
  json_object_object_add(object, "type", json_object_new_string("phones"));
  json_object_object_add(object, "count", json_object_new_int((int)g_hash_table_size(tv->names)));
  tell_all(tv, object);
}

static void on_connected(gpointer user, guint64 connection, const char *client_ip, guint16 client_port,
                         GVariant *details) {
  struct tv *tv = user;
  (void)client_port;
  (void)details;
  char *name = g_strdup_printf("phone %u", ++tv->last_number);
  g_hash_table_replace(tv->names, g_memdup2(&connection, sizeof connection), name);
  printf("%s connected from %s\n", name, client_ip);

  json_object *welcome = json_object_new_object();
  json_object_object_add(welcome, "type", json_object_new_string("welcome"));
  json_object_object_add(welcome, "name", json_object_new_string(name));
  json_object_object_add(welcome, "columns", json_object_new_int(SCREEN_COLUMNS));
  json_object_object_add(welcome, "tiles", screen_tiles());
  tell(tv, connection, welcome);
  tell(tv, connection, screen_state(&tv->screen));
  tell_count(tv);
}

static void take_key(struct tv *tv, guint64 connection, const char *name, json_object *object) {
  json_object *key;
  if (!json_object_object_get_ex(object, "key", &key) || !json_object_is_type(key, json_type_string) ||
      !screen_press(&tv->screen, json_object_get_string(key))) {
    tell_error(tv, connection, "This TV does not know that key.");
    return;
  }
  printf("%s pressed %s: %s%s, volume %d%s\n", name, json_object_get_string(key), screen_selected(&tv->screen),
         tv->screen.open ? " is open" : " selected", tv->screen.volume, tv->screen.muted ? " (muted)" : "");
  tell_all(tv, screen_state(&tv->screen));
}

/* Control characters would reach the terminal of whoever runs the TV. */
static void print_chat(const char *name, const char *line) {
  g_autoptr(GString) shown = g_string_new(NULL);
  for (const char *at = line; *at != '\0'; at = g_utf8_next_char(at))
    g_string_append_unichar(shown, g_unichar_iscntrl(g_utf8_get_char(at)) ? 0xFFFD : g_utf8_get_char(at));
  printf("%s says: %s\n", name, shown->str);
}

static void take_chat(struct tv *tv, guint64 connection, const char *name, json_object *object) {
  json_object *text;
  if (!json_object_object_get_ex(object, "text", &text) || !json_object_is_type(text, json_type_string)) {
    tell_error(tv, connection, "A chat message needs a text.");
    return;
  }
  /* A JSON string may hold U+0000, which would end it early here and is no loss in a chat line. */
  g_autofree char *line = g_utf8_substring(json_object_get_string(text), 0,
                                           MIN(g_utf8_strlen(json_object_get_string(text), -1), SCREEN_CHAT_MAX));
  g_strstrip(line);
  if (*line == '\0')
    return;
  print_chat(name, line);

  json_object *chat = json_object_new_object();
  json_object_object_add(chat, "type", json_object_new_string("chat"));
  json_object_object_add(chat, "from", json_object_new_string(name));
  json_object_object_add(chat, "text", json_object_new_string(line));
  tell_all(tv, chat);
}

/* NULL unless `data` is exactly one JSON object. */
static json_object *parse(GVariant *data) {
  gsize length;
  const char *text = g_variant_get_fixed_array(data, &length, 1);
  json_tokener *tokener = json_tokener_new_ex(8);
  json_object *object = json_tokener_parse_ex(tokener, text, (int)MIN(length, SCREEN_MESSAGE_MAX));
  if (object != NULL &&
      (!json_object_is_type(object, json_type_object) || json_tokener_get_parse_end(tokener) < length))
    g_clear_pointer(&object, json_object_put);
  json_tokener_free(tokener);
  return object;
}

static void on_message(gpointer user, guint64 connection, gboolean is_text, GVariant *data) {
  struct tv *tv = user;
  const char *name = g_hash_table_lookup(tv->names, &connection);
  json_object *object = is_text ? parse(data) : NULL;
  json_object *type = NULL;
  if (name == NULL || object == NULL || !json_object_object_get_ex(object, "type", &type)) {
    tell_error(tv, connection, "This TV understands JSON objects with a \"type\" only.");
  } else if (g_strcmp0(json_object_get_string(type), "key") == 0) {
    take_key(tv, connection, name, object);
  } else if (g_strcmp0(json_object_get_string(type), "chat") == 0) {
    take_chat(tv, connection, name, object);
  } else {
    tell_error(tv, connection, "This TV knows the types \"key\" and \"chat\".");
  }
  json_object_put(object);
}

static void on_closed(gpointer user, guint64 connection, guint16 code, const char *reason, gboolean clean) {
  struct tv *tv = user;
  const char *name = g_hash_table_lookup(tv->names, &connection);
  (void)reason;
  if (name == NULL)
    return;
  printf("%s left (%u%s)\n", name, code, clean ? "" : ", connection lost");
  g_hash_table_remove(tv->names, &connection);
  tell_count(tv);
}

static void on_problem(gpointer user, guint32 code, const char *message) {
  (void)user;
  g_printerr("second-screen: error %u: %s\n", code, message);
}

static void on_lost(gpointer user, const char *why) {
  struct tv *tv = user;
  g_printerr("second-screen: %s\n", why);
  tv->status = EXIT_FAILURE;
  g_main_loop_quit(tv->loop);
}

static void on_released(gpointer user) {
  struct tv *tv = user;
  g_main_loop_quit(tv->loop);
}

static gboolean on_end_signal(gpointer user) {
  struct tv *tv = user;
  bus_server_release(tv->server, on_released);
  return G_SOURCE_REMOVE; /* a second Ctrl-C ends at once */
}

static const struct bus_server_events tv_events = {on_connected, on_message, on_closed, on_problem, on_lost};

static void serve(struct tv *tv, int port, const char *ip, char **origins) {
  g_autoptr(GError) error = NULL;
  g_autofree char *url = NULL;
  GVariantDict options;
  g_variant_dict_init(&options, NULL);
  g_variant_dict_insert(&options, "serverPort", "i", port);
  if (ip != NULL)
    g_variant_dict_insert(&options, "serverIP", "s", ip);
  if (origins != NULL) /* any other page that somebody has open could control this TV too */
    g_variant_dict_insert(&options, "allowedOrigins", "^as", origins);
  g_variant_dict_insert(&options, "maxMessageSize", "t", (guint64)SCREEN_MESSAGE_MAX);
  if (!bus_server_start(tv->server, g_variant_dict_end(&options), &error) ||
      (url = bus_server_get_url(tv->server, &error)) == NULL) {
    bus_server_print_error("second-screen", "cannot start", error);
    tv->status = EXIT_FAILURE;
    return;
  }
  g_unix_signal_add(SIGINT, on_end_signal, tv);
  g_unix_signal_add(SIGTERM, on_end_signal, tv);
  printf("listening on %s\n", url);
  g_main_loop_run(tv->loop);
}

int main(int argc, char **argv) {
  struct tv tv = {0};
  int port = 0;
  g_autofree char *ip = NULL;
  g_auto(GStrv) origins = NULL;
  const GOptionEntry entries[] = {
      {"port", 'p', 0, G_OPTION_ARG_INT, &port, "Port to listen on (default: any free one)", "N"},
      {"ip", 0, 0, G_OPTION_ARG_STRING, &ip, "Address to listen on (default: 0.0.0.0)", "A"},
      {"origin", 0, 0, G_OPTION_ARG_STRING_ARRAY, &origins,
       "Origin of a web page that may connect, again for each (default: any)", "URL"},
      {0},
  };
  g_autoptr(GOptionContext) context = g_option_context_new("- a television that phones control");
  g_autoptr(GError) error = NULL;
  g_option_context_add_main_entries(context, entries, NULL);
  if (!g_option_context_parse(context, &argc, &argv, &error) || argc > 1) {
    g_printerr("second-screen: %s (see --help)\n", error != NULL ? error->message : "takes options only");
    return EXIT_FAILURE;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);

  tv.server = bus_server_new(&tv_events, &tv, &error);
  if (tv.server == NULL) {
    bus_server_print_error("second-screen", "cannot create a server", error);
    return EXIT_FAILURE;
  }
  tv.loop = g_main_loop_new(NULL, FALSE);
  tv.names = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
  screen_init(&tv.screen);
  serve(&tv, port, ip, origins);
  bus_server_free(tv.server);
  g_hash_table_unref(tv.names);
  g_main_loop_unref(tv.loop);
  return tv.status;
}
