/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/load/account.h"
#include "tools/bench/load/clock.h"
#include "tools/bench/load/failure.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool load_processes_parse(struct load_processes *processes, const char *list) {
  for (const char *at = list; *at; at++) {
    char *end;
    const long pid = strtol(at, &end, 10);
    if (pid <= 0 || end == at || (*end && *end != ',') || processes->count == LOAD_PROCESSES_MAX)
      return false;
    processes->pids[processes->count++] = (pid_t)pid;
    if (!*end)
      return true;
    at = end;
  }
  return processes->count == 0;
}

/* The kernel's own clock of that process: exact where /proc/PID/stat counts ticks, and with the threads that have ended. */
static uint64_t cpu_of(pid_t pid) {
  clockid_t clock;
  struct timespec time;
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0)
    load_fail(LOAD_STATUS_SERVER, "process %d of the server has ended", (int)pid);
  return (uint64_t)time.tv_sec * LOAD_SECOND + (uint64_t)time.tv_nsec;
}

/* Third figure of schedstat: how often that thread was given a processor. */
static uint64_t switches_of_thread(pid_t pid, const char *thread) {
  char path[64];
  unsigned long long cpu, waited, switches = 0;
  snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", (int)pid, thread);
  FILE *file = fopen(path, "re");
  if (!file)
    return 0; /* it has just ended */
  if (fscanf(file, "%llu %llu %llu", &cpu, &waited, &switches) != 3)
    switches = 0;
  fclose(file);
  return switches;
}

static uint64_t switches_of(pid_t pid) {
  char path[64];
  uint64_t switches = 0;
  snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
  DIR *threads = opendir(path);
  if (!threads)
    return 0;
  for (struct dirent *entry; (entry = readdir(threads));)
    if (isdigit((unsigned char)entry->d_name[0]))
      switches += switches_of_thread(pid, entry->d_name);
  closedir(threads);
  return switches;
}

void load_account_read(const struct load_processes *processes, struct load_account *account) {
  memset(account, 0, sizeof *account);
  for (unsigned i = 0; i < processes->count; i++)
    account->switches += switches_of(processes->pids[i]);
  for (unsigned i = 0; i < processes->count; i++) {
    account->each[i] = cpu_of(processes->pids[i]);
    account->cpu += account->each[i];
  }
  account->at = load_now();
}
