/* SPDX-License-Identifier: Apache-2.0 */
/* GLib's comparison of octets, for lengths of any type. */
#pragma once

#include <glib.h>

#define assert_octets(octets, length, expected, expected_length)                                                       \
  g_assert_cmpmem(octets, (int)(length), expected, (int)(expected_length))
