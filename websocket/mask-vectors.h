/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Internal: the loop of masking over vectors. A file for one instruction set includes this once, after it has defined
 *
 *   TARGET         the attribute that lets the compiler use the instruction set
 *   vector         the type
 *   load(octets), store(octets, vector)   at any alignment
 *   repeat(key)    the four octets at `key` all over a vector
 *   XOR(a, b)
 *
 * The first and the last vector are computed before the loop and stored behind it: they overlap with what the loop
 * stores, which then is the same octets. So no octet is masked alone, the loop stores at aligned places, and masking
 * in place still reads every octet before it is changed.
 */
#include <string.h>

static inline TARGET void mask_vectors(uint8_t *to, const uint8_t *from, size_t length, const uint8_t turned[8]) {
  const size_t width = sizeof(vector);
  const vector head = XOR(load(from), repeat(turned));
  const vector tail = XOR(load(from + length - width), repeat(turned + ((length - width) & 3)));

  size_t at = width - ((uintptr_t)to & (width - 1)); /* the first aligned octet that is not the very first */
  const vector key = repeat(turned + (at & 3));
  for (; length - at >= 4 * width; at += 4 * width) {
    const vector a = XOR(load(from + at), key);
    const vector b = XOR(load(from + at + width), key);
    const vector c = XOR(load(from + at + 2 * width), key);
    const vector d = XOR(load(from + at + 3 * width), key);
    store(to + at, a);
    store(to + at + width, b);
    store(to + at + 2 * width, c);
    store(to + at + 3 * width, d);
  }
  for (; length - at >= width; at += width)
    store(to + at, XOR(load(from + at), key));

  store(to, head);
  store(to + length - width, tail);
}
