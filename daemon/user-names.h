/* SPDX-License-Identifier: Apache-2.0 */
/* Names of users and groups, or their numbers, as configurations have them. */
#pragma once

#include <glib.h>

enum wsd_name_result {
  WSD_NAME_FOUND,
  WSD_NAME_UNKNOWN, /* this system has none of that name */
  WSD_NAME_FAILED,  /* it could not be looked up: errno tells why */
};

enum wsd_name_result wsd_user_number(const char *name, guint32 *number);
enum wsd_name_result wsd_group_number(const char *name, guint32 *number);
