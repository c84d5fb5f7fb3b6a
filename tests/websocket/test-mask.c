/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/websocket/pieces.h"
#include "websocket/mask.h"

#include <glib.h>
#include <string.h>

#define SIZE 160

static const uint8_t key[4] = {0x12, 0xA5, 0xFF, 0x70};

static void fill(uint8_t *octets, size_t length) {
  for (size_t i = 0; i < length; i++)
    octets[i] = (uint8_t)(i * 37 + 11);
}

/* Section 5.3, word for word. */
static void mask_slowly(uint8_t *octets, size_t length, uint8_t phase) {
  for (size_t i = 0; i < length; i++)
    octets[i] ^= key[(i + phase) % 4];
}

static void test_every_alignment_length_and_phase(void) {
  uint8_t expected[SIZE + 32], seen[SIZE + 32], copied[SIZE + 32];
  for (size_t start = 0; start < 9; start++)
    for (size_t length = 0; length <= SIZE; length++)
      for (uint8_t phase = 0; phase < 4; phase++) {
        fill(expected, sizeof expected);
        fill(seen, sizeof seen);
        fill(copied, sizeof copied);
        mask_slowly(expected + start, length, phase);
        uint8_t after = wsp_mask(seen + start, length, key, phase);
        g_assert_cmpuint(after, ==, (phase + length) % 4);
        assert_same_octets(seen, sizeof seen, expected, sizeof expected);

        uint8_t source[SIZE + 32];
        fill(source, sizeof source);
        after = wsp_mask_copy(copied + start, source + start, length, key, phase);
        g_assert_cmpuint(after, ==, (phase + length) % 4);
        assert_same_octets(copied, sizeof copied, expected, sizeof expected);
      }
}

static void test_pieces_give_the_same_as_the_whole(void) {
  uint8_t whole[SIZE], pieces[SIZE];
  fill(whole, SIZE);
  wsp_mask(whole, SIZE, key, 0);
  for (size_t cut = 0; cut <= SIZE; cut++) {
    fill(pieces, SIZE);
    uint8_t phase = wsp_mask(pieces, cut, key, 0);
    wsp_mask(pieces + cut, SIZE - cut, key, phase);
    assert_same_octets(pieces, SIZE, whole, SIZE);
  }
}

static void test_masking_twice_restores(void) {
  uint8_t octets[SIZE], original[SIZE];
  fill(octets, SIZE);
  memcpy(original, octets, SIZE);
  wsp_mask(octets, SIZE, key, 3);
  g_assert_true(memcmp(octets, original, SIZE) != 0);
  wsp_mask(octets, SIZE, key, 3);
  assert_same_octets(octets, SIZE, original, SIZE);
}

/* Large enough that a vector is used, in each way the engine takes it. */
static void test_large_payloads_are_right(void) {
  static uint8_t source[100001], expected[sizeof source], seen[sizeof source];
  for (uint8_t phase = 0; phase < 4; phase++)
    for (size_t less = 0; less < 70; less++) {
      const size_t length = sizeof source - less;
      fill(source, sizeof source);
      fill(expected, sizeof expected);
      memset(seen, 0, sizeof seen);
      mask_slowly(expected, length, phase);
      g_assert_cmpuint(wsp_mask_copy(seen, source, length, key, phase), ==, (phase + length) % 4);
      assert_same_octets(seen, length, expected, length);
      wsp_mask(source, length, key, phase);
      assert_same_octets(source, sizeof source, expected, sizeof expected);
    }
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/mask/payloads-are-right-at-every-alignment-length-and-phase",
                  test_every_alignment_length_and_phase);
  g_test_add_func("/mask/payloads-in-pieces-are-as-the-whole", test_pieces_give_the_same_as_the_whole);
  g_test_add_func("/mask/large-payloads-are-right", test_large_payloads_are_right);
  g_test_add_func("/mask/masking-twice-restores", test_masking_twice_restores);
  return g_test_run();
}
