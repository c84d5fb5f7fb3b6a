/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/load/histogram.h"

#include <string.h>

/* Values below 2^FINE have a bucket each; above that, 2^FINE buckets for each doubling. */
static unsigned bucket_of(uint64_t value) {
  if (value >> LOAD_HISTOGRAM_FINE == 0)
    return (unsigned)value;
  const unsigned shift = 63u - LOAD_HISTOGRAM_FINE - (unsigned)__builtin_clzll(value);
  return ((shift + 1) << LOAD_HISTOGRAM_FINE) + (unsigned)((value >> shift) - (1u << LOAD_HISTOGRAM_FINE));
}

/* The middle of the bucket. */
static uint64_t value_of(unsigned bucket) {
  const unsigned doubling = bucket >> LOAD_HISTOGRAM_FINE;
  if (doubling == 0)
    return bucket;
  const uint64_t base = (1u << LOAD_HISTOGRAM_FINE) + (bucket & ((1u << LOAD_HISTOGRAM_FINE) - 1));
  return (base << (doubling - 1)) + (1ull << (doubling - 1)) / 2;
}

void load_histogram_clear(struct load_histogram *histogram) {
  memset(histogram, 0, sizeof *histogram);
}

void load_histogram_add(struct load_histogram *histogram, uint64_t value) {
  histogram->buckets[bucket_of(value)]++;
  histogram->count++;
  if (value > histogram->max)
    histogram->max = value;
}

uint64_t load_histogram_quantile(const struct load_histogram *histogram, double part) {
  const uint64_t wanted = (uint64_t)((double)histogram->count * part);
  uint64_t seen = 0;
  for (unsigned i = 0; i < LOAD_HISTOGRAM_BUCKETS; i++) {
    seen += histogram->buckets[i];
    if (seen > wanted)
      return value_of(i) < histogram->max ? value_of(i) : histogram->max;
  }
  return histogram->max;
}
