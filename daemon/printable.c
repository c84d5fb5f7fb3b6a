/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/printable.h"

char *wsd_printable(const char *text, gsize most) {
  g_autofree char *valid = g_utf8_make_valid(text, -1);
  GString *shown = g_string_new(NULL);
  const char *at = valid;
  for (gsize i = 0; *at && i < most; i++, at = g_utf8_next_char(at)) {
    gunichar character = g_utf8_get_char(at);
    if (g_unichar_isprint(character))
      g_string_append_unichar(shown, character);
    else
      g_string_append_printf(shown, "\\u%04x", character);
  }
  return g_string_free(shown, FALSE);
}
