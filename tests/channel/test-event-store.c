/* SPDX-License-Identifier: Apache-2.0 */
/* Events that must not be lost: kept until acknowledged, a window of them out at a time, repeated on a new channel. */
#include "channel/event-store.h"
#include "tests/channel/allocations.h"

#include <glib.h>
#include <string.h>

static const struct wsc_header message = {.type = WSC_MESSAGE, .connection = 7};

/* Event number n carries n and `size` octets in all, 8 at least. */
static void append(struct wsc_event_store *store, size_t size) {
  uint8_t *body = wsc_event_store_append(store, &message, size);
  if (!body)
    g_error("no memory for a test");
  memset(body, 0, size);
  wsc_put_u64(body, store->appended);
}

static void append_many(struct wsc_event_store *store, size_t count, size_t size) {
  for (size_t i = 0; i < count; i++)
    append(store, size);
}

/* Takes everything out of the queue: it must be the events from `first` to `last`, whole and in order. */
static void assert_events(struct wsc_queue *out, uint64_t first, uint64_t last) {
  struct wsc_header header;
  for (uint64_t number = first; number <= last; number++) {
    g_assert_cmpuint(wsc_queue_length(out), >=, WSC_RECORD_HEADER + 8);
    wsc_header_decode(wsc_queue_front(out), &header);
    g_assert_cmpuint(header.type, ==, WSC_MESSAGE);
    g_assert_cmpuint(wsc_get_u64(wsc_queue_front(out) + WSC_RECORD_HEADER), ==, number);
    wsc_queue_consume(out, WSC_RECORD_HEADER + header.size);
  }
  g_assert_cmpuint(wsc_queue_length(out), ==, 0);
}

static void assert_released(struct wsc_event_store *store, uint64_t first, uint64_t last) {
  struct wsc_queue out = {0};
  g_assert_true(wsc_event_store_release(store, &out));
  assert_events(&out, first, last);
  wsc_queue_clear(&out);
}

static void test_window_of_events(void) {
  struct wsc_event_store store;
  wsc_event_store_init(&store, WSC_WINDOW_EVENTS, WSC_WINDOW_OCTETS);
  append_many(&store, 200, 8);
  assert_released(&store, 1, WSC_WINDOW_EVENTS);
  assert_released(&store, 1, 0); /* nothing more until acknowledged */
  g_assert_true(wsc_event_store_acknowledge(&store, 10));
  assert_released(&store, WSC_WINDOW_EVENTS + 1, WSC_WINDOW_EVENTS + 10);
  g_assert_true(wsc_event_store_acknowledge(&store, WSC_WINDOW_EVENTS + 10));
  assert_released(&store, WSC_WINDOW_EVENTS + 11, 2 * WSC_WINDOW_EVENTS + 10);
  wsc_event_store_clear(&store);
}

static void test_window_of_octets(void) {
  struct wsc_event_store store;
  size_t body = WSC_WINDOW_OCTETS / 4 - WSC_RECORD_HEADER;
  wsc_event_store_init(&store, WSC_WINDOW_EVENTS, WSC_WINDOW_OCTETS);
  append_many(&store, 6, body);
  g_assert_cmpuint(wsc_event_store_waiting(&store), ==, 6 * WSC_WINDOW_OCTETS / 4);
  assert_released(&store, 1, 4); /* the window exactly */
  g_assert_cmpuint(wsc_event_store_waiting(&store), ==, 2 * WSC_WINDOW_OCTETS / 4);
  g_assert_true(wsc_event_store_acknowledge(&store, 1));
  assert_released(&store, 5, 5);
  wsc_event_store_clear(&store);
  wsc_event_store_init(&store, WSC_WINDOW_EVENTS, WSC_WINDOW_OCTETS - 1);
  append_many(&store, 4, body);
  assert_released(&store, 1, 3); /* an octet too few for the fourth */
  wsc_event_store_clear(&store);
}

