/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef WSW_SANITIZED
#define WSW_SANITIZED 0
#endif

/* One system call, with a condition on one argument where `mask` is not 0: (argument & mask) == value. */
struct rule {
  int call;
  unsigned argument;
  uint64_t mask, value;
};

#define ALWAYS(name)                                                                                                   \
  { .call = SCMP_SYS(name) }
#define WHEN(name, index, bits, equals)                                                                                \
  { .call = SCMP_SYS(name), .argument = (index), .mask = (bits), .value = (equals) }
#define WHOLE 0xFFFFFFFFu

/* What the worker needs. */
static const struct rule release_rules[] = {
    ALWAYS(read),
    ALWAYS(write),
    ALWAYS(readv),
    ALWAYS(pread64), /* of what is open: a vault with another certificate */
    ALWAYS(writev),
    ALWAYS(recvfrom),
    ALWAYS(recvmsg),
    ALWAYS(sendto),
    ALWAYS(sendmsg),
    ALWAYS(accept4),
    ALWAYS(epoll_wait),
    ALWAYS(epoll_pwait),
    ALWAYS(epoll_pwait2),
    ALWAYS(epoll_ctl),
    ALWAYS(close),
    ALWAYS(shutdown),
    ALWAYS(getsockopt),
    ALWAYS(getsockname),
    ALWAYS(getpeername),
    WHEN(setsockopt, 1, WHOLE, IPPROTO_TCP),
    WHEN(fcntl, 1, WHOLE, F_GETFL),
    WHEN(fcntl, 1, WHOLE, F_SETFL),
    WHEN(fcntl, 1, WHOLE, F_GETFD),
    WHEN(fcntl, 1, WHOLE, F_SETFD),
    ALWAYS(clock_gettime),
    ALWAYS(clock_gettime64),
    ALWAYS(gettimeofday),
    ALWAYS(time),
    ALWAYS(clock_nanosleep),
    ALWAYS(clock_nanosleep_time64),
    ALWAYS(nanosleep),
    WHEN(mmap, 2, PROT_EXEC, 0),
    WHEN(mmap2, 2, PROT_EXEC, 0),
    WHEN(mprotect, 2, PROT_EXEC, 0),
    ALWAYS(munmap),
    ALWAYS(mremap),
    ALWAYS(madvise),
    ALWAYS(brk),
    ALWAYS(futex),
    ALWAYS(futex_time64),
    ALWAYS(sched_yield),
    ALWAYS(rt_sigreturn),
    ALWAYS(sigreturn),
    ALWAYS(rt_sigprocmask),
    ALWAYS(restart_syscall),
    ALWAYS(exit),
    ALWAYS(exit_group),
    ALWAYS(getrandom),
    ALWAYS(getpid),
    ALWAYS(gettid),
    ALWAYS(sysinfo),
};

#if WSW_SANITIZED
/* What the sanitizers' run-time library needs on top: its maps, its stacks, its reports, and the thread that looks for leaks. */
static const struct rule wsw_sandbox_filter_sanitizer[] = {
    ALWAYS(open),
    ALWAYS(openat),
    ALWAYS(stat),
    ALWAYS(fstat),
    ALWAYS(newfstatat),
    ALWAYS(statx),
    ALWAYS(readlink),
    ALWAYS(readlinkat),
    ALWAYS(getdents),
    ALWAYS(getdents64),
    ALWAYS(lseek),
    ALWAYS(access),
    ALWAYS(getcwd),
    ALWAYS(clone),
    ALWAYS(clone3),
    ALWAYS(ptrace),
    ALWAYS(wait4),
    ALWAYS(waitid),
    ALWAYS(prctl),
    ALWAYS(arch_prctl),
    ALWAYS(sigaltstack),
    ALWAYS(rt_sigaction),
    ALWAYS(getppid),
    ALWAYS(kill),
    ALWAYS(tkill),
    ALWAYS(tgkill),
    ALWAYS(set_robust_list),
    ALWAYS(rseq),
    ALWAYS(sched_getaffinity),
    ALWAYS(getrlimit),
    ALWAYS(setrlimit),
    ALWAYS(prlimit64),
    ALWAYS(getuid),
    ALWAYS(geteuid),
    ALWAYS(getgid),
    ALWAYS(getegid),
    ALWAYS(uname),
    ALWAYS(ioctl),
    ALWAYS(pipe),
    ALWAYS(pipe2),
    ALWAYS(poll),
    ALWAYS(mmap),
    ALWAYS(mprotect),
    ALWAYS(set_tid_address),
    ALWAYS(mincore),
    ALWAYS(getrusage),
    ALWAYS(membarrier),
};
#endif

/* What nobody but an attacker asks for. */
static const struct rule deadly_rules[] = {
    ALWAYS(execve),
    ALWAYS(execveat),
    ALWAYS(connect),
    ALWAYS(process_vm_readv),
    ALWAYS(process_vm_writev),
#if !WSW_SANITIZED
    ALWAYS(ptrace),
#endif
    ALWAYS(bpf),
    ALWAYS(kexec_load),
    ALWAYS(kexec_file_load),
    ALWAYS(init_module),
    ALWAYS(finit_module),
    ALWAYS(delete_module),
    ALWAYS(userfaultfd),
    ALWAYS(perf_event_open),
    ALWAYS(io_uring_setup),
    ALWAYS(mount),
    ALWAYS(umount2),
    ALWAYS(pivot_root),
    ALWAYS(chroot),
    ALWAYS(setns),
    ALWAYS(unshare),
    ALWAYS(reboot),
    ALWAYS(keyctl),
    ALWAYS(add_key),
    ALWAYS(request_key),
    ALWAYS(process_madvise),
    ALWAYS(pidfd_getfd),
};

