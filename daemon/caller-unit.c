/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/caller-unit.h"

#include "daemon/pidfd.h"

#include <stdlib.h>
#include <unistd.h>

#ifdef WSD_HAVE_SYSTEMD
#include <systemd/sd-login.h>
#endif

char *wsd_caller_unit_by_pid(guint32 pid) {
  char *name = NULL;
#ifdef WSD_HAVE_SYSTEMD
  if (pid > 0 && sd_pid_get_user_unit((pid_t)pid, &name) < 0 && sd_pid_get_unit((pid_t)pid, &name) < 0)
    name = NULL;
#endif
  char *unit = name && g_utf8_validate(name, -1, NULL) ? g_strdup(name) : NULL;
  free(name);
  (void)pid;
  return unit;
}

char *wsd_caller_unit_by_pidfd(int pidfd) {
  char *unit = wsd_caller_unit_by_pid(wsd_pidfd_number(pidfd));
  /* Still there: its number was its own while its unit was looked up. */
  if (unit && wsd_pidfd_number(pidfd) == 0)
    g_clear_pointer(&unit, g_free);
  return unit;
}

bool wsd_caller_unit_is_readable(void) {
  return access("/proc/1/cgroup", R_OK) == 0;
}