static void test_one_larger_event(void) {
  struct wsc_event_store store;
  wsc_event_store_init(&store, 64, 1000);
  append(&store, 100);
  append(&store, 5000);
  append(&store, 100);
  assert_released(&store, 1, 1); /* not beside another */
  g_assert_true(wsc_event_store_acknowledge(&store, 1));
  assert_released(&store, 2, 2); /* alone it is let out */
  assert_released(&store, 1, 0); /* nothing beside it */
  g_assert_true(wsc_event_store_acknowledge(&store, 2));
  assert_released(&store, 3, 3);
  wsc_event_store_clear(&store);
}

static void test_smallest_windows(void) {
  static const struct {
    uint32_t events;
    uint64_t octets;
  } windows[] = {{0, 0}, {1, 0}, {0, 1000}, {1, 1000}};
  for (size_t i = 0; i < G_N_ELEMENTS(windows); i++) {
    struct wsc_event_store store;
    wsc_event_store_init(&store, windows[i].events, windows[i].octets);
    append_many(&store, 3, 8);
    for (uint64_t number = 1; number <= 3; number++) {
      assert_released(&store, number, number);
      g_assert_true(wsc_event_store_acknowledge(&store, number));
    }
    wsc_event_store_clear(&store);
  }
}

static void test_repeats(void) {
  struct wsc_event_store store;
  wsc_event_store_init(&store, 10, 1 << 20);
  g_assert_cmpuint(wsc_event_store_resume(&store), ==, 0);
  append_many(&store, 20, 8);
  assert_released(&store, 1, 10);
  g_assert_true(wsc_event_store_acknowledge(&store, 4));
  assert_released(&store, 11, 14);
  g_assert_cmpuint(wsc_event_store_resume(&store), ==, 10);
  g_assert_cmpuint(wsc_event_store_waiting(&store), ==, 16 * (WSC_RECORD_HEADER + 8));
  store.window_events = 3; /* the new channel's window is smaller */
  assert_released(&store, 5, 7);
  g_assert_cmpuint(wsc_event_store_resume(&store), ==, 10); /* 8 to 14 went out on the first channel */
  assert_released(&store, 5, 7);
  g_assert_true(wsc_event_store_acknowledge(&store, 7));
  assert_released(&store, 8, 10);
  g_assert_true(wsc_event_store_acknowledge(&store, 10));
  g_assert_cmpuint(wsc_event_store_resume(&store), ==, 4);
  store.window_events = 100;
  assert_released(&store, 11, 20);
  g_assert_true(wsc_event_store_acknowledge(&store, 20));
  g_assert_cmpuint(wsc_event_store_resume(&store), ==, 0);
  wsc_event_store_clear(&store);
}

static void test_false_acknowledgements(void) {
  struct wsc_event_store store;
  wsc_event_store_init(&store, 5, 1 << 20);
  g_assert_true(wsc_event_store_acknowledge(&store, 0));
  g_assert_false(wsc_event_store_acknowledge(&store, 1));
  append_many(&store, 10, 8);
  g_assert_false(wsc_event_store_acknowledge(&store, 1)); /* not handed out yet */
  assert_released(&store, 1, 5);
  g_assert_false(wsc_event_store_acknowledge(&store, 6));
  g_assert_false(wsc_event_store_acknowledge(&store, UINT64_MAX));
  g_assert_true(wsc_event_store_acknowledge(&store, 3));
  g_assert_true(wsc_event_store_acknowledge(&store, 3));
  g_assert_true(wsc_event_store_acknowledge(&store, 1)); /* long since */
  g_assert_cmpuint(store.acknowledged, ==, 3);
  wsc_event_store_resume(&store);
  g_assert_false(wsc_event_store_acknowledge(&store, 4)); /* not on this channel */
  assert_released(&store, 4, 8);
  g_assert_true(wsc_event_store_acknowledge(&store, 4));
  wsc_event_store_clear(&store);
}

static void test_everything_at_the_end(void) {
  struct wsc_event_store store;
  struct wsc_queue out = {0};
  wsc_event_store_init(&store, 2, 100);
  append_many(&store, 500, 50);
  assert_released(&store, 1, 1);
  g_assert_true(wsc_event_store_release_all(&store, &out));
  assert_events(&out, 2, 500);
  g_assert_cmpuint(wsc_event_store_waiting(&store), ==, 0);
  g_assert_true(wsc_event_store_acknowledge(&store, 500));
  g_assert_cmpuint(store.records.capacity, <=, WSC_QUEUE_KEEP);
  wsc_event_store_clear(&store);
  wsc_queue_clear(&out);
}

