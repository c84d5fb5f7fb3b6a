/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/id-table.h"

#include <assert.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 16, SPARSE = 8 };

void wsc_id_table_clear(struct wsc_id_table *table) {
  free(table->places);
  *table = (struct wsc_id_table){0};
}

static uint32_t home(const struct wsc_id_table *table, uint64_t id) {
  return (uint32_t)id & (table->capacity - 1);
}

/* Where the id stands, or the free place where it belongs. */
static uint32_t place_of(const struct wsc_id_table *table, uint64_t id) {
  uint32_t place = home(table, id);
  while (table->places[place] != NULL && table->places[place]->id != id)
    place = (place + 1) & (table->capacity - 1);
  return place;
}

static bool resize(struct wsc_id_table *table, uint32_t capacity) {
  struct wsc_id_table other = {
      .places = calloc(capacity, sizeof *other.places), .count = table->count, .capacity = capacity};
  if (other.places == NULL)
    return false;
  for (uint32_t i = 0; i < table->capacity; i++)
    if (table->places[i] != NULL)
      other.places[place_of(&other, table->places[i]->id)] = table->places[i];
  free(table->places);
  *table = other;
  return true;
}

bool wsc_id_table_add(struct wsc_id_table *table, struct wsc_identified *entry) {
  bool is_full = (table->count + 1) * 3 > table->capacity * 2;
  if (is_full && !resize(table, table->capacity != 0 ? table->capacity * 2 : FIRST_CAPACITY))
    return false;
  table->places[place_of(table, entry->id)] = entry;
  table->count++;
  return true;
}

/* Closes the gap: whatever had to step aside because of it moves back, so no place needs to remember that it was taken. */
static void close_gap(struct wsc_id_table *table, uint32_t gap) {
  uint32_t mask = table->capacity - 1;
  table->places[gap] = NULL;
  for (uint32_t place = (gap + 1) & mask; table->places[place] != NULL; place = (place + 1) & mask) {
    uint32_t distance = (place - home(table, table->places[place]->id)) & mask;
    if (distance < ((place - gap) & mask))
      continue;
    table->places[gap] = table->places[place];
    table->places[place] = NULL;
    gap = place;
  }
}

void wsc_id_table_remove(struct wsc_id_table *table, const struct wsc_identified *entry) {
  uint32_t place = place_of(table, entry->id);
  assert(table->places[place] == entry);
  close_gap(table, place);
  table->count--;
  if (table->capacity > FIRST_CAPACITY && table->count < table->capacity / SPARSE)
    (void)resize(table, table->capacity / 2); /* without memory it simply stays large */
}

struct wsc_identified *wsc_id_table_find(const struct wsc_id_table *table, uint64_t id) {
  return table->capacity != 0 ? table->places[place_of(table, id)] : NULL;
}

struct wsc_identified *wsc_id_table_next(const struct wsc_id_table *table, const struct wsc_identified *entry) {
  if (table->capacity == 0)
    return NULL;
  uint32_t place = entry != NULL ? place_of(table, entry->id) + 1 : 0;
  while (place < table->capacity && table->places[place] == NULL)
    place++;
  return place < table->capacity ? table->places[place] : NULL;
}
