/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long things took, in nanoseconds: counted in buckets that grow with the value, so that each is known to about one
 * part in 64 and any number of values takes the same memory.
 */
#pragma once

#include <stdint.h>

#define LOAD_HISTOGRAM_FINE 6 /* bits of a value that are kept */
#define LOAD_HISTOGRAM_BUCKETS ((64 - LOAD_HISTOGRAM_FINE + 1) << LOAD_HISTOGRAM_FINE)

struct load_histogram {
  uint64_t count, max;
  uint64_t buckets[LOAD_HISTOGRAM_BUCKETS];
};

void load_histogram_clear(struct load_histogram *histogram);
void load_histogram_add(struct load_histogram *histogram, uint64_t value);
/* The value that this part of all values (0 to 1) does not exceed; 0 without values. */
uint64_t load_histogram_quantile(const struct load_histogram *histogram, double part);
