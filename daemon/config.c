/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config.h"

#include "daemon/error.h"
#include "daemon/limits.h"
#include "daemon/names.h"

#include <json-c/json.h>
#include <string.h>

#ifndef WSD_VENDOR_DIR
#define WSD_VENDOR_DIR "/usr/lib/wsserverd"
#endif
#ifndef WSD_SYSCONF_DIR
#define WSD_SYSCONF_DIR "/etc/wsserverd"
#endif

/* One place in one file, for messages: "FILE: key: what is wrong". */
struct place {
  const char *file;
  const char *key;
};

G_GNUC_PRINTF(3, 4)
static bool fault(const struct place *place, GError **error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *text = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  g_autofree char *key = g_strdup(place->key);
  for (char *at = key; at && *at; at++)
    if (g_ascii_iscntrl(*at)) /* one message, one line */
      *at = ' ';
  if (key)
    g_set_error(error, WSD_ERROR, WSD_ERROR_FAILED, "%s: %s: %s", place->file, key, text);
  else
    g_set_error(error, WSD_ERROR, WSD_ERROR_FAILED, "%s: %s", place->file, text);
  return false;
}

static bool read_name(json_object *value, const struct place *place, char **out, GError **error) {
  if (!json_object_is_type(value, json_type_string))
    return fault(place, error, "must be a string");
  const char *text = json_object_get_string(value);
  size_t length = (size_t)json_object_get_string_len(value);
  if (length == 0 || length > WSD_CONFIG_NAME_MAX || strlen(text) != length)
    return fault(place, error, "must have 1 to %u octets and no NUL", WSD_CONFIG_NAME_MAX);
  if (!g_utf8_validate(text, (gssize)length, NULL))
    return fault(place, error, "must be UTF-8");
  g_free(*out);
  *out = g_strdup(text);
  return true;
}

static bool read_names(json_object *value, const struct place *place, GStrv *out, GError **error) {
  if (!json_object_is_type(value, json_type_array))
    return fault(place, error, "must be an array of strings");
  size_t length = json_object_array_length(value);
  if (length > WSD_CONFIG_LIST_MAX)
    return fault(place, error, "has %zu entries, at most %u are allowed", length, WSD_CONFIG_LIST_MAX);
  g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
  for (size_t i = 0; i < length; i++) {
    g_autofree char *name = NULL;
    if (!read_name(json_object_array_get_idx(value, i), place, &name, error))
      return false;
    g_strv_builder_add(builder, name);
  }
  g_strfreev(*out);
  *out = g_strv_builder_end(builder);
  return true;
}

static bool read_number(json_object *value, const struct place *place, guint least, guint most, guint *out,
                        GError **error) {
  if (!json_object_is_type(value, json_type_int))
    return fault(place, error, "must be a whole number");
  gint64 number = json_object_get_int64(value);
  if (number < least || number > most)
    return fault(place, error, "must be from %u to %u", least, most);
  *out = (guint)number;
  return true;
}

static bool read_device_profile(struct wsd_config *config, json_object *value, const struct place *place,
                                GError **error) {
  return read_name(value, place, &config->device_profile, error);
}

static bool read_allowed_profiles(struct wsd_config *config, json_object *value, const struct place *place,
                                  GError **error) {
  return read_names(value, place, &config->allowed_profiles, error);
}

static bool read_administrators(struct wsd_config *config, json_object *value, const struct place *place,
                                GError **error) {
  if (!json_object_is_type(value, json_type_object))
    return fault(place, error, "must be an object with the keys users and groups");
  g_auto(GStrv) users = g_new0(char *, 1);
  g_auto(GStrv) groups = g_new0(char *, 1);
  json_object_object_foreach(value, key, entry) {
    g_autofree char *path = g_strdup_printf("%s.%s", place->key, key);
    struct place inner = {place->file, path};
    GStrv *list = g_str_equal(key, "users") ? &users : g_str_equal(key, "groups") ? &groups : NULL;
    if (!list)
      return fault(&inner, error, "unknown key; known are users and groups");
    if (!read_names(entry, &inner, list, error))
      return false;
  }
  config->administrators_configured = true;
  g_strfreev(config->administrator_users);
  g_strfreev(config->administrator_groups);
  config->administrator_users = g_steal_pointer(&users);
  config->administrator_groups = g_steal_pointer(&groups);
  return true;
}

