/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/channel/allocations.h"

#include <errno.h>

static bool refused;
static size_t taken, largest_taken;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static bool admit(size_t size) {
  taken++;
  if (size > largest_taken)
    largest_taken = size;
  if (refused)
    errno = ENOMEM;
  return !refused;
}

void *__wrap_malloc(size_t size) {
  return admit(size) ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size) {
  return admit(count * size) ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *memory, size_t size) {
  return admit(size) ? __real_realloc(memory, size) : NULL;
}

void allocations_refuse(bool refuse) {
  refused = refuse;
}

size_t allocations_taken(size_t *largest) {
  size_t count = taken;
  if (largest != NULL)
    *largest = largest_taken;
  taken = largest_taken = 0;
  return count;
}
