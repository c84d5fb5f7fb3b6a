/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/mask-variants.h"

#ifdef WSP_CPU_X86
#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx2")))
#define XOR _mm256_xor_si256
typedef __m256i vector;

static inline TARGET vector load(const uint8_t *octets) {
  return _mm256_loadu_si256((const __m256i_u *)octets);
}

static inline TARGET void store(uint8_t *octets, vector value) {
  _mm256_storeu_si256((__m256i_u *)octets, value);
}

static inline TARGET vector repeat(const uint8_t *key) {
  int word;
  memcpy(&word, key, sizeof word);
  return _mm256_set1_epi32(word);
}

#include "websocket/mask-vectors.h"

TARGET void wsp_mask_avx2(uint8_t *to, const uint8_t *from, size_t length, const uint8_t turned[8]) {
  mask_vectors(to, from, length, turned);
}
#endif
