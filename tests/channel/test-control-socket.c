/* SPDX-License-Identifier: Apache-2.0 */
/* Control packets over a real socket: descriptors arrive, and none is ever leaked to a hostile sender's profit. */
#include "channel/control.h"
#include "tests/channel/assertions.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

struct ends {
  int ours, theirs, spare;
  size_t open_at_start;
};

static size_t count_open(void) {
  DIR *folder = opendir("/proc/self/fd");
  size_t count = 0;
  g_assert_nonnull(folder);
  while (readdir(folder) != NULL)
    count++;
  closedir(folder);
  return count;
}

static void set_up(struct ends *ends, const void *data) {
  int pair[2];
  (void)data;
  g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), ==, 0);
  ends->ours = pair[0];
  ends->theirs = pair[1];
  ends->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
  g_assert_cmpint(ends->spare, >=, 0);
  ends->open_at_start = count_open();
}

static void tear_down(struct ends *ends, const void *data) {
  (void)data;
  g_assert_cmpuint(count_open(), ==, ends->open_at_start);
  close(ends->ours);
  close(ends->theirs);
  close(ends->spare);
}

/* A sender that keeps no rules. */
static void send_raw(const struct ends *ends, const void *octets, size_t length, size_t fd_count) {
  union {
    struct cmsghdr align;
    uint8_t octets[CMSG_SPACE(64 * sizeof(int))];
  } control;
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
    for (size_t i = 0; i < fd_count; i++)
      memcpy(CMSG_DATA(header) + i * sizeof(int), &ends->spare, sizeof(int));
  }
  g_assert_cmpint(sendmsg(ends->theirs, &message, MSG_NOSIGNAL), ==, length);
}

static void test_descriptors(struct ends *ends, const void *data) {
  uint8_t octets[16];
  int fds[WSC_CONTROL_FDS_MAX], sent[WSC_CONTROL_FDS_MAX];
  (void)data;
  for (size_t i = 0; i < WSC_CONTROL_FDS_MAX; i++)
    sent[i] = ends->spare;
  for (size_t count = 0; count <= WSC_CONTROL_FDS_MAX; count++) {
    size_t received = 99;
    g_assert_cmpint(wsc_control_send(ends->theirs, (const uint8_t *)"packet", 6, sent, count), ==, 6);
    g_assert_cmpint(wsc_control_receive(ends->ours, octets, sizeof octets, fds, &received), ==, 6);
    assert_octets(octets, 6, "packet", 6);
    g_assert_cmpuint(received, ==, count);
    for (size_t i = 0; i < received; i++) {
      g_assert_cmpint(fcntl(fds[i], F_GETFD) & FD_CLOEXEC, !=, 0);
      close(fds[i]);
    }
  }
}

static void test_too_many_descriptors(struct ends *ends, const void *data) {
  uint8_t octets[16];
  int fds[WSC_CONTROL_FDS_MAX];
  (void)data;
  for (size_t count = WSC_CONTROL_FDS_MAX + 1; count < 20; count++) {
    size_t received = 99;
    send_raw(ends, "packet", 6, count);
    g_assert_cmpint(wsc_control_receive(ends->ours, octets, sizeof octets, fds, &received), ==, -1);
    g_assert_cmpint(errno, ==, EMSGSIZE);
    g_assert_cmpuint(received, ==, 0);
    g_assert_cmpuint(count_open(), ==, ends->open_at_start);
  }
}

static void test_truncated_packet(struct ends *ends, const void *data) {
  uint8_t octets[4];
  int fds[WSC_CONTROL_FDS_MAX];
  size_t received = 99;
  (void)data;
  send_raw(ends, "packet", 6, 3);
  g_assert_cmpint(wsc_control_receive(ends->ours, octets, sizeof octets, fds, &received), ==, -1);
  g_assert_cmpint(errno, ==, EMSGSIZE);
  g_assert_cmpuint(received, ==, 0);
}

static void test_empty_packet(struct ends *ends, const void *data) {
  uint8_t octets[4];
  int fds[WSC_CONTROL_FDS_MAX];
  size_t received = 99;
  (void)data;
  send_raw(ends, "", 0, 2);
  g_assert_cmpint(wsc_control_receive(ends->ours, octets, sizeof octets, fds, &received), ==, 0);
  g_assert_cmpuint(received, ==, 0);
}

static void test_no_descriptor_left(struct ends *ends, const void *data) {
  uint8_t octets[16];
  int fds[WSC_CONTROL_FDS_MAX];
  size_t received = 99;
  struct rlimit before, tight;
  (void)data;
  send_raw(ends, "packet", 6, 2);
  int lowest = dup(ends->spare); /* the number that one descriptor will still get */
  close(lowest);
  g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
  tight = before;
  tight.rlim_cur = (rlim_t)lowest + 1;
  g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &tight), ==, 0);
  ssize_t result = wsc_control_receive(ends->ours, octets, sizeof octets, fds, &received);
  int error = errno;
  g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
  g_assert_cmpint(result, ==, -1);
  g_assert_cmpint(error, ==, EMSGSIZE);
  g_assert_cmpuint(received, ==, 0);
}

