/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of an arena: never two in one place, as near to the beginning as can be, and whose they are. */
#include "channel/arena.h"
#include "channel/decoder.h"
#include "tests/channel/assertions.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { UNIT = WSC_ARENA_UNIT, UNITS = 256, SIZE = UNITS * UNIT };

static int new_memory(size_t size) {
  int fd = memfd_create("arena", MFD_CLOEXEC);
  g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
  return fd;
}

static void open_arena(struct wsc_arena *arena, size_t size) {
  int fd = new_memory(size);
  g_assert_true(wsc_arena_map(arena, fd, size));
  close(fd);
}

static uint64_t take(struct wsc_arena *arena, size_t length) {
  uint64_t offset = UINT64_MAX;
  uint8_t *room = wsc_arena_take(arena, length, &offset);
  g_assert_nonnull(room);
  g_assert_true(room == arena->octets + offset);
  memset(room, 0xAA, length); /* a sanitizer would tell what lies outside */
  return offset;
}

static void assert_no_room(struct wsc_arena *arena, size_t length) {
  uint64_t offset;
  g_assert_null(wsc_arena_take(arena, length, &offset));
}

static void test_places(void) {
  struct wsc_arena arena;
  open_arena(&arena, SIZE);
  g_assert_cmpuint(take(&arena, 1), ==, 0);
  g_assert_cmpuint(take(&arena, UNIT + 1), ==, UNIT);
  g_assert_cmpuint(take(&arena, UNIT), ==, 3 * UNIT);
  wsc_arena_drop(&arena, UNIT);
  g_assert_cmpuint(take(&arena, 2 * UNIT + 1), ==, 4 * UNIT); /* the gap is too small */
  g_assert_cmpuint(take(&arena, 2 * UNIT), ==, UNIT);
  assert_no_room(&arena, SIZE - 7 * UNIT + 1);
  g_assert_cmpuint(take(&arena, SIZE - 7 * UNIT), ==, 7 * UNIT);
  assert_no_room(&arena, 1);
  wsc_arena_unmap(&arena);
}

static void test_nothing_fits_what_is_not_there(void) {
  struct wsc_arena arena = {0};
  assert_no_room(&arena, 1);
  assert_no_room(&arena, SIZE_MAX);
  g_assert_false(wsc_arena_release(&arena, 0));
  g_assert_false(wsc_arena_holds(&arena, NULL));
  wsc_arena_trim(&arena);
  wsc_arena_unmap(&arena);
  open_arena(&arena, SIZE);
  assert_no_room(&arena, SIZE + 1);
  assert_no_room(&arena, SIZE_MAX);
  g_assert_cmpuint(take(&arena, SIZE), ==, 0);
  wsc_arena_unmap(&arena);
}

static void test_too_many(void) {
  struct wsc_arena arena;
  open_arena(&arena, 2 * SIZE);
  for (unsigned i = 0; i < WSC_ARENA_RANGES_MAX; i++)
    g_assert_cmpuint(take(&arena, 1), ==, i * UNIT);
  assert_no_room(&arena, 1);
  wsc_arena_drop(&arena, 100 * UNIT);
  g_assert_cmpuint(take(&arena, UNIT), ==, 100 * UNIT);
  wsc_arena_unmap(&arena);
}

static void test_owners(void) {
  struct wsc_arena arena;
  open_arena(&arena, SIZE);
  uint64_t first = take(&arena, UNIT), second = take(&arena, 3 * UNIT);
  g_assert_false(wsc_arena_release(&arena, first)); /* not given yet */
  wsc_arena_give(&arena, first);
  wsc_arena_give(&arena, second);
  g_assert_false(wsc_arena_release(&arena, second + UNIT)); /* within it */
  g_assert_false(wsc_arena_release(&arena, second + 1));
  g_assert_false(wsc_arena_release(&arena, SIZE));
  g_assert_false(wsc_arena_release(&arena, UINT64_MAX));
  g_assert_true(wsc_arena_release(&arena, second));
  g_assert_false(wsc_arena_release(&arena, second)); /* twice */
  g_assert_true(wsc_arena_release(&arena, first));
  g_assert_cmpuint(arena.count, ==, 0);
  wsc_arena_unmap(&arena);
}

