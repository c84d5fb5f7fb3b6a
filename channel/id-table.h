/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections found by their ids. The table owns nothing and costs 12 to 24 octets for each entry; it shrinks again. Ids of one worker are consecutive
 * numbers, so their low bits spread perfectly and looking one up touches one place nearly always.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The beginning of whatever is found. */
struct wsc_identified {
  uint64_t id; /* not 0, and as it is while it stands in a table */
};

struct wsc_id_table {
  struct wsc_identified **places; /* open addressing */
  uint32_t count, capacity;       /* capacity: a power of two, or 0 */
};

void wsc_id_table_clear(struct wsc_id_table *table);
/* For an id that is not there. False without memory. */
bool wsc_id_table_add(struct wsc_id_table *table, struct wsc_identified *entry);
/* For one that is. */
void wsc_id_table_remove(struct wsc_id_table *table, const struct wsc_identified *entry);
/* NULL when it is not there. */
struct wsc_identified *wsc_id_table_find(const struct wsc_id_table *table, uint64_t id);
/* The one after `entry` in no particular order; NULL begins, and is the end. Of an entry that is not there only the id counts, and the walk goes on
 * about where it would be. */
struct wsc_identified *wsc_id_table_next(const struct wsc_id_table *table, const struct wsc_identified *entry);
