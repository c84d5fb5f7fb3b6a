/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every variant of masking and of UTF-8 validation that this processor has, against the plain one: the same octets,
 * verdicts and states, at every alignment, phase, length and split, with a fault at every place. Texts lie directly
 * before or behind a page that must not be touched.
 *
 * Without any library, so that test_simd.py can build it for other processors and run it in an emulator. Prints
 * the variants that it tried; ends with status 1 at the first difference.
 */
#include "websocket/mask-variants.h"
#include "websocket/mask.h"
#include "websocket/utf8-variants.h"
#include "websocket/utf8.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SMALL_MAX 300
#define HUGE_SIZE ((1 << 20) + 37)
#define LENGTH(array) (sizeof(array) / sizeof *(array))

static uint64_t seed = 0x9E3779B97F4A7C15;

/* xorshift64*: the same numbers on every machine. */
static uint32_t below(uint32_t bound) {
  seed ^= seed >> 12;
  seed ^= seed << 25;
  seed ^= seed >> 27;
  return (uint32_t)((seed * 0x2545F4914F6CDD1D) >> 32) % bound;
}

/* ---- Room between two pages that must not be touched ---- */

struct room {
  uint8_t *begin, *end;
};

static struct room new_room(size_t size) {
  const size_t page = 65536; /* the largest of any architecture */
  const size_t inside = (size + page - 1) / page * page;
  uint8_t *all = mmap(NULL, inside + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED || mprotect(all + page, inside, PROT_READ | PROT_WRITE) != 0) {
    perror("room");
    exit(1);
  }
  return (struct room){all + page, all + page + inside};
}

/* ---- Masking ---- */

static void mask_differs(const char *variant, size_t length, size_t to, size_t from, unsigned phase) {
  fprintf(stderr, "mask %s differs: %zu octets to +%zu from +%zu, phase %u\n", variant, length, to, from, phase);
  exit(1);
}

/* Section 5.3, word for word. */
static void mask_plainly(uint8_t *to, const uint8_t *from, size_t length, const uint8_t key[4], unsigned phase) {
  for (size_t i = 0; i < length; i++)
    to[i] = from[i] ^ key[(phase + i) % 4];
}

static void try_mask(const struct wsp_mask_variant *variant, struct room to, const uint8_t *source, size_t length,
                     size_t to_offset, size_t from_offset) {
  static const uint8_t key[4] = {0x12, 0xA5, 0xFF, 0x70};
  static uint8_t expected[HUGE_SIZE + 256];
  const size_t all = length + 2 * 64;
  for (unsigned phase = 0; phase < 4; phase++) {
    uint8_t turned[8];
    for (size_t i = 0; i < sizeof turned; i++)
      turned[i] = key[(phase + i) % 4];
    for (int in_place = 0; in_place < 2; in_place++) {
      uint8_t *place = to.begin + to_offset;
      const uint8_t *from = in_place ? place : source + from_offset;
      memset(to.begin, 0x55, all);
      memset(expected, 0x55, all);
      mask_plainly(expected + to_offset, source + from_offset, length, key, phase);
      if (in_place)
        memcpy(place, source + from_offset, length);
      variant->function(place, from, length, turned);
      if (memcmp(to.begin, expected, all) != 0)
        mask_differs(variant->name, length, to_offset, in_place ? to_offset : from_offset, phase);
    }
  }
}

static void test_mask(const struct wsp_mask_variant *variant, struct room room) {
  static uint8_t source[HUGE_SIZE + 64];
  for (size_t i = 0; i < sizeof source; i++)
    source[i] = (uint8_t)below(256);
  for (size_t length = WSP_MASK_BLOCK; length <= SMALL_MAX; length++)
    for (size_t offset = 0; offset <= 33; offset++)
      try_mask(variant, room, source, length, offset, (offset * 7 + length) % 64);
  for (size_t offset = 0; offset < 64; offset += 21)
    try_mask(variant, room, source, HUGE_SIZE, offset, 63 - offset);

  /* Nothing behind the end or before the beginning is touched, not even to read it. */
  static const uint8_t turned[8] = {1, 2, 3, 4, 1, 2, 3, 4};
  for (size_t length = WSP_MASK_BLOCK; length <= SMALL_MAX; length++) {
    variant->function(room.end - length, room.end - length, length, turned);
    variant->function(room.begin, room.begin, length, turned);
  }
}

/* ---- UTF-8 ---- */

