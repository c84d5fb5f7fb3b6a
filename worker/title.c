/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/title.h"

#include "worker/limits.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char *title;
static size_t title_size;

void wsw_title_prepare(int count, char **arguments) {
  char *end = arguments[0];
  for (int i = 0; i < count && arguments[i] == end; i++)
    end = arguments[i] + strlen(arguments[i]) + 1;
  for (char **variable = environ; variable && *variable && *variable == end; variable++)
    end = *variable + strlen(*variable) + 1;
  title = arguments[0];
  title_size = (size_t)(end - title);
}

void wsw_title_set(const char *name) {
  char text[sizeof "wsserver-worker: " + WSW_TITLE_MAX];
  if (!title_size)
    return;
  int length = snprintf(text, sizeof text, "wsserver-worker: %s", name);
  for (int i = 0; i < length && text[i]; i++)
    if (text[i] < ' ' || text[i] > '~')
      text[i] = '?';
  /* The kernel shows all of it when the last octet is zero. */
  memset(title, 0, title_size);
  size_t shown = strlen(text) < title_size ? strlen(text) : title_size - 1;
  memcpy(title, text, shown);
}
