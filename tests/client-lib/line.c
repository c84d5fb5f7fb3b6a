/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/client-lib/line.h"

#include <stdio.h>

struct json_object *line_new(const char *key, const char *value) {
  struct json_object *line = json_object_new_object();
  line_add_string(line, key, value);
  return line;
}

void line_add(struct json_object *line, const char *key, struct json_object *value) {
  json_object_object_add(line, key, value);
}

void line_add_string(struct json_object *line, const char *key, const char *value) {
  line_add(line, key, value != NULL ? json_object_new_string(value) : NULL);
}

void line_add_number(struct json_object *line, const char *key, guint64 value) {
  line_add(line, key, json_object_new_uint64(value));
}

void line_add_flag(struct json_object *line, const char *key, gboolean value) {
  line_add(line, key, json_object_new_boolean(value));
}

static char *name_of(const GError *error) {
  return error->domain == WS_ERROR ? g_dbus_error_encode_gerror(error) : g_strdup("");
}

void line_add_error(struct json_object *line, const char *key, const GError *error) {
  struct json_object *shown = NULL;
  if (error != NULL) {
    g_autofree char *name = name_of(error);
    shown = line_new("domain", g_quark_to_string(error->domain));
    line_add_number(shown, "code", (guint64)error->code);
    line_add_string(shown, "name", name);
    line_add_number(shown, "number", ws_error_get_number(error));
    line_add_string(shown, "message", error->message);
  }
  line_add(line, key, shown);
}

void line_add_message(struct json_object *line, const char *key, WsMessage *message) {
  gsize length;
  const guint8 *data = ws_message_peek(message, &length);
  struct json_object *shown = json_object_new_object();
  line_add_flag(shown, "text", ws_message_is_text(message));
  line_add_number(shown, "length", length);
  if (length > LINE_SHOWN_MAX) {
    g_autofree char *digest = g_compute_checksum_for_data(G_CHECKSUM_SHA256, data, length);
    line_add_string(shown, "sha256", digest);
  } else {
    g_autoptr(GString) hex = g_string_new(NULL);
    for (gsize i = 0; i < length; i++)
      g_string_append_printf(hex, "%02x", data[i]);
    line_add_string(shown, "hex", hex->str);
  }
  line_add(line, key, shown);
}

void line_print(struct json_object *line) {
  static GMutex mutex;
  g_mutex_lock(&mutex);
  fprintf(stdout, "%s\n", json_object_to_json_string_ext(line, JSON_C_TO_STRING_PLAIN));
  fflush(stdout);
  g_mutex_unlock(&mutex);
  json_object_put(line);
}
