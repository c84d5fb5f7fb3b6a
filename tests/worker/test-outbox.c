/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/limits.h"
#include "worker/outbox.h"

#include <glib.h>
#include <string.h>

static void add(struct wsw_outbox *outbox, size_t octets, uint32_t charge, size_t control, bool seal) {
  uint8_t *room = wsp_buffer_reserve(&outbox->octets, octets);
  memset(room, 0, octets);
  wsp_buffer_commit(&outbox->octets, octets);
  wsw_outbox_added(outbox, octets, charge, control, seal);
}

static void everything_written_at_once_releases_everything(void) {
  struct wsw_outbox_pool pool = {0};
  struct wsw_outbox *outbox = wsw_outbox_take(&pool);
  for (unsigned i = 0; i < 1000; i++)
    add(outbox, 22, 36, 0, false);
  g_assert_cmpuint(outbox->charge, ==, 36000);
  g_assert_cmpuint(wsw_outbox_written(outbox, 22000), ==, 36000);
  g_assert_cmpuint(outbox->charge, ==, 0);
  wsw_outbox_give_back(&pool, outbox);
  wsw_outbox_pool_clear(&pool);
}

static void a_sealed_message_is_released_with_its_last_octet(void) {
  struct wsw_outbox_pool pool = {0};
  struct wsw_outbox *outbox = wsw_outbox_take(&pool);
  add(outbox, 127, 0, 127, false); /* a Pong first */
  add(outbox, 100, 114, 0, true);
  add(outbox, 1000, 1012, 0, false);
  uint64_t released = 0;
  for (unsigned i = 0; i < 226; i++)
    released += wsw_outbox_written(outbox, 1);
  g_assert_cmpuint(released, <, 114);
  released += wsw_outbox_written(outbox, 1);
  g_assert_cmpuint(released, ==, 114);
  g_assert_cmpuint(outbox->control, ==, 0);
  wsw_outbox_give_back(&pool, outbox);
  wsw_outbox_pool_clear(&pool);
}

static void part_of_a_large_message_releases_part_of_its_charge(void) {
  struct wsw_outbox_pool pool = {0};
  struct wsw_outbox *outbox = wsw_outbox_take(&pool);
  add(outbox, 5000010, 5000016, 0, false);
  g_assert_cmpuint(wsw_outbox_written(outbox, 4000000), ==, 4000000);
  g_assert_cmpuint(outbox->charge, ==, 1000016);
  g_assert_cmpuint(wsw_outbox_written(outbox, 1000010), ==, 1000016);
  wsw_outbox_give_back(&pool, outbox);
  wsw_outbox_pool_clear(&pool);
}

/* The simplest possible account: each message with its place in the stream. */
struct model {
  GArray *ends, *charges; /* uint64_t */
  guint first;            /* message that is not written entirely */
  uint64_t whole;         /* charge of all before it */
};

static void model_add(struct model *model, uint64_t end, uint64_t charge) {
  g_array_append_val(model->ends, end);
  g_array_append_val(model->charges, charge);
}

/* The most that may count as released when so many octets were written. */
static uint64_t model_most(struct model *model, uint64_t written) {
  while (model->first < model->ends->len && g_array_index(model->ends, uint64_t, model->first) <= written)
    model->whole += g_array_index(model->charges, uint64_t, model->first++);
  if (model->first == model->ends->len || !g_array_index(model->charges, uint64_t, model->first))
    return model->whole;
  uint64_t start = model->first ? g_array_index(model->ends, uint64_t, model->first - 1) : 0;
  return model->whole + (written - start);
}

struct message {
  uint32_t octets, charge, control;
};

static struct message random_message(GRand *random) {
  if (g_rand_int_range(random, 0, 6) == 0) {
    uint32_t octets = (uint32_t)g_rand_int_range(random, 2, 128);
    return (struct message){.octets = octets, .control = octets};
  }
  bool large = g_rand_int_range(random, 0, 20) == 0;
  uint32_t payload = (uint32_t)g_rand_int_range(random, 0, large ? 40000 : 200);
  return (struct message){.octets = payload + (payload < 126 ? 2 : 4), .charge = payload + 16};
}

/* Whatever is appended and written in whatever pieces: never more released than written, never much less, all in the end. */
/* The first octets of a message went straight into the socket. */
static void the_rest_of_a_message_releases_the_rest_of_its_charge(void) {
  static const size_t first[] = {0, 1, 5000, 100003};
  for (unsigned i = 0; i < G_N_ELEMENTS(first); i++) {
    struct wsw_outbox_pool pool = {0};
    struct wsw_outbox *outbox = wsw_outbox_take(&pool);
    uint8_t *room = wsp_buffer_reserve(&outbox->octets, 100004 - first[i]);
    memset(room, 0, 100004 - first[i]);
    wsp_buffer_commit(&outbox->octets, 100004 - first[i]);
    uint64_t released = wsw_outbox_added_rest(outbox, first[i], 100016);
    g_assert_cmpuint(released, ==, first[i]);
    g_assert_cmpuint(outbox->charge, ==, 100016 - first[i]);
    g_assert_cmpuint(pool.held, ==, 100004 - first[i]);
    add(outbox, 30, 44, 0, false);
    while (wsw_outbox_length(outbox) > 30) {
      g_assert_cmpuint(released, <, 100016);
      released += wsw_outbox_written(outbox, 1);
    }
    g_assert_cmpuint(released, ==, 100016);
    g_assert_cmpuint(wsw_outbox_written(outbox, 30), ==, 44);
    g_assert_cmpuint(pool.held, ==, 0);
    wsw_outbox_give_back(&pool, outbox);
    wsw_outbox_pool_clear(&pool);
  }
}

