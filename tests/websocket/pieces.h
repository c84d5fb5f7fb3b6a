/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cutting an input in pieces, as a network does: every test input is fed whole, octet by octet, and cut in two at
 * every place. Each piece is a heap copy of its exact size, so that a sanitizer sees a read beyond its end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cutting {
  size_t first; /* length of the first piece; 0: it has the length of the others */
  size_t others;
};

/* Gives one cutting after the other for an input of that length; false at the end. Start with *round = 0. Long
 * inputs (above 2 KiB) are not cut at every place but in pieces of several lengths. */
bool next_cutting(size_t length, size_t *round, struct cutting *cutting);

/* The piece that begins at `offset`: its length, and a copy for the caller to free. */
uint8_t *next_piece(const uint8_t *input, size_t length, size_t offset, struct cutting cutting, size_t *piece_length);

/* Octets from hexadecimal digits, to be freed by the caller; spaces are skipped. */
uint8_t *from_hex(const char *digits, size_t *length);

/* g_assert_cmpmem() keeps lengths in an int, which the tree's warnings forbid. */
void assert_same_octets(const void *seen, size_t seen_length, const void *expected, size_t expected_length);
