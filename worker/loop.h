/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: epoll plus timers. One turn waits, calls what is ready, then what has expired; the owner then does
 * whatever one wake-up has left to do (write everything that was queued). A watch lives inside its owner and must stay in
 * memory until the turn is over, even after its descriptor was closed. It is small, since every connection has one: whom to call is
 * known by its kind.
 *
 * Most watches are level-triggered: they are told as long as they are ready. That costs the kernel one more look at each descriptor
 * that was told, a twentieth of all the time of a message; so watches of plain peers are told once ("edge-triggered", epoll(7)). Whoever has
 * one reads until a read brings less than was asked for, and on to the end when WSW_HALF_CLOSED was told; or changes the interest, which
 * has the kernel look anew.
 *
 * Watches of channel and control are near, all others far. When there is nothing to be done with far ones before a near one is ready,
 * the loop can be made narrow for a moment: then it waits for near ones alone, and what it has learned of far ones is handled, in
 * its order, as soon as it is wide again. That costs nothing for each of them, as unwatching them would. But only when all of that is
 * handled, more is asked for: so after WSW_BATCH_MS it is handled even if the loop is narrow, and the owner may unwatch them.
 */
#pragma once

#include "worker/clock.h"
#include "worker/limits.h"
#include "worker/timers.h"

#include <sys/epoll.h>

#define WSW_READABLE EPOLLIN
#define WSW_WRITABLE EPOLLOUT
#define WSW_HUNG (EPOLLHUP | EPOLLERR)
#define WSW_HALF_CLOSED EPOLLRDHUP /* told of readable ones that are told once */

enum wsw_watch_kind {
  WSW_WATCH_OF_PEER,
  WSW_WATCH_OF_LISTENER,
  WSW_WATCH_OF_CHANNEL,
  WSW_WATCH_OF_CONTROL,
  WSW_WATCH_KINDS,
};

struct wsw_watch {
  int fd;
  uint8_t interest; /* 0: not watched at all, not even for a hang-up */
  uint8_t kind;     /* an enum wsw_watch_kind */
  bool once;        /* it is told once that it is ready */
};

struct wsw_loop {
  void (*ready[WSW_WATCH_KINDS])(struct wsw_watch *watch, uint32_t events); /* the owner's, set before the first turn */
  int epoll;
  int near_epoll; /* of the near ones alone */
  struct wsw_clock clock;
  uint64_t now;                                 /* of this turn */
  uint64_t narrow_until;                        /* 0: it is wide */
  struct epoll_event batch[WSW_READY_PER_WAKE]; /* what is ready and not handled yet; its pointer NULL: no longer */
  uint32_t batch_length;
  uint64_t batch_since; /* when it was learned */
  struct wsw_timers timers;
};

/* False with errno when epoll cannot be opened. */
bool wsw_loop_open(struct wsw_loop *loop, struct wsw_clock clock);
void wsw_loop_close(struct wsw_loop *loop);

/* Watches for `interest`; 0 stops watching, as must be done before the descriptor is closed. False when the kernel has no memory. */
bool wsw_loop_watch(struct wsw_loop *loop, struct wsw_watch *watch, uint32_t interest);

/* Its descriptor is about to be closed, which is not done to one that anybody holds a duplicate of. */
void wsw_loop_forget(struct wsw_loop *loop, struct wsw_watch *watch);

/* From now on, for so many milliseconds at most. */
void wsw_loop_make_narrow(struct wsw_loop *loop, uint64_t milliseconds);
void wsw_loop_make_wide(struct wsw_loop *loop);

/* One turn; waits at most `max_wait` milliseconds (negative: as long as it takes). False when epoll itself fails. */
bool wsw_loop_turn(struct wsw_loop *loop, int max_wait);
