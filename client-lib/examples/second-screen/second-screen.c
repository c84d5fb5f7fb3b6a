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
#include "client-lib/examples/limits.h"
#include "client-lib/examples/run.h"
#include "client-lib/examples/second-screen/screen.h"

#include <stdio.h>
#include <stdlib.h>

struct tv {
  WsServer *server;
  struct screen screen;
  guint last_number; /* of a phone */
};

/* Takes the object. */
static WsMessage *to_message(json_object *object) {
  WsMessage *message = ws_message_new_text(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
  json_object_put(object);
  return message;
}

/* A phone that does not read misses what it could not read anyway. */
static void tell_all(struct tv *tv, json_object *object) {
  g_autoptr(WsMessage) message = to_message(object);
  ws_server_broadcast(tv->server, NULL, message, NULL);
}

static void tell(WsConnection *connection, json_object *object) {
  g_autoptr(WsMessage) message = to_message(object);
  ws_connection_send(connection, message, NULL);
}

static void tell_error(WsConnection *connection, const char *text) {
  json_object *object = json_object_new_object();
  json_object_object_add(object, "type", json_object_new_string("error"));
  json_object_object_add(object, "text", json_object_new_string(text));
  tell(connection, object);
}

static void tell_count(struct tv *tv) {
  json_object *object = json_object_new_object();
  json_object_object_add(object, "type", json_object_new_string("phones"));
  json_object_object_add(object, "count", json_object_new_int((int)ws_server_get_connection_count(tv->server)));
  tell_all(tv, object);
}

/* The phone's name goes with its connection. */
static const char *name_of(WsConnection *connection) {
  return g_object_get_data(G_OBJECT(connection), "name");
}

static void on_connect(WsServer *server, WsConnection *connection, struct tv *tv) {
  (void)server;
  g_autofree char *client_ip = ws_connection_get_client_ip(connection);
  char *name = g_strdup_printf("phone %u", ++tv->last_number);
  g_object_set_data_full(G_OBJECT(connection), "name", name, g_free);
  printf("%s connected from %s\n", name, client_ip);

  json_object *welcome = json_object_new_object();
  json_object_object_add(welcome, "type", json_object_new_string("welcome"));
  json_object_object_add(welcome, "name", json_object_new_string(name));
  json_object_object_add(welcome, "columns", json_object_new_int(SCREEN_COLUMNS));
  json_object_object_add(welcome, "tiles", screen_tiles());
  tell(connection, welcome);
  tell(connection, screen_state(&tv->screen));
  tell_count(tv);
}

static void take_key(struct tv *tv, WsConnection *connection, json_object *object) {
  const char *name = name_of(connection);
  json_object *key;
  if (!json_object_object_get_ex(object, "key", &key) || !json_object_is_type(key, json_type_string) ||
      !screen_press(&tv->screen, json_object_get_string(key))) {
    tell_error(connection, "This TV does not know that key.");
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

static void take_chat(struct tv *tv, WsConnection *connection, json_object *object) {
  const char *name = name_of(connection);
  json_object *text;
  if (!json_object_object_get_ex(object, "text", &text) || !json_object_is_type(text, json_type_string)) {
    tell_error(connection, "A chat message needs a text.");
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

/* NULL unless the message is exactly one JSON object. */
static json_object *parse(const WsMessage *message) {
  gsize length;
  const char *text = (const char *)ws_message_peek(message, &length);
  json_tokener *tokener = json_tokener_new_ex(8);
  json_object *object = json_tokener_parse_ex(tokener, text, (int)MIN(length, SCREEN_MESSAGE_MAX));
  if (object != NULL &&
      (!json_object_is_type(object, json_type_object) || json_tokener_get_parse_end(tokener) < length))
    g_clear_pointer(&object, json_object_put);
  json_tokener_free(tokener);
  return object;
}

static void on_message(WsServer *server, WsConnection *connection, WsMessage *message, struct tv *tv) {
  json_object *object = ws_message_is_text(message) ? parse(message) : NULL;
  json_object *type = NULL;
  (void)server;
  if (object == NULL || !json_object_object_get_ex(object, "type", &type)) {
    tell_error(connection, "This TV understands JSON objects with a \"type\" only.");
  } else if (g_strcmp0(json_object_get_string(type), "key") == 0) {
    take_key(tv, connection, object);
  } else if (g_strcmp0(json_object_get_string(type), "chat") == 0) {
    take_chat(tv, connection, object);
  } else {
    tell_error(connection, "This TV knows the types \"key\" and \"chat\".");
  }
  json_object_put(object);
}

static void on_close(WsServer *server, WsConnection *connection, guint code, const char *reason, gboolean clean,
                     struct tv *tv) {
  (void)server;
  (void)reason;
  printf("%s left (%u%s)\n", name_of(connection), code, clean ? "" : ", connection lost");
  tell_count(tv);
}

static int serve(struct tv *tv, int port, const char *ip, char **origins) {
  g_autoptr(WsServerConfig) config = ws_server_config_new((guint)port);
  /* Any other page that somebody has open could control this TV too. */
  g_object_set(config, "server-ip", ip, "allowed-origins", origins, "max-message-size", (guint64)SCREEN_MESSAGE_MAX,
               NULL);
  g_signal_connect(tv->server, "connect", G_CALLBACK(on_connect), tv);
  g_signal_connect(tv->server, "message-receive", G_CALLBACK(on_message), tv);
  g_signal_connect(tv->server, "close", G_CALLBACK(on_close), tv);
  return example_serve("second-screen", tv->server, config);
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

  screen_init(&tv.screen);
  tv.server = example_new_server("second-screen");
  int status = tv.server != NULL ? serve(&tv, port, ip, origins) : EXIT_FAILURE;
  g_clear_object(&tv.server);
  return status;
}
