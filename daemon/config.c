/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config.h"

#include "daemon/config-value.h"
#include "daemon/device-profile.h"
#include "daemon/json-lines.h"
#include "daemon/limits.h"
#include "daemon/names.h"
#include "daemon/policy.h"

#include <json-c/json.h>
#include <string.h>

#ifndef WSD_VENDOR_DIR
#define WSD_VENDOR_DIR "/usr/lib/wsserverd"
#endif
#ifndef WSD_SYSCONF_DIR
#define WSD_SYSCONF_DIR "/etc/wsserverd"
#endif

static bool read_device_profile(struct wsd_config *config, json_object *value, const struct wsd_place *place,
                                GError **error) {
  return wsd_value_name(value, place, &config->device_profile, error);
}

static bool read_allowed_profiles(struct wsd_config *config, json_object *value, const struct wsd_place *place,
                                  GError **error) {
  return wsd_value_names(value, place, &config->allowed_profiles, error);
}

static bool read_administrators(struct wsd_config *config, json_object *value, const struct wsd_place *place,
                                GError **error) {
  if (!json_object_is_type(value, json_type_object))
    return wsd_place_fault(place, error, "must be an object with the keys users and groups");
  g_auto(GStrv) users = g_new0(char *, 1);
  g_auto(GStrv) groups = g_new0(char *, 1);
  json_object_object_foreach(value, key, entry) {
    g_autofree char *path = g_strdup_printf("%s.%s", place->path, key);
    struct wsd_place inner = {place->file, place->text, path};
    GStrv *list = g_str_equal(key, "users") ? &users : g_str_equal(key, "groups") ? &groups : NULL;
    if (!list)
      return wsd_place_fault(&inner, error, "unknown key; known are users and groups");
    if (!wsd_value_names(entry, &inner, list, error))
      return false;
  }
  config->administrators_configured = true;
  g_strfreev(config->administrator_users);
  g_strfreev(config->administrator_groups);
  config->administrator_users = g_steal_pointer(&users);
  config->administrator_groups = g_steal_pointer(&groups);
  return true;
}

static bool read_policy(struct wsd_config *config, json_object *value, const struct wsd_place *place, GError **error) {
  return wsd_policy_read(config->policy, value, place, error);
}

static bool read_number(json_object *value, const struct wsd_place *place, guint least, guint most, guint *out,
                        GError **error) {
  guint64 number;
  if (!wsd_value_number(value, place, least, most, &number, error))
    return false;
  *out = (guint)number;
  return true;
}

static bool read_handshake_timeout(struct wsd_config *config, json_object *value, const struct wsd_place *place,
                                   GError **error) {
  return read_number(value, place, 1, 3600, &config->handshake_timeout, error);
}

static bool read_connection_rate(struct wsd_config *config, json_object *value, const struct wsd_place *place,
                                 GError **error) {
  return read_number(value, place, 0, 1000000, &config->connection_rate, error);
}

static bool read_ban_seconds(struct wsd_config *config, json_object *value, const struct wsd_place *place,
                             GError **error) {
  return read_number(value, place, 0, 86400, &config->ban_seconds, error);
}

static bool read_idle_exit_seconds(struct wsd_config *config, json_object *value, const struct wsd_place *place,
                                   GError **error) {
  return read_number(value, place, 0, WSD_IDLE_EXIT_MAX, &config->idle_exit_seconds, error);
}

