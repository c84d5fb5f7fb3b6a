/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/utf8-variants.h"

#ifdef WSP_CPU_X86
#include <immintrin.h>

#define TARGET __attribute__((target("avx2")))
#define AND _mm256_and_si256
#define OR _mm256_or_si256
#define XOR _mm256_xor_si256
/* The two halves of a vector are shifted apart from each other, so each is given the half before it. */
#define BEFORE(now, before, n) _mm256_alignr_epi8(now, _mm256_permute2x128_si256(before, now, 0x21), 16 - (n))
typedef __m256i vector;

static inline TARGET vector load(const uint8_t *octets) {
  return _mm256_loadu_si256((const __m256i_u *)octets);
}

static inline TARGET vector fill(uint8_t octet) {
  return _mm256_set1_epi8((char)octet);
}

static inline TARGET vector table(const uint8_t octets[16]) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i_u *)octets));
}

static inline TARGET vector look_up(vector table, vector index) {
  return _mm256_shuffle_epi8(table, index);
}

static inline TARGET vector high_half(vector v) {
  return _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(0x0F));
}

static inline TARGET vector less(vector a, vector b) {
  return _mm256_subs_epu8(a, b);
}

static inline TARGET bool is_zero(vector v) {
  return _mm256_testz_si256(v, v) != 0;
}

static inline TARGET bool is_ascii(vector v) {
  return _mm256_movemask_epi8(v) == 0;
}

#include "websocket/utf8-lookup.h"

TARGET size_t wsp_utf8_prefix_avx2(const uint8_t *octets, size_t length) {
  return prefix_by_lookup(octets, length);
}
#endif
