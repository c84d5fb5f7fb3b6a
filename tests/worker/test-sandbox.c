/* SPDX-License-Identifier: Apache-2.0 */
/* Each forbidden thing is tried by a child of its own that has locked itself in, as root and as an ordinary user alike. */
#include "worker/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/capability.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a child reports by its exit status. */
enum { AS_EXPECTED = 0, NOT_LOCKED_IN = 100, PERMITTED = 101, OTHER_ERROR = 102 };

/* Runs `act` in a child, locked in; its wait status. */
static int run_locked_in(int (*act)(void)) {
  pid_t child = fork();
  g_assert_cmpint(child, >=, 0);
  if (child == 0) {
    struct rlimit no_core = {0};
    (void)setrlimit(RLIMIT_CORE, &no_core);
    _exit(wsw_sandbox_enter() ? NOT_LOCKED_IN : act());
  }
  int status;
  g_assert_cmpint(waitpid(child, &status, 0), ==, child);
  return status;
}

static void assert_works(int (*act)(void)) {
  int status = run_locked_in(act);
  g_assert_true(WIFEXITED(status));
  g_assert_cmpint(WEXITSTATUS(status), ==, AS_EXPECTED);
}

static void assert_killed(int (*act)(void)) {
  int status = run_locked_in(act);
  g_assert_true(WIFSIGNALED(status));
  g_assert_cmpint(WTERMSIG(status), ==, SIGSYS);
}

static bool skipped_for_sanitizers(void) {
  if (!wsw_sandbox_filter_is_sanitizer())
    return false;
  g_test_skip("this build has the sanitizers' wider filter, which allows this");
  return true;
}

/* --- Answered with EPERM --- */

static int refused(long result) {
  if (result >= 0)
    return PERMITTED;
  return errno == EPERM ? AS_EXPECTED : OTHER_ERROR;
}

