/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that the two sides of a channel share for large messages: an arena for each direction. Its writer puts a payload there and a record into the
 * stream that says where; from then on the range is the reader's, until he says in a record that he is done with it. Where ranges
 * lie and which are taken is the writer's own knowledge and stands nowhere in the arena. The reader cannot write to it.
 *
 * The writer may go on writing to what he has given away. So whoever reads must not look twice: what has to be checked is copied first.
 */
#pragma once

#include "channel/limits.h"
#include "channel/queue.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In units of WSC_ARENA_UNIT octets. */
struct wsc_arena_range {
  uint32_t first;
  uint32_t count : 31;
  bool given : 1; /* to the reader: a record says where it is */
};

struct wsc_shared;

/* The writer's side; all zero is one without memory, which takes nothing. */
struct wsc_arena {
  uint8_t *octets;
  size_t size;
  size_t touched;                                     /* octets from the beginning that may hold memory */
  struct wsc_arena_range taken[WSC_ARENA_RANGES_MAX]; /* ascending, disjoint */
  uint32_t count;
};

/* Maps `size` octets of `fd`, which stays the caller's. False when that cannot be done. */
bool wsc_arena_map(struct wsc_arena *arena, int fd, size_t size);
void wsc_arena_unmap(struct wsc_arena *arena);
/* Where to write `length` octets (not 0), at *offset of the arena: as near to its beginning as can be, so that little memory is used, and that again and
 * again. NULL when there is no room, or too many ranges are taken: then the message goes through the stream. */
uint8_t *wsc_arena_take(struct wsc_arena *arena, size_t length, uint64_t *offset);
/* Makes the range that begins at `offset` hold `length` octets (not 0), where it lies; false where there is no room for more. For ranges that are taken and not given. */
bool wsc_arena_resize(struct wsc_arena *arena, uint64_t offset, size_t length);
/* The writer does not need a range that was not given. */
void wsc_arena_drop(struct wsc_arena *arena, uint64_t offset);
/* From now on the range is the reader's. */
void wsc_arena_give(struct wsc_arena *arena, uint64_t offset);
/* The reader is done with the range that begins there. False when none does, or none that was given. */
bool wsc_arena_release(struct wsc_arena *arena, uint64_t offset);
/* Where a payload lies whose range begins there and is the reader's; NULL: there is no such range, or it is shorter. */
const uint8_t *wsc_arena_find_given(struct wsc_arena *arena, const struct wsc_shared *where);
/* Whether that lies in the arena. */
bool wsc_arena_holds(const struct wsc_arena *arena, const uint8_t *octets);
/* Gives its memory back to the system, if no range is taken. */
void wsc_arena_trim(struct wsc_arena *arena);

/* The reader's side. */
struct wsc_arena_view {
  const uint8_t *octets; /* may change under the reader's eyes */
  size_t size;
};
bool wsc_arena_view_map(struct wsc_arena_view *view, int fd, size_t size);
void wsc_arena_view_unmap(struct wsc_arena_view *view);

/* Body of SHARED_MESSAGE, SHARED_SEND and SHARED_FORWARD: u64 offset, u64 length. */
struct wsc_shared {
  uint64_t offset, length;
};
void wsc_shared_encode(const struct wsc_shared *shared, uint8_t out[WSC_SHARED_SIZE]);
void wsc_shared_decode(const uint8_t body[WSC_SHARED_SIZE], struct wsc_shared *shared);
/* Where the payload lies; NULL when that is not within the arena. */
const uint8_t *wsc_arena_view_find(const struct wsc_arena_view *view, const struct wsc_shared *shared);

/* Ranges that the reader is done with and has not said so yet. */
struct wsc_releases {
  uint64_t offsets[WSC_RELEASES_MAX];
  uint32_t count;
};
/* False when it is full: the record has to be queued first. */
bool wsc_releases_add(struct wsc_releases *releases, uint64_t offset);
/* Queues a record of that type with all of them, if there are any. False without memory: they stay. */
bool wsc_releases_queue(struct wsc_releases *releases, struct wsc_queue *queue, uint8_t type);
