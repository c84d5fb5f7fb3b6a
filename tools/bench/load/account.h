/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the processes of the server under test have consumed: read right at the beginning and the end of what is measured, by
 * the process that measures.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define LOAD_PROCESSES_MAX 16

struct load_account {
  uint64_t at;                       /* load_now() */
  uint64_t cpu;                      /* nanoseconds of all threads of all processes, kernel time included */
  uint64_t switches;                 /* how often one of their threads got the processor */
  uint64_t each[LOAD_PROCESSES_MAX]; /* cpu by process */
};

struct load_processes {
  pid_t pids[LOAD_PROCESSES_MAX];
  unsigned count;
};

/* "12,34"; false when it is no such list. */
bool load_processes_parse(struct load_processes *processes, const char *list);
void load_account_read(const struct load_processes *processes, struct load_account *account);