static int try_open(void) {
  return refused(open("/etc/passwd", O_RDONLY));
}
static int try_open_plain(void) {
  return refused(syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY));
}
static int try_create(void) {
  return refused(open("/tmp/wsserver-sandbox-test", O_CREAT | O_WRONLY, 0600));
}
static int try_stat(void) {
  struct stat status;
  return refused(stat("/etc/passwd", &status));
}
static int try_fork(void) {
  pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
  if (child == 0)
    _exit(0);
  return refused(child);
}
static int try_thread(void) {
  struct {
    uint64_t flags, rest[10];
  } arguments = {.flags = CLONE_VM};
  return refused(syscall(SYS_clone3, &arguments, sizeof arguments));
}
static int try_socket(void) {
  return refused(socket(AF_INET, SOCK_STREAM, 0));
}
static int try_unix_socket(void) {
  return refused(socket(AF_UNIX, SOCK_STREAM, 0));
}
static int try_socketpair(void) {
  int pair[2];
  return refused(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
}
static int try_bind(void) {
  return refused(bind(0, NULL, 0));
}
static int try_listen(void) {
  return refused(listen(0, 1));
}
static int try_kill(void) {
  return refused(kill(getppid(), 0));
}
static int try_signal_others(void) {
  return refused(syscall(SYS_tgkill, 1, 1, SIGTERM));
}
static int try_prctl(void) {
  return refused(prctl(PR_SET_DUMPABLE, 1));
}
static int try_setuid(void) {
  return refused(setuid(0));
}
static int try_unlink(void) {
  return refused(unlink("/tmp/wsserver-sandbox-test"));
}
static int try_rlimit(void) {
  struct rlimit limits = {1, 1};
  return refused(setrlimit(RLIMIT_NOFILE, &limits));
}
static int try_executable_memory(void) {
  void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return refused(memory == MAP_FAILED ? -1 : 0);
}
static int try_making_memory_executable(void) {
  void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? OTHER_ERROR : refused(mprotect(memory, 4096, PROT_READ | PROT_EXEC));
}
static int try_socket_option(void) {
  int on = 1;
  return refused(setsockopt(0, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on));
}
static int try_duplicating_descriptors(void) {
  return refused(fcntl(0, F_DUPFD, 0));
}
static int try_pidfd(void) {
  return refused(syscall(SYS_pidfd_open, getpid(), 0));
}

struct refusal {
  const char *path;
  int (*act)(void);
  bool sanitizer_needs_it;
};

static const struct refusal refusals[] = {
    {"/sandbox/no-file-is-opened", try_open, true},
    {"/sandbox/not-even-its-own-maps", try_open_plain, true},
    {"/sandbox/no-file-is-made", try_create, true},
    {"/sandbox/no-file-is-looked-at", try_stat, true},
    {"/sandbox/no-file-is-removed", try_unlink, false},
    {"/sandbox/no-process-is-made", try_fork, true},
    {"/sandbox/no-thread-is-made", try_thread, true},
    {"/sandbox/no-socket-is-made", try_socket, false},
    {"/sandbox/no-unix-socket-is-made", try_unix_socket, false},
    {"/sandbox/no-socket-pair-is-made", try_socketpair, false},
    {"/sandbox/nothing-is-bound", try_bind, false},
    {"/sandbox/nothing-listens-anew", try_listen, false},
    {"/sandbox/nobody-is-signalled", try_kill, true},
    {"/sandbox/nobody-is-signalled-by-thread", try_signal_others, true},
    {"/sandbox/nothing-is-undone", try_prctl, true},
    {"/sandbox/nobody-else-is-become", try_setuid, false},
    {"/sandbox/no-limit-is-lifted", try_rlimit, true},
    {"/sandbox/no-memory-is-executable", try_executable_memory, true},
    {"/sandbox/no-memory-becomes-executable", try_making_memory_executable, true},
    {"/sandbox/no-port-is-shared", try_socket_option, false},
    {"/sandbox/no-descriptor-is-duplicated", try_duplicating_descriptors, false},
    {"/sandbox/no-process-is-held", try_pidfd, false},
};

static void check_refusal(gconstpointer data) {
  const struct refusal *refusal = data;
  if (refusal->sanitizer_needs_it && skipped_for_sanitizers())
    return;
  assert_works(refusal->act);
}

/* --- Killed --- */

static int try_exec(void) {
  execl("/bin/true", "true", (char *)NULL);
  return PERMITTED;
}
static int try_execveat(void) {
  syscall(SYS_execveat, AT_FDCWD, "/bin/true", NULL, NULL, 0);
  return PERMITTED;
}
static int try_connect(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9)};
  (void)connect(0, (struct sockaddr *)&address, sizeof address);
  return PERMITTED;
}
static int try_ptrace(void) {
  ptrace(PTRACE_TRACEME, 0, NULL, NULL);
  return PERMITTED;
}
static int try_reading_others(void) {
  char octet;
  struct iovec ours = {&octet, 1}, theirs = {&octet, 1};
  process_vm_readv(getpid(), &ours, 1, &theirs, 1, 0);
  return PERMITTED;
}
static int try_writing_others(void) {
  char octet = 0;
  struct iovec ours = {&octet, 1}, theirs = {&octet, 1};
  process_vm_writev(getpid(), &ours, 1, &theirs, 1, 0);
  return PERMITTED;
}
static int try_bpf(void) {
  syscall(SYS_bpf, 0, NULL, 0);
  return PERMITTED;
}
static int try_kexec(void) {
  syscall(SYS_kexec_load, 0, 0, NULL, 0);
  return PERMITTED;
}
static int try_module(void) {
  syscall(SYS_finit_module, -1, "", 0);
  return PERMITTED;
}
static int try_io_uring(void) {
  syscall(SYS_io_uring_setup, 1, NULL);
  return PERMITTED;
}
static int try_unshare(void) {
  unshare(CLONE_NEWUSER);
  return PERMITTED;
}
#ifdef __x86_64__
static int try_x32(void) {
  syscall(0x40000000 + SYS_getpid);
  return PERMITTED;
}
#endif

