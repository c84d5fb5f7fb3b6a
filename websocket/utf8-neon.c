/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/utf8-variants.h"

#ifdef WSP_CPU_AARCH64
#include <arm_neon.h>

#define TARGET
#define AND vandq_u8
#define OR vorrq_u8
#define XOR veorq_u8
#define BEFORE(now, before, n) vextq_u8(before, now, 16 - (n))
typedef uint8x16_t vector;

static inline vector load(const uint8_t *octets) {
  return vld1q_u8(octets);
}

static inline vector fill(uint8_t octet) {
  return vdupq_n_u8(octet);
}

static inline vector table(const uint8_t octets[16]) {
  return vld1q_u8(octets);
}

static inline vector look_up(vector table, vector index) {
  return vqtbl1q_u8(table, index);
}

static inline vector high_half(vector v) {
  return vshrq_n_u8(v, 4);
}

static inline vector less(vector a, vector b) {
  return vqsubq_u8(a, b);
}

static inline bool is_zero(vector v) {
  return vmaxvq_u8(v) == 0;
}

static inline bool is_ascii(vector v) {
  return vmaxvq_u8(v) < 0x80;
}

#include "websocket/utf8-lookup.h"

size_t wsp_utf8_prefix_neon(const uint8_t *octets, size_t length) {
  return prefix_by_lookup(octets, length);
}
#endif
