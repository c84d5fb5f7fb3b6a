/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Internal: masking, once for each instruction set. mask.c takes the first variant of the table that the processor
 * supports, for everything but short payloads; tests and the benchmark reach each of them through the same table.
 */
#pragma once

#include "websocket/cpu.h"

#include <stddef.h>
#include <stdint.h>

/* A variant is never given fewer octets than this. */
#define WSP_MASK_BLOCK 64

/* XORs `length` octets, WSP_MASK_BLOCK at least. `turned` is the key twice, beginning at the phase, so the four octets
 * at turned + (n & 3) are the key for what begins n octets further. `to` and `from` are the same or do not overlap. */
typedef void wsp_mask_function(uint8_t *to, const uint8_t *from, size_t length, const uint8_t turned[8]);

struct wsp_mask_variant {
  const char *name;
  wsp_mask_function *function;
  bool (*is_supported)(void);
};

/* The fastest first, "portable" last; ends with a NULL name. */
extern const struct wsp_mask_variant wsp_mask_variants[];

#if defined(WSP_CPU_X86)
wsp_mask_function wsp_mask_avx2, wsp_mask_sse2;
#elif defined(WSP_CPU_AARCH64)
wsp_mask_function wsp_mask_neon;
#endif
