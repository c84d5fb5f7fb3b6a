/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/arena.h"

#include "channel/integer.h"
#include "channel/record.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

bool wsc_arena_map(struct wsc_arena *arena, int fd, size_t size) {
  *arena = (struct wsc_arena){0};
  void *octets = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (octets == MAP_FAILED)
    return false;
  arena->octets = octets;
  arena->size = size;
  return true;
}

void wsc_arena_unmap(struct wsc_arena *arena) {
  if (arena->octets != NULL)
    munmap(arena->octets, arena->size);
  *arena = (struct wsc_arena){0};
}

static uint64_t end_of(const struct wsc_arena_range *range) {
  return (uint64_t)range->first + range->count;
}

static uint64_t units_of(size_t length) {
  return ((uint64_t)length + WSC_ARENA_UNIT - 1) / WSC_ARENA_UNIT;
}

/* The first gap that is large enough; returns the place in the list at which what goes into it belongs. */
static uint32_t find_gap(const struct wsc_arena *arena, uint64_t units, uint64_t *first) {
  uint32_t place = 0;
  *first = 0;
  while (place < arena->count && arena->taken[place].first - *first < units)
    *first = end_of(&arena->taken[place++]);
  return place;
}

static void touch(struct wsc_arena *arena, const struct wsc_arena_range *range) {
  size_t end = (size_t)end_of(range) * WSC_ARENA_UNIT;
  if (end > arena->touched)
    arena->touched = end;
}

uint8_t *wsc_arena_take(struct wsc_arena *arena, size_t length, uint64_t *offset) {
  if (length > arena->size || arena->count == WSC_ARENA_RANGES_MAX)
    return NULL;
  uint64_t first, units = units_of(length);
  uint32_t place = find_gap(arena, units, &first);
  if (units > arena->size / WSC_ARENA_UNIT - first)
    return NULL;
  memmove(arena->taken + place + 1, arena->taken + place, (arena->count - place) * sizeof *arena->taken);
  arena->taken[place] = (struct wsc_arena_range){.first = (uint32_t)first, .count = (uint32_t)units & INT32_MAX};
  arena->count++;
  touch(arena, &arena->taken[place]);
  *offset = first * WSC_ARENA_UNIT;
  return arena->octets + *offset;
}

/* NULL: no range begins there. */
static struct wsc_arena_range *find(struct wsc_arena *arena, uint64_t offset) {
  uint32_t low = 0, high = arena->count;
  while (low < high) {
    uint32_t middle = (low + high) / 2;
    if ((uint64_t)arena->taken[middle].first * WSC_ARENA_UNIT < offset)
      low = middle + 1;
    else
      high = middle;
  }
  bool is_it = low < arena->count && (uint64_t)arena->taken[low].first * WSC_ARENA_UNIT == offset;
  return is_it ? &arena->taken[low] : NULL;
}

bool wsc_arena_resize(struct wsc_arena *arena, uint64_t offset, size_t length) {
  struct wsc_arena_range *range = find(arena, offset);
  assert(range != NULL && !range->given);
  const struct wsc_arena_range *next = range + 1;
  uint64_t limit = next < arena->taken + arena->count ? next->first : arena->size / WSC_ARENA_UNIT;
  if (length > arena->size || units_of(length) > limit - range->first)
    return false;
  range->count = (uint32_t)units_of(length) & INT32_MAX;
  touch(arena, range);
  return true;
}

static void remove_range(struct wsc_arena *arena, struct wsc_arena_range *range) {
  const struct wsc_arena_range *end = arena->taken + arena->count--;
  memmove(range, range + 1, (size_t)(end - (range + 1)) * sizeof *range);
}

void wsc_arena_drop(struct wsc_arena *arena, uint64_t offset) {
  struct wsc_arena_range *range = find(arena, offset);
  assert(range != NULL && !range->given);
  remove_range(arena, range);
}

void wsc_arena_give(struct wsc_arena *arena, uint64_t offset) {
  struct wsc_arena_range *range = find(arena, offset);
  assert(range != NULL);
  range->given = true;
}

bool wsc_arena_release(struct wsc_arena *arena, uint64_t offset) {
  struct wsc_arena_range *range = find(arena, offset);
  if (range == NULL || !range->given)
    return false;
  remove_range(arena, range);
  return true;
}

const uint8_t *wsc_arena_find_given(struct wsc_arena *arena, const struct wsc_shared *where) {
  const struct wsc_arena_range *range = find(arena, where->offset);
  if (range == NULL || !range->given || where->length > (uint64_t)range->count * WSC_ARENA_UNIT)
    return NULL;
  return arena->octets + where->offset;
}

bool wsc_arena_holds(const struct wsc_arena *arena, const uint8_t *octets) {
  uintptr_t from = (uintptr_t)arena->octets, at = (uintptr_t)octets;
  return arena->octets != NULL && at >= from && at - from < arena->size;
}

void wsc_arena_trim(struct wsc_arena *arena) {
  if (arena->count > 0 || arena->touched == 0)
    return;
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t length = (arena->touched + page - 1) / page * page;
  (void)madvise(arena->octets, length < arena->size ? length : arena->size, MADV_REMOVE);
  arena->touched = 0;
}

bool wsc_arena_view_map(struct wsc_arena_view *view, int fd, size_t size) {
  *view = (struct wsc_arena_view){0};
  void *octets = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
  if (octets == MAP_FAILED)
    return false;
  *view = (struct wsc_arena_view){octets, size};
  return true;
}

void wsc_arena_view_unmap(struct wsc_arena_view *view) {
  if (view->octets != NULL)
    munmap((void *)(uintptr_t)view->octets, view->size);
  *view = (struct wsc_arena_view){0};
}

void wsc_shared_encode(const struct wsc_shared *shared, uint8_t out[WSC_SHARED_SIZE]) {
  wsc_put_u64(out, shared->offset);
  wsc_put_u64(out + 8, shared->length);
}

void wsc_shared_decode(const uint8_t body[WSC_SHARED_SIZE], struct wsc_shared *shared) {
  shared->offset = wsc_get_u64(body);
  shared->length = wsc_get_u64(body + 8);
}

const uint8_t *wsc_arena_view_find(const struct wsc_arena_view *view, const struct wsc_shared *shared) {
  if (shared->offset > view->size || shared->length > view->size - shared->offset)
    return NULL;
  return view->octets + shared->offset;
}

bool wsc_releases_add(struct wsc_releases *releases, uint64_t offset) {
  if (releases->count == WSC_RELEASES_MAX)
    return false;
  releases->offsets[releases->count++] = offset;
  return true;
}

bool wsc_releases_queue(struct wsc_releases *releases, struct wsc_queue *queue, uint8_t type) {
  if (releases->count == 0)
    return true;
  const struct wsc_header header = {.type = type};
  uint8_t *body = wsc_queue_append(queue, &header, 8 * (size_t)releases->count);
  if (body == NULL)
    return false;
  for (uint32_t i = 0; i < releases->count; i++)
    wsc_put_u64(body + 8 * (size_t)i, releases->offsets[i]);
  releases->count = 0;
  return true;
}
