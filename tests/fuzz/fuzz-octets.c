/* SPDX-License-Identifier: Apache-2.0 */
/* Masking and UTF-8 validation against the plainest way to do either, at every alignment and in any cutting; in each
 * variant that this processor has the instructions for. */
#include "tests/fuzz/harness.h"
#include "websocket/mask-variants.h"
#include "websocket/mask.h"
#include "websocket/utf8-variants.h"
#include "websocket/utf8.h"

#include <stdlib.h>
#include <string.h>

static void run_utf8_variant(const struct wsp_utf8_variant *variant, const struct fuzz_input *input,
                             enum fuzz_cutting cutting, struct fuzz_log *log) {
  struct fuzz_pieces pieces = fuzz_cut(input, cutting);
  uint8_t state = WSP_UTF8_ACCEPT;
  bool valid = true;
  for (size_t length; fuzz_next_piece(&pieces, &length);)
    valid = valid && (variant ? wsp_utf8_feed_with(variant, &state, pieces.piece, length)
                              : wsp_utf8_feed(&state, pieces.piece, length));
  fuzz_note_number(log, valid);
  fuzz_note_number(log, valid ? state : 0);
  require((valid && state == WSP_UTF8_ACCEPT) == fuzz_is_utf8(input->octets, input->length));
}

static void run_utf8(const struct fuzz_input *input, enum fuzz_cutting cutting, struct fuzz_log *log) {
  run_utf8_variant(NULL, input, cutting, log);
  for (const struct wsp_utf8_variant *variant = wsp_utf8_variants; variant->name; variant++)
    if (variant->is_supported())
      run_utf8_variant(variant, input, cutting, log);
}

/* The fault is told at the first octet that proves it: up to there, the text can go on. */
static void check_earliest(const struct fuzz_input *input) {
  uint8_t state = WSP_UTF8_ACCEPT;
  size_t good = 0;
  while (good < input->length && wsp_utf8_feed(&state, input->octets + good, 1))
    good++;
  uint8_t *text = malloc(good + FUZZ_UTF8_ENDING_MAX);
  if (good > 0)
    memcpy(text, input->octets, good);
  require(fuzz_begins_utf8(text, good));
  free(text);
}

static void run_mask(const struct fuzz_input *input, enum fuzz_cutting cutting, struct fuzz_log *log) {
  const uint8_t key[4] = {input->switches, (uint8_t)input->seed, (uint8_t)(input->seed >> 8), 0xA5};
  const uint8_t begin = input->switches & 3;
  struct fuzz_pieces pieces = fuzz_cut(input, cutting);
  uint8_t phase = begin;
  size_t at = 0;
  for (size_t length; fuzz_next_piece(&pieces, &length);) {
    const size_t shift = (input->switches >> 2) & 31; /* where in a vector the octets go */
    uint8_t *to = malloc(shift + length);
    const uint8_t next = wsp_mask_copy(to + shift, pieces.piece, length, key, phase);
    require(wsp_mask(pieces.piece, length, key, phase) == next);
    for (size_t i = 0; i < length; i++, at++)
      require(to[shift + i] == (input->octets[at] ^ key[(begin + at) & 3]) && pieces.piece[i] == to[shift + i]);
    phase = next;
    free(to);
  }
  fuzz_note_number(log, phase);
  require(phase == ((begin + input->length) & 3));
}

/* Variants are for long payloads only. */
static void check_mask_variants(const struct fuzz_input *input) {
  const uint8_t turned[8] = {input->switches, 1, 2, 0xA5, input->switches, 1, 2, 0xA5};
  const size_t shift = input->seed & 63;
  if (input->length < WSP_MASK_BLOCK)
    return;
  for (const struct wsp_mask_variant *variant = wsp_mask_variants; variant->name; variant++) {
    if (!variant->is_supported())
      continue;
    uint8_t *to = malloc(shift + input->length);
    variant->function(to + shift, input->octets, input->length, turned);
    for (size_t i = 0; i < input->length; i++)
      require(to[shift + i] == (input->octets[i] ^ turned[i & 3]));
    free(to);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct fuzz_input input;
  if (!fuzz_take_apart(data, size, &input))
    return 0;
  fuzz_require_same(run_utf8, &input);
  check_earliest(&input);
  fuzz_require_same(run_mask, &input);
  check_mask_variants(&input);
  return 0;
}
