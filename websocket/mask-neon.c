/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/mask-variants.h"

#ifdef WSP_CPU_AARCH64
#include <arm_neon.h>
#include <string.h>

#define TARGET
#define XOR veorq_u8
typedef uint8x16_t vector;

static inline vector load(const uint8_t *octets) {
  return vld1q_u8(octets);
}

static inline void store(uint8_t *octets, vector value) {
  vst1q_u8(octets, value);
}

static inline vector repeat(const uint8_t *key) {
  uint32_t word;
  memcpy(&word, key, sizeof word);
  return vreinterpretq_u8_u32(vdupq_n_u32(word));
}

#include "websocket/mask-vectors.h"

void wsp_mask_neon(uint8_t *to, const uint8_t *from, size_t length, const uint8_t turned[8]) {
  mask_vectors(to, from, length, turned);
}
#endif
