/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/device-profile.h"

const char *wsd_device_profile(const struct wsd_config *config) {
  return config->device_profile ? config->device_profile : "unknown";
}

bool wsd_device_profile_allows_servers(const struct wsd_config *config) {
  return g_strv_contains((const char *const *)config->allowed_profiles, wsd_device_profile(config));
}
