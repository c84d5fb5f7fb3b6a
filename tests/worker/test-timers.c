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
  struct probe *probe = (struct probe *)(void *)timer;
  probe->fired++;
  if (probe->again)
    wsw_timers_set(probe->timers, timer, probe->again);
}

static struct probe make_probe(struct wsw_timers *timers) {
  timers->expired[WSW_TIMER_OF_SERVER] = count;
  return (struct probe){.timer = {.kind = WSW_TIMER_OF_SERVER}, .timers = timers};
}

static void never_fire_early_nor_twice(void) {
  struct wsw_timers timers = {0};
  struct probe probe = make_probe(&timers);
  g_assert_cmpuint(wsw_timers_next(&timers, 1), ==, WSW_NEVER);
  g_assert_true(wsw_timers_set(&timers, &probe.timer, 100));
  g_assert_cmpuint(wsw_timers_next(&timers, 1), ==, 100);
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
  g_assert_cmpuint(wsw_timers_next(&timers, 1), ==, 20);
  wsw_timers_set(&timers, &one.timer, 5);
  g_assert_cmpuint(wsw_timers_next(&timers, 1), ==, 5);
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
      g_assert_cmpint((int32_t)(timers->heap[place - 1]->deadline - timers->heap[place / 2 - 1]->deadline), >=, 0);
  }
}

/* Any mix of setting, moving and cancelling: exactly those that are due fire. */
static void fire_exactly_when_due(uint64_t now) {
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
    due[i] = g_rand_int_range(random, 0, 4) ? now + (uint64_t)g_rand_int_range(random, 1, 5000) : WSW_NEVER;
    g_assert_true(wsw_timers_set(&timers, &probes[i].timer, due[i]));
    if (step % 500 == 0)
      check_heap(&timers);
  }
  uint64_t next = WSW_NEVER;
  for (unsigned i = 0; i < MANY; i++)
    next = MIN(next, due[i]);
  g_assert_cmpuint(wsw_timers_next(&timers, now), ==, next);
  wsw_timers_expire(&timers, now + 2500);
  check_heap(&timers);
  for (unsigned i = 0; i < MANY; i++)
    g_assert_cmpuint(probes[i].fired, ==, due[i] <= now + 2500);
  g_rand_free(random);
  wsw_timers_clear(&timers);
  g_free(probes);
  g_free(due);
}

static void many_fire_exactly_when_due(void) {
  fire_exactly_when_due(0);
}

/* Deadlines are kept in 32 bits, which are used up after 49 days. */
static void a_worker_may_run_for_months(void) {
  for (uint64_t days = 24; days < 200; days++)
    fire_exactly_when_due(days * 24 * 60 * 60 * 1000);
  fire_exactly_when_due((1ull << 32) - 2500);
  fire_exactly_when_due((1ull << 31) - 2500);
  fire_exactly_when_due((5ull << 32) - 1);
}

static void moments_are_read_back_as_they_were(void) {
  static const uint64_t nows[] = {1000, (1ull << 31) - 1, (1ull << 32) - 1, 1ull << 32, (7ull << 32) + 12345};
  static const uint64_t day = 24ull * 60 * 60 * 1000;
  for (unsigned i = 0; i < G_N_ELEMENTS(nows); i++) {
    uint64_t now = nows[i];
    g_assert_cmpuint(wsw_moment_near((wsw_moment)(now + 24 * day), now), ==, now + 24 * day);
    g_assert_cmpuint(wsw_moment_near((wsw_moment)(now - 1000), now), ==, now - 1000);
    g_assert_cmpuint(wsw_moment_past((wsw_moment)now, now), ==, now);
    g_assert_cmpuint(wsw_moment_past((wsw_moment)now, now + 49 * day), ==, now);
  }
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
  g_test_add_func("/timers/a-worker-may-run-for-months", a_worker_may_run_for_months);
  g_test_add_func("/clock/moments-are-read-back-as-they-were", moments_are_read_back_as_they_were);
  g_test_add_func("/clock/runs-forward", the_clock_runs_forward);
  return g_test_run();
}
