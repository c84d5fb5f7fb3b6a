/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/heap.h"

#include "worker/memory.h"
#include "worker/server.h"

#include <malloc.h>

/* Left alone, the allocator would learn to keep large blocks after the first one. */
static void keep_blocks_up_to(int octets) {
  (void)mallopt(M_MMAP_THRESHOLD, octets);
  (void)mallopt(M_TRIM_THRESHOLD, octets);
}

void wsw_heap_prepare(void) {
  keep_blocks_up_to(WSW_KEPT_MEMORY);
}

static void set_timer(struct wsw_server *server) {
  (void)wsw_timers_set(&server->loop.timers, &server->heap_timer, server->loop.now + WSW_HEAP_KEEP_MS);
}

/* An app that holds on to what it was given keeps the memory, as long as it does. */
static bool trim_arena(struct wsw_server *server) {
  struct wsw_shared *shared = server->channel.shared;
  if (!shared)
    return true;
  wsc_arena_trim(&shared->events);
  return shared->events.touched == 0;
}

/* Blocks that are still in use would leave holes behind: they are awaited. */
static void expired(struct wsw_timer *timer) {
  struct wsw_server *server = (struct wsw_server *)(void *)((char *)timer - offsetof(struct wsw_server, heap_timer));
  bool goes_on = server->large_passed || wsw_memory_held(server) > WSW_KEPT_MEMORY || !trim_arena(server);
  server->large_passed = false;
  if (goes_on) {
    set_timer(server);
  } else if (server->keeps_blocks) {
    keep_blocks_up_to(WSW_KEPT_MEMORY);
    server->keeps_blocks = false;
  }
  (void)malloc_trim(WSW_KEPT_MEMORY);
}

void wsw_heap_init(struct wsw_server *server) {
  server->heap_timer.kind = WSW_TIMER_OF_HEAP;
  server->loop.timers.expired[WSW_TIMER_OF_HEAP] = expired;
}

void wsw_heap_expect_shared(struct wsw_server *server) {
  server->large_passed = true;
  if (!server->heap_timer.place)
    set_timer(server);
}

void wsw_heap_expect_large(struct wsw_server *server) {
  if (server->channel.acknowledged)
    return;
  if (!server->keeps_blocks)
    keep_blocks_up_to(WSW_HEAP_KEPT_BLOCK);
  server->keeps_blocks = true;
  wsw_heap_expect_shared(server);
}