/* A rule that is not enforced would be worse than none: only the empty list is taken until rules are. */
static bool read_policy(struct wsd_config *config, json_object *value, const struct place *place, GError **error) {
  (void)config;
  if (!json_object_is_type(value, json_type_array))
    return fault(place, error, "must be an array of rules");
  if (json_object_array_length(value) > 0)
    return fault(place, error, "rules are not available in this version: every client may serve; remove them");
  return true;
}

static bool read_handshake_timeout(struct wsd_config *config, json_object *value, const struct place *place,
                                   GError **error) {
  return read_number(value, place, 1, 3600, &config->handshake_timeout, error);
}

static bool read_connection_rate(struct wsd_config *config, json_object *value, const struct place *place,
                                 GError **error) {
  return read_number(value, place, 0, 1000000, &config->connection_rate, error);
}

static bool read_ban_seconds(struct wsd_config *config, json_object *value, const struct place *place, GError **error) {
  return read_number(value, place, 0, 86400, &config->ban_seconds, error);
}

static bool read_idle_exit_seconds(struct wsd_config *config, json_object *value, const struct place *place,
                                   GError **error) {
  return read_number(value, place, 0, WSD_IDLE_EXIT_MAX, &config->idle_exit_seconds, error);
}

static const struct {
  const char *name;
  bool (*read)(struct wsd_config *config, json_object *value, const struct place *place, GError **error);
} keys[] = {
    {"deviceProfile", read_device_profile},
    {"allowedProfiles", read_allowed_profiles},
    {"administrators", read_administrators},
    {"policy", read_policy},
    {"handshakeTimeout", read_handshake_timeout},
    {"connectionRate", read_connection_rate},
    {"banSeconds", read_ban_seconds},
    {"idleExitSeconds", read_idle_exit_seconds},
};

static bool apply_object(struct wsd_config *config, const char *file, json_object *object, GError **error) {
  struct place place = {file, NULL};
  if (!json_object_is_type(object, json_type_object))
    return fault(&place, error, "the file must hold one JSON object");
  json_object_object_foreach(object, key, value) {
    size_t i = 0;
    while (i < G_N_ELEMENTS(keys) && !g_str_equal(keys[i].name, key))
      i++;
    place.key = key;
    if (i == G_N_ELEMENTS(keys))
      return fault(&place, error, "unknown key");
    if (!keys[i].read(config, value, &place, error))
      return false;
  }
  return true;
}

static guint line_of(const char *text, size_t offset) {
  guint line = 1;
  for (size_t i = 0; i < offset && text[i]; i++)
    line += text[i] == '\n';
  return line;
}

/* Where the text has the escape of U+0000, or NULL. json-c cuts a key off there: another key than was written. */
static const char *find_escaped_nul(const char *text) {
  while ((text = strchr(text, '\\')) && strncmp(text, "\\u0000", 6) != 0 && text[1])
    text += 2;
  return text && text[1] ? text : NULL;
}

static bool apply_text(struct wsd_config *config, const char *file, const char *text, size_t length, GError **error) {
  struct place place = {file, NULL};
  const char *fault_at;
  /* json-c looks at values only. */
  if (!g_utf8_validate_len(text, length, &fault_at))
    return fault(&place, error, "line %u: not UTF-8 text", line_of(text, (size_t)(fault_at - text)));
  struct json_tokener *tokener = json_tokener_new_ex(16);
  json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
  json_object *object = json_tokener_parse_ex(tokener, text, (int)length);
  enum json_tokener_error result = json_tokener_get_error(tokener);
  size_t end = json_tokener_get_parse_end(tokener);
  json_tokener_free(tokener);
  bool right = false;
  if (result == json_tokener_continue)
    fault(&place, error, "the JSON text ends too early, or the file is empty");
  else if (result != json_tokener_success)
    fault(&place, error, "line %u: %s", line_of(text, end), json_tokener_error_desc(result));
  else if (strspn(text + end, " \t\r\n") != length - end)
    fault(&place, error, "line %u: text behind the JSON object", line_of(text, end));
  else if (apply_object(config, file, object, error))
    right = !(fault_at = find_escaped_nul(text)) ||
            fault(&place, error, "line %u: \\u0000 is in no key", line_of(text, (size_t)(fault_at - text)));
  json_object_put(object);
  return right;
}

