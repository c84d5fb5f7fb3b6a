/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/pidfd.h"

#include <stdio.h>

guint32 wsd_pidfd_number(int pidfd) {
  char path[64], line[128];
  guint32 pid = 0;
  g_snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
  FILE *file = fopen(path, "re");
  while (file && pid == 0 && fgets(line, sizeof line, file))
    if (g_str_has_prefix(line, "Pid:")) {
      gint64 number = g_ascii_strtoll(line + 4, NULL, 10);
      pid = number > 0 ? (guint32)number : 0;
    }
  if (file)
    fclose(file);
  return pid;
}
