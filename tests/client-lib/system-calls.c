/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/client-lib/system-calls.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { PARTS_MAX = 8 };

struct way {
  int error;
  unsigned failures, calls;
  size_t octets_max;
};
static struct way sending = {.octets_max = SIZE_MAX}, receiving = {.octets_max = SIZE_MAX};

ssize_t __real_recv(int fd, void *room, size_t size, int flags);
ssize_t __real_send(int fd, const void *octets, size_t length, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_recv(int fd, void *room, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *octets, size_t length, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

static bool fails(struct way *way) {
  way->calls++;
  if (way->failures == 0)
    return false;
  way->failures--;
  errno = way->error;
  return true;
}

static size_t limited(const struct way *way, size_t length) {
  return length < way->octets_max ? length : way->octets_max;
}

ssize_t __wrap_recv(int fd, void *room, size_t size, int flags) {
  return fails(&receiving) ? -1 : __real_recv(fd, room, limited(&receiving, size), flags);
}

ssize_t __wrap_send(int fd, const void *octets, size_t length, int flags) {
  return fails(&sending) ? -1 : __real_send(fd, octets, limited(&sending, length), flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags) {
  struct iovec parts[PARTS_MAX];
  size_t left = sending.octets_max, count = 0;
  if (fails(&sending))
    return -1;
  for (; count < message->msg_iovlen && count < PARTS_MAX && left > 0; count++) {
    parts[count] = message->msg_iov[count];
    if (parts[count].iov_len > left)
      parts[count].iov_len = left;
    left -= parts[count].iov_len;
  }
  const struct msghdr shortened = {.msg_iov = parts, .msg_iovlen = count};
  return __real_sendmsg(fd, &shortened, flags);
}

void calls_reset(void) {
  sending = receiving = (struct way){.octets_max = SIZE_MAX};
}

void calls_fail_sending(int error, unsigned times) {
  sending.error = error;
  sending.failures = times;
}

void calls_fail_receiving(int error, unsigned times) {
  receiving.error = error;
  receiving.failures = times;
}

void calls_limit_sending(size_t octets) {
  sending.octets_max = octets;
}

void calls_limit_receiving(size_t octets) {
  receiving.octets_max = octets;
}

unsigned calls_sending(void) {
  unsigned calls = sending.calls;
  sending.calls = 0;
  return calls;
}

unsigned calls_receiving(void) {
  unsigned calls = receiving.calls;
  receiving.calls = 0;
  return calls;
}
