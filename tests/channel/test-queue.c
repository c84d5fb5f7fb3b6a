/* SPDX-License-Identifier: Apache-2.0 */
/* Records on their way out: in order, whole, and without holding or moving more memory than they need. */
#include "channel/queue.h"
#include "tests/channel/allocations.h"
#include "tests/channel/assertions.h"
#include "tests/channel/samples.h"

#include <glib.h>
#include <string.h>

static const struct wsc_header message = {.type = WSC_MESSAGE, .connection = 7};

static void assert_holds(const struct wsc_queue *queue, const GByteArray *model) {
  assert_octets(wsc_queue_front(queue), wsc_queue_length(queue), model->data, model->len);
}

static void append_both(struct wsc_queue *queue, GByteArray *model, size_t size) {
  g_autofree uint8_t *body = g_malloc(size + 1);
  uint8_t octets[WSC_RECORD_HEADER];
  struct wsc_header header = message;
  header.size = (uint32_t)size;
  memset(body, g_test_rand_int_range(0, 256), size);
  wsc_header_encode(&header, octets);
  g_byte_array_append(model, octets, sizeof octets);
  g_byte_array_append(model, body, (guint)size);
  if (g_test_rand_int_range(0, 2)) {
    g_assert_true(wsc_queue_append_record(queue, &message, body, size));
  } else {
    g_assert_true(wsc_queue_append_octets(queue, octets, sizeof octets));
    g_assert_true(wsc_queue_append_octets(queue, body, size));
  }
}

static void test_order(void) {
  for (int round = 0; round < 30; round++) {
    struct wsc_queue queue = {0};
    g_autoptr(GByteArray) model = g_byte_array_new();
    gint32 largest = round % 3 ? 300 : 60000;
    for (int step = 0; step < 300; step++) {
      if (g_test_rand_int_range(0, 5) < 2 + step / 150) {
        size_t length = (size_t)g_test_rand_int_range(0, (gint32)wsc_queue_length(&queue) + 1);
        wsc_queue_consume(&queue, length);
        g_byte_array_remove_range(model, 0, (guint)length);
      } else {
        append_both(&queue, model, (size_t)g_test_rand_int_range(0, largest));
      }
      assert_holds(&queue, model);
      g_assert_cmpuint(queue.capacity, <=, MAX(WSC_QUEUE_KEEP, 16 * MAX(model->len, (guint)largest)));
    }
    wsc_queue_clear(&queue);
    g_assert_cmpuint(queue.capacity, ==, 0);
  }
}

static void test_empty_body(void) {
  struct wsc_queue queue = {0};
  g_assert_cmpuint(wsc_queue_length(&queue), ==, 0);
  g_assert_null(wsc_queue_front(&queue));
  g_assert_true(wsc_queue_append_octets(&queue, NULL, 0));
  g_assert_nonnull(wsc_queue_append(&queue, &message, 0));
  g_assert_true(wsc_queue_append_record(&queue, &message, NULL, 0));
  g_assert_cmpuint(wsc_queue_length(&queue), ==, 2 * WSC_RECORD_HEADER);
  wsc_queue_consume(&queue, 2 * WSC_RECORD_HEADER);
  wsc_queue_clear(&queue);
}

static void test_size_is_set(void) {
  struct wsc_queue queue = {0};
  struct wsc_header header = message, back;
  header.size = 12345; /* must not matter */
  g_assert_true(wsc_queue_append_record(&queue, &header, "abc", 3));
  wsc_header_decode(wsc_queue_front(&queue), &back);
  g_assert_cmpuint(back.size, ==, 3);
  g_assert_cmpuint(header.size, ==, 12345);
  wsc_queue_clear(&queue);
}

static void test_bound(void) {
  struct wsc_queue queue = {0};
  g_assert_null(wsc_queue_append(&queue, &message, (size_t)WSC_BODY_MAX + 1));
  g_assert_null(wsc_queue_append(&queue, &message, SIZE_MAX));
  g_assert_false(wsc_queue_append_octets(&queue, "", SIZE_MAX));
  g_assert_nonnull(wsc_queue_append(&queue, &message, WSC_BODY_MAX)); /* untouched memory costs nothing */
  g_assert_cmpuint(wsc_queue_length(&queue), ==, (size_t)WSC_RECORD_HEADER + WSC_BODY_MAX);
  g_assert_false(wsc_queue_append_octets(&queue, "", SIZE_MAX));
  wsc_queue_clear(&queue);
}

static void test_gives_memory_back(void) {
  struct wsc_queue queue = {0};
  g_assert_true(wsc_queue_append_record(&queue, &message, "small", 5));
  wsc_queue_consume(&queue, wsc_queue_length(&queue));
  size_t kept = queue.capacity;
  g_assert_cmpuint(kept, >, 0);
  g_assert_cmpuint(kept, <=, WSC_QUEUE_KEEP);
  uint8_t *body = wsc_queue_append(&queue, &message, WSC_QUEUE_KEEP);
  memset(body, 0, WSC_QUEUE_KEEP);
  wsc_queue_consume(&queue, wsc_queue_length(&queue));
  g_assert_cmpuint(queue.capacity, ==, 0);
  g_assert_null(queue.octets);
  /* Nearly empty is enough. */
  body = wsc_queue_append(&queue, &message, 1 << 20);
  memset(body, 0, 1 << 20);
  g_assert_true(wsc_queue_append_record(&queue, &message, "last", 4));
  wsc_queue_consume(&queue, WSC_RECORD_HEADER + (1 << 20));
  g_assert_cmpuint(queue.capacity, <=, WSC_QUEUE_KEEP);
  assert_octets(wsc_queue_front(&queue) + WSC_RECORD_HEADER, 4, "last", 4);
  wsc_queue_clear(&queue);
}

