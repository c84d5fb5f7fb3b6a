/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEAD = 3, OCTETS_MAX = 2048, TOLD = 300 };

void fuzz_broken(const char *property, const char *file, int line) {
  fprintf(stderr, "%s:%d: broken: %s\n", file, line, property);
  abort();
}

bool fuzz_take_apart(const uint8_t *data, size_t size, struct fuzz_input *input) {
  if (size < LEAD)
    return false;
  *input = (struct fuzz_input){data[0], (uint16_t)(data[1] | data[2] << 8), data + LEAD, size - LEAD};
  return true;
}

struct fuzz_pieces fuzz_cut(const struct fuzz_input *input, enum fuzz_cutting cutting) {
  return (struct fuzz_pieces){
      .octets = input->octets, .left = input->length, .cutting = cutting, .random = input->seed + 1u};
}

/* Lengths of all magnitudes, 0 among them, none twice in a row by rule. */
static size_t piece_length(struct fuzz_pieces *pieces) {
  if (pieces->cutting == FUZZ_OCTETS)
    return 1;
  if (pieces->cutting == FUZZ_WHOLE)
    return pieces->left;
  pieces->random = pieces->random * 1664525u + 1013904223u;
  return pieces->random >> 16 & ((1u << (pieces->random >> 28)) - 1);
}

bool fuzz_next_piece(struct fuzz_pieces *pieces, size_t *length) {
  if (pieces->left == 0 || pieces->cutting != FUZZ_OCTETS)
    fuzz_pieces_clear(pieces);
  if (pieces->left == 0)
    return false;
  *length = piece_length(pieces);
  if (*length > pieces->left)
    *length = pieces->left;
  if (!pieces->piece)
    pieces->piece = malloc(*length);
  if (*length > 0)
    memcpy(pieces->piece, pieces->octets, *length);
  pieces->octets += *length;
  pieces->left -= *length;
  return true;
}

void fuzz_pieces_clear(struct fuzz_pieces *pieces) {
  free(pieces->piece);
  pieces->piece = NULL;
}

static void put(struct fuzz_log *log, const void *octets, size_t length) {
  if (length == 0)
    return;
  if (length > log->capacity - log->length) {
    log->capacity = 2 * (log->length + length);
    log->octets = realloc(log->octets, log->capacity);
  }
  memcpy(log->octets + log->length, octets, length);
  log->length += length;
}

void fuzz_note(struct fuzz_log *log, const void *octets, size_t length) {
  fuzz_note_number(log, length);
  put(log, octets, length);
}

void fuzz_note_number(struct fuzz_log *log, uint64_t number) {
  put(log, &number, sizeof number);
}

void fuzz_note_text(struct fuzz_log *log, const char *text) {
  fuzz_note_number(log, text != NULL);
  fuzz_note(log, text, text ? strlen(text) : 0);
}

bool fuzz_same(const struct fuzz_log *a, const struct fuzz_log *b) {
  return a->length == b->length && (a->length == 0 || memcmp(a->octets, b->octets, a->length) == 0);
}

void fuzz_log_clear(struct fuzz_log *log) {
  free(log->octets);
  *log = (struct fuzz_log){0};
}

static void tell(const char *name, const struct fuzz_log *log, size_t from) {
  fprintf(stderr, "%s, from octet %zu of the log:", name, from);
  for (size_t i = from; i < log->length && i < from + TOLD; i++)
    if (log->octets[i] >= ' ' && log->octets[i] < 0x7F)
      fputc(log->octets[i], stderr);
    else
      fprintf(stderr, "\\%02x", log->octets[i]);
  fputc('\n', stderr);
}

/* For whoever looks into the finding. */
static void tell_difference(const struct fuzz_log *whole, const struct fuzz_log *cut) {
  size_t from = 0;
  while (from < whole->length && from < cut->length && whole->octets[from] == cut->octets[from])
    from++;
  tell("whole", whole, from);
  tell("cut", cut, from);
}

void fuzz_require_same(fuzz_run *run, const struct fuzz_input *input) {
  struct fuzz_log whole = {0};
  run(input, FUZZ_WHOLE, &whole);
  for (enum fuzz_cutting cutting = FUZZ_PIECES; cutting < FUZZ_CUTTINGS; cutting++) {
    if (cutting == FUZZ_OCTETS && input->length > OCTETS_MAX)
      break; /* it would take its time, and find what pieces find */
    struct fuzz_log cut = {0};
    run(input, cutting, &cut);
    if (!fuzz_same(&whole, &cut))
      tell_difference(&whole, &cut);
    require(fuzz_same(&whole, &cut));
    fuzz_log_clear(&cut);
  }
  fuzz_log_clear(&whole);
}

/* The length of the code point that `octets` begin with, or 0. */
static size_t code_point_length(const uint8_t *octets, size_t length) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  const uint8_t lead = octets[0];
  const size_t size = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
  uint32_t value = size == 1 ? lead : lead & (0x7Fu >> size);
  if (size == 0 || size > length)
    return 0;
  for (size_t i = 1; i < size; i++) {
    if (octets[i] >> 6 != 2)
      return 0;
    value = value << 6 | (octets[i] & 0x3F);
  }
  return value < least[size] || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000) ? 0 : size;
}

bool fuzz_is_utf8(const uint8_t *octets, size_t length) {
  while (length > 0) {
    size_t size = code_point_length(octets, length);
    if (size == 0)
      return false;
    octets += size;
    length -= size;
  }
  return true;
}

bool fuzz_begins_utf8(uint8_t *octets, size_t length) {
  static const char *const endings[] = {"", "\x80", "\xBF", "\x80\x80", "\xBF\xBF", "\x80\x80\x80", "\xBF\xBF\xBF"};
  bool found = false;
  for (size_t i = 0; i < sizeof endings / sizeof *endings && !found; i++) {
    memcpy(octets + length, endings[i], strlen(endings[i]));
    found = fuzz_is_utf8(octets, length + strlen(endings[i]));
  }
  return found;
}