static const struct {
  const char *name;
  bool (*read)(struct wsd_config *config, json_object *value, const struct wsd_place *place, GError **error);
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

static bool apply_object(struct wsd_config *config, const char *file, const char *text, json_object *object,
                         GError **error) {
  struct wsd_place place = {file, text, NULL};
  if (!json_object_is_type(object, json_type_object))
    return wsd_place_fault(&place, error, "the file must hold one JSON object");
  json_object_object_foreach(object, key, value) {
    size_t i = 0;
    while (i < G_N_ELEMENTS(keys) && !g_str_equal(keys[i].name, key))
      i++;
    place.path = key;
    if (i == G_N_ELEMENTS(keys))
      return wsd_place_fault(&place, error, "unknown key");
    if (!keys[i].read(config, value, &place, error))
      return false;
  }
  return true;
}

/* Where the text has the escape of U+0000, or NULL. json-c cuts a key off there: another key than was written. */
static const char *find_escaped_nul(const char *text) {
  while ((text = strchr(text, '\\')) && strncmp(text, "\\u0000", 6) != 0 && text[1])
    text += 2;
  return text && text[1] ? text : NULL;
}

static bool fault_at_line(const char *file, guint line, GError **error, const char *what) {
  g_autofree char *shown = g_strdup_printf("%s:%u", file, line);
  return wsd_place_fault(&(struct wsd_place){shown, NULL, NULL}, error, "%s", what);
}

/* What json-c lets pass: of two members with one name it keeps the last, which its reader may not see. */
static bool check_names(const char *file, const char *text, GError **error) {
  const char *nul = find_escaped_nul(text);
  if (nul)
    return fault_at_line(file, wsd_text_line(text, (gsize)(nul - text)), error, "\\u0000 is in no key and no value");
  guint line;
  g_autofree char *twin = wsd_json_find_twin(text, &line);
  g_autofree char *what = g_strdup_printf("%s: is there twice", twin ? twin : "");
  return !twin || fault_at_line(file, line, error, what);
}

static bool apply_text(struct wsd_config *config, const char *file, const char *text, size_t length, GError **error) {
  const char *fault_at;
  /* json-c looks at values only. */
  if (!g_utf8_validate_len(text, length, &fault_at))
    return fault_at_line(file, wsd_text_line(text, (gsize)(fault_at - text)), error, "not UTF-8 text");
  struct json_tokener *tokener = json_tokener_new_ex(16);
  json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
  json_object *object = json_tokener_parse_ex(tokener, text, (int)length);
  enum json_tokener_error result = json_tokener_get_error(tokener);
  size_t end = json_tokener_get_parse_end(tokener);
  json_tokener_free(tokener);
  bool right = false;
  if (result == json_tokener_continue)
    fault_at_line(file, wsd_text_line(text, length), error, "the JSON text ends too early, or the file is empty");
  else if (result != json_tokener_success)
    fault_at_line(file, wsd_text_line(text, end), error, json_tokener_error_desc(result));
  else if (strspn(text + end, " \t\r\n") != length - end)
    fault_at_line(file, wsd_text_line(text, end), error, "text behind the JSON object");
  else
    right = check_names(file, text, error) && apply_object(config, file, text, object, error);
  json_object_put(object);
  return right;
}

static bool apply_file(struct wsd_config *config, const char *file, bool required, GError **error) {
  struct wsd_place place = {file, NULL, NULL};
  g_autoptr(GError) problem = NULL;
  g_autoptr(GFile) handle = g_file_new_for_path(file);
  g_autoptr(GFileInfo) info =
      g_file_query_info(handle, G_FILE_ATTRIBUTE_STANDARD_SIZE "," G_FILE_ATTRIBUTE_STANDARD_TYPE, 0, NULL, &problem);
  if (!info) {
    if (!required && g_error_matches(problem, G_IO_ERROR, G_IO_ERROR_NOT_FOUND))
      return true;
    return wsd_place_fault(&place, error, "%s", problem->message);
  }
  if (g_file_info_get_file_type(info) != G_FILE_TYPE_REGULAR)
    return wsd_place_fault(&place, error, "is not a regular file");
  if (g_file_info_get_size(info) > WSD_CONFIG_FILE_MAX)
    return wsd_place_fault(&place, error, "is larger than %u octets", WSD_CONFIG_FILE_MAX);
  g_autofree char *text = NULL;
  gsize length = 0;
  if (!g_file_get_contents(file, &text, &length, &problem))
    return wsd_place_fault(&place, error, "%s", problem->message);
  if (length > WSD_CONFIG_FILE_MAX)
    return wsd_place_fault(&place, error, "is larger than %u octets", WSD_CONFIG_FILE_MAX);
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
  config->policy = wsd_policy_new();
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
  wsd_policy_free(config->policy);
  g_free(config);
}

struct wsd_config_source wsd_config_default_source(void) {
  static const char *const files[] = {WSD_VENDOR_DIR "/wsserverd.json", WSD_SYSCONF_DIR "/wsserverd.json", NULL};
  static const char *const folders[] = {WSD_VENDOR_DIR "/wsserverd.json.d", WSD_SYSCONF_DIR "/wsserverd.json.d", NULL};
  static const char *const devices[] = {"/etc/machine-info", "/etc/os-release", "/usr/lib/os-release", NULL};
  return (struct wsd_config_source){.files = files, .drop_in_folders = folders, .device_files = devices};
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
  if (!config->device_profile)
    config->device_profile = wsd_device_profile_find(source->device_files);
  return config;
}