static bool add_rules(scmp_filter_ctx filter, uint32_t action, const struct rule *rules, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const struct rule *rule = &rules[i];
    struct scmp_arg_cmp condition = SCMP_CMP(rule->argument, SCMP_CMP_MASKED_EQ, rule->mask, rule->value);
    if (seccomp_rule_add_array(filter, action, rule->call, rule->mask ? 1 : 0, &condition) < 0)
      return false;
  }
  return true;
}

#if !WSW_SANITIZED
/* abort() has to work, or a detected fault would not be seen as one. */
static bool allow_abort(scmp_filter_ctx filter) {
  const struct rule rule = WHEN(tgkill, 0, WHOLE, (uint32_t)getpid());
  return add_rules(filter, SCMP_ACT_ALLOW, &rule, 1);
}
#endif

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool fill_filter(scmp_filter_ctx filter) {
  /* x32 counts as a foreign table on x86-64. */
  if (seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) < 0)
    return false;
  (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a binary tree; older libraries only know the list */
  if (!add_rules(filter, SCMP_ACT_KILL_PROCESS, deadly_rules, COUNT(deadly_rules)))
    return false;
#if WSW_SANITIZED
  if (!add_rules(filter, SCMP_ACT_ALLOW, wsw_sandbox_filter_sanitizer, COUNT(wsw_sandbox_filter_sanitizer)))
    return false;
#else
  if (!allow_abort(filter))
    return false;
#endif
  return add_rules(filter, SCMP_ACT_ALLOW, release_rules, COUNT(release_rules));
}

static bool load_filter(void) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  if (!filter)
    return false;
  bool loaded = fill_filter(filter) && seccomp_load(filter) >= 0;
  seccomp_release(filter);
  (void)malloc_trim(0); /* building it took more memory than the worker itself */
  return loaded;
}

static bool limit(__rlimit_resource_t resource, rlim_t value) {
  struct rlimit limits = {.rlim_cur = value, .rlim_max = value};
  return setrlimit(resource, &limits) == 0;
}

static bool set_limits(void) {
#if !WSW_SANITIZED /* whose reports are files, and whose search for leaks is a thread */
  if (!limit(RLIMIT_FSIZE, 0) || !limit(RLIMIT_NPROC, 0))
    return false;
#endif
  return limit(RLIMIT_CORE, 0) && limit(RLIMIT_MEMLOCK, 0) && limit(RLIMIT_MSGQUEUE, 0) &&
         limit(RLIMIT_SIGPENDING, 0) && limit(RLIMIT_RTPRIO, 0) && limit(RLIMIT_NICE, 0);
}

/* The order matters: what needs a capability comes before the last one goes. An ordinary user has none to begin with. */
static bool drop_capabilities(void) {
  (void)prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                     SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                     SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED);
  for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++)
    (void)prctl(PR_CAPBSET_DROP, capability);
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
    return false;
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
  if (syscall(SYS_capset, &header, none) == 0)
    return true;
  /* A service manager's filter may deny that where there is nothing to drop. What is inheritable is worth nothing by itself. */
  struct __user_cap_data_struct held[_LINUX_CAPABILITY_U32S_3];
  if (syscall(SYS_capget, &header, held) < 0)
    return false;
  return (held[0].permitted | held[0].effective | held[1].permitted | held[1].effective) == 0;
}

const char *wsw_sandbox_enter(void) {
  if (!WSW_SANITIZED && prctl(PR_SET_DUMPABLE, 0) < 0)
    return "sandbox: the process cannot be made undumpable";
  if (!set_limits())
    return "sandbox: a resource limit cannot be set";
  if (!drop_capabilities())
    return "sandbox: capabilities cannot be dropped";
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
    return "sandbox: no_new_privs cannot be set";
  if (!load_filter())
    return "sandbox: the system call filter cannot be loaded";
  return NULL;
}

bool wsw_sandbox_limit_memory(uint64_t octets) {
  struct rlimit limits;
  if (WSW_SANITIZED)
    return true;
  return getrlimit(RLIMIT_DATA, &limits) == 0 &&
         limit(RLIMIT_DATA, limits.rlim_max < octets ? limits.rlim_max : (rlim_t)octets);
}

uint32_t wsw_sandbox_limit_descriptors(uint32_t wanted) {
  struct rlimit limits;
  if (getrlimit(RLIMIT_NOFILE, &limits) < 0)
    return 0;
  rlim_t most = limits.rlim_max < wanted ? limits.rlim_max : wanted;
  if (limit(RLIMIT_NOFILE, most))
    return (uint32_t)most;
  return limits.rlim_cur < wanted ? (uint32_t)limits.rlim_cur : wanted;
}

bool wsw_sandbox_filter_is_sanitizer(void) {
  return WSW_SANITIZED;
}
