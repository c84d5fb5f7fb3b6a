/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config-value.h"

#include "daemon/error.h"
#include "daemon/json-lines.h"
#include "daemon/limits.h"

#include <string.h>

bool wsd_place_fault(const struct wsd_place *place, GError **error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  GString *message = g_string_new(place->file);
  guint line = place->text && place->path ? wsd_json_line(place->text, place->path) : 0;
  if (line > 0)
    g_string_append_printf(message, ":%u", line);
  g_string_append(message, ": ");
  if (place->path && *place->path)
    g_string_append_printf(message, "%s: ", place->path);
  g_string_append_vprintf(message, format, arguments);
  va_end(arguments);
  for (char *at = message->str; *at; at++)
    if (g_ascii_iscntrl(*at)) /* one message, one line */
      *at = ' ';
  g_set_error_literal(error, WSD_ERROR, WSD_ERROR_FAILED, message->str);
  g_string_free(message, TRUE);
  return false;
}

bool wsd_value_name(json_object *value, const struct wsd_place *place, char **out, GError **error) {
  if (!json_object_is_type(value, json_type_string))
    return wsd_place_fault(place, error, "must be a string");
  const char *text = json_object_get_string(value);
  size_t length = (size_t)json_object_get_string_len(value);
  if (length == 0 || length > WSD_CONFIG_NAME_MAX || strlen(text) != length)
    return wsd_place_fault(place, error, "must have 1 to %u octets and no NUL", WSD_CONFIG_NAME_MAX);
  if (!g_utf8_validate(text, (gssize)length, NULL))
    return wsd_place_fault(place, error, "must be UTF-8");
  g_free(*out);
  *out = g_strdup(text);
  return true;
}

bool wsd_value_is_list(json_object *value, const struct wsd_place *place, const char *of_what, GError **error) {
  if (!json_object_is_type(value, json_type_array))
    return wsd_place_fault(place, error, "must be an array of %s", of_what);
  size_t length = json_object_array_length(value);
  if (length > WSD_CONFIG_LIST_MAX)
    return wsd_place_fault(place, error, "has %zu entries, at most %u are allowed", length, WSD_CONFIG_LIST_MAX);
  return true;
}

bool wsd_value_names(json_object *value, const struct wsd_place *place, GStrv *out, GError **error) {
  if (!wsd_value_is_list(value, place, "strings", error))
    return false;
  g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
  for (size_t i = 0; i < json_object_array_length(value); i++) {
    g_autofree char *path = g_strdup_printf("%s[%zu]", place->path, i);
    const struct wsd_place entry = {place->file, place->text, path};
    g_autofree char *name = NULL;
    if (!wsd_value_name(json_object_array_get_idx(value, i), &entry, &name, error))
      return false;
    g_strv_builder_add(builder, name);
  }
  g_strfreev(*out);
  *out = g_strv_builder_end(builder);
  return true;
}

bool wsd_value_number(json_object *value, const struct wsd_place *place, guint64 least, guint64 most, guint64 *out,
                      GError **error) {
  if (!json_object_is_type(value, json_type_int))
    return wsd_place_fault(place, error, "must be a whole number");
  gint64 number = json_object_get_int64(value); /* what does not fit becomes the largest or the least there is */
  if (number < 0 || (guint64)number < least || (guint64)number > most)
    return wsd_place_fault(place, error, "must be from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT, least, most);
  *out = (guint64)number;
  return true;
}

bool wsd_value_flag(json_object *value, const struct wsd_place *place, bool *out, GError **error) {
  if (!json_object_is_type(value, json_type_boolean))
    return wsd_place_fault(place, error, "must be true or false");
  *out = json_object_get_boolean(value);
  return true;
}
