/* SPDX-License-Identifier: Apache-2.0 */
/* A benchmark that finds something wrong has no result: it says what it found and ends. */
#pragma once

enum load_status {
  LOAD_STATUS_USAGE = 1,
  LOAD_STATUS_SYSTEM = 2, /* of this machine: no descriptors, no memory */
  LOAD_STATUS_SERVER = 3, /* the server said something wrong, or nothing */
};

/* Prints "load: " and the sentence to standard error, and exits. */
_Noreturn void load_fail(enum load_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* malloc() that does not come back without memory. */
void *load_allocate(unsigned long size);
