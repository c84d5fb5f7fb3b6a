/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the caller is in the thread of a main context: the one that runs it, or any while none does. */
#pragma once

#include <glib.h>
#include <stdbool.h>

static inline bool ws_context_is_ours(GMainContext *context) {
  if (!g_main_context_acquire(context))
    return false;
  g_main_context_release(context);
  return true;
}