static bool apply_file(struct wsd_config *config, const char *file, bool required, GError **error) {
  struct place place = {file, NULL};
  g_autoptr(GError) problem = NULL;
  g_autoptr(GFile) handle = g_file_new_for_path(file);
  g_autoptr(GFileInfo) info =
      g_file_query_info(handle, G_FILE_ATTRIBUTE_STANDARD_SIZE "," G_FILE_ATTRIBUTE_STANDARD_TYPE, 0, NULL, &problem);
  if (!info) {
    if (!required && g_error_matches(problem, G_IO_ERROR, G_IO_ERROR_NOT_FOUND))
      return true;
    return fault(&place, error, "%s", problem->message);
  }
  if (g_file_info_get_file_type(info) != G_FILE_TYPE_REGULAR)
    return fault(&place, error, "is not a regular file");
  if (g_file_info_get_size(info) > WSD_CONFIG_FILE_MAX)
    return fault(&place, error, "is larger than %u octets", WSD_CONFIG_FILE_MAX);
  g_autofree char *text = NULL;
  gsize length = 0;
  if (!g_file_get_contents(file, &text, &length, &problem))
    return fault(&place, error, "%s", problem->message);
  if (length > WSD_CONFIG_FILE_MAX)
    return fault(&place, error, "is larger than %u octets", WSD_CONFIG_FILE_MAX);
  return apply_text(config, file, text, length, error);
}

/* Name to path of every drop-in; a later folder masks the same name in an earlier one. */
static GTree *collect_drop_ins(const char *const *folders) {
  GTree *drop_ins = g_tree_new_full((GCompareDataFunc)(void (*)(void))g_strcmp0, NULL, g_free, g_free);
  for (; *folders; folders++) {
    g_autoptr(GDir) folder = g_dir_open(*folders, 0, NULL);
    const char *name;
    while (folder && (name = g_dir_read_name(folder)))
      if (g_str_has_suffix(name, ".json") && name[0] != '.')
        g_tree_replace(drop_ins, g_strdup(name), g_build_filename(*folders, name, NULL));
  }
  return drop_ins;
}

static bool apply_drop_ins(struct wsd_config *config, const char *const *folders, GError **error) {
  g_autoptr(GTree) drop_ins = collect_drop_ins(folders);
  for (GTreeNode *node = g_tree_node_first(drop_ins); node; node = g_tree_node_next(node))
    if (!apply_file(config, g_tree_node_value(node), true, error))
      return false;
  return true;
}

static struct wsd_config *config_new(void) {
  struct wsd_config *config = g_new0(struct wsd_config, 1);
  config->allowed_profiles = g_strsplit(WSD_PROFILE_SMART_SCREEN, ",", 1);
  config->administrator_users = g_new0(char *, 1);
  config->administrator_groups = g_new0(char *, 1);
  config->handshake_timeout = 10;
  config->connection_rate = 50;
  config->ban_seconds = 60;
  return config;
}

void wsd_config_free(struct wsd_config *config) {
  if (!config)
    return;
  g_free(config->device_profile);
  g_strfreev(config->allowed_profiles);
  g_strfreev(config->administrator_users);
  g_strfreev(config->administrator_groups);
  g_free(config);
}

struct wsd_config_source wsd_config_default_source(void) {
  static const char *const files[] = {WSD_VENDOR_DIR "/wsserverd.json", WSD_SYSCONF_DIR "/wsserverd.json", NULL};
  static const char *const folders[] = {WSD_VENDOR_DIR "/wsserverd.json.d", WSD_SYSCONF_DIR "/wsserverd.json.d", NULL};
  return (struct wsd_config_source){.files = files, .drop_in_folders = folders};
}

struct wsd_config *wsd_config_load(const struct wsd_config_source *source, GError **error) {
  struct wsd_config *config = config_new();
  bool right = true;
  if (source->file) {
    right = apply_file(config, source->file, true, error);
  } else {
    for (const char *const *file = source->files; right && *file; file++)
      right = apply_file(config, *file, false, error);
    right = right && apply_drop_ins(config, source->drop_in_folders, error);
  }
  if (!right) {
    wsd_config_free(config);
    return NULL;
  }
  return config;
}