static void test_resizing(void) {
  struct wsc_arena arena;
  open_arena(&arena, SIZE);
  uint64_t first = take(&arena, UNIT), second = take(&arena, UNIT);
  g_assert_true(wsc_arena_resize(&arena, first, 1));
  g_assert_false(wsc_arena_resize(&arena, first, UNIT + 1));
  g_assert_true(wsc_arena_resize(&arena, second, SIZE - UNIT));
  g_assert_false(wsc_arena_resize(&arena, second, SIZE));
  g_assert_false(wsc_arena_resize(&arena, second, SIZE_MAX));
  assert_no_room(&arena, 1);
  g_assert_true(wsc_arena_resize(&arena, second, 2 * UNIT));
  g_assert_cmpuint(take(&arena, 1), ==, 3 * UNIT);
  g_assert_false(wsc_arena_resize(&arena, second, 2 * UNIT + 1));
  wsc_arena_unmap(&arena);
}

/* Against a plain account of which units are whose. */
static void test_at_random(void) {
  struct wsc_arena arena;
  guint8 owner[UNITS] = {0};
  struct {
    uint64_t offset;
    size_t length;
  } held[UNITS] = {{0, 0}};
  open_arena(&arena, SIZE);
  for (int step = 0; step < 20000; step++) {
    guint8 who = (guint8)g_test_rand_int_range(1, 100);
    if (held[who].length == 0) {
      size_t length = (size_t)g_test_rand_int_range(1, 12 * UNIT);
      uint64_t offset;
      if (!wsc_arena_take(&arena, length, &offset))
        continue;
      held[who].offset = offset, held[who].length = length;
      for (size_t unit = offset / UNIT; unit <= (offset + length - 1) / UNIT; unit++) {
        g_assert_cmpuint(owner[unit], ==, 0);
        owner[unit] = who;
      }
      if (who % 2)
        wsc_arena_give(&arena, offset);
      continue;
    }
    if (who % 2)
      g_assert_true(wsc_arena_release(&arena, held[who].offset));
    else
      wsc_arena_drop(&arena, held[who].offset);
    held[who].length = 0;
    for (size_t unit = 0; unit < UNITS; unit++)
      owner[unit] = owner[unit] == who ? 0 : owner[unit];
  }
  wsc_arena_unmap(&arena);
}

static blkcnt_t blocks(int fd) {
  struct stat status;
  g_assert_cmpint(fstat(fd, &status), ==, 0);
  return status.st_blocks;
}

static void test_giving_memory_back(void) {
  struct wsc_arena arena;
  const size_t size = 1 << 20;
  int fd = new_memory(size);
  g_assert_true(wsc_arena_map(&arena, fd, size));
  g_assert_cmpint(blocks(fd), ==, 0);
  uint64_t offset = take(&arena, 300000);
  g_assert_cmpint(blocks(fd) * 512, >=, 300000);
  wsc_arena_trim(&arena); /* in use */
  g_assert_cmpint(blocks(fd) * 512, >=, 300000);
  wsc_arena_drop(&arena, offset);
  wsc_arena_trim(&arena);
  g_assert_cmpint(blocks(fd), ==, 0);
  g_assert_cmpuint(take(&arena, size), ==, 0); /* it is there again */
  wsc_arena_drop(&arena, 0);
  wsc_arena_trim(&arena);
  g_assert_cmpint(blocks(fd), ==, 0);
  wsc_arena_unmap(&arena);
  close(fd);
}

