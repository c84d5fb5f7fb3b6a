/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/mask.h"

#include <string.h>

static inline uint64_t load(const uint8_t *octets) {
  uint64_t word;
  memcpy(&word, octets, sizeof word);
  return word;
}

static inline void store(uint8_t *octets, uint64_t word) {
  memcpy(octets, &word, sizeof word);
}

uint8_t wsp_mask_copy(uint8_t *to, const uint8_t *from, size_t length, const uint8_t key[4], uint8_t phase) {
  uint8_t turned[8]; /* the key twice, beginning at the phase: a word that fits every eighth octet */
  for (size_t i = 0; i < sizeof turned; i++)
    turned[i] = key[(phase + i) & 3];
  const uint64_t word = load(turned);

  size_t at = 0;
  for (; length - at >= 32; at += 32) {
    uint64_t a = load(from + at) ^ word;
    uint64_t b = load(from + at + 8) ^ word;
    uint64_t c = load(from + at + 16) ^ word;
    uint64_t d = load(from + at + 24) ^ word;
    store(to + at, a);
    store(to + at + 8, b);
    store(to + at + 16, c);
    store(to + at + 24, d);
  }
  for (; length - at >= 8; at += 8)
    store(to + at, load(from + at) ^ word);
  for (; at < length; at++)
    to[at] = (uint8_t)(from[at] ^ turned[at & 7]);
  return (uint8_t)((phase + length) & 3);
}

uint8_t wsp_mask(uint8_t *octets, size_t length, const uint8_t key[4], uint8_t phase) {
  return wsp_mask_copy(octets, octets, length, key, phase);
}