static void utf8_differs(const char *variant, const uint8_t *text, size_t length, size_t split) {
  fprintf(stderr, "utf8 %s differs: %zu octets, split at %zu:", variant, length, split);
  for (size_t i = 0; i < length && i < 2 * SMALL_MAX; i++)
    fprintf(stderr, " %02x", text[i]);
  fprintf(stderr, "\n");
  exit(1);
}

/* What the variant must say: the portable one, which itself is compared with its own judgement of single octets, where
 * it takes no short way. */
static bool feed_plainly(const struct wsp_utf8_variant *variant, uint8_t *state, const uint8_t *text, size_t length) {
  if (variant->prefix)
    return wsp_utf8_feed_portable(state, text, length);
  uint8_t now = *state;
  for (size_t i = 0; i < length; i++)
    if (!wsp_utf8_feed_portable(&now, text + i, 1))
      return false;
  *state = now;
  return true;
}

/* Two pieces, each judged by both. `split` is the length of the first. */
static void try_split(const struct wsp_utf8_variant *variant, const uint8_t *text, size_t length, size_t split) {
  uint8_t seen = WSP_UTF8_ACCEPT, expected = WSP_UTF8_ACCEPT;
  bool seen_right = wsp_utf8_feed_with(variant, &seen, text, split);
  bool right = feed_plainly(variant, &expected, text, split);
  if (seen_right == right && seen == expected && right) {
    seen_right = wsp_utf8_feed_with(variant, &seen, text + split, length - split);
    right = feed_plainly(variant, &expected, text + split, length - split);
  }
  if (seen_right != right || seen != expected)
    utf8_differs(variant->name, text, length, split);
}

static void try_every_split(const struct wsp_utf8_variant *variant, const uint8_t *text, size_t length) {
  for (size_t split = 0; split <= length; split++)
    try_split(variant, text, length, split);
}

static const char *const points[] = {
    "a",
    "\x7f",
    "\xc2\x80",
    "\xdf\xbf",
    "\xe0\xa0\x80",
    "\xe2\x82\xac",
    "\xed\x9f\xbf",
    "\xee\x80\x80",
    "\xef\xbf\xbf",
    "\xf0\x90\x80\x80",
    "\xf1\x80\x80\x80",
    "\xf4\x8f\xbf\xbf",
};

/* Whole code points in exactly `length` octets; `kind` is the octets of each (1-4), or 0 for all sorts. */
static void fill_text(uint8_t *text, size_t length, size_t kind) {
  static const size_t first[] = {0, 0, 2, 4, 9, LENGTH(points)};
  for (size_t at = 0, size; at < length; at += size) {
    const char *point =
        kind ? points[first[kind] + below((uint32_t)(first[kind + 1] - first[kind]))] : points[below(LENGTH(points))];
    size = strlen(point);
    if (size > length - at) {
      point = "z";
      size = 1;
    }
    memcpy(text + at, point, size);
  }
}

static const uint8_t edges[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF,
                                0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF8, 0xFF};

/* Every sequence of three octets at which the rules change, across every border of vectors and blocks, and at the end. */
static void test_three_edges(const struct wsp_utf8_variant *variant, struct room room) {
  const size_t length = WSP_UTF8_BLOCK + 10;
  uint8_t *text = room.end - length;
  for (size_t place = WSP_UTF8_BLOCK / 2 - 3; place + 3 <= length; place++) {
    fill_text(text, place, place % 5);
    fill_text(text + place + 3, length - place - 3, place % 5);
    for (size_t a = 0; a < LENGTH(edges); a++)
      for (size_t b = 0; b < LENGTH(edges); b++)
        for (size_t c = 0; c < LENGTH(edges); c++) {
          memcpy(text + place, (uint8_t[]){edges[a], edges[b], edges[c]}, 3);
          try_split(variant, text, length, length);
        }
  }
}

/* The same with a fourth octet, of each sort that there is for it. */
static void test_four_edges(const struct wsp_utf8_variant *variant, struct room room) {
  static const size_t places[] = {30, 45, 61, 62, 63, 64};
  static const uint8_t fourth[] = {0x41, 0x80, 0xBF, 0xC2};
  const size_t length = WSP_UTF8_BLOCK + 4;
  uint8_t *text = room.end - length;
  memset(text, 'x', length);
  for (size_t i = 0; i < LENGTH(places); i++)
    for (uint32_t n = 0; n < LENGTH(edges) * LENGTH(edges) * LENGTH(edges); n++) {
      uint8_t *place = text + places[i];
      for (uint32_t octet = 0, rest = n; octet < 3; octet++, rest /= LENGTH(edges))
        place[octet] = edges[rest % LENGTH(edges)];
      for (size_t d = 0; d < LENGTH(fourth); d++) {
        place[3] = fourth[d];
        try_split(variant, text, length, length);
      }
      memset(place, 'x', 4);
    }
}

