/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/websocket/pieces.h"
#include "websocket/utf8-variants.h"
#include "websocket/utf8.h"

#include <glib.h>
#include <string.h>

static const char *const valid[] = {
    "",
    "48656c6c6f2dc2b540c39fc3b6c3a4c3bcc3a0c3a12d5554462d382121",
    /* some valid sequences */
    "68656c6c6f24776f726c64",
    "68656c6c6fc2a2776f726c64",
    "68656c6c6fe282ac776f726c64",
    "68656c6c6ff0a4ada2776f726c64",
    "cebae1bdb9cf83cebcceb5",
    /* prefixes of a Greek word that end between code points */
    "ceba",
    "cebae1bdb9",
    "cebae1bdb9cf83",
    "cebae1bdb9cf83cebc",
    /* first and last of each length */
    "00",
    "c280",
    "e0a080",
    "f0908080",
    "7f",
    "dfbf",
    "efbfbf",
    "f48fbfbf",
    /* around the surrogates, the replacement character, the last code point */
    "ed9fbf",
    "ee8080",
    "efbfbd",
    /* code points that are no characters are valid */
    "efbfbe",
    "f09fbfbe",
    "f09fbfbf",
    "f0afbfbe",
    "f0afbfbf",
    "f0bfbfbe",
    "f0bfbfbf",
    "f18fbfbe",
    "f18fbfbf",
    "f19fbfbe",
    "f19fbfbf",
    "f1afbfbe",
    "f1afbfbf",
    "f1bfbfbe",
    "f1bfbfbf",
    "f28fbfbe",
    "f28fbfbf",
    "f29fbfbe",
    "f29fbfbf",
    "f2afbfbe",
    "f2afbfbf",
    "f2bfbfbe",
    "f2bfbfbf",
    "f38fbfbe",
    "f38fbfbf",
    "f39fbfbe",
    "f39fbfbf",
    "f3afbfbe",
    "f3afbfbf",
    "f3bfbfbe",
    "f3bfbfbf",
    "f48fbfbe",
    /* specials */
    "efbfb9",
    "efbfba",
    "efbfbb",
    "efbfbc",
};

static const char *const invalid[] = {
    /* a surrogate, a code point above U+10FFFF in the middle of text */
    "cebae1bdb9cf83cebcceb5eda080656469746564",
    "cebae1bdb9cf83cebcceb5f4908080656469746564",
    /* prefixes of a Greek word that end inside a code point */
    "ce",
    "cebae1",
    "cebae1bd",
    "cebae1bdb9cf",
    "cebae1bdb9cf83ce",
    "cebae1bdb9cf83cebcce",
    /* five and six octets, above U+10FFFF */
    "f888808080",
    "fc8480808080",
    "f7bfbfbf",
    "fbbfbfbfbf",
    "fdbfbfbfbfbf",
    "f4908080",
    /* continuation octets without a lead */
    "80",
    "bf",
    "80bf",
    "80bf80",
    "80bf80bf",
    "80bf80bf80",
    "80bf80bf80bf",
    "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8"
    "b9babbbcbdbe",
    /* leads without continuation */
    "c020c120c220c320c420c520c620c720c820c920ca20cb20cc20cd20ce20cf20d020d120d220d320d420d520d620d720d820d920da20db20dc"
    "20dd20de20",
    "e020e120e220e320e420e520e620e720e820e920ea20eb20ec20ed20ee20",
    "f020f120f220f320f420f520f620",
    "f820f920fa20",
    "fc20",
    /* the last continuation octet is missing */
    "c0",
    "e080",
    "f08080",
    "f8808080",
    "fc80808080",
    "df",
    "efbf",
    "f7bfbf",
    "fbbfbfbf",
    "fdbfbfbfbf",
    "c0e080f08080f8808080fc80808080dfefbff7bfbffbbfbfbffdbfbfbfbf",
    /* impossible octets */
    "fe",
    "ff",
    "fefeffff",
    /* overlong */
    "c0af",
    "e080af",
    "f08080af",
    "f8808080af",
    "fc80808080af",
    "c1bf",
    "e09fbf",
    "f08fbfbf",
    "f887bfbfbf",
    "fc83bfbfbfbf",
    "c080",
    "e08080",
    "f0808080",
    "f880808080",
    "fc8080808080",
    /* surrogates, alone and in pairs */
    "eda080",
    "edadbf",
    "edae80",
    "edafbf",
    "edb080",
    "edbe80",
    "edbfbf",
    "eda080edb080",
    "eda080edbfbf",
    "edadbfedb080",
    "edadbfedbfbf",
    "edae80edb080",
    "edae80edbfbf",
    "edafbfedb080",
    "edafbfedbfbf",
};

