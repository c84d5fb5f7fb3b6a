/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fuzzers share. A fuzzer is one function that libFuzzer calls with octets of its choice, as often as it can;
 * it feeds them to one part of the product, and aborts when a property of that part is broken. Most take their input
 * apart first: a leading octet of switches, two that seed the cutting, then the octets that the part is fed. Feeding
 * them whole and cut must come to the same: both runs keep a log, and the logs are compared.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A finding unless it holds. */
#define require(property) ((property) ? (void)0 : fuzz_broken(#property, __FILE__, __LINE__))
_Noreturn void fuzz_broken(const char *property, const char *file, int line);

struct fuzz_input {
  uint8_t switches;
  uint16_t seed;
  const uint8_t *octets;
  size_t length;
};
/* False when it is too short to be taken apart. */
bool fuzz_take_apart(const uint8_t *data, size_t size, struct fuzz_input *input);

enum fuzz_cutting { FUZZ_WHOLE, FUZZ_PIECES, FUZZ_OCTETS, FUZZ_CUTTINGS };

/* Each piece is a heap copy of its exact size, so that AddressSanitizer sees a read beyond its end. */
struct fuzz_pieces {
  const uint8_t *octets;
  size_t left;
  enum fuzz_cutting cutting;
  uint32_t random;
  uint8_t *piece; /* valid until the next call of fuzz_next_piece() */
};
struct fuzz_pieces fuzz_cut(const struct fuzz_input *input, enum fuzz_cutting cutting);
/* False at the end, when the last piece is freed; after a return on the way that is left to fuzz_pieces_clear(). */
bool fuzz_next_piece(struct fuzz_pieces *pieces, size_t *length);
void fuzz_pieces_clear(struct fuzz_pieces *pieces);

/* What happened in a run. Zeroed is empty. */
struct fuzz_log {
  uint8_t *octets;
  size_t length, capacity;
};
void fuzz_note(struct fuzz_log *log, const void *octets, size_t length); /* with its length */
void fuzz_note_number(struct fuzz_log *log, uint64_t number);
void fuzz_note_text(struct fuzz_log *log, const char *text); /* NULL is no text */
bool fuzz_same(const struct fuzz_log *a, const struct fuzz_log *b);
void fuzz_log_clear(struct fuzz_log *log);

/* Runs the input in every cutting and compares the logs. */
typedef void fuzz_run(const struct fuzz_input *input, enum fuzz_cutting cutting, struct fuzz_log *log);
void fuzz_require_same(fuzz_run *run, const struct fuzz_input *input);

/* RFC 3629 by arithmetic, code point after code point: nothing in common with the engine's way. */
bool fuzz_is_utf8(const uint8_t *octets, size_t length);
/* Whether anything can be put behind the octets that makes them UTF-8; it is put there, so there must be room. */
#define FUZZ_UTF8_ENDING_MAX 3
bool fuzz_begins_utf8(uint8_t *octets, size_t length);
