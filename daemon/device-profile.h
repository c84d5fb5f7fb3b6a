/* SPDX-License-Identifier: Apache-2.0 */
/* What kind of device this is, and whether that kind may run servers. */
#pragma once

#include "daemon/config.h"

/* The configured profile, or "unknown". Owned by `config`, or static. */
const char *wsd_device_profile(const struct wsd_config *config);
bool wsd_device_profile_allows_servers(const struct wsd_config *config);
