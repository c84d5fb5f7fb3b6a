/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: level-triggered epoll plus timers. One turn waits, calls what is ready, then what has expired; the owner then does
 * whatever one wake-up has left to do (write everything that was queued). A watch lives inside its owner and must stay in
 * memory until the turn is over, even after its descriptor was closed. It is small, since every connection has one: whom to call is
 * known by its kind.
 */
#pragma once

#include "worker/clock.h"
#include "worker/timers.h"

#include <sys/epoll.h>

#define WSW_READABLE EPOLLIN
#define WSW_WRITABLE EPOLLOUT
#define WSW_HUNG (EPOLLHUP | EPOLLERR)

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
};

struct wsw_loop {
  void (*ready[WSW_WATCH_KINDS])(struct wsw_watch *watch, uint32_t events); /* the owner's, set before the first turn */
  int epoll;
  struct wsw_clock clock;
  uint64_t now; /* of this turn */
  struct wsw_timers timers;
};

/* False with errno when epoll cannot be opened. */
bool wsw_loop_open(struct wsw_loop *loop, struct wsw_clock clock);
void wsw_loop_close(struct wsw_loop *loop);

/* Watches for `interest`; 0 stops watching, as must be done before the descriptor is closed. False when the kernel has no memory. */
bool wsw_loop_watch(struct wsw_loop *loop, struct wsw_watch *watch, uint32_t interest);

/* One turn; waits at most `max_wait` milliseconds (negative: as long as it takes). False when epoll itself fails. */
bool wsw_loop_turn(struct wsw_loop *loop, int max_wait);
