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

enum wsd_name_result wsd_user_number(const char *name, guint32 *number) {
  if (read_number(name, number))
    return WSD_NAME_FOUND;
  int problem = ERANGE;
  for (gsize size = 4096; problem == ERANGE && size <= WSD_NAME_ENTRY_MAX; size *= 4) {
    g_autofree char *room = g_malloc(size);
    struct passwd entry;
    struct passwd *found = NULL;
    problem = getpwnam_r(name, &entry, room, size, &found);
    if (problem == 0 && found) {
      *number = found->pw_uid;
      return WSD_NAME_FOUND;
    }
  }
  return judge(problem);
}

/* A group with many members takes much room. */
enum wsd_name_result wsd_group_number(const char *name, guint32 *number) {
  if (read_number(name, number))
    return WSD_NAME_FOUND;
  int problem = ERANGE;
  for (gsize size = 16384; problem == ERANGE && size <= WSD_NAME_ENTRY_MAX; size *= 4) {
    g_autofree char *room = g_malloc(size);
    struct group entry;
    struct group *found = NULL;
    problem = getgrnam_r(name, &entry, room, size, &found);
    if (problem == 0 && found) {
      *number = found->gr_gid;
      return WSD_NAME_FOUND;
    }
  }
  return judge(problem);
}
