/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/load/result.h"

#include <inttypes.h>
#include <stdio.h>

static void print_latency(const struct load_histogram *latency) {
  static const struct {
    const char *name;
    double part;
  } quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};
  if (!latency || latency->count == 0) {
    printf("null");
    return;
  }
  for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
    printf("%s\"%s\": %" PRIu64, i ? ", " : "{", quantiles[i].name,
           load_histogram_quantile(latency, quantiles[i].part));
  printf("}");
}

void load_result_print(const struct load_result *result, const struct load_processes *processes,
                       const struct load_histogram *latency) {
  printf("{\"messages\": %" PRIu64 ", \"nanoseconds\": %" PRIu64 ", \"cpu\": %" PRIu64 ", \"switches\": %" PRIu64
         ", \"cpu_each\": [",
         result->messages, result->end.at - result->begin.at, result->end.cpu - result->begin.cpu,
         result->end.switches - result->begin.switches);
  for (unsigned i = 0; i < processes->count; i++)
    printf("%s%" PRIu64, i ? ", " : "", result->end.each[i] - result->begin.each[i]);
  printf("], \"latency\": ");
  print_latency(latency);
  printf("}\n");
  fflush(stdout);
}
