/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/error.h"
#include "daemon/limits.h"

#include <string.h>

static char *long_text(const char *unit, gsize octets) {
  GString *text = g_string_new(NULL);
  while (text->len + strlen(unit) <= octets)
    g_string_append(text, unit);
  while (text->len < octets)
    g_string_prepend_c(text, '!');
  return g_string_free(text, FALSE);
}

static void test_text_that_fits_stays(void) {
  g_autofree char *text = long_text("a", WSD_ERROR_TEXT_MAX);
  g_autofree char *shown = wsd_error_text(text);
  g_assert_cmpstr(shown, ==, text);
}

/* Wherever the cut falls in a character. */
static void test_longer_text_is_cut_between_characters(void) {
  static const char *const units[] = {"a", "é", "屏", "📺"};
  for (gsize i = 0; i < G_N_ELEMENTS(units); i++)
    for (gsize more = 1; more <= 8; more++) {
      g_autofree char *text = long_text(units[i], WSD_ERROR_TEXT_MAX + more);
      g_autofree char *shown = wsd_error_text(text);
      g_assert_cmpuint(strlen(shown), <=, WSD_ERROR_TEXT_MAX);
      g_assert_cmpuint(strlen(shown), >, WSD_ERROR_TEXT_MAX - strlen(units[i]));
      g_assert_true(g_utf8_validate(shown, -1, NULL));
      g_assert_true(g_str_has_suffix(shown, "..."));
      g_assert_true(strncmp(shown, text, strlen(shown) - strlen("...")) == 0);
    }
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/error/text-that-fits-stays", test_text_that_fits_stays);
  g_test_add_func("/error/longer-text-is-cut-between-characters", test_longer_text_is_cut_between_characters);
  return g_test_run();
}