static void nothing_is_released_too_early_and_nothing_is_kept(void) {
  struct wsw_outbox_pool pool = {0};
  struct wsw_outbox *outbox = wsw_outbox_take(&pool);
  struct model model = {g_array_new(FALSE, FALSE, 8), g_array_new(FALSE, FALSE, 8), 0, 0};
  GRand *random = g_rand_new_with_seed(3);
  uint64_t charged = 0, released = 0, appended = 0, written = 0;
  for (unsigned step = 0; step < 100000; step++) {
    size_t waiting = wsw_outbox_length(outbox);
    if (!waiting || (waiting < 500000 && g_rand_int_range(random, 0, 5) < 3)) {
      struct message message = random_message(random);
      add(outbox, message.octets, message.charge, message.control, g_rand_int_range(random, 0, 8) == 0);
      charged += message.charge;
      appended += message.octets;
      model_add(&model, appended, message.charge);
    } else {
      size_t octets = (size_t)g_rand_int_range(random, 1, (gint32)MIN(waiting, 30000u) + 1);
      released += wsw_outbox_written(outbox, octets);
      written += octets;
    }
    uint64_t most = model_most(&model, written);
    g_assert_cmpuint(released, <=, most);
    g_assert_cmpuint(released + 2 * WSW_MARK_OCTETS, >=, most);
    g_assert_cmpuint(charged - released, ==, outbox->charge);
    if (!wsw_outbox_length(outbox))
      g_assert_cmpuint(outbox->control, ==, 0);
  }
  released += wsw_outbox_written(outbox, wsw_outbox_length(outbox));
  g_assert_cmpuint(released, ==, charged);
  g_assert_cmpuint(outbox->charge, ==, 0);
  g_rand_free(random);
  g_array_unref(model.ends);
  g_array_unref(model.charges);
  wsw_outbox_give_back(&pool, outbox);
  wsw_outbox_pool_clear(&pool);
}

static void forgiven_octets_still_leave(void) {
  struct wsw_outbox_pool pool = {0};
  struct wsw_outbox *outbox = wsw_outbox_take(&pool);
  add(outbox, 50000, 50016, 0, false);
  add(outbox, 50000, 50016, 0, false);
  uint64_t released = wsw_outbox_written(outbox, 60000);
  g_assert_cmpuint(released + wsw_outbox_forgive(outbox), ==, 2 * 50016);
  g_assert_cmpuint(wsw_outbox_length(outbox), ==, 40000);
  g_assert_cmpuint(wsw_outbox_written(outbox, 30000), ==, 0);
  g_assert_cmpuint(wsw_outbox_written(outbox, 10000), ==, 0);
  wsw_outbox_give_back(&pool, outbox);
  wsw_outbox_pool_clear(&pool);
}

static void the_pool_reuses_and_is_bounded(void) {
  struct wsw_outbox_pool pool = {0};
  struct wsw_outbox *all[WSW_OUTBOX_SPARES + 10];
  for (unsigned i = 0; i < G_N_ELEMENTS(all); i++)
    all[i] = wsw_outbox_take(&pool);
  for (unsigned i = 0; i < G_N_ELEMENTS(all); i++)
    wsw_outbox_give_back(&pool, all[i]);
  g_assert_cmpuint(pool.count, ==, WSW_OUTBOX_SPARES);
  struct wsw_outbox *outbox = wsw_outbox_take(&pool);
  g_assert_cmpuint(pool.count, ==, WSW_OUTBOX_SPARES - 1);
  add(outbox, WSW_OUTBOX_SPARE_EACH + 1, 0, 0, false);
  wsw_outbox_give_back(&pool, outbox); /* too large to keep */
  g_assert_cmpuint(pool.count, ==, WSW_OUTBOX_SPARES - 1);
  wsw_outbox_pool_clear(&pool);
  for (unsigned i = 0; i < G_N_ELEMENTS(all); i++) {
    all[i] = wsw_outbox_take(&pool);
    add(all[i], WSW_OUTBOX_SPARE_EACH, 16, 0, false);
  }
  for (unsigned i = 0; i < G_N_ELEMENTS(all); i++)
    wsw_outbox_give_back(&pool, all[i]);
  g_assert_cmpuint(pool.octets, <=, WSW_OUTBOX_SPARE_OCTETS);
  g_assert_cmpuint(pool.count, >, 0);
  outbox = wsw_outbox_take(&pool);
  g_assert_cmpuint(wsw_outbox_length(outbox), ==, 0);
  g_assert_cmpuint(outbox->charge, ==, 0);
  wsw_outbox_give_back(&pool, outbox);
  wsw_outbox_pool_clear(&pool);
}

int main(int count, char **arguments) {
  g_test_init(&count, &arguments, NULL);
  g_test_add_func("/outbox/everything-written-at-once-releases-everything",
                  everything_written_at_once_releases_everything);
  g_test_add_func("/outbox/a-sealed-message-is-released-with-its-last-octet",
                  a_sealed_message_is_released_with_its_last_octet);
  g_test_add_func("/outbox/part-of-a-large-message-releases-part-of-its-charge",
                  part_of_a_large_message_releases_part_of_its_charge);
  g_test_add_func("/outbox/the-rest-of-a-message-releases-the-rest-of-its-charge",
                  the_rest_of_a_message_releases_the_rest_of_its_charge);
  g_test_add_func("/outbox/nothing-is-released-too-early-and-nothing-is-kept",
                  nothing_is_released_too_early_and_nothing_is_kept);
  g_test_add_func("/outbox/forgiven-octets-still-leave", forgiven_octets_still_leave);
  g_test_add_func("/outbox/the-pool-reuses-and-is-bounded", the_pool_reuses_and_is_bounded);
  return g_test_run();
}