static void test_views(void) {
  struct wsc_arena arena;
  struct wsc_arena_view view;
  int fd = new_memory(SIZE);
  g_assert_true(wsc_arena_map(&arena, fd, SIZE));
  g_assert_true(wsc_arena_view_map(&view, fd, SIZE));
  memcpy(arena.octets + UNIT, "hello", 5);
  g_assert_cmpmem(wsc_arena_view_find(&view, &(struct wsc_shared){UNIT, 5}), 5, "hello", 5);
  g_assert_nonnull(wsc_arena_view_find(&view, &(struct wsc_shared){0, SIZE}));
  g_assert_nonnull(wsc_arena_view_find(&view, &(struct wsc_shared){SIZE - UNIT, UNIT}));
  g_assert_null(wsc_arena_view_find(&view, &(struct wsc_shared){SIZE - UNIT, UNIT + 1}));
  g_assert_null(wsc_arena_view_find(&view, &(struct wsc_shared){SIZE + UNIT, 1}));
  g_assert_null(wsc_arena_view_find(&view, &(struct wsc_shared){UNIT, UINT64_MAX}));
  g_assert_null(wsc_arena_view_find(&view, &(struct wsc_shared){UINT64_MAX - 63, 64}));
  wsc_arena_unmap(&arena);
  wsc_arena_view_unmap(&view);
  close(fd);
}

static void test_what_cannot_be_mapped(void) {
  struct wsc_arena arena;
  struct wsc_arena_view view;
  int ends[2];
  g_assert_cmpint(pipe(ends), ==, 0);
  g_assert_false(wsc_arena_map(&arena, ends[1], SIZE));
  g_assert_null(arena.octets);
  g_assert_false(wsc_arena_view_map(&view, ends[0], SIZE));
  g_assert_null(view.octets);
  close(ends[0]);
  close(ends[1]);
  int fd = new_memory(SIZE);
  g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
  int reader = open(path, O_RDONLY | O_CLOEXEC);
  g_assert_false(wsc_arena_map(&arena, reader, SIZE)); /* whoever may only read cannot write */
  close(reader);
  close(fd);
}

static void test_releases(void) {
  struct wsc_releases releases = {0};
  struct wsc_queue queue = {0};
  g_assert_true(wsc_releases_queue(&releases, &queue, WSC_RELEASE));
  g_assert_cmpuint(wsc_queue_length(&queue), ==, 0); /* nothing to say */
  for (uint64_t i = 0; i < WSC_RELEASES_MAX; i++)
    g_assert_true(wsc_releases_add(&releases, i * UNIT));
  g_assert_false(wsc_releases_add(&releases, 0));
  g_assert_true(wsc_releases_queue(&releases, &queue, WSC_RELEASED));
  g_assert_cmpuint(wsc_queue_length(&queue), ==, WSC_RECORD_HEADER + 8 * WSC_RELEASES_MAX);
  struct wsc_record record = {.body = wsc_queue_front(&queue) + WSC_RECORD_HEADER};
  wsc_header_decode(wsc_queue_front(&queue), &record.header);
  g_assert_cmpstr(wsc_header_fault(&record.header, WSC_TO_APP, 1), ==, NULL);
  g_assert_cmpuint(wsc_get_u64(record.body + 8), ==, UNIT);
  g_assert_true(wsc_releases_add(&releases, 0)); /* there is room again */
  wsc_queue_clear(&queue);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/arena/ranges-lie-as-near-to-the-beginning-as-can-be", test_places);
  g_test_add_func("/arena/nothing-fits-what-is-not-there", test_nothing_fits_what_is_not_there);
  g_test_add_func("/arena/ranges-are-bounded-in-number", test_too_many);
  g_test_add_func("/arena/only-what-was-given-is-released-and-once", test_owners);
  g_test_add_func("/arena/ranges-grow-where-there-is-room", test_resizing);
  g_test_add_func("/arena/no-two-ranges-ever-overlap", test_at_random);
  g_test_add_func("/arena/memory-is-given-back", test_giving_memory_back);
  g_test_add_func("/arena/nothing-is-read-beyond-the-end", test_views);
  g_test_add_func("/arena/what-cannot-be-mapped-is-refused", test_what_cannot_be_mapped);
  g_test_add_func("/arena/releases-leave-in-one-record", test_releases);
  return g_test_run();
}
