/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the service's state with the service manager: after any change the whole state is written anew into a sealed memfd, kept
 * under a name of its own, and the one before is dropped. Changes of one turn of the main loop are written once.
 *
 * A service manager whose store is full says nothing. So that it never happens to the state, on which all else hangs, a descriptor without
 * meaning, WSD_KEEPER_RESERVE, holds a place for it.
 */
#pragma once

#include "daemon/supervisor.h"

#define WSD_KEEPER_RESERVE "reserve"

struct wsd_keeper;
struct wsd_service;

struct wsd_keeper *wsd_keeper_new(struct wsd_service *service, struct wsd_supervisor *supervisor);
void wsd_keeper_free(struct wsd_keeper *keeper);

/* Something changed. */
void wsd_keeper_touch(struct wsd_keeper *keeper);
/* The same, and before anything that is told to the service manager next. */
void wsd_keeper_write(struct wsd_keeper *keeper);
/* The same; calls `done` from the main loop when the present state, and every descriptor kept before, is safe. */
void wsd_keeper_commit(struct wsd_keeper *keeper, void (*done)(void *user), void *user);

/* Nothing is written, and nobody answered, while what an earlier process left is only half adopted. */
void wsd_keeper_hold(struct wsd_keeper *keeper);
bool wsd_keeper_is_held(const struct wsd_keeper *keeper);
/* The next state is newer than `sequence`, which is the one found at the start, or 0. */
void wsd_keeper_continue(struct wsd_keeper *keeper, guint64 sequence);
