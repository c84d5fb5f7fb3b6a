/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/app-channel.h"

#include "daemon/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u
#endif
#define ARENA_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW)

const char *const wsd_app_channel_kinds[WSD_CHANNEL_PARTS] = {"channel", "events", "commands"};

/* The more fits in, the less often worker and app have to take turns over large messages. The system's net.core.wmem_max decides in the end. */
static void enlarge(int end) {
  const int octets = WSD_APP_CHANNEL_OCTETS;
  (void)setsockopt(end, SOL_SOCKET, SO_SNDBUF, &octets, sizeof octets);
}

static bool open_sockets(int *one, int *other) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
    return false;
  enlarge(ends[0]);
  enlarge(ends[1]);
  *one = ends[0];
  *other = ends[1];
  return true;
}

static int new_memfd(void) {
  int fd = memfd_create("wsserverd-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) /* an older kernel */
    fd = memfd_create("wsserverd-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  return fd;
}

/* Its mode lets nobody open it for writing once more who is not allowed everything anyway. */
static bool prepare_arena(int fd) {
  return ftruncate(fd, WSC_ARENA_SIZE) == 0 && fchmod(fd, S_IRUSR) == 0 && fcntl(fd, F_ADD_SEALS, ARENA_SEALS) == 0;
}

static bool open_arena(int *writer, int *reader) {
  char path[32];
  *writer = new_memfd();
  if (*writer < 0)
    return false;
  (void)snprintf(path, sizeof path, "/proc/self/fd/%d", *writer);
  *reader = prepare_arena(*writer) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  return *reader >= 0;
}

bool wsd_app_channel_open(struct wsd_app_channel *worker, struct wsd_app_channel *app, bool shared) {
  int *ours = worker->fds, *theirs = app->fds;
  *worker = *app = WSD_NO_CHANNEL;
  if (open_sockets(&ours[WSD_CHANNEL_SOCKET], &theirs[WSD_CHANNEL_SOCKET]) &&
      (!shared || (open_arena(&ours[WSD_CHANNEL_EVENTS], &theirs[WSD_CHANNEL_EVENTS]) &&
                   open_arena(&theirs[WSD_CHANNEL_COMMANDS], &ours[WSD_CHANNEL_COMMANDS]))))
    return true;
  int error = errno;
  wsd_app_channel_close(worker);
  wsd_app_channel_close(app);
  errno = error;
  return false;
}

void wsd_app_channel_close(struct wsd_app_channel *channel) {
  for (int part = 0; part < WSD_CHANNEL_PARTS; part++)
    if (channel->fds[part] >= 0)
      close(channel->fds[part]);
  *channel = WSD_NO_CHANNEL;
}

static int duplicate(int fd) {
  return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

bool wsd_lent_arenas_note(struct wsd_lent_arenas *lent, const struct wsd_app_channel *worker,
                          const struct wsd_app_channel *app) {
  *lent = WSD_NO_ARENAS;
  if (!wsd_app_channel_is_shared(worker))
    return true;
  lent->events = duplicate(worker->fds[WSD_CHANNEL_EVENTS]);
  lent->commands = duplicate(app->fds[WSD_CHANNEL_COMMANDS]);
  if (lent->events >= 0 && lent->commands >= 0)
    return true;
  int error = errno;
  wsd_lent_arenas_forget(lent);
  errno = error;
  return false;
}

static void empty(int fd) {
  if (fd >= 0)
    (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, WSC_ARENA_SIZE);
}

void wsd_lent_arenas_empty(struct wsd_lent_arenas *lent) {
  empty(lent->events);
  empty(lent->commands);
  wsd_lent_arenas_forget(lent);
}

void wsd_lent_arenas_forget(struct wsd_lent_arenas *lent) {
  if (lent->events >= 0)
    close(lent->events);
  if (lent->commands >= 0)
    close(lent->commands);
  *lent = WSD_NO_ARENAS;
}

static int socket_option(int fd, int option) {
  int value = -1;
  socklen_t length = sizeof value;
  return getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 ? value : -1;
}

const char *wsd_app_channel_part_fault(enum wsd_channel_part part, int fd) {
  struct stat status;
  if (part == WSD_CHANNEL_SOCKET)
    return socket_option(fd, SO_DOMAIN) == AF_UNIX && socket_option(fd, SO_TYPE) == SOCK_STREAM ? NULL
                                                                                                : "it is not a channel";
  int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & ARENA_SEALS) != ARENA_SEALS)
    return "it is not an arena";
  return fstat(fd, &status) == 0 && status.st_size == WSC_ARENA_SIZE ? NULL : "it has not the size of an arena";
}