static const struct refusal deaths[] = {
    {"/sandbox/killed/exec", try_exec, false},
    {"/sandbox/killed/execveat", try_execveat, false},
    {"/sandbox/killed/connect", try_connect, false},
    {"/sandbox/killed/ptrace", try_ptrace, true},
    {"/sandbox/killed/reading-memory-of-others", try_reading_others, false},
    {"/sandbox/killed/writing-memory-of-others", try_writing_others, false},
    {"/sandbox/killed/bpf", try_bpf, false},
    {"/sandbox/killed/kexec", try_kexec, false},
    {"/sandbox/killed/kernel-module", try_module, false},
    {"/sandbox/killed/io-uring", try_io_uring, false},
    {"/sandbox/killed/namespaces", try_unshare, false},
#ifdef __x86_64__
    {"/sandbox/killed/foreign-system-call-table", try_x32, false},
#endif
};

static void check_death(gconstpointer data) {
  const struct refusal *refusal = data;
  if (refusal->sanitizer_needs_it && skipped_for_sanitizers())
    return;
  assert_killed(refusal->act);
}

/* --- Still possible --- */

static int listener = -1, client = -1, epoll = -1;

static int serve_one(void) {
  struct epoll_event event = {.events = EPOLLIN};
  char octets[5];
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0 || epoll_wait(epoll, &event, 1, 5000) != 1)
    return OTHER_ERROR;
  int peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  int on = 1;
  if (peer < 0 || setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
    return OTHER_ERROR;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, peer, &event) < 0 || epoll_wait(epoll, &event, 1, 5000) != 1)
    return OTHER_ERROR;
  if (recv(peer, octets, sizeof octets, MSG_DONTWAIT) != 5 || send(peer, octets, 5, MSG_NOSIGNAL) != 5)
    return OTHER_ERROR;
  return shutdown(peer, SHUT_WR) == 0 && close(peer) == 0 ? AS_EXPECTED : OTHER_ERROR;
}

static void the_listening_socket_still_accepts(void) {
  listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof address;
  g_assert_cmpint(bind(listener, (struct sockaddr *)&address, sizeof address), ==, 0);
  g_assert_cmpint(listen(listener, 1), ==, 0);
  g_assert_cmpint(getsockname(listener, (struct sockaddr *)&address, &length), ==, 0);
  client = socket(AF_INET, SOCK_STREAM, 0);
  g_assert_cmpint(connect(client, (struct sockaddr *)&address, sizeof address), ==, 0);
  g_assert_cmpint(send(client, "hello", 5, 0), ==, 5);
  epoll = epoll_create1(0);
  assert_works(serve_one);
  char octets[5];
  g_assert_cmpint(recv(client, octets, sizeof octets, MSG_WAITALL), ==, 5);
  g_assert_cmpint(memcmp(octets, "hello", 5), ==, 0);
  close(listener);
  close(client);
  close(epoll);
}

static int allocate(void) {
  for (size_t size = 16; size <= 64u << 20; size *= 4) {
    char *octets = malloc(size);
    if (!octets)
      return OTHER_ERROR;
    memset(octets, 1, size);
    char *larger = realloc(octets, size * 2);
    if (!larger)
      return OTHER_ERROR;
    free(larger);
  }
  return AS_EXPECTED;
}

static void memory_still_grows(void) {
  assert_works(allocate);
}

static int look_at_privileges(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
  if (syscall(SYS_capget, &header, sets) == 0) /* the filter refuses to tell, but the sanitizers' might not */
    for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
      if (sets[i].effective || sets[i].permitted || sets[i].inheritable)
        return PERMITTED;
  return AS_EXPECTED;
}