static void test_bounds_of_sending(struct ends *ends, const void *data) {
  g_autofree uint8_t *octets = g_malloc0(WSC_CONTROL_PACKET_MAX + 1);
  int fds[WSC_CONTROL_FDS_MAX + 1] = {0};
  size_t received;
  (void)data;
  g_assert_cmpint(wsc_control_send(ends->theirs, octets, 0, NULL, 0), ==, -1);
  g_assert_cmpint(errno, ==, EINVAL);
  g_assert_cmpint(wsc_control_send(ends->theirs, octets, 8, fds, WSC_CONTROL_FDS_MAX + 1), ==, -1);
  g_assert_cmpint(errno, ==, EINVAL);
  g_assert_cmpint(wsc_control_send(ends->theirs, octets, WSC_CONTROL_PACKET_MAX + 1, NULL, 0), ==, -1);
  g_assert_cmpint(errno, ==, EMSGSIZE);
  g_assert_cmpint(wsc_control_send(ends->theirs, octets, WSC_CONTROL_PACKET_MAX, NULL, 0), ==, WSC_CONTROL_PACKET_MAX);
  g_assert_cmpint(wsc_control_receive(ends->ours, octets, WSC_CONTROL_PACKET_MAX, fds, &received), ==,
                  WSC_CONTROL_PACKET_MAX);
}

static void test_end(struct ends *ends, const void *data) {
  uint8_t octets[4];
  int fds[WSC_CONTROL_FDS_MAX];
  size_t received = 99;
  (void)data;
  g_assert_cmpint(fcntl(ends->ours, F_SETFL, O_NONBLOCK), ==, 0);
  g_assert_cmpint(wsc_control_receive(ends->ours, octets, sizeof octets, fds, &received), ==, -1);
  g_assert_cmpint(errno, ==, EAGAIN);
  g_assert_cmpuint(received, ==, 0);
  g_assert_cmpint(shutdown(ends->theirs, SHUT_RDWR), ==, 0);
  g_assert_cmpint(wsc_control_receive(ends->ours, octets, sizeof octets, fds, &received), ==, 0);
  /* SIGPIPE would end the test. */
  g_assert_cmpint(wsc_control_send(ends->ours, (const uint8_t *)"packet", 6, NULL, 0), ==, -1);
  g_assert_cmpint(errno, ==, EPIPE);
}

static int answering_end;
static volatile sig_atomic_t alarms;

/* The third alarm brings the packet that the interrupted reader waits for. */
static void on_alarm(int signal_number) {
  (void)signal_number;
  if (++alarms == 3 && send(answering_end, "packet", 6, MSG_NOSIGNAL) != 6)
    abort();
}

static void test_interruption(struct ends *ends, const void *data) {
  struct sigaction action = {.sa_handler = on_alarm}, before; /* without SA_RESTART */
  struct itimerval timer = {{0, 20000}, {0, 20000}}, off = {{0, 0}, {0, 0}};
  uint8_t octets[16];
  int fds[WSC_CONTROL_FDS_MAX];
  size_t received;
  (void)data;
  answering_end = ends->theirs;
  alarms = 0;
  g_assert_cmpint(sigaction(SIGALRM, &action, &before), ==, 0);
  g_assert_cmpint(setitimer(ITIMER_REAL, &timer, NULL), ==, 0);
  ssize_t result = wsc_control_receive(ends->ours, octets, sizeof octets, fds, &received);
  g_assert_cmpint(setitimer(ITIMER_REAL, &off, NULL), ==, 0);
  g_assert_cmpint(sigaction(SIGALRM, &before, NULL), ==, 0);
  g_assert_cmpint(result, ==, 6);
  g_assert_cmpint(alarms, >=, 3);
}

#define ADD(name, function) g_test_add("/control-socket/" name, struct ends, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  signal(SIGPIPE, SIG_DFL); /* whoever started the test may have it ignored */
  ADD("descriptors-arrive-and-do-not-survive-exec", test_descriptors);
  ADD("too-many-descriptors-leak-none", test_too_many_descriptors);
  ADD("truncated-packet-leaks-no-descriptor", test_truncated_packet);
  ADD("empty-packet-leaks-no-descriptor", test_empty_packet);
  ADD("no-number-left-leaks-no-descriptor", test_no_descriptor_left);
  ADD("bounds-of-sending", test_bounds_of_sending);
  ADD("end-is-noticed-without-dying-of-sigpipe", test_end);
  ADD("signals-do-not-lose-a-packet", test_interruption);
  return g_test_run();
}
