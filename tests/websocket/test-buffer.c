/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/websocket/pieces.h"
#include "websocket/buffer.h"

#include <glib.h>
#include <string.h>

static void test_octets_come_out_as_they_went_in(void) {
  struct wsp_buffer buffer = {0};
  GByteArray *mirror = g_byte_array_new();
  uint8_t next = 0;
  for (size_t i = 0; i < 3000; i++) {
    uint8_t octets[97];
    const size_t length = i % sizeof octets;
    for (size_t k = 0; k < length; k++)
      octets[k] = next++;
    g_assert_true(wsp_buffer_append(&buffer, octets, length));
    g_byte_array_append(mirror, octets, (guint)length);
    const size_t take = MIN((i * 7) % 101, mirror->len);
    wsp_buffer_consume(&buffer, take);
    g_byte_array_remove_range(mirror, 0, (guint)take);
    assert_same_octets(wsp_buffer_front(&buffer), wsp_buffer_length(&buffer), mirror->data, mirror->len);
  }
  g_byte_array_unref(mirror);
  wsp_buffer_clear(&buffer);
}

static void test_steady_traffic_does_not_grow_memory(void) {
  struct wsp_buffer buffer = {0};
  uint8_t octets[100] = {0};
  g_assert_true(wsp_buffer_append(&buffer, octets, 50)); /* never quite empty */
  for (size_t i = 0; i < 100000; i++) {
    g_assert_true(wsp_buffer_append(&buffer, octets, sizeof octets));
    wsp_buffer_consume(&buffer, sizeof octets);
  }
  g_assert_cmpuint(buffer.capacity, <=, 1024);
  wsp_buffer_clear(&buffer);
}

static void test_empty_holds_no_memory(void) {
  struct wsp_buffer buffer = {0};
  wsp_buffer_consume(&buffer, 10);
  g_assert_cmpuint(wsp_buffer_length(&buffer), ==, 0);
  g_assert_true(wsp_buffer_append(&buffer, "x", 1));
  wsp_buffer_consume(&buffer, 10);
  g_assert_cmpuint(wsp_buffer_length(&buffer), ==, 0);
  wsp_buffer_clear(&buffer);
  g_assert_null(buffer.octets);
  g_assert_true(wsp_buffer_append(&buffer, NULL, 0));
  wsp_buffer_clear(&buffer);
}

static void test_impossible_room_is_refused_and_nothing_lost(void) {
  struct wsp_buffer buffer = {0};
  g_assert_true(wsp_buffer_append(&buffer, "abc", 3));
  g_assert_null(wsp_buffer_reserve(&buffer, SIZE_MAX));
  g_assert_null(wsp_buffer_reserve(&buffer, PTRDIFF_MAX - 2));
  assert_same_octets(wsp_buffer_front(&buffer), wsp_buffer_length(&buffer), "abc", 3);
  wsp_buffer_clear(&buffer);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/buffer/octets-come-out-as-they-went-in", test_octets_come_out_as_they_went_in);
  g_test_add_func("/buffer/steady-traffic-does-not-grow-memory", test_steady_traffic_does_not_grow_memory);
  g_test_add_func("/buffer/empty-holds-no-memory", test_empty_holds_no_memory);
  g_test_add_func("/buffer/impossible-room-is-refused-and-nothing-lost",
                  test_impossible_room_is_refused_and_nothing_lost);
  return g_test_run();
}
