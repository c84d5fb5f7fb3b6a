/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor.h"

#include "daemon/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef WSD_HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

struct wsd_supervisor {
  GArray *kept; /* of struct wsd_kept */
  bool present;
  guint room;
  guint watchdog;
  int spare;           /* given up for a moment when notifying finds no free descriptor */
  GPtrArray *barriers; /* of struct barrier, under way */
};

struct barrier {
  struct wsd_supervisor *supervisor;
  int fd; /* our end of a pipe; -1: nothing to wait for */
  guint source, timeout;
  void (*done)(void *user);
  void *user;
};

static int open_spare(void) {
  return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

#ifdef WSD_HAVE_SYSTEMD

/* Sends one notification. With every descriptor of the process in use libsystemd could not open its socket, and the watchdog would end a
 * service that is fine: hence the spare one. */
static void notify(struct wsd_supervisor *supervisor, const char *text, const int *fds, unsigned fd_count) {
  if (!supervisor->present)
    return;
  if (supervisor->spare >= 0)
    close(supervisor->spare);
  int result = sd_pid_notify_with_fds(0, 0, text, fds, fd_count);
  supervisor->spare = open_spare();
  if (result < 0)
    g_warning("cannot notify the service manager: %s", g_strerror(-result));
}

static void take_kept(struct wsd_supervisor *supervisor) {
  char **names = NULL;
  int count = sd_listen_fds_with_names(1, &names);
  for (int i = 0; i < count; i++) {
    struct wsd_kept kept = {g_strdup(names && names[i] ? names[i] : ""), SD_LISTEN_FDS_START + i};
    g_array_append_val(supervisor->kept, kept);
  }
  for (int i = 0; names && names[i]; i++)
    free(names[i]);
  free(names);
}

/* The timer shows that the main loop goes round. */
static gboolean feed_watchdog(gpointer data) {
  notify(data, "WATCHDOG=1", NULL, 0);
  return G_SOURCE_CONTINUE;
}

static void read_environment(struct wsd_supervisor *supervisor) {
  uint64_t watchdog_us = 0;
  guint64 room = G_MAXUINT;
  supervisor->present = g_getenv("NOTIFY_SOCKET") != NULL;
  if (g_getenv("FDSTORE") && g_ascii_string_to_unsigned(g_getenv("FDSTORE"), 10, 0, G_MAXUINT, &room, NULL))
    supervisor->room = (guint)room;
  take_kept(supervisor);
  if (sd_watchdog_enabled(1, &watchdog_us) > 0)
    supervisor->watchdog = g_timeout_add((guint)MAX(watchdog_us / 3000, 1), feed_watchdog, supervisor);
}

#else

static void notify(struct wsd_supervisor *supervisor, const char *text, const int *fds, unsigned fd_count) {
  (void)supervisor;
  (void)text;
  (void)fds;
  (void)fd_count;
}

static void read_environment(struct wsd_supervisor *supervisor) {
  (void)supervisor;
}

#endif

struct wsd_supervisor *wsd_supervisor_new(void) {
  struct wsd_supervisor *supervisor = g_new0(struct wsd_supervisor, 1);
  supervisor->kept = g_array_new(FALSE, FALSE, sizeof(struct wsd_kept));
  supervisor->barriers = g_ptr_array_new();
  supervisor->room = G_MAXUINT;
  supervisor->spare = open_spare();
  read_environment(supervisor);
  return supervisor;
}

static void barrier_free(struct barrier *barrier) {
  g_clear_handle_id(&barrier->source, g_source_remove);
  g_clear_handle_id(&barrier->timeout, g_source_remove);
  if (barrier->fd >= 0)
    close(barrier->fd);
  g_free(barrier);
}

static void finish_barrier(struct barrier *barrier) {
  void (*done)(void *user) = barrier->done;
  void *user = barrier->user;
  g_ptr_array_remove_fast(barrier->supervisor->barriers, barrier);
  barrier_free(barrier);
  done(user);
}

void wsd_supervisor_free(struct wsd_supervisor *supervisor) {
  g_clear_handle_id(&supervisor->watchdog, g_source_remove);
  while (supervisor->barriers->len > 0)
    finish_barrier(supervisor->barriers->pdata[0]);
  g_ptr_array_unref(supervisor->barriers);
  for (guint i = 0; i < supervisor->kept->len; i++) {
    struct wsd_kept *kept = &g_array_index(supervisor->kept, struct wsd_kept, i);
    if (kept->fd >= 0)
      close(kept->fd);
    g_free(kept->name);
  }
  g_array_unref(supervisor->kept);
  if (supervisor->spare >= 0)
    close(supervisor->spare);
  g_free(supervisor);
}

GArray *wsd_supervisor_kept(struct wsd_supervisor *supervisor) {
  return supervisor->kept;
}
bool wsd_supervisor_keeps(const struct wsd_supervisor *supervisor) {
  return supervisor->present;
}
guint wsd_supervisor_room(const struct wsd_supervisor *supervisor) {
  return supervisor->room;
}

void wsd_supervisor_ready(struct wsd_supervisor *supervisor) {
  notify(supervisor, "READY=1", NULL, 0);
}

void wsd_supervisor_reloading(struct wsd_supervisor *supervisor) {
  g_autofree char *text = g_strdup_printf("RELOADING=1\nMONOTONIC_USEC=%" G_GINT64_FORMAT, g_get_monotonic_time());
  notify(supervisor, text, NULL, 0);
}

void wsd_supervisor_stopping(struct wsd_supervisor *supervisor) {
  notify(supervisor, "STOPPING=1", NULL, 0);
}

void wsd_supervisor_status(struct wsd_supervisor *supervisor, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *text = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  g_autofree char *notification = g_strdup_printf("STATUS=%s", text);
  notify(supervisor, notification, NULL, 0);
}

void wsd_supervisor_keep(struct wsd_supervisor *supervisor, const char *name, int fd) {
  g_autofree char *text = g_strdup_printf("FDSTORE=1\nFDNAME=%s", name);
  notify(supervisor, text, &fd, 1);
}

void wsd_supervisor_drop(struct wsd_supervisor *supervisor, const char *name) {
  g_autofree char *text = g_strdup_printf("FDSTOREREMOVE=1\nFDNAME=%s", name);
  notify(supervisor, text, NULL, 0);
}

/* The service manager has closed its end, or there is none. */
static gboolean on_barrier(gint fd, GIOCondition condition, gpointer data) {
  (void)fd;
  (void)condition;
  struct barrier *barrier = data;
  barrier->source = 0;
  finish_barrier(barrier);
  return G_SOURCE_REMOVE;
}

static gboolean on_barrier_timeout(gpointer data) {
  struct barrier *barrier = data;
  barrier->timeout = 0;
  if (barrier->fd >= 0)
    g_warning("the service manager did not answer within %u ms", WSD_BARRIER_TIMEOUT_MS);
  finish_barrier(barrier);
  return G_SOURCE_REMOVE;
}

void wsd_supervisor_barrier(struct wsd_supervisor *supervisor, void (*done)(void *user), void *user) {
  struct barrier *barrier = g_new0(struct barrier, 1);
  *barrier = (struct barrier){.supervisor = supervisor, .fd = -1, .done = done, .user = user};
  g_ptr_array_add(supervisor->barriers, barrier);
  int ends[2];
  if (supervisor->present && pipe2(ends, O_CLOEXEC) == 0) {
    barrier->fd = ends[0];
    barrier->source = g_unix_fd_add(ends[0], G_IO_IN | G_IO_HUP | G_IO_ERR, on_barrier, barrier);
    barrier->timeout = g_timeout_add(WSD_BARRIER_TIMEOUT_MS, on_barrier_timeout, barrier);
    notify(supervisor, "BARRIER=1", &ends[1], 1);
    close(ends[1]);
  } else {
    barrier->timeout = g_idle_add_full(G_PRIORITY_DEFAULT, on_barrier_timeout, barrier, NULL);
  }
}
