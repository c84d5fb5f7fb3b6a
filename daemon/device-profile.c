/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/device-profile.h"

#include "daemon/limits.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define ASSIGNMENT "DEVICE_PROFILE="

/* At most WSD_DEVICE_FILE_MAX octets of it. NULL: it cannot be read. */
static char *read_file(const char *path) {
  g_autofree char *text = g_malloc0(WSD_DEVICE_FILE_MAX + 1);
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return NULL;
  ssize_t got = 0, length = 0;
  while (length < WSD_DEVICE_FILE_MAX && (got = read(fd, text + length, WSD_DEVICE_FILE_MAX - (size_t)length)) > 0)
    length += got;
  close(fd);
  return got < 0 ? NULL : g_steal_pointer(&text);
}

/* As in a shell, the last assignment counts. */
static char *find_assignment(const char *text) {
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  char *value = NULL;
  for (char **line = lines; *line; line++)
    if (g_str_has_prefix(g_strstrip(*line), ASSIGNMENT)) {
      g_free(value);
      value = g_shell_unquote(*line + strlen(ASSIGNMENT), NULL);
    }
  return value;
}

char *wsd_device_profile_find(const char *const *files) {
  for (; files && *files; files++) {
    g_autofree char *text = read_file(*files);
    g_autofree char *value = text ? find_assignment(text) : NULL;
    if (value && *value)
      return strlen(value) <= WSD_CONFIG_NAME_MAX && g_utf8_validate(value, -1, NULL) ? g_steal_pointer(&value) : NULL;
  }
  return NULL;
}

const char *wsd_device_profile(const struct wsd_config *config) {
  return config->device_profile ? config->device_profile : "unknown";
}

bool wsd_device_profile_allows_servers(const struct wsd_config *config) {
  return g_strv_contains((const char *const *)config->allowed_profiles, wsd_device_profile(config));
}
