/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where in a JSON text something stands, which the parser does not keep. Only for texts that were parsed without a fault. A place
 * is named by its path: "policy[2].ports[0]", or "" for the text's one value.
 */
#pragma once

#include <glib.h>

/* The line, from 1, of the value at `path`, or of its key where it is a member; 0 when there is no such place. Of members
 * with the same name, the last, which is the one that counts. */
guint wsd_json_line(const char *text, const char *path);
/* The first member whose object has another one of that name before it: its path, to be freed, and its line. NULL: there is none. */
char *wsd_json_find_twin(const char *text, guint *line);
/* The line of an offset in any text. */
guint wsd_text_line(const char *text, gsize offset);
