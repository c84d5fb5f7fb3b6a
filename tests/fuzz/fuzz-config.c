/* SPDX-License-Identifier: Apache-2.0 */
/* One file of the daemon's configuration. Taken: every value is within its bounds, and reading the file on top of
 * itself changes nothing, but for the rules of the policy, which add up. Refused: one line that names the file. */
#include "daemon/config.h"
#include "daemon/limits.h"
#include "daemon/policy.h"
#include "tests/fuzz/harness.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void check_name(const char *name) {
  require(name[0] && strlen(name) <= WSD_CONFIG_NAME_MAX && g_utf8_validate(name, -1, NULL));
}

static void check_names(char *const *names) {
  guint count = 0;
  for (; names[count]; count++)
    check_name(names[count]);
  require(count <= WSD_CONFIG_LIST_MAX);
}

static void check_config(const struct wsd_config *config) {
  if (config->device_profile)
    check_name(config->device_profile);
  check_names(config->allowed_profiles);
  check_names(config->administrator_users);
  check_names(config->administrator_groups);
  require(config->handshake_timeout >= 1 && config->handshake_timeout <= 3600);
  require(config->connection_rate <= 1000000 && config->ban_seconds <= 86400);
  require(config->idle_exit_seconds <= WSD_IDLE_EXIT_MAX);
}

static void require_equal(const struct wsd_config *a, const struct wsd_config *b) {
  require(g_strcmp0(a->device_profile, b->device_profile) == 0);
  require(g_strv_equal((const char *const *)a->allowed_profiles, (const char *const *)b->allowed_profiles));
  require(g_strv_equal((const char *const *)a->administrator_users, (const char *const *)b->administrator_users));
  require(g_strv_equal((const char *const *)a->administrator_groups, (const char *const *)b->administrator_groups));
  require(a->administrators_configured == b->administrators_configured);
  require(a->handshake_timeout == b->handshake_timeout && a->connection_rate == b->connection_rate);
  require(a->ban_seconds == b->ban_seconds && a->idle_exit_seconds == b->idle_exit_seconds);
}

static void check_file(const char *path) {
  const char *const files[] = {path, path, NULL}, *const folders[] = {NULL};
  const struct wsd_config_source once = {.file = path}, twice = {.files = files, .drop_in_folders = folders};
  g_autoptr(GError) error = NULL;
  struct wsd_config *config = wsd_config_load(&once, &error);
  require(!config == (error != NULL));
  if (error) {
    require(g_str_has_prefix(error->message, path) && g_utf8_validate(error->message, -1, NULL));
    for (const char *at = error->message; *at; at++)
      require(!g_ascii_iscntrl(*at));
    return;
  }
  check_config(config);
  struct wsd_config *again = wsd_config_load(&twice, NULL);
  guint rules = wsd_policy_size(config->policy); /* which add up */
  require(again ? wsd_policy_size(again->policy) == 2 * rules : 2 * rules > WSD_POLICY_RULES_MAX);
  if (again)
    require_equal(config, again);
  wsd_config_free(config);
  wsd_config_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static int fd = -1;
  if (fd < 0)
    fd = memfd_create("wsserverd.json", MFD_CLOEXEC);
  require(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
  char path[64];
  g_snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  check_file(path);
  return 0;
}