/* `variant` NULL: as the engine does it. */
static bool is_valid_in_pieces(const struct wsp_utf8_variant *variant, const uint8_t *octets, size_t length,
                               struct cutting cutting) {
  uint8_t state = WSP_UTF8_ACCEPT;
  for (size_t at = 0, piece_length; at < length; at += piece_length) {
    g_autofree uint8_t *piece = next_piece(octets, length, at, cutting, &piece_length);
    if (variant ? !wsp_utf8_feed_with(variant, &state, piece, piece_length)
                : !wsp_utf8_feed(&state, piece, piece_length))
      return false;
  }
  return state == WSP_UTF8_ACCEPT;
}

static void check_pieces(const struct wsp_utf8_variant *variant, const GByteArray *text, const char *hex,
                         bool expected) {
  struct cutting cutting;
  for (size_t round = 0; next_cutting(text->len, &round, &cutting);)
    if (is_valid_in_pieces(variant, text->data, text->len, cutting) != expected)
      g_error("%s among %u octets is judged wrong by %s, cut at %zu and every %zu", hex, text->len,
              variant ? variant->name : "the engine", cutting.first, cutting.others);
}

/* Alone, and behind and before enough ASCII or Greek that the fast paths are taken: of words, and of vectors. */
static void check_verdict(const char *hex, bool expected) {
  static const struct {
    const char *before, *after;
  } surroundings[] = {
      {"", ""},
      {"0123456789abcdef0123456789abcdef0123456", "0123456789abcdef0123456789abcdef0"},
      {"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"},
      {"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd",
       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"},
  };
  size_t length;
  g_autofree uint8_t *octets = from_hex(hex, &length);
  for (size_t i = 0; i < G_N_ELEMENTS(surroundings); i++) {
    g_autoptr(GByteArray) text = g_byte_array_new();
    g_byte_array_append(text, (const guint8 *)surroundings[i].before, (guint)strlen(surroundings[i].before));
    g_byte_array_append(text, octets, (guint)length);
    g_byte_array_append(text, (const guint8 *)surroundings[i].after, (guint)strlen(surroundings[i].after));
    check_pieces(NULL, text, hex, expected);
    for (const struct wsp_utf8_variant *variant = wsp_utf8_variants; variant->name; variant++)
      if (variant->is_supported())
        check_pieces(variant, text, hex, expected);
    g_assert_true(wsp_utf8_is_valid(text->data, text->len) == expected);
  }
}

static void test_valid_text_passes(void) {
  for (size_t i = 0; i < G_N_ELEMENTS(valid); i++)
    check_verdict(valid[i], true);
}

static void test_invalid_text_is_found(void) {
  for (size_t i = 0; i < G_N_ELEMENTS(invalid); i++)
    check_verdict(invalid[i], false);
}

/* ---- Against an independent encoder: every code point there is ---- */

static size_t encode(uint32_t point, uint8_t octets[4]) {
  if (point < 0x80) {
    octets[0] = (uint8_t)point;
    return 1;
  }
  size_t length = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  for (size_t i = length - 1; i > 0; i--, point >>= 6)
    octets[i] = (uint8_t)(0x80 | (point & 0x3F));
  octets[0] = (uint8_t)((length == 2 ? 0xC0 : length == 3 ? 0xE0 : 0xF0) | point);
  return length;
}

/* In the index of a sequence its length is kept apart by a leading 1. */
static size_t index_of(const uint8_t *octets, size_t length) {
  size_t index = 1;
  for (size_t i = 0; i < length; i++)
    index = index << 8 | octets[i];
  return index;
}

/* The fate of `octets`: every prefix must be accepted as long as some code point begins so, and not one octet more. By
 * itself, and at the end of enough ASCII for every variant. */
static void check_sequence(const uint8_t *begins, const uint8_t *ends, const uint8_t *octets, size_t length) {
  const size_t index = index_of(octets, length);
  uint8_t state = WSP_UTF8_ACCEPT;
  bool accepted = wsp_utf8_feed(&state, octets, length);
  if (accepted != begins[index] || (accepted && (state == WSP_UTF8_ACCEPT) != ends[index]))
    g_error("wrong verdict on %02x %02x %02x, %zu octets", octets[0], octets[1], octets[2], length);

  uint8_t text[WSP_UTF8_BLOCK + 1 + 3];
  memset(text, 'x', sizeof text);
  memcpy(text + WSP_UTF8_BLOCK + 1, octets, length);
  for (const struct wsp_utf8_variant *variant = wsp_utf8_variants; variant->name; variant++) {
    uint8_t behind = WSP_UTF8_ACCEPT;
    if (!variant->is_supported())
      continue;
    if (wsp_utf8_feed_with(variant, &behind, text, WSP_UTF8_BLOCK + 1 + length) != accepted || behind != state)
      g_error("%s has a verdict of its own on %02x %02x %02x, %zu octets", variant->name, octets[0], octets[1],
              octets[2], length);
  }
}

static void test_every_sequence_is_judged_at_its_first_wrong_octet(void) {
  g_autofree uint8_t *begins = g_malloc0(1 << 25);
  g_autofree uint8_t *ends = g_malloc0(1 << 25);
  uint8_t octets[4] = {0};
  for (uint32_t point = 0; point <= 0x10FFFF; point++) {
    if (point >= 0xD800 && point <= 0xDFFF)
      continue;
    size_t length = encode(point, octets);
    for (size_t i = 1; i <= MIN(length, 3); i++)
      begins[index_of(octets, i)] = 1;
    if (length <= 3)
      ends[index_of(octets, length)] = 1;
    g_assert_true(wsp_utf8_is_valid(octets, length));
  }
  for (uint32_t sequence = 0; sequence < 0x10000; sequence++) {
    octets[0] = (uint8_t)(sequence >> 8);
    octets[1] = (uint8_t)sequence;
    if (octets[1] == 0)
      check_sequence(begins, ends, octets, 1);
    if (octets[0] < 0xC0)
      continue; /* one octet decided already */
    check_sequence(begins, ends, octets, 2);
    if (!begins[index_of(octets, 2)] || ends[index_of(octets, 2)])
      continue;
    for (unsigned third = 0; third < 0x100; third++) {
      octets[2] = (uint8_t)third;
      check_sequence(begins, ends, octets, 3);
    }
  }
}

static void test_long_ascii_with_one_wrong_octet_anywhere(void) {
  uint8_t text[200];
  memset(text, 'x', sizeof text);
  for (size_t length = 0; length <= sizeof text; length++)
    for (size_t wrong = 0; wrong < length; wrong++) {
      g_assert_true(wsp_utf8_is_valid(text, length));
      text[wrong] = 0xFF;
      g_assert_false(wsp_utf8_is_valid(text, length));
      text[wrong] = 'x';
    }
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/utf8/valid-text-passes-however-it-is-cut", test_valid_text_passes);
  g_test_add_func("/utf8/invalid-text-never-reaches-an-app", test_invalid_text_is_found);
  g_test_add_func("/utf8/every-sequence-is-judged-at-its-first-wrong-octet",
                  test_every_sequence_is_judged_at_its_first_wrong_octet);
  g_test_add_func("/utf8/one-wrong-octet-in-long-ascii-is-found", test_long_ascii_with_one_wrong_octet_anywhere);
  return g_test_run();
}
