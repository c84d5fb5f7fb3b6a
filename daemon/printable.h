/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of others, fit for a message or a terminal. */
#pragma once

#include <glib.h>

/* At most `most` characters of it; control characters and what is not printable become \uXXXX, octets that are no UTF-8 become
 * U+FFFD. Free with g_free(). */
char *wsd_printable(const char *text, gsize most);