/* Every length, at both ends of the room, right and then with a wrong octet, cut in two at every place. */
static void test_every_length_and_split(const struct wsp_utf8_variant *variant, struct room room) {
  for (size_t length = 0; length <= SMALL_MAX; length++)
    for (int at_end = 0; at_end < 2; at_end++) {
      uint8_t *text = at_end ? room.end - length : room.begin;
      fill_text(text, length, at_end ? 0 : 1 + length % 4);
      try_every_split(variant, text, length);
      if (length == 0)
        continue;
      text[below((uint32_t)length)] = edges[below(LENGTH(edges))];
      try_every_split(variant, text, length);
    }
}

/* One wrong octet at each place of every sort of text. */
static void test_fault_at_every_place(const struct wsp_utf8_variant *variant, struct room room) {
  uint8_t *text = room.end - SMALL_MAX;
  for (size_t kind = 0; kind < 5; kind++) {
    fill_text(text, SMALL_MAX, kind);
    for (size_t place = 0; place < SMALL_MAX; place++)
      for (size_t i = 0; i < LENGTH(edges); i++) {
        const uint8_t before = text[place];
        text[place] = edges[i];
        try_split(variant, text, SMALL_MAX, SMALL_MAX);
        try_split(variant, text, SMALL_MAX, below(SMALL_MAX));
        text[place] = before;
      }
  }
}

/* A long text in pieces of any length; in every second round with a wrong octet. */
static void test_huge(const struct wsp_utf8_variant *variant, struct room room) {
  uint8_t *text = room.end - HUGE_SIZE;
  for (size_t round = 0; round < 20; round++) {
    uint8_t seen = WSP_UTF8_ACCEPT, expected = WSP_UTF8_ACCEPT;
    fill_text(text, HUGE_SIZE, round / 2 % 5);
    if (round % 2)
      text[below(HUGE_SIZE)] = edges[below(LENGTH(edges))];
    bool right = true;
    for (size_t at = 0, size; right && at < HUGE_SIZE; at += size) {
      size = round < 10 ? HUGE_SIZE : below(3000);
      size = size < HUGE_SIZE - at ? size : HUGE_SIZE - at;
      right = feed_plainly(variant, &expected, text + at, size);
      if (wsp_utf8_feed_with(variant, &seen, text + at, size) != right || seen != expected)
        utf8_differs(variant->name, text, HUGE_SIZE, at);
    }
  }
}

/* A variant that proves too little changes no verdict, it only makes everything slow. */
static void test_right_text_goes_fast(const struct wsp_utf8_variant *variant, struct room room) {
  for (size_t length = WSP_UTF8_BLOCK; variant->prefix && length <= SMALL_MAX; length++)
    for (size_t kind = 0; kind < 5; kind++) {
      uint8_t *text = room.end - length;
      fill_text(text, length, kind);
      if (length > 3 * WSP_UTF8_BLOCK) { /* a block of ASCII between others */
        fill_text(text, WSP_UTF8_BLOCK, kind);
        memset(text + WSP_UTF8_BLOCK, 'a', WSP_UTF8_BLOCK);
        fill_text(text + 2 * WSP_UTF8_BLOCK, length - 2 * WSP_UTF8_BLOCK, kind);
      }
      const size_t proven = variant->prefix(text, length);
      if (proven > length || length - proven >= WSP_UTF8_BLOCK)
        utf8_differs(variant->name, text, length, proven);
    }
}

static void test_utf8(const struct wsp_utf8_variant *variant, struct room room) {
  test_every_length_and_split(variant, room);
  test_fault_at_every_place(variant, room);
  test_three_edges(variant, room);
  test_four_edges(variant, room);
  test_huge(variant, room);
  test_right_text_goes_fast(variant, room);
}

int main(void) {
  struct room room = new_room(HUGE_SIZE + 256);
  printf("mask:");
  for (const struct wsp_mask_variant *variant = wsp_mask_variants; variant->name; variant++)
    if (variant->is_supported()) {
      test_mask(variant, room);
      printf(" %s", variant->name);
    }
  printf("\nutf8:");
  for (const struct wsp_utf8_variant *variant = wsp_utf8_variants; variant->name; variant++)
    if (variant->is_supported()) {
      test_utf8(variant, room);
      printf(" %s", variant->name);
    }
  printf("\n");
  return 0;
}
