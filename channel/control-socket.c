/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Aligned as the kernel's control messages want it. The array is a whole number of alignment units large, and so may
 * have room for a descriptor more than asked for. */
union descriptors {
  struct cmsghdr align;
  uint8_t octets[CMSG_SPACE(WSC_CONTROL_FDS_MAX * sizeof(int))];
};

ssize_t wsc_control_send(int fd, const uint8_t *octets, size_t length, const int *fds, size_t fd_count) {
  if (length == 0 || fd_count > WSC_CONTROL_FDS_MAX) {
    errno = EINVAL; /* an empty packet would look like the end */
    return -1;
  }
  if (length > WSC_CONTROL_PACKET_MAX) {
    errno = EMSGSIZE;
    return -1;
  }
  union descriptors control;
  struct iovec vector = {.iov_base = (void *)(uintptr_t)octets, .iov_len = length};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
  memset(&control, 0, sizeof control);
  if (fd_count > 0) {
    message.msg_control = control.octets;
    message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
  }
  ssize_t sent;
  do
    sent = sendmsg(fd, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent;
}

/* Takes over every descriptor of the message; false when there were more than `fds` holds: the rest is closed. */
static bool take_descriptors(struct msghdr *message, int *fds, size_t *fd_count) {
  bool fit = true;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL; header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
      continue;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int received;
      memcpy(&received, CMSG_DATA(header) + i * sizeof(int), sizeof received);
      if (*fd_count < WSC_CONTROL_FDS_MAX) {
        fds[(*fd_count)++] = received;
      } else {
        close(received);
        fit = false;
      }
    }
  }
  return fit;
}

static void close_descriptors(int *fds, size_t *fd_count) {
  while (*fd_count > 0)
    close(fds[--*fd_count]);
}

ssize_t wsc_control_receive(int fd, uint8_t *octets, size_t capacity, int *fds, size_t *fd_count) {
  union descriptors control;
  struct iovec vector = {.iov_base = octets, .iov_len = capacity};
  struct msghdr message;
  ssize_t received;
  *fd_count = 0;
  do {
    message = (struct msghdr){.msg_iov = &vector, .msg_iovlen = 1};
    message.msg_control = control.octets;
    message.msg_controllen = sizeof control.octets;
    received = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  if (received < 0)
    return -1;
  bool fit = take_descriptors(&message, fds, fd_count);
  if (received == 0) /* the end, or an empty packet, which nobody sends who keeps the rules: the same to the caller */
    close_descriptors(fds, fd_count);
  if (!fit || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    close_descriptors(fds, fd_count);
    errno = EMSGSIZE;
    return -1;
  }
  return received;
}
