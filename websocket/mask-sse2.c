/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/mask-variants.h"

#ifdef WSP_CPU_X86
#include <emmintrin.h>
#include <string.h>

#define TARGET __attribute__((target("sse2")))
#define XOR _mm_xor_si128
typedef __m128i vector;

static inline TARGET vector load(const uint8_t *octets) {
  return _mm_loadu_si128((const __m128i_u *)octets);
}

static inline TARGET void store(uint8_t *octets, vector value) {
  _mm_storeu_si128((__m128i_u *)octets, value);
}

static inline TARGET vector repeat(const uint8_t *key) {
  int word;
  memcpy(&word, key, sizeof word);
  return _mm_set1_epi32(word);
}

#include "websocket/mask-vectors.h"

TARGET void wsp_mask_sse2(uint8_t *to, const uint8_t *from, size_t length, const uint8_t turned[8]) {
  mask_vectors(to, from, length, turned);
}
#endif
