/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/clock.h"
#include "worker/timers.h"

#include <glib.h>

struct probe {
  struct wsw_timer timer;
  struct wsw_timers *timers;
  uint64_t again; /* set anew to this when it expires; 0: not */
  unsigned fired;
};

static void count(struct wsw_timer *timer) {
  struct probe *probe = (struct probe *)timer;
  probe->fired++;
  if (probe->again)
    wsw_timers_set(probe->timers, timer, probe->again);
}

static struct probe make_probe(struct wsw_timers *timers) {
  return (struct probe){.timer = {.expired = count}, .timers = timers};
}

static void never_fire_early_nor_twice(void) {
  struct wsw_timers timers = {0};
  struct probe probe = make_probe(&timers);
  g_assert_cmpuint(wsw_timers_next(&timers), ==, WSW_NEVER);
  g_assert_true(wsw_timers_set(&timers, &probe.timer, 100));
  g_assert_cmpuint(wsw_timers_next(&timers), ==, 100);
  wsw_timers_expire(&timers, 99);
  g_assert_cmpuint(probe.fired, ==, 0);
  wsw_timers_expire(&timers, 100);
  wsw_timers_expire(&timers, 100000);
  g_assert_cmpuint(probe.fired, ==, 1);
  g_assert_cmpuint(probe.timer.place, ==, 0);
  wsw_timers_clear(&timers);
}

static void can_be_moved_and_cancelled(void) {
  struct wsw_timers timers = {0};
  struct probe one = make_probe(&timers), other = make_probe(&timers);
  wsw_timers_set(&timers, &one.timer, 10);
  wsw_timers_set(&timers, &other.timer, 20);
  wsw_timers_set(&timers, &one.timer, 30);
  g_assert_cmpuint(wsw_timers_next(&timers), ==, 20);
  wsw_timers_set(&timers, &one.timer, 5);
  g_assert_cmpuint(wsw_timers_next(&timers), ==, 5);
  wsw_timers_set(&timers, &one.timer, WSW_NEVER);
  wsw_timers_cancel(&timers, &one.timer);
  wsw_timers_expire(&timers, 1000);
  g_assert_cmpuint(one.fired, ==, 0);
  g_assert_cmpuint(other.fired, ==, 1);
  wsw_timers_clear(&timers);
}

static void one_that_sets_itself_again_does_not_keep_the_loop(void) {
  struct wsw_timers timers = {0};
  struct probe probe = make_probe(&timers);
  probe.again = 1;
  wsw_timers_set(&timers, &probe.timer, 1);
  wsw_timers_expire(&timers, 1000);
  g_assert_cmpuint(probe.fired, ==, 1);
  wsw_timers_expire(&timers, 1000);
  g_assert_cmpuint(probe.fired, ==, 2);
  wsw_timers_clear(&timers);
}

#define MANY 2000

static void check_heap(const struct wsw_timers *timers) {
  for (uint32_t place = 1; place <= timers->count; place++) {
    g_assert_cmpuint(timers->heap[place - 1]->place, ==, place);
    if (place > 1)
      g_assert_cmpuint(timers->heap[place / 2 - 1]->deadline, <=, timers->heap[place - 1]->deadline);
  }
}

/* Any mix of setting, moving and cancelling: exactly those that are due fire. */
static void many_fire_exactly_when_due(void) {
  struct wsw_timers timers = {0};
  struct probe *probes = g_new(struct probe, MANY);
  uint64_t *due = g_new(uint64_t, MANY);
  GRand *random = g_rand_new_with_seed(1);
  for (unsigned i = 0; i < MANY; i++) {
    probes[i] = make_probe(&timers);
    due[i] = WSW_NEVER;
  }
  for (unsigned step = 0; step < 20000; step++) {
    unsigned i = (unsigned)g_rand_int_range(random, 0, MANY);
    due[i] = g_rand_int_range(random, 0, 4) ? (uint64_t)g_rand_int_range(random, 1, 5000) : WSW_NEVER;
    g_assert_true(wsw_timers_set(&timers, &probes[i].timer, due[i]));
    if (step % 500 == 0)
      check_heap(&timers);
  }
  wsw_timers_expire(&timers, 2500);
  check_heap(&timers);
  for (unsigned i = 0; i < MANY; i++)
    g_assert_cmpuint(probes[i].fired, ==, due[i] <= 2500);
  g_rand_free(random);
  wsw_timers_clear(&timers);
  g_free(probes);
  g_free(due);
}

static void the_clock_runs_forward(void) {
  struct wsw_clock clock = wsw_clock_monotonic();
  uint64_t before = wsw_clock_now(&clock);
  g_usleep(3000);
  g_assert_cmpuint(wsw_clock_now(&clock), >=, before + 2);
  gint64 wall = g_get_real_time();
  g_assert_cmpint(ABS((gint64)wsw_clock_wall_microseconds() - wall), <, 5 * G_USEC_PER_SEC);
}

int main(int count_of_arguments, char **arguments) {
  g_test_init(&count_of_arguments, &arguments, NULL);
  g_test_add_func("/timers/never-fire-early-nor-twice", never_fire_early_nor_twice);
  g_test_add_func("/timers/can-be-moved-and-cancelled", can_be_moved_and_cancelled);
  g_test_add_func("/timers/one-that-sets-itself-again-does-not-keep-the-loop",
                  one_that_sets_itself_again_does_not_keep_the_loop);
  g_test_add_func("/timers/many-fire-exactly-when-due", many_fire_exactly_when_due);
  g_test_add_func("/clock/runs-forward", the_clock_runs_forward);
  return g_test_run();
}
