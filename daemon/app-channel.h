/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One side of an app's own channel: its end of the socket and, where the channel has shared memory, of the two arenas. Each arena is a memfd that
 * nobody can make shorter or longer; only its writer gets a descriptor that is open for writing.
 */
#pragma once

#include <stdbool.h>

enum wsd_channel_part {
  WSD_CHANNEL_SOCKET,
  WSD_CHANNEL_EVENTS,   /* arena: the worker writes */
  WSD_CHANNEL_COMMANDS, /* arena: the app writes */
  WSD_CHANNEL_PARTS,
};

struct wsd_app_channel {
  int fds[WSD_CHANNEL_PARTS]; /* -1: none */
};

#define WSD_NO_CHANNEL ((struct wsd_app_channel){.fds = {-1, -1, -1}})

static inline bool wsd_app_channel_is_there(const struct wsd_app_channel *channel) {
  return channel->fds[WSD_CHANNEL_SOCKET] >= 0;
}

static inline bool wsd_app_channel_is_shared(const struct wsd_app_channel *channel) {
  return channel->fds[WSD_CHANNEL_EVENTS] >= 0;
}

/* How many descriptors it has: the first so many. */
static inline unsigned wsd_app_channel_count(const struct wsd_app_channel *channel) {
  return wsd_app_channel_is_shared(channel) ? WSD_CHANNEL_PARTS : WSD_CHANNEL_SOCKET + 1;
}

/* Makes both sides. False, errno says why, and there is nothing to close. */
bool wsd_app_channel_open(struct wsd_app_channel *worker, struct wsd_app_channel *app, bool shared);
/* Closes what is there. */
void wsd_app_channel_close(struct wsd_app_channel *channel);
/* The arenas of a channel that was handed out, open for writing. An app that holds on to an arena holds the memory in it, which may count as ours; so
 * they are emptied when the app goes on to its next channel. */
struct wsd_lent_arenas {
  int events, commands; /* -1: none */
};

#define WSD_NO_ARENAS ((struct wsd_lent_arenas){-1, -1})

/* Those of the channel that these are the two sides of, if it has any. False without descriptors. */
bool wsd_lent_arenas_note(struct wsd_lent_arenas *lent, const struct wsd_app_channel *worker,
                          const struct wsd_app_channel *app);
/* Takes their memory away from whoever still has them, and forgets them. */
void wsd_lent_arenas_empty(struct wsd_lent_arenas *lent);
void wsd_lent_arenas_forget(struct wsd_lent_arenas *lent);
/* Under which names the parts of the worker's side are kept. */
extern const char *const wsd_app_channel_kinds[WSD_CHANNEL_PARTS];
/* What is wrong with a descriptor that is said to be that part of the worker's side; NULL: nothing. */
const char *wsd_app_channel_part_fault(enum wsd_channel_part part, int fd);
