/* SPDX-License-Identifier: Apache-2.0 */
/* Which process a pidfd is of. */
#pragma once

#include <glib.h>

/* Its number, as /proc/self/fdinfo tells it; 0 once it is gone. As long as it is there nobody else has that number. */
guint32 wsd_pidfd_number(int pidfd);