/* /proc of a child that waits, locked in, tells what it has left. */
static char *status_of_locked_in_process(void) {
  int ready[2], leave[2];
  g_assert_cmpint(pipe(ready), ==, 0);
  g_assert_cmpint(pipe(leave), ==, 0);
  pid_t child = fork();
  if (child == 0) {
    close(leave[1]);
    char octet = wsw_sandbox_enter() ? 'x' : 'o';
    octet = write(ready[1], &octet, 1) == 1 ? 0 : 1;
    (void)!read(leave[0], &octet, 1);
    _exit(0);
  }
  char octet;
  g_assert_cmpint(read(ready[0], &octet, 1), ==, 1);
  g_assert_cmpint(octet, ==, 'o');
  g_autofree char *path = g_strdup_printf("/proc/%d/status", child);
  char *status = NULL;
  g_assert_true(g_file_get_contents(path, &status, NULL, NULL));
  close(leave[1]);
  waitpid(child, NULL, 0);
  close(ready[0]);
  close(ready[1]);
  close(leave[0]);
  return status;
}

static void no_privilege_is_left(void) {
  assert_works(look_at_privileges);
  g_autofree char *status = status_of_locked_in_process();
  static const char *const lines[] = {"CapInh:\t0000000000000000",
                                      "CapPrm:\t0000000000000000",
                                      "CapEff:\t0000000000000000",
                                      "CapAmb:\t0000000000000000",
                                      "NoNewPrivs:\t1",
                                      "Seccomp:\t2"};
  for (unsigned i = 0; i < G_N_ELEMENTS(lines); i++)
    g_assert_nonnull(strstr(status, lines[i]));
  if (getuid() == 0)
    g_assert_nonnull(strstr(status, "CapBnd:\t0000000000000000"));
}

static int die_of_abort(void) {
  abort();
}

static void a_detected_fault_is_visible_as_one(void) {
  if (skipped_for_sanitizers())
    return;
  int status = run_locked_in(die_of_abort);
  g_assert_true(WIFSIGNALED(status));
  g_assert_cmpint(WTERMSIG(status), ==, SIGABRT);
}

static int limit_descriptors(void) {
  struct rlimit before, after;
  getrlimit(RLIMIT_NOFILE, &before);
  uint32_t limit = wsw_sandbox_limit_descriptors(40);
  getrlimit(RLIMIT_NOFILE, &after);
  if (limit != 40 || after.rlim_cur != 40 || after.rlim_max != 40)
    return OTHER_ERROR;
  return wsw_sandbox_limit_descriptors(1000000) == 40 ? AS_EXPECTED : PERMITTED;
}

static void descriptors_are_limited_to_what_the_server_needs(void) {
  pid_t child = fork();
  if (child == 0)
    _exit(limit_descriptors());
  int status;
  waitpid(child, &status, 0);
  g_assert_true(WIFEXITED(status));
  g_assert_cmpint(WEXITSTATUS(status), ==, AS_EXPECTED);
}

int main(int count, char **arguments) {
  g_test_init(&count, &arguments, NULL);
  for (unsigned i = 0; i < G_N_ELEMENTS(refusals); i++)
    g_test_add_data_func(refusals[i].path, &refusals[i], check_refusal);
  for (unsigned i = 0; i < G_N_ELEMENTS(deaths); i++)
    g_test_add_data_func(deaths[i].path, &deaths[i], check_death);
  g_test_add_func("/sandbox/the-listening-socket-still-accepts", the_listening_socket_still_accepts);
  g_test_add_func("/sandbox/memory-still-grows", memory_still_grows);
  g_test_add_func("/sandbox/no-privilege-is-left", no_privilege_is_left);
  g_test_add_func("/sandbox/a-detected-fault-is-visible-as-one", a_detected_fault_is_visible_as_one);
  g_test_add_func("/sandbox/descriptors-are-limited-to-what-the-server-needs",
                  descriptors_are_limited_to_what_the_server_needs);
  return g_test_run();
}
