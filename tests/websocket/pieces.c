/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/websocket/pieces.h"

#include <glib.h>
#include <string.h>

#define CUT_EVERYWHERE_UP_TO 2048

bool next_cutting(size_t length, size_t *round, struct cutting *cutting) {
  static const size_t chops[] = {997, 1300, 4096, 65536};
  const size_t now = (*round)++;
  if (now == 0) {
    *cutting = (struct cutting){0, length > 0 ? length : 1};
    return true;
  }
  if (length > CUT_EVERYWHERE_UP_TO) {
    *cutting = (struct cutting){0, now <= G_N_ELEMENTS(chops) ? chops[now - 1] : 1};
    return now <= G_N_ELEMENTS(chops);
  }
  if (now == 1) {
    *cutting = (struct cutting){0, 1};
    return true;
  }
  *cutting = (struct cutting){now - 1, length};
  return now - 1 < length;
}

uint8_t *next_piece(const uint8_t *input, size_t length, size_t offset, struct cutting cutting, size_t *piece_length) {
  size_t wanted = offset == 0 && cutting.first > 0 ? cutting.first : cutting.others;
  *piece_length = MIN(wanted, length - offset);
  return g_memdup2(input + offset, *piece_length);
}

uint8_t *from_hex(const char *digits, size_t *length) {
  uint8_t *octets = g_malloc(strlen(digits) / 2 + 1);
  *length = 0;
  for (; *digits; digits++) {
    if (*digits == ' ')
      continue;
    g_assert_true(g_ascii_isxdigit(digits[0]) && g_ascii_isxdigit(digits[1]));
    octets[(*length)++] = (uint8_t)(g_ascii_xdigit_value(digits[0]) << 4 | g_ascii_xdigit_value(digits[1]));
    digits++;
  }
  return octets;
}

void assert_same_octets(const void *seen, size_t seen_length, const void *expected, size_t expected_length) {
  g_assert_cmpuint(seen_length, ==, expected_length);
  if (expected_length > 0)
    g_assert_true(memcmp(seen, expected, expected_length) == 0);
}
