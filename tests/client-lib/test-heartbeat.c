/* SPDX-License-Identifier: Apache-2.0 */
/* On a clock of the test's own: a server that stops answering is dropped in the right second, and one that answers never is. */
#include "client-lib/heartbeat.h"

#define SECONDS G_TIME_SPAN_SECOND

static void test_answering_server(void) {
  struct ws_heartbeat heartbeat;
  gint64 now = 1000 * SECONDS;
  ws_heartbeat_begin(&heartbeat, 30, 30, now);
  for (int i = 0; i < 100; i++) {
    gint64 next = ws_heartbeat_next(&heartbeat);
    g_assert_cmpint(next, ==, now + 30 * SECONDS);
    g_assert_cmpint(ws_heartbeat_act(&heartbeat, next - 1), ==, WS_HEARTBEAT_NOTHING);
    g_assert_cmpint(ws_heartbeat_act(&heartbeat, next), ==, WS_HEARTBEAT_PING);
    now = next + i % 30 * SECONDS; /* the Pong, from which the next is counted */
    ws_heartbeat_take_pong(&heartbeat, now);
  }
}

static void test_silent_server(void) {
  struct ws_heartbeat heartbeat;
  ws_heartbeat_begin(&heartbeat, 30, 10, 0);
  g_assert_cmpint(ws_heartbeat_act(&heartbeat, 30 * SECONDS), ==, WS_HEARTBEAT_PING);
  g_assert_cmpint(ws_heartbeat_next(&heartbeat), ==, 40 * SECONDS);
  g_assert_cmpint(ws_heartbeat_act(&heartbeat, 40 * SECONDS - 1), ==, WS_HEARTBEAT_NOTHING);
  g_assert_cmpint(ws_heartbeat_act(&heartbeat, 40 * SECONDS), ==, WS_HEARTBEAT_GONE);
}

/* Pings go on while an earlier one is awaited, and do not put off what that one has to be answered by. */
static void test_timeout_above_interval(void) {
  struct ws_heartbeat heartbeat;
  ws_heartbeat_begin(&heartbeat, 5, 12, 0);
  for (gint64 second = 5; second <= 15; second += 5)
    g_assert_cmpint(ws_heartbeat_act(&heartbeat, second * SECONDS), ==, WS_HEARTBEAT_PING);
  g_assert_cmpint(ws_heartbeat_act(&heartbeat, 17 * SECONDS - 1), ==, WS_HEARTBEAT_NOTHING);
  g_assert_cmpint(ws_heartbeat_act(&heartbeat, 17 * SECONDS), ==, WS_HEARTBEAT_GONE);
}

static void test_off(void) {
  struct ws_heartbeat heartbeat;
  ws_heartbeat_begin(&heartbeat, 0, 30, 0);
  g_assert_cmpint(ws_heartbeat_next(&heartbeat), ==, G_MAXINT64);
  g_assert_cmpint(ws_heartbeat_act(&heartbeat, 1000000 * SECONDS), ==, WS_HEARTBEAT_NOTHING);
  ws_heartbeat_begin(&heartbeat, 30, 0, 0);
  for (gint64 second = 30; second < 3000; second += 30)
    g_assert_cmpint(ws_heartbeat_act(&heartbeat, second * SECONDS), ==, WS_HEARTBEAT_PING);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/heartbeat/a-server-that-answers-is-kept", test_answering_server);
  g_test_add_func("/heartbeat/a-server-that-is-silent-is-dropped-in-the-right-second", test_silent_server);
  g_test_add_func("/heartbeat/pings-go-on-while-a-pong-is-awaited", test_timeout_above_interval);
  g_test_add_func("/heartbeat/zero-is-off", test_off);
  return g_test_run();
}
