/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/loop.h"

#include <glib.h>
#include <sys/socket.h>
#include <unistd.h>

#define FAR 5

struct probe {
  struct wsw_watch watch;
  int other; /* the other end of its descriptor */
  unsigned called;
};

struct scene {
  struct wsw_loop loop;
  uint64_t now;
  struct probe near, far[FAR];
  unsigned order[2 * FAR], calls; /* of far ones */
  unsigned narrow_after;          /* calls of far ones; 0: never */
  bool again;                     /* and after each further one */
};

static struct scene scene;

static uint64_t read_clock(void *context) {
  (void)context;
  return scene.now;
}

static void near_ready(struct wsw_watch *watch, uint32_t events) {
  (void)events;
  ((struct probe *)(void *)watch)->called++;
}

static void far_ready(struct wsw_watch *watch, uint32_t events) {
  g_assert_cmpuint(events, ==, WSW_READABLE);
  struct probe *probe = (struct probe *)(void *)watch;
  probe->called++;
  scene.order[scene.calls++] = (unsigned)(probe - scene.far);
  if (scene.calls == scene.narrow_after || (scene.again && scene.calls > scene.narrow_after))
    wsw_loop_make_narrow(&scene.loop, 5);
}

static void open_probe(struct probe *probe, enum wsw_watch_kind kind) {
  int pair[2];
  g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
  *probe = (struct probe){.watch = {.fd = pair[0], .kind = (uint8_t)kind}, .other = pair[1]};
  g_assert_true(wsw_loop_watch(&scene.loop, &probe->watch, WSW_READABLE));
}

static void close_probe(struct probe *probe) {
  wsw_loop_watch(&scene.loop, &probe->watch, 0);
  close(probe->watch.fd);
  close(probe->other);
}

static void begin(void) {
  scene = (struct scene){.now = 1000};
  g_assert_true(wsw_loop_open(&scene.loop, (struct wsw_clock){.milliseconds = read_clock}));
  scene.loop.ready[WSW_WATCH_OF_CHANNEL] = near_ready;
  scene.loop.ready[WSW_WATCH_OF_PEER] = far_ready;
  open_probe(&scene.near, WSW_WATCH_OF_CHANNEL);
  for (unsigned i = 0; i < FAR; i++)
    open_probe(&scene.far[i], WSW_WATCH_OF_PEER);
}

static void end(void) {
  close_probe(&scene.near);
  for (unsigned i = 0; i < FAR; i++)
    close_probe(&scene.far[i]);
  wsw_loop_close(&scene.loop);
}

static void speak(const struct probe *probe) {
  g_assert_cmpint(write(probe->other, "x", 1), ==, 1);
}

static void all_far_speak(void) {
  for (unsigned i = 0; i < FAR; i++)
    speak(&scene.far[i]);
}

static void turn(void) {
  g_assert_true(wsw_loop_turn(&scene.loop, 0));
}

static void a_narrow_loop_hears_the_near_alone(void) {
  begin();
  wsw_loop_make_narrow(&scene.loop, 5);
  all_far_speak();
  speak(&scene.near);
  turn();
  g_assert_cmpuint(scene.near.called, ==, 1);
  g_assert_cmpuint(scene.calls, ==, 0);
  wsw_loop_make_wide(&scene.loop);
  turn();
  g_assert_cmpuint(scene.near.called, ==, 2);
  g_assert_cmpuint(scene.calls, ==, FAR);
  end();
}

/* Or those in front would always be heard first. */
static void what_was_cut_short_goes_on_where_it_stopped(void) {
  begin();
  scene.narrow_after = 2;
  all_far_speak();
  turn();
  g_assert_cmpuint(scene.calls, ==, 2);
  turn();
  g_assert_cmpuint(scene.calls, ==, 2);
  wsw_loop_make_wide(&scene.loop);
  turn();
  g_assert_cmpuint(scene.calls, ==, FAR);
  for (unsigned i = 0; i < FAR; i++)
    g_assert_cmpuint(scene.far[scene.order[i]].called, ==, 1);
  end();
}

static void who_left_meanwhile_is_not_called(void) {
  begin();
  scene.narrow_after = 1;
  all_far_speak();
  turn();
  g_assert_cmpuint(scene.calls, ==, 1);
  unsigned first = scene.order[0], left = (first + 1) % FAR, forgotten = (first + 2) % FAR;
  wsw_loop_watch(&scene.loop, &scene.far[left].watch, 0);
  wsw_loop_forget(&scene.loop, &scene.far[forgotten].watch);
  wsw_loop_make_wide(&scene.loop);
  turn();
  g_assert_cmpuint(scene.calls, ==, FAR - 2);
  g_assert_cmpuint(scene.far[left].called + scene.far[forgotten].called, ==, 0);
  end();
}

