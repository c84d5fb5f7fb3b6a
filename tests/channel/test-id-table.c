/* SPDX-License-Identifier: Apache-2.0 */
/* Whoever is in the table is found, whoever is not is not, and memory comes and goes with them. */
#include "channel/id-table.h"
#include "tests/channel/allocations.h"

#include <glib.h>

enum { MANY = 3000 };

struct entry {
  struct wsc_identified identified;
  bool is_in;
};

/* Ids as two workers one after the other give them, and some that fall on the same places. */
static void number(struct entry *entries, guint count) {
  for (guint i = 0; i < count; i++)
    entries[i].identified.id =
        (1 + (guint64)i % 3) * G_GUINT64_CONSTANT(0x100000000) + 1 + i / 3 * (i % 3 == 2 ? 64 : 1);
}

static void assert_agrees(const struct wsc_id_table *table, const struct entry *entries, guint count) {
  guint in = 0, walked = 0;
  for (guint i = 0; i < count; i++) {
    const struct wsc_identified *found = wsc_id_table_find(table, entries[i].identified.id);
    g_assert_true(found == (entries[i].is_in ? &entries[i].identified : NULL));
    in += entries[i].is_in;
  }
  for (struct wsc_identified *entry = wsc_id_table_next(table, NULL); entry; entry = wsc_id_table_next(table, entry))
    walked++;
  g_assert_cmpuint(table->count, ==, in);
  g_assert_cmpuint(walked, ==, in);
}

static void test_against_a_model(void) {
  struct wsc_id_table table = {0};
  g_autofree struct entry *entries = g_new0(struct entry, MANY);
  number(entries, MANY);
  g_assert_null(wsc_id_table_find(&table, 1));
  g_assert_null(wsc_id_table_next(&table, NULL));
  g_assert_null(wsc_id_table_next(&table, &entries[0].identified)); /* one that was there */
  for (int round = 0; round < 60; round++) {
    guint few = round % 2 ? MANY : 40;
    for (guint step = 0; step < few; step++) {
      struct entry *entry = &entries[g_test_rand_int_range(0, (gint32)few)];
      if (entry->is_in)
        wsc_id_table_remove(&table, &entry->identified);
      else
        g_assert_true(wsc_id_table_add(&table, &entry->identified));
      entry->is_in = !entry->is_in;
    }
    assert_agrees(&table, entries, MANY);
  }
  wsc_id_table_clear(&table);
  g_assert_cmpuint(table.capacity, ==, 0);
}

static void test_memory_comes_and_goes(void) {
  struct wsc_id_table table = {0};
  g_autofree struct entry *entries = g_new0(struct entry, MANY);
  for (guint i = 0; i < MANY; i++) {
    entries[i].identified.id = i + 1;
    g_assert_true(wsc_id_table_add(&table, &entries[i].identified));
  }
  g_assert_cmpuint(table.capacity, <=, 3 * MANY);
  for (guint i = 0; i < MANY - 1; i++)
    wsc_id_table_remove(&table, &entries[i].identified);
  g_assert_cmpuint(table.capacity, <=, 16);
  g_assert_nonnull(wsc_id_table_find(&table, MANY));
  wsc_id_table_clear(&table);
}

static void test_without_memory(void) {
  struct wsc_id_table table = {0};
  struct entry entries[30] = {0};
  number(entries, G_N_ELEMENTS(entries));
  for (guint i = 0; i < G_N_ELEMENTS(entries); i++) {
    allocations_refuse(true);
    entries[i].is_in = wsc_id_table_add(&table, &entries[i].identified);
    allocations_refuse(false);
    assert_agrees(&table, entries, G_N_ELEMENTS(entries));
    entries[i].is_in = entries[i].is_in || wsc_id_table_add(&table, &entries[i].identified);
    g_assert_true(entries[i].is_in);
  }
  wsc_id_table_clear(&table);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/id-table/everybody-is-found-and-nobody-else", test_against_a_model);
  g_test_add_func("/id-table/memory-comes-and-goes", test_memory_comes_and_goes);
  g_test_add_func("/id-table/without-memory-it-stays-as-it-was", test_without_memory);
  return g_test_run();
}
