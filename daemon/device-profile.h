/* SPDX-License-Identifier: Apache-2.0 */
/* What kind of device this is, and whether that kind may run servers. */
#pragma once

#include "daemon/config.h"

/* What the device itself says: DEVICE_PROFILE in the first of `files` that has it. They are like os-release(5): lines NAME=VALUE,
 * quoted as in a shell. NULL: none has it, or what it has is no name. Free with g_free(). */
char *wsd_device_profile_find(const char *const *files);

/* The configured profile, else the device's, else "unknown". Owned by `config`, or static. */
const char *wsd_device_profile(const struct wsd_config *config);
bool wsd_device_profile_allows_servers(const struct wsd_config *config);
