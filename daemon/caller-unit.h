/* SPDX-License-Identifier: Apache-2.0 */
/* Which systemd unit a process belongs to: a system unit, or of a user's manager its own unit, such as the scope app-NAME-PID.scope
 * that a launcher made. NULL where that cannot be told. Free with g_free(). */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Whether this process may look: a service manager may hide the processes of others from it. */
bool wsd_caller_unit_is_readable(void);
/* Certain: the process is the one of the descriptor, and was there all the time. */
char *wsd_caller_unit_by_pidfd(int pidfd);
/* As good as a process id is. */
char *wsd_caller_unit_by_pid(guint32 pid);
