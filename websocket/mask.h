/* SPDX-License-Identifier: Apache-2.0 */
/* Masking (RFC 6455 section 5.3), eight octets at a time. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* XORs `octets` in place with the key, starting at offset `phase` (0-3) of the key; returns the phase after. */
uint8_t wsp_mask(uint8_t *octets, size_t length, const uint8_t key[4], uint8_t phase);
