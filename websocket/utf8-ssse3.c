/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/utf8-variants.h"

#ifdef WSP_CPU_X86
#include <tmmintrin.h>

#define TARGET __attribute__((target("ssse3")))
#define AND _mm_and_si128
#define OR _mm_or_si128
#define XOR _mm_xor_si128
#define BEFORE(now, before, n) _mm_alignr_epi8(now, before, 16 - (n))
typedef __m128i vector;

static inline TARGET vector load(const uint8_t *octets) {
  return _mm_loadu_si128((const __m128i_u *)octets);
}

static inline TARGET vector fill(uint8_t octet) {
  return _mm_set1_epi8((char)octet);
}

static inline TARGET vector table(const uint8_t octets[16]) {
  return load(octets);
}

static inline TARGET vector look_up(vector table, vector index) {
  return _mm_shuffle_epi8(table, index);
}

static inline TARGET vector high_half(vector v) {
  return _mm_and_si128(_mm_srli_epi16(v, 4), _mm_set1_epi8(0x0F));
}

static inline TARGET vector less(vector a, vector b) {
  return _mm_subs_epu8(a, b);
}

static inline TARGET bool is_zero(vector v) {
  return _mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_setzero_si128())) == 0xFFFF;
}

static inline TARGET bool is_ascii(vector v) {
  return _mm_movemask_epi8(v) == 0;
}

#include "websocket/utf8-lookup.h"

TARGET size_t wsp_utf8_prefix_ssse3(const uint8_t *octets, size_t length) {
  return prefix_by_lookup(octets, length);
}
#endif
