/* SPDX-License-Identifier: Apache-2.0 */
/* Little-endian integers at any address, on machines of any byte order: as every number of a record is written. */
#pragma once

#include <stdint.h>

static inline void wsc_put_u16(uint8_t *out, uint16_t value) {
  out[0] = (uint8_t)value;
  out[1] = (uint8_t)(value >> 8);
}

static inline void wsc_put_u32(uint8_t *out, uint32_t value) {
  out[0] = (uint8_t)value;
  out[1] = (uint8_t)(value >> 8);
  out[2] = (uint8_t)(value >> 16);
  out[3] = (uint8_t)(value >> 24);
}

static inline void wsc_put_u64(uint8_t *out, uint64_t value) {
  wsc_put_u32(out, (uint32_t)value);
  wsc_put_u32(out + 4, (uint32_t)(value >> 32));
}

static inline uint16_t wsc_get_u16(const uint8_t *in) {
  return (uint16_t)(in[0] | (uint32_t)in[1] << 8);
}

static inline uint32_t wsc_get_u32(const uint8_t *in) {
  return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

static inline uint64_t wsc_get_u64(const uint8_t *in) {
  return (uint64_t)wsc_get_u32(in) | (uint64_t)wsc_get_u32(in + 4) << 32;
}
