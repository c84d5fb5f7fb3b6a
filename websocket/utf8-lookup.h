/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Internal: the lookup algorithm of John Keiser and Daniel Lemire, "Validating UTF-8 in less than one instruction per
 * byte", Software: Practice and Experience 51 (5), 2021. A file for one instruction set includes this once, after it
 * has defined
 *
 *   TARGET                       the attribute that lets the compiler use the instruction set
 *   vector                       the type
 *   load(octets)                 at any alignment
 *   fill(octet)                  one octet all over a vector
 *   table(octets)                sixteen octets as a table for look_up()
 *   look_up(table, index)        octet by octet; every index is below 16
 *   high_half(v)                 each octet shifted right by 4
 *   less(a, b)                   a - b, or 0 where that is negative
 *   AND, OR, XOR(a, b)
 *   BEFORE(now, before, n)       each octet's n-th forerunner in the text; n is a constant
 *   is_zero(v), is_ascii(v)
 *
 * Nearly all faults show in two octets that follow each other: in three half octets, the high and the low half of the
 * first, and the high half of the second. Each half selects, from a table of its own, the set of faults that it does
 * not rule out; a fault that all three leave standing is there. One thing is no fault by itself: two continuation
 * octets in a row, which must be there exactly where an octet is the third of a code point or the fourth.
 */
enum fault {
  TOO_SHORT = 1 << 0,      /* a lead, then no continuation */
  TOO_LONG = 1 << 1,       /* ASCII, then a continuation */
  OVERLONG_3 = 1 << 2,     /* E0, then 80-9F */
  TOO_LARGE = 1 << 3,      /* F4-FF, then 90-BF */
  SURROGATE = 1 << 4,      /* ED, then A0-BF */
  OVERLONG_2 = 1 << 5,     /* C0 or C1, then a continuation */
  OVERLONG_4 = 1 << 6,     /* F0, then 80-8F */
  TOO_LARGE_1000 = 1 << 6, /* F5-FF, then 80-8F: told apart from the one above by the low half of the first */
  TWO_CONTINUE = 1 << 7,   /* two continuations */
  ANY_LOW_HALF = TOO_SHORT | TOO_LONG | TWO_CONTINUE,
};

static const uint8_t first_high[16] = {
    [0x0 ... 0x7] = TOO_LONG,
    [0x8 ... 0xB] = TWO_CONTINUE,
    [0xC] = TOO_SHORT | OVERLONG_2,
    [0xD] = TOO_SHORT,
    [0xE] = TOO_SHORT | OVERLONG_3 | SURROGATE,
    [0xF] = TOO_SHORT | TOO_LARGE | TOO_LARGE_1000 | OVERLONG_4,
};

static const uint8_t first_low[16] = {
    [0x0] = ANY_LOW_HALF | OVERLONG_2 | OVERLONG_3 | OVERLONG_4,
    [0x1] = ANY_LOW_HALF | OVERLONG_2,
    [0x2 ... 0x3] = ANY_LOW_HALF,
    [0x4] = ANY_LOW_HALF | TOO_LARGE,
    [0x5 ... 0xC] = ANY_LOW_HALF | TOO_LARGE | TOO_LARGE_1000,
    [0xD] = ANY_LOW_HALF | TOO_LARGE | TOO_LARGE_1000 | SURROGATE,
    [0xE ... 0xF] = ANY_LOW_HALF | TOO_LARGE | TOO_LARGE_1000,
};

static const uint8_t second_high[16] = {
    [0x0 ... 0x7] = TOO_SHORT,
    [0x8] = TOO_LONG | TWO_CONTINUE | OVERLONG_2 | OVERLONG_3 | OVERLONG_4 | TOO_LARGE_1000,
    [0x9] = TOO_LONG | TWO_CONTINUE | OVERLONG_2 | OVERLONG_3 | TOO_LARGE,
    [0xA ... 0xB] = TOO_LONG | TWO_CONTINUE | OVERLONG_2 | SURROGATE | TOO_LARGE,
    [0xC ... 0xF] = TOO_SHORT,
};

/* Not zero where `now`, which follows `before` in the text, has a fault. A lead at the end is not yet one. */
static inline TARGET vector faults(vector now, vector before) {
  const vector first = BEFORE(now, before, 1);
  const vector pair =
      AND(AND(look_up(table(first_high), high_half(first)), look_up(table(first_low), AND(first, fill(0x0F)))),
          look_up(table(second_high), high_half(now)));
  /* The highest bit is set behind two octets after E0-FF, and three after F0-FF. */
  const vector third = less(BEFORE(now, before, 2), fill(0xE0 - 0x80));
  const vector fourth = less(BEFORE(now, before, 3), fill(0xF0 - 0x80));
  return XOR(AND(OR(third, fourth), fill(TWO_CONTINUE)), pair);
}

enum { VECTORS = WSP_UTF8_BLOCK / sizeof(vector) };

static inline TARGET bool is_ascii_block(const uint8_t *block) {
  vector all = load(block);
  for (size_t i = 1; i < VECTORS; i++)
    all = OR(all, load(block + i * sizeof(vector)));
  return is_ascii(all);
}

/* Checks a block, of which *before is what precedes it, and moves *before to its end. */
static inline TARGET bool is_block_right(const uint8_t *block, vector *before) {
  vector found = fill(0);
  for (size_t i = 0; i < VECTORS; i++) {
    const vector now = load(block + i * sizeof(vector));
    found = OR(found, faults(now, *before));
    *before = now;
  }
  return is_zero(found);
}

/* Checks what is left behind the last whole block. The last vector ends where the text does and so goes over some
 * octets once more; a block has two vectors at least, so there is always one before it. */
static inline TARGET bool is_rest_right(const uint8_t *octets, size_t at, size_t length) {
  const size_t width = sizeof(vector);
  vector all = fill(0), found = fill(0);
  for (size_t i = at; i < length; i += width)
    all = OR(all, load(octets + (length - i < width ? length - width : i)));
  if (is_ascii(all))
    return wsp_utf8_unfinished(octets + at) == 0;
  for (size_t i = at; i < length; i += width) {
    const uint8_t *place = octets + (length - i < width ? length - width : i);
    found = OR(found, faults(load(place), load(place - width)));
  }
  return is_zero(found);
}

static inline TARGET size_t prefix_by_lookup(const uint8_t *octets, size_t length) {
  vector before = fill(0);
  size_t at = 0;
  while (length - at >= WSP_UTF8_BLOCK) {
    if (is_ascii_block(octets + at)) {
      if (at > 0 && wsp_utf8_unfinished(octets + at) > 0)
        return at - wsp_utf8_unfinished(octets + at);
      do
        at += WSP_UTF8_BLOCK;
      while (length - at >= WSP_UTF8_BLOCK && is_ascii_block(octets + at));
      before = fill(0);
    } else if (is_block_right(octets + at, &before)) {
      at += WSP_UTF8_BLOCK;
    } else {
      return at > 0 ? at - wsp_utf8_unfinished(octets + at) : 0;
    }
  }
  if (at < length && is_rest_right(octets, at, length))
    at = length;
  return at - wsp_utf8_unfinished(octets + at);
}
