/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service manager, systemd, as seen from here (sd_notify(3)): it is told that the service is ready and alive, and it keeps
 * file descriptors for the next process of this service. Without a service manager, or in a build without libsystemd, nothing is told
 * and nothing is kept.
 *
 * Notifications are handled in the order in which they are sent; the barrier says when all before it were.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

struct wsd_supervisor;

/* A descriptor that was kept. */
struct wsd_kept {
  char *name;
  int fd; /* -1 once it was taken */
};

/* Reads the environment and takes the kept descriptors over. Starts feeding the watchdog, if there is one, from the main loop. */
struct wsd_supervisor *wsd_supervisor_new(void);
/* Closes kept descriptors that nobody took. */
void wsd_supervisor_free(struct wsd_supervisor *supervisor);

/* Kept descriptors, of struct wsd_kept. */
GArray *wsd_supervisor_kept(struct wsd_supervisor *supervisor);

void wsd_supervisor_ready(struct wsd_supervisor *supervisor);
void wsd_supervisor_reloading(struct wsd_supervisor *supervisor);
void wsd_supervisor_stopping(struct wsd_supervisor *supervisor);
G_GNUC_PRINTF(2, 3) void wsd_supervisor_status(struct wsd_supervisor *supervisor, const char *format, ...);

/* Whether descriptors survive this process. */
bool wsd_supervisor_keeps(const struct wsd_supervisor *supervisor);
/* How many may be kept, G_MAXUINT when unknown. */
guint wsd_supervisor_room(const struct wsd_supervisor *supervisor);
/* Keeps a duplicate of `fd` under `name`; it stays the caller's too. */
void wsd_supervisor_keep(struct wsd_supervisor *supervisor, const char *name, int fd);
void wsd_supervisor_drop(struct wsd_supervisor *supervisor, const char *name);

/* Calls `done` from the main loop, once everything sent before has been handled, or at the latest after some seconds. */
void wsd_supervisor_barrier(struct wsd_supervisor *supervisor, void (*done)(void *user), void *user);
