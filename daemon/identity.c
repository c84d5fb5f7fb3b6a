/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/identity.h"

#include "daemon/caller-unit.h"
#include "daemon/error.h"
#include "daemon/limits.h"
#include "daemon/names.h"
#include "daemon/user-names.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>

/* As AppArmor calls what it does not confine: no label by which apps could be told apart. */
#define UNCONFINED "unconfined"

static bool find_user(guint32 uid, struct passwd *entry, char *room, size_t size) {
  struct passwd *found = NULL;
  return getpwuid_r(uid, entry, room, size, &found) == 0 && found;
}

/* The groups of the user database, for a bus that does not tell those of the process. */
static void look_up_groups(struct wsd_identity *identity) {
  char room[4096];
  struct passwd entry;
  gid_t list[WSD_GROUPS_MAX];
  int count = WSD_GROUPS_MAX;
  if (!find_user(identity->uid, &entry, room, sizeof room))
    return;
  if (getgrouplist(entry.pw_name, entry.pw_gid, list, &count) < 0)
    count = WSD_GROUPS_MAX;
  for (int i = 0; i < count; i++) {
    guint32 number = list[i];
    g_array_append_val(identity->groups, number);
  }
}

static void read_groups(struct wsd_identity *identity, GVariant *credentials) {
  g_autoptr(GVariant) groups = g_variant_lookup_value(credentials, "UnixGroupIDs", G_VARIANT_TYPE("au"));
  gsize count = 0;
  const guint32 *numbers = groups ? g_variant_get_fixed_array(groups, &count, sizeof(guint32)) : NULL;
  if (count > 0)
    g_array_append_vals(identity->groups, numbers, (guint)count);
  if (!groups)
    look_up_groups(identity);
}

static void set_label(struct wsd_identity *identity, const char *label) {
  if (label && *label && !g_str_equal(label, UNCONFINED))
    identity->label = g_utf8_make_valid(label, -1);
  identity->app_id = identity->label ? g_strdup_printf("uid:%u,label:%s", identity->uid, identity->label)
                                     : g_strdup_printf("uid:%u", identity->uid);
}

static void read_unit(struct wsd_identity *identity, GVariant *credentials, GUnixFDList *fds) {
  g_autoptr(GVariant) handle = g_variant_lookup_value(credentials, "ProcessFD", G_VARIANT_TYPE_HANDLE);
  gint32 index = handle ? g_variant_get_handle(handle) : -1;
  if (fds && index >= 0 && index < g_unix_fd_list_get_length(fds)) {
    identity->unit = wsd_caller_unit_by_pidfd(g_unix_fd_list_peek_fds(fds, NULL)[index]);
    identity->unit_is_certain = identity->unit != NULL;
  } else {
    identity->unit = wsd_caller_unit_by_pid(identity->pid);
  }
}

static struct wsd_identity *identity_new(guint32 uid) {
  struct wsd_identity *identity = g_new0(struct wsd_identity, 1);
  identity->uid = uid;
  identity->groups = g_array_new(FALSE, FALSE, sizeof(guint32));
  return identity;
}

struct wsd_identity *wsd_identity_new(GVariant *credentials, GUnixFDList *fds, GError **error) {
  guint32 uid;
  if (!g_variant_lookup(credentials, "UnixUserID", "u", &uid)) {
    g_set_error(error, WSD_ERROR, WSD_ERROR_PERMISSION_DENIED,
                "the bus does not tell which user you are; connect to it anew");
    return NULL;
  }
  struct wsd_identity *identity = identity_new(uid);
  g_variant_lookup(credentials, "ProcessID", "u", &identity->pid);
  read_groups(identity, credentials);
  g_autoptr(GVariant) label = g_variant_lookup_value(credentials, "LinuxSecurityLabel", G_VARIANT_TYPE_BYTESTRING);
  set_label(identity, label ? g_variant_get_bytestring(label) : NULL);
  read_unit(identity, credentials, fds);
  return identity;
}

struct wsd_identity *wsd_identity_of_user(const char *user, const char *label, GError **error) {
  guint32 number;
  if (wsd_user_number(user, &number) != WSD_NAME_FOUND) {
    g_set_error(error, WSD_ERROR, WSD_ERROR_FAILED, "this system has no user %s", user);
    return NULL;
  }
  struct wsd_identity *identity = identity_new(number);
  look_up_groups(identity);
  set_label(identity, label);
  return identity;
}

void wsd_identity_free(struct wsd_identity *identity) {
  if (!identity)
    return;
  g_array_unref(identity->groups);
  g_free(identity->label);
  g_free(identity->unit);
  g_free(identity->app_id);
  g_free(identity);
}

static bool is_user(const struct wsd_identity *identity, const char *name) {
  guint32 number;
  return wsd_user_number(name, &number) == WSD_NAME_FOUND && number == identity->uid;
}

bool wsd_identity_has_group(const struct wsd_identity *identity, guint32 number) {
  for (guint i = 0; i < identity->groups->len; i++)
    if (g_array_index(identity->groups, guint32, i) == number)
      return true;
  return false;
}

static bool is_in_group(const struct wsd_identity *identity, const char *name) {
  guint32 number;
  return wsd_group_number(name, &number) == WSD_NAME_FOUND && wsd_identity_has_group(identity, number);
}

bool wsd_identity_is_administrator(const struct wsd_identity *identity, const struct wsd_config *config,
                                   bool system_bus) {
  if (!config->administrators_configured)
    return system_bus && (identity->uid == 0 || is_in_group(identity, WSD_ADMINISTRATOR_GROUP));
  for (char **name = config->administrator_users; *name; name++)
    if (is_user(identity, *name))
      return true;
  for (char **name = config->administrator_groups; *name; name++)
    if (is_in_group(identity, *name))
      return true;
  return false;
}