static void test_without_acknowledgement(void) {
  struct wsc_event_store store;
  struct wsc_queue out = {0};
  wsc_event_store_init(&store, 2, 100);
  append_many(&store, 3, 50);
  assert_released(&store, 1, 1);
  /* An app opens a channel of its own: what is kept goes there, then each event is only counted. */
  g_assert_cmpuint(wsc_event_store_resume(&store), ==, 1);
  g_assert_true(wsc_event_store_release_all(&store, &out));
  assert_events(&out, 1, 3);
  g_assert_true(wsc_event_store_acknowledge(&store, 3));
  wsc_event_store_pass(&store);
  wsc_event_store_pass(&store);
  g_assert_cmpuint(store.appended, ==, 5);
  /* The daemon takes over again. */
  g_assert_cmpuint(wsc_event_store_resume(&store), ==, 0);
  append(&store, 8);
  assert_released(&store, 6, 6);
  wsc_event_store_clear(&store);
  wsc_queue_clear(&out);
}

static void test_walk(void) {
  struct wsc_event_store store;
  struct wsc_queue out = {0};
  struct wsc_header closed = {.type = WSC_CLOSED, .code = 1000, .connection = 8}, header;
  size_t offset = 0;
  wsc_event_store_init(&store, 2, 1000);
  g_assert_false(wsc_event_store_next(&store, &offset, &header));
  append_many(&store, 2, 20);
  g_assert_nonnull(wsc_event_store_append(&store, &closed, 0));
  g_assert_true(wsc_event_store_release(&store, &out));
  g_assert_true(wsc_event_store_acknowledge(&store, 1));
  g_assert_true(wsc_event_store_next(&store, &offset, &header));
  g_assert_cmpuint(header.connection, ==, message.connection);
  g_assert_cmpuint(header.size, ==, 20);
  g_assert_true(wsc_event_store_next(&store, &offset, &header));
  g_assert_cmpuint(header.type, ==, WSC_CLOSED);
  g_assert_cmpuint(header.connection, ==, 8);
  g_assert_false(wsc_event_store_next(&store, &offset, &header));
  wsc_event_store_clear(&store);
  wsc_queue_clear(&out);
}

static void test_forgetting(void) {
  struct wsc_event_store store;
  wsc_event_store_init(&store, 2, 100);
  append_many(&store, 3, 50);
  assert_released(&store, 1, 1);
  wsc_event_store_clear(&store);
  g_assert_cmpuint(store.records.capacity, ==, 0);
  g_assert_cmpuint(wsc_event_store_resume(&store), ==, 0);
  append(&store, 8);
  assert_released(&store, 4, 4);
  wsc_event_store_clear(&store);
}

static void test_without_memory(void) {
  struct wsc_event_store store;
  struct wsc_queue out = {0};
  wsc_event_store_init(&store, 100, 1 << 20);
  allocations_refuse(true);
  g_assert_null(wsc_event_store_append(&store, &message, 8));
  allocations_refuse(false);
  g_assert_cmpuint(store.appended, ==, 0);
  append_many(&store, 5, 5000);
  allocations_refuse(true);
  g_assert_null(wsc_event_store_append(&store, &message, 1 << 20));
  g_assert_false(wsc_event_store_release(&store, &out));
  g_assert_false(wsc_event_store_release_all(&store, &out));
  allocations_refuse(false);
  g_assert_cmpuint(wsc_queue_length(&out), ==, 0);
  g_assert_cmpuint(store.released, ==, 0);
  g_assert_cmpuint(store.appended, ==, 5);
  g_assert_cmpuint(wsc_event_store_resume(&store), ==, 0);
  assert_released(&store, 1, 5);
  wsc_event_store_clear(&store);
  wsc_queue_clear(&out);
}