static void it_is_not_narrow_for_long(void) {
  begin();
  scene.narrow_after = 3;
  all_far_speak();
  turn();
  scene.now += 4;
  turn();
  g_assert_cmpuint(scene.calls, ==, 3);
  scene.now += 1;
  turn();
  g_assert_cmpuint(scene.calls, ==, FAR);
  end();
}

/* Somebody whose octets could leave, or who wants to connect, does not wait until each of a crowd has had its pause. */
static void a_crowd_that_makes_it_narrow_again_and_again_keeps_nobody_waiting_for_long(void) {
  begin();
  scene.narrow_after = 1;
  scene.again = true;
  all_far_speak();
  for (unsigned cycle = 1; cycle <= FAR - 2; cycle++) {
    turn();
    g_assert_cmpuint(scene.calls, ==, cycle);
    scene.now += WSW_BATCH_MS / (FAR - 2) + 1;
    wsw_loop_make_wide(&scene.loop);
  }
  turn();
  g_assert_cmpuint(scene.calls, ==, FAR);
  end();
}

/* --- Told once --- */

static uint32_t told; /* the last that was */

static void told_once(struct wsw_watch *watch, uint32_t events) {
  told = events;
  ((struct probe *)(void *)watch)->called++;
}

static struct probe *begin_once(void) {
  begin();
  scene.loop.ready[WSW_WATCH_OF_PEER] = told_once;
  struct probe *probe = &scene.far[0];
  wsw_loop_watch(&scene.loop, &probe->watch, 0);
  probe->watch.once = true;
  g_assert_true(wsw_loop_watch(&scene.loop, &probe->watch, WSW_READABLE));
  return probe;
}

static void it_is_told_once_and_again_when_more_comes(void) {
  struct probe *probe = begin_once();
  speak(probe);
  turn();
  turn();
  g_assert_cmpuint(probe->called, ==, 1);
  g_assert_cmpuint(told, ==, WSW_READABLE);
  speak(probe);
  turn();
  g_assert_cmpuint(probe->called, ==, 2);
  end();
}

static void it_is_told_anew_when_its_interest_changes(void) {
  struct probe *probe = begin_once();
  speak(probe);
  turn();
  wsw_loop_watch(&scene.loop, &probe->watch, 0);
  turn();
  wsw_loop_watch(&scene.loop, &probe->watch, WSW_READABLE);
  turn();
  g_assert_cmpuint(probe->called, ==, 2);
  wsw_loop_watch(&scene.loop, &probe->watch, WSW_READABLE | WSW_WRITABLE);
  turn();
  g_assert_cmpuint(probe->called, ==, 3);
  g_assert_cmpuint(told, ==, WSW_READABLE | WSW_WRITABLE);
  end();
}

static void that_the_other_side_was_closed_is_told_with_what_it_said(void) {
  struct probe *probe = begin_once();
  speak(probe);
  g_assert_cmpint(shutdown(probe->other, SHUT_WR), ==, 0);
  turn();
  g_assert_cmpuint(told, ==, WSW_READABLE | WSW_HALF_CLOSED);
  end();
}

int main(int count, char **arguments) {
  g_test_init(&count, &arguments, NULL);
  g_test_add_func("/loop/a-narrow-loop-hears-the-near-alone", a_narrow_loop_hears_the_near_alone);
  g_test_add_func("/loop/what-was-cut-short-goes-on-where-it-stopped", what_was_cut_short_goes_on_where_it_stopped);
  g_test_add_func("/loop/who-left-meanwhile-is-not-called", who_left_meanwhile_is_not_called);
  g_test_add_func("/loop/it-is-not-narrow-for-long", it_is_not_narrow_for_long);
  g_test_add_func("/loop/a-crowd-that-makes-it-narrow-again-and-again-keeps-nobody-waiting-for-long",
                  a_crowd_that_makes_it_narrow_again_and_again_keeps_nobody_waiting_for_long);
  g_test_add_func("/loop/it-is-told-once-and-again-when-more-comes", it_is_told_once_and_again_when_more_comes);
  g_test_add_func("/loop/it-is-told-anew-when-its-interest-changes", it_is_told_anew_when_its_interest_changes);
  g_test_add_func("/loop/that-the-other-side-was-closed-is-told-with-what-it-said",
                  that_the_other_side_was_closed_is_told_with_what_it_said);
  return g_test_run();
}
