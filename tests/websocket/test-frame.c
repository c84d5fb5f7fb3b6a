/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/websocket/pieces.h"
#include "websocket/frame.h"

#include <glib.h>
#include <string.h>

static void test_each_length_takes_its_shortest_form_and_comes_back(void) {
  static const struct {
    uint64_t payload_length;
    size_t header_length; /* unmasked */
  } cases[] = {
      {0, 2},   {1, 2},     {125, 2},    {126, 4},         {127, 4},         {128, 4},
      {255, 4}, {65535, 4}, {65536, 10}, {UINT32_MAX, 10}, {1ull << 32, 10}, {INT64_MAX, 10},
  };
  for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
    for (int masked = 0; masked < 2; masked++) {
      struct wsp_frame_header in = {.fin = i % 2,
                                    .rsv = i % 8,
                                    .opcode = (uint8_t)(i % 16),
                                    .masked = masked,
                                    .payload_length = cases[i].payload_length};
      struct wsp_frame_header out;
      uint8_t octets[WSP_FRAME_HEADER_MAX];
      size_t decoded = 0;
      if (masked)
        memcpy(in.mask_key, "\x01\x02\xfe\xff", 4);
      size_t length = wsp_frame_header_encode(&in, octets);
      g_assert_cmpuint(length, ==, cases[i].header_length + (masked ? 4 : 0));
      for (size_t there = 0; there < length; there++)
        g_assert_cmpint(wsp_frame_header_decode(octets, there, &out, &decoded), ==, WSP_FRAME_MORE);
      g_assert_cmpint(wsp_frame_header_decode(octets, length, &out, &decoded), ==, WSP_FRAME_DONE);
      g_assert_cmpuint(decoded, ==, length);
      g_assert_true(out.fin == in.fin && out.rsv == in.rsv && out.opcode == in.opcode && out.masked == in.masked);
      g_assert_cmpuint(out.payload_length, ==, in.payload_length);
      assert_same_octets(out.mask_key, 4, in.mask_key, 4);
    }
}

static void test_longest_header_is_the_limit(void) {
  struct wsp_frame_header header = {.masked = true, .payload_length = INT64_MAX};
  uint8_t octets[WSP_FRAME_HEADER_MAX];
  g_assert_cmpuint(wsp_frame_header_encode(&header, octets), ==, WSP_FRAME_HEADER_MAX);
}

static void test_faulty_lengths_are_found_at_the_octet_that_proves_them(void) {
  static const struct {
    const char *header;
    size_t proven_after;
  } cases[] = {
      {"827e 0000", 4},
      {"827e 007d", 4},
      {"82fe 007d 01020304", 4},
      {"827f 0000000000000000", 8},
      {"827f 000000000000ffff", 8},
      {"82ff 000000000000ffff 01020304", 8},
      {"827f 8000000000000000", 3},
      {"82ff ffffffffffffffff 01020304", 3},
  };
  for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
    size_t length, decoded;
    struct wsp_frame_header header;
    g_autofree uint8_t *octets = from_hex(cases[i].header, &length);
    for (size_t there = 0; there <= length; there++)
      g_assert_cmpint(wsp_frame_header_decode(octets, there, &header, &decoded), ==,
                      there < cases[i].proven_after ? WSP_FRAME_MORE : WSP_FRAME_FAULT);
  }
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/frame/each-length-takes-its-shortest-form-and-comes-back",
                  test_each_length_takes_its_shortest_form_and_comes_back);
  g_test_add_func("/frame/longest-header-is-the-limit", test_longest_header_is_the_limit);
  g_test_add_func("/frame/faulty-lengths-are-found-at-the-octet-that-proves-them",
                  test_faulty_lengths_are_found_at_the_octet_that_proves_them);
  return g_test_run();
}
