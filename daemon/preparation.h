/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has an app's certificate read, checked and put into a vault, by a process that does nothing else and is locked in for it (PREPARE
 * in docs/channel.md). Whatever the files do to that process, it is ended after a while, and nobody else notices.
 */
#pragma once

#include "daemon/account.h"
#include "daemon/certificate-files.h"
#include "daemon/error.h"

struct wsd_preparation;

/* Called once, from the main loop: the sealed vault, which is the callee's to close, or -1 and what is wrong. */
typedef void (*wsd_prepared)(void *user, int vault, enum wsd_error code, const char *text);

/* Reads from duplicates of the files. `former_vault`: whose CA of the peers stays, or -1. NULL with an error, which is LIMIT_EXCEEDED when
 * `account` has too many processes that read: one whose file hangs (FUSE) may outlive even SIGKILL, and is counted until it is gone. */
struct wsd_preparation *wsd_preparation_new(const char *worker_path, struct wsd_account *account,
                                            const struct wsd_certificate_files *files, int former_vault,
                                            guint timeout_ms, wsd_prepared done, void *user, GError **error);
/* Before or after `done`; it is not called any more. */
void wsd_preparation_free(struct wsd_preparation *preparation);
