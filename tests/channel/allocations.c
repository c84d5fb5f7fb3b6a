/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/channel/allocations.h"

#include <errno.h>
#include <malloc.h>

static bool refused;
static size_t refused_in; /* the how manieth from now is refused; 0: none */
static size_t taken, largest_taken, live;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);

static bool admit(size_t size) {
  bool admitted = !refused && refused_in != 1;
  taken++;
  if (size > largest_taken)
    largest_taken = size;
  if (refused_in > 0)
    refused_in--;
  if (!admitted)
    errno = ENOMEM;
  return admitted;
}

static void *counted(void *memory) {
  live += malloc_usable_size(memory);
  return memory;
}

void *__wrap_malloc(size_t size) {
  return admit(size) ? counted(__real_malloc(size)) : NULL;
}

void *__wrap_calloc(size_t count, size_t size) {
  return admit(count * size) ? counted(__real_calloc(count, size)) : NULL;
}

void *__wrap_realloc(void *memory, size_t size) {
  if (!admit(size))
    return NULL;
  live -= malloc_usable_size(memory);
  return counted(__real_realloc(memory, size));
}

void __wrap_free(void *memory) {
  live -= malloc_usable_size(memory);
  __real_free(memory);
}

void allocations_refuse(bool refuse) {
  refused = refuse;
}

void allocations_refuse_nth(size_t nth) {
  refused_in = nth;
}

bool allocations_refused_nth(void) {
  return refused_in == 0;
}

size_t allocations_live(void) {
  return live;
}

size_t allocations_taken(size_t *largest) {
  size_t count = taken;
  if (largest != NULL)
    *largest = largest_taken;
  taken = largest_taken = 0;
  return count;
}
