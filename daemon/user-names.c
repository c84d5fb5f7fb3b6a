/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/user-names.h"

#include "daemon/limits.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>

static bool read_number(const char *name, guint32 *number) {
  guint64 value;
  if (!g_ascii_string_to_unsigned(name, 10, 0, G_MAXUINT32 - 1, &value, NULL))
    return false;
  *number = (guint32)value;
  return true;
}

/* Results with which getpwnam_r(3) says that there is no such entry. */
static enum wsd_name_result judge(int problem) {
  errno = problem;
  bool is_unknown = problem == 0 || problem == ENOENT || problem == ESRCH || problem == EBADF || problem == EPERM;
  return is_unknown ? WSD_NAME_UNKNOWN : WSD_NAME_FAILED;
}

/* getpwnam_r(3) or getgrnam_r(3): 0 with `found`, 0 without, or what went wrong. */
typedef int (*ask_database)(const char *name, char *room, gsize size, guint32 *number, bool *found);

static int ask_users(const char *name, char *room, gsize size, guint32 *number, bool *found) {
  struct passwd entry;
  struct passwd *user = NULL;
  int problem = getpwnam_r(name, &entry, room, size, &user);
  if ((*found = user != NULL))
    *number = user->pw_uid;
  return problem;
}

static int ask_groups(const char *name, char *room, gsize size, guint32 *number, bool *found) {
  struct group entry;
  struct group *group = NULL;
  int problem = getgrnam_r(name, &entry, room, size, &group);
  if ((*found = group != NULL))
    *number = group->gr_gid;
  return problem;
}

/* A group with many members takes much room. */
static enum wsd_name_result look_up(ask_database ask, const char *name, guint32 *number) {
  if (read_number(name, number))
    return WSD_NAME_FOUND;
  int problem = ERANGE;
  for (gsize size = 4096; problem == ERANGE && size <= WSD_NAME_ENTRY_MAX; size *= 4) {
    g_autofree char *room = g_malloc(size);
    bool found;
    problem = ask(name, room, size, number, &found);
    if (problem == 0 && found)
      return WSD_NAME_FOUND;
  }
  return judge(problem);
}

enum wsd_name_result wsd_user_number(const char *name, guint32 *number) {
  return look_up(ask_users, name, number);
}

enum wsd_name_result wsd_group_number(const char *name, guint32 *number) {
  return look_up(ask_groups, name, number);
}
