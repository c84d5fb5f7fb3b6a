/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/load/failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void load_fail(enum load_status status, const char *format, ...) {
  va_list arguments;
  fflush(stdout);
  fputs("load: ", stderr);
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit((int)status);
}

void *load_allocate(unsigned long size) {
  void *memory = calloc(1, size);
  if (!memory)
    load_fail(LOAD_STATUS_SYSTEM, "no memory for %lu octets", size);
  return memory;
}
