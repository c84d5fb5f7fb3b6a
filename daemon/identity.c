/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/identity.h"

#include "daemon/error.h"
#include "daemon/names.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

static void read_groups(struct wsd_identity *identity, GVariant *credentials) {
  g_autoptr(GVariant) groups = g_variant_lookup_value(credentials, "UnixGroupIDs", G_VARIANT_TYPE("au"));
  gsize count = 0;
  const guint32 *numbers = groups ? g_variant_get_fixed_array(groups, &count, sizeof(guint32)) : NULL;
  identity->groups = g_array_new(FALSE, FALSE, sizeof(guint32));
  if (count > 0)
    g_array_append_vals(identity->groups, numbers, (guint)count);
}

struct wsd_identity *wsd_identity_new(GVariant *credentials, GError **error) {
  guint32 uid;
  if (!g_variant_lookup(credentials, "UnixUserID", "u", &uid)) {
    g_set_error(error, WSD_ERROR, WSD_ERROR_PERMISSION_DENIED,
                "the bus does not tell which user you are; connect to it anew");
    return NULL;
  }
  struct wsd_identity *identity = g_new0(struct wsd_identity, 1);
  identity->uid = uid;
  g_variant_lookup(credentials, "ProcessID", "u", &identity->pid);
  read_groups(identity, credentials);
  g_autoptr(GVariant) label = g_variant_lookup_value(credentials, "LinuxSecurityLabel", G_VARIANT_TYPE_BYTESTRING);
  if (label)
    identity->label = g_utf8_make_valid(g_variant_get_bytestring(label), -1);
  identity->app_id = g_strdup_printf("uid:%u", uid);
  return identity;
}

void wsd_identity_free(struct wsd_identity *identity) {
  if (!identity)
    return;
  g_array_unref(identity->groups);
  g_free(identity->label);
  g_free(identity->app_id);
  g_free(identity);
}

static bool user_matches(guint32 uid, const char *name) {
  guint64 number;
  if (g_ascii_string_to_unsigned(name, 10, 0, G_MAXUINT32 - 1, &number, NULL))
    return number == uid;
  char room[4096];
  struct passwd entry;
  struct passwd *found = NULL;
  return getpwnam_r(name, &entry, room, sizeof room, &found) == 0 && found && found->pw_uid == uid;
}

static bool group_matches(const GArray *groups, const char *name) {
  guint64 number;
  if (!g_ascii_string_to_unsigned(name, 10, 0, G_MAXUINT32 - 1, &number, NULL)) {
    char room[16384];
    struct group entry;
    struct group *found = NULL;
    if (getgrnam_r(name, &entry, room, sizeof room, &found) != 0 || !found)
      return false;
    number = found->gr_gid;
  }
  for (guint i = 0; i < groups->len; i++)
    if (g_array_index(groups, guint32, i) == number)
      return true;
  return false;
}

bool wsd_identity_is_administrator(const struct wsd_identity *identity, const struct wsd_config *config,
                                   bool system_bus) {
  if (!config->administrators_configured)
    return system_bus && (identity->uid == 0 || group_matches(identity->groups, WSD_ADMINISTRATOR_GROUP));
  for (char **name = config->administrator_users; *name; name++)
    if (user_matches(identity->uid, *name))
      return true;
  for (char **name = config->administrator_groups; *name; name++)
    if (group_matches(identity->groups, *name))
      return true;
  return false;
}
