/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/mask.h"
#include "websocket/mask-variants.h"

#include <stdatomic.h>
#include <string.h>

static inline uint64_t load(const uint8_t *octets) {
  uint64_t word;
  memcpy(&word, octets, sizeof word);
  return word;
}

static inline void store(uint8_t *octets, uint64_t word) {
  memcpy(octets, &word, sizeof word);
}

/* The key twice, beginning at the phase: a word that fits every eighth octet. */
static inline void turn(uint8_t turned[8], const uint8_t key[4], uint8_t phase) {
  for (size_t i = 0; i < 8; i++)
    turned[i] = key[(phase + i) & 3];
}

/* Words of eight octets, any length. Inlined in both its users, so that short payloads, which are most, cost no second
 * call. */
static inline __attribute__((always_inline)) void mask_words(uint8_t *to, const uint8_t *from, size_t length,
                                                             const uint8_t turned[8]) {
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
}

static void mask_portable(uint8_t *to, const uint8_t *from, size_t length, const uint8_t turned[8]) {
  mask_words(to, from, length, turned);
}

const struct wsp_mask_variant wsp_mask_variants[] = {
#if defined(WSP_CPU_X86)
    {"avx2", wsp_mask_avx2, wsp_cpu_has_avx2},
    {"sse2", wsp_mask_sse2, wsp_cpu_has_sse2},
#elif defined(WSP_CPU_AARCH64)
    {"neon", wsp_mask_neon, wsp_cpu_has_neon},
#endif
    {"portable", mask_portable, wsp_cpu_has_c},
    {NULL, NULL, NULL},
};

/* Every thread that comes first finds the same, so it does not matter whose choice stays. */
static wsp_mask_function *best_variant(void) {
  static _Atomic(wsp_mask_function *) chosen;
  wsp_mask_function *function = atomic_load_explicit(&chosen, memory_order_relaxed);
  if (function)
    return function;
  const struct wsp_mask_variant *variant = wsp_mask_variants;
  while (!variant->is_supported())
    variant++;
  atomic_store_explicit(&chosen, variant->function, memory_order_relaxed);
  return variant->function;
}

static __attribute__((noinline)) void mask_long(uint8_t *to, const uint8_t *from, size_t length, const uint8_t key[4],
                                                uint8_t phase) {
  uint8_t turned[8];
  turn(turned, key, phase);
  best_variant()(to, from, length, turned);
}

uint8_t wsp_mask_copy(uint8_t *to, const uint8_t *from, size_t length, const uint8_t key[4], uint8_t phase) {
  if (length < WSP_MASK_BLOCK) {
    uint8_t turned[8];
    turn(turned, key, phase);
    mask_words(to, from, length, turned);
  } else {
    mask_long(to, from, length, key, phase);
  }
  return (uint8_t)((phase + length) & 3);
}

uint8_t wsp_mask(uint8_t *octets, size_t length, const uint8_t key[4], uint8_t phase) {
  return wsp_mask_copy(octets, octets, length, key, phase);
}