/* The same rules in the simplest words: one number for each event, its size. */
struct model {
  GArray *sizes;
  uint64_t acknowledged, released, ever_released;
  uint32_t window_events;
  uint64_t window_octets;
};

static uint64_t model_octets_out(const struct model *model) {
  uint64_t octets = 0;
  for (uint64_t number = model->acknowledged; number < model->released; number++)
    octets += WSC_RECORD_HEADER + g_array_index(model->sizes, size_t, number);
  return octets;
}

static void model_release(struct model *model) {
  while (model->released < model->sizes->len) {
    uint64_t octets =
        model_octets_out(model) + WSC_RECORD_HEADER + g_array_index(model->sizes, size_t, model->released);
    if (model->released > model->acknowledged &&
        (model->released - model->acknowledged + 1 > model->window_events || octets > model->window_octets))
      break;
    model->released++;
  }
  model->ever_released = MAX(model->ever_released, model->released);
}

static void step(struct wsc_event_store *store, struct model *model) {
  uint64_t before = model->released;
  size_t size = (size_t)g_test_rand_int_range(8, g_test_rand_int_range(0, 10) ? 200 : 3000);
  switch (g_test_rand_int_range(0, 10)) {
  case 0:
    before = model->released = model->acknowledged;
    g_assert_cmpuint(wsc_event_store_resume(store), ==, model->ever_released - model->acknowledged);
    store->window_events = model->window_events = (uint32_t)g_test_rand_int_range(0, 20);
    store->window_octets = model->window_octets = (uint64_t)g_test_rand_int_range(0, 3000);
    break;
  case 1:
  case 2:
  case 3: {
    uint64_t event = (uint64_t)g_test_rand_int_range(0, (gint32)model->sizes->len + 3);
    g_assert_true(wsc_event_store_acknowledge(store, event) == (event <= model->released));
    if (event > model->acknowledged && event <= model->released)
      model->acknowledged = event;
    break;
  }
  case 4:
  case 5:
  case 6:
    g_array_append_val(model->sizes, size);
    append(store, size);
    break;
  default:
    model_release(model);
    assert_released(store, before + 1, model->released);
  }
}

static void test_against_model(void) {
  for (int round = 0; round < 200; round++) {
    struct wsc_event_store store;
    struct model model = {.sizes = g_array_new(FALSE, FALSE, sizeof(size_t)), .window_events = 5, .window_octets = 500};
    wsc_event_store_init(&store, model.window_events, model.window_octets);
    for (int i = 0; i < 300; i++) {
      step(&store, &model);
      g_assert_cmpuint(store.acknowledged, ==, model.acknowledged);
      g_assert_cmpuint(store.released, ==, model.released);
      g_assert_cmpuint(store.released_before, ==, model.ever_released);
      g_assert_cmpuint(store.appended, ==, model.sizes->len);
      g_assert_cmpuint(store.released_octets, ==, model_octets_out(&model));
    }
    wsc_event_store_clear(&store);
    g_array_unref(model.sizes);
  }
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/event-store/window/by-number", test_window_of_events);
  g_test_add_func("/event-store/window/by-octets", test_window_of_octets);
  g_test_add_func("/event-store/window/one-larger-event-does-not-stop-the-channel", test_one_larger_event);
  g_test_add_func("/event-store/window/however-small-does-not-stop-the-channel", test_smallest_windows);
  g_test_add_func("/event-store/unacknowledged-events-are-repeated-on-a-new-channel", test_repeats);
  g_test_add_func("/event-store/false-acknowledgements-lose-nothing", test_false_acknowledgements);
  g_test_add_func("/event-store/everything-goes-out-when-the-server-stops", test_everything_at_the_end);
  g_test_add_func("/event-store/an-apps-own-channel-keeps-the-numbering", test_without_acknowledgement);
  g_test_add_func("/event-store/what-is-kept-can-be-looked-through", test_walk);
  g_test_add_func("/event-store/forgetting-keeps-the-numbering", test_forgetting);
  g_test_add_func("/event-store/nothing-is-lost-without-memory", test_without_memory);
  g_test_add_func("/event-store/any-interleaving-agrees-with-the-model", test_against_model);
  return g_test_run();
}