static void test_growing_is_cheap(void) {
  struct wsc_queue queue = {0};
  allocations_taken(NULL);
  for (int i = 0; i < 100000; i++)
    g_assert_true(wsc_queue_append_record(&queue, &message, "0123456789", 10));
  g_assert_cmpuint(allocations_taken(NULL), <=, 16);
  for (int i = 0; i < 100000; i++)
    wsc_queue_consume(&queue, WSC_RECORD_HEADER + 10);
  g_assert_cmpuint(allocations_taken(NULL), <=, 16);
  g_assert_cmpuint(wsc_queue_length(&queue), ==, 0);
  wsc_queue_clear(&queue);
}

/* A queue that never runs empty must not creep through memory, nor move all of it for each record. */
static void test_steady_flow_stays_small(void) {
  struct wsc_queue queue = {0};
  for (int i = 0; i < 100; i++)
    g_assert_true(wsc_queue_append_record(&queue, &message, "0123456789", 10));
  size_t unpaid = 0; /* moves of more than was consumed since the one before */
  allocations_taken(NULL);
  for (int i = 0; i < 100000; i++) {
    size_t start = queue.start, length = wsc_queue_length(&queue);
    g_assert_true(wsc_queue_append_record(&queue, &message, "0123456789", 10));
    unpaid += queue.start < start && start < length;
    wsc_queue_consume(&queue, WSC_RECORD_HEADER + 10);
  }
  g_assert_cmpuint(unpaid, <=, 3);
  g_assert_cmpuint(allocations_taken(NULL), <=, 3);
  g_assert_cmpuint(queue.capacity, <=, 4 * 101 * (WSC_RECORD_HEADER + 10));
  wsc_queue_clear(&queue);
}

static void test_without_memory(void) {
  struct wsc_queue queue = {0};
  g_autoptr(GByteArray) model = g_byte_array_new();
  g_autofree uint8_t *large = g_malloc0(1 << 20);
  for (int round = 0; round < 50; round++) {
    allocations_refuse(true);
    g_assert_null(wsc_queue_append(&queue, &message, 1 << 20));
    g_assert_false(wsc_queue_append_record(&queue, &message, large, 1 << 20));
    g_assert_false(wsc_queue_append_octets(&queue, large, 1 << 20));
    assert_holds(&queue, model);
    wsc_queue_consume(&queue, model->len / 3); /* shrinking must not need memory */
    g_byte_array_remove_range(model, 0, model->len / 3);
    assert_holds(&queue, model);
    allocations_refuse(false);
    append_both(&queue, model, (size_t)g_test_rand_int_range(0, 50000));
    assert_holds(&queue, model);
  }
  wsc_queue_clear(&queue);
}

/* Shrinking finds no memory: a later append and consume still see every octet. */
static void test_failed_shrinking(void) {
  struct wsc_queue queue = {0};
  uint8_t *body = wsc_queue_append(&queue, &message, 1 << 20);
  memset(body, 0, 1 << 20);
  g_assert_true(wsc_queue_append_record(&queue, &message, "last", 4));
  allocations_refuse(true);
  wsc_queue_consume(&queue, WSC_RECORD_HEADER + (1 << 20));
  allocations_refuse(false);
  g_assert_cmpuint(wsc_queue_length(&queue), ==, WSC_RECORD_HEADER + 4);
  assert_octets(wsc_queue_front(&queue) + WSC_RECORD_HEADER, 4, "last", 4);
  wsc_queue_clear(&queue);
}

static void test_keeps_memory(void) {
  static const uint8_t body[100000];
  struct wsc_queue queue = {.keep = 1 << 20};
  for (int i = 0; i < 4; i++) {
    allocations_taken(NULL);
    g_assert_true(wsc_queue_append_record(&queue, &message, body, sizeof body));
    g_assert_cmpuint(allocations_taken(NULL), ==, i == 0);
    wsc_queue_consume(&queue, wsc_queue_length(&queue));
    g_assert_cmpuint(queue.capacity, >=, sizeof body);
  }
  wsc_queue_trim(&queue);
  g_assert_cmpuint(queue.capacity, ==, 0);
  while (wsc_queue_length(&queue) <= queue.keep)
    g_assert_true(wsc_queue_append_record(&queue, &message, body, sizeof body));
  wsc_queue_trim(&queue); /* not what waits */
  wsc_queue_consume(&queue, wsc_queue_length(&queue));
  g_assert_cmpuint(queue.capacity, ==, 0); /* more than is to be kept */
  g_assert_cmpuint(queue.keep, ==, 1 << 20);
  wsc_queue_clear(&queue);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/queue/records-leave-whole-and-in-order", test_order);
  g_test_add_func("/queue/empty-bodies-are-fine", test_empty_body);
  g_test_add_func("/queue/the-size-is-the-body's", test_size_is_set);
  g_test_add_func("/queue/larger-than-any-record-is-refused", test_bound);
  g_test_add_func("/queue/memory/is-given-back-after-large-use", test_gives_memory_back);
  g_test_add_func("/queue/memory/is-kept-where-more-is-expected", test_keeps_memory);
  g_test_add_func("/queue/memory/growing-and-draining-costs-few-allocations", test_growing_is_cheap);
  g_test_add_func("/queue/memory/steady-flow-stays-small", test_steady_flow_stays_small);
  g_test_add_func("/queue/memory/nothing-is-lost-when-there-is-none", test_without_memory);
  g_test_add_func("/queue/memory/failing-to-shrink-harms-nobody", test_failed_shrinking);
  return g_test_run();
}
