/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control records that bring certificates.
 *
 * PREPARE makes a process read what an app gave, before it locks itself in, check it, inside, and put what was found right into the
 * vault. That is all this process does: a file that hangs holds up nobody else's connections, and a file that was made to
 * exploit a parser finds nothing. CONFIGURE and REPLACE_CERTIFICATE then bring the filled vault to the process that serves.
 *
 * The descriptors stay the caller's.
 */
#pragma once

#include "channel/control.h"

struct wsw_server;

/* NULL when the vault is filled, or a sentence for the app. The process is locked in afterwards. */
const char *wsw_certificates_prepare(struct wsw_server *server, const struct wsc_control_record *record, const int *fds,
                                     size_t count);

/* New connections get what the vault holds. NULL, or a sentence for the app. */
const char *wsw_certificates_replace(struct wsw_server *server, int vault);
