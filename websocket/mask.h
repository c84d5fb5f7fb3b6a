/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Masking (RFC 6455 section 5.3), which is also unmasking: octet i of a payload is XORed with octet i modulo 4 of
 * the key. `phase` (0-3) is the offset in the key to begin with; both functions return the phase behind the octets,
 * so a payload may come in pieces of any length and alignment. Words of eight octets at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* In place. */
uint8_t wsp_mask(uint8_t *octets, size_t length, const uint8_t key[4], uint8_t phase);

/* From one place to another; the two must not overlap unless they are the same. */
uint8_t wsp_mask_copy(uint8_t *to, const uint8_t *from, size_t length, const uint8_t key[4], uint8_t phase);
