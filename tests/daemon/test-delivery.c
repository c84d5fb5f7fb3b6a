/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/delivery.h"
#include "daemon/limits.h"
#include "tests/daemon/bus-double.h"

struct fixture {
  struct bus_double *bus;
  struct wsd_delivery *delivery;
  struct wsd_lane *lane;
  guint delivered;
  guint rooms;
};

static void on_delivered(void *user, guint count) {
  ((struct fixture *)user)->delivered += count;
}
static void on_room(void *user) {
  ((struct fixture *)user)->rooms++;
}
static const struct wsd_lane_events lane_events = {on_delivered, on_room};

static void set_up(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  fixture->bus = bus_double_new();
  fixture->delivery = wsd_delivery_new(fixture->bus->daemon, DOUBLE_APP);
  fixture->lane = wsd_lane_new(fixture->delivery, "/org/wsserver1/server/1", &lane_events, fixture);
}

static void tear_down(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  if (fixture->lane)
    wsd_lane_free(fixture->lane);
  wsd_delivery_free(fixture->delivery);
  bus_double_free(fixture->bus);
}

static void emit(struct wsd_lane *lane, gsize octets) {
  wsd_lane_emit(lane, "Drained", g_variant_new("(t)", G_GUINT64_CONSTANT(1)), octets, true);
}

static void fill(struct fixture *fixture) {
  while (wsd_lane_has_room(fixture->lane, 0))
    emit(fixture->lane, 0);
}

static void wait_delivered(struct fixture *fixture, guint count) {
  while (fixture->delivered < count)
    g_main_context_iteration(NULL, TRUE);
}

static void test_events_bound(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  fill(fixture);
  g_assert_cmpuint(wsd_lane_emitted(fixture->lane), ==, WSD_WINDOW_EVENTS);
}

static void test_octets_bound(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  g_assert_true(wsd_lane_has_room(fixture->lane, WSD_MESSAGE_CEILING)); /* alone, anything is fine */
  emit(fixture->lane, WSD_WINDOW_OCTETS - 10);
  g_assert_true(wsd_lane_has_room(fixture->lane, 10));
  g_assert_false(wsd_lane_has_room(fixture->lane, 11));
}

static void test_ping_moves(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  fill(fixture);
  wsd_lane_want_room(fixture->lane);
  bus_double_wait_pings(fixture->bus, 1);
  g_assert_cmpuint(bus_double_count(fixture->bus), ==, WSD_WINDOW_EVENTS); /* the Ping stands behind all events */
  g_assert_cmpuint(fixture->delivered, ==, 0);
  bus_double_answer_ping(fixture->bus, DOUBLE_APP);
  wait_delivered(fixture, WSD_WINDOW_EVENTS);
  while (fixture->rooms == 0)
    g_main_context_iteration(NULL, TRUE);
  g_assert_true(wsd_lane_has_room(fixture->lane, WSD_WINDOW_OCTETS));
}

static void test_later_events_wait_for_next_ping(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  emit(fixture->lane, 0);
  bus_double_wait_pings(fixture->bus, 1);
  emit(fixture->lane, 0);
  bus_double_answer_ping(fixture->bus, DOUBLE_APP);
  wait_delivered(fixture, 1);
  g_assert_cmpuint(fixture->delivered, ==, 1);
  bus_double_wait_pings(fixture->bus, 1);
  bus_double_answer_ping(fixture->bus, DOUBLE_APP);
  wait_delivered(fixture, 2);
}

static void test_bus_answer_does_not_count(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  g_test_expect_message("wsserverd", G_LOG_LEVEL_MESSAGE, "*the bus did not deliver a Ping*");
  emit(fixture->lane, 0);
  bus_double_wait_pings(fixture->bus, 1);
  bus_double_answer_ping(fixture->bus, "org.freedesktop.DBus");
  bus_double_wait_pings(fixture->bus, 1); /* tried again */
  g_assert_cmpuint(fixture->delivered, ==, 0);
  g_test_assert_expected_messages();
}

static void test_acknowledge_moves(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  fill(fixture);
  g_assert_false(wsd_lane_acknowledge(fixture->lane, WSD_WINDOW_EVENTS + 1));
  g_assert_true(wsd_lane_acknowledge(fixture->lane, 10));
  g_assert_cmpuint(fixture->delivered, ==, 10);
  g_assert_true(wsd_lane_acknowledge(fixture->lane, 3)); /* old news */
  g_assert_cmpuint(fixture->delivered, ==, 10);
  g_assert_true(wsd_lane_has_room(fixture->lane, 0));
}

static void test_restored_count(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  wsd_lane_restore(fixture->lane, 100, 5); /* the app may have counted up to 5 of what follows already */
  emit(fixture->lane, 0);
  g_assert_cmpuint(wsd_lane_emitted(fixture->lane), ==, 101);
  g_assert_false(wsd_lane_acknowledge(fixture->lane, 107));
  g_assert_true(wsd_lane_acknowledge(fixture->lane, 106));
  g_assert_cmpuint(fixture->delivered, ==, 1);
}

static void test_acknowledging_app_is_not_pinged_free(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  g_assert_true(wsd_lane_acknowledge(fixture->lane, 0));
  emit(fixture->lane, 0);
  bus_double_settle(fixture->bus);
  g_assert_cmpuint(fixture->bus->pings->len, ==, 0);
  g_assert_cmpuint(fixture->delivered, ==, 0);
}

static void test_lanes_share_window(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  struct fixture other = *fixture;
  other.lane = wsd_lane_new(fixture->delivery, "/org/wsserver1/server/2", &lane_events, &other);
  fill(fixture);
  g_assert_false(wsd_lane_has_room(other.lane, 0));
  wsd_lane_want_room(other.lane);
  wsd_lane_free(fixture->lane); /* what a lane had on the way is given back with it */
  fixture->lane = NULL;
  while (other.rooms == 0)
    g_main_context_iteration(NULL, TRUE);
  g_assert_true(wsd_lane_has_room(other.lane, 0));
  wsd_lane_free(other.lane);
}

static void test_gone_app_blocks_nothing(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  fill(fixture);
  wsd_delivery_abandon(fixture->delivery);
  g_assert_true(wsd_lane_has_room(fixture->lane, WSD_MESSAGE_CEILING));
  bus_double_settle(fixture->bus);
  guint before = bus_double_count(fixture->bus);
  emit(fixture->lane, 0);
  bus_double_settle(fixture->bus);
  g_assert_cmpuint(bus_double_count(fixture->bus), ==, before);
}

static void say(struct wsd_delivery *delivery) {
  g_autoptr(GDBusMessage) message = g_dbus_message_new_signal("/", "a.b", "C");
  g_dbus_message_set_body(message, g_variant_new("(s)", "twenty characters..."));
  wsd_delivery_charge(delivery, message);
}

static void on_caught_up(void *user) {
  *(bool *)user = true;
}

static void test_unread_bound(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  bool caught_up = false;
  guint messages = 0;
  for (; !wsd_delivery_is_behind(fixture->delivery); messages++)
    say(fixture->delivery);
  g_assert_cmpuint(messages, <=, 1 + WSD_UNREAD_OCTETS_MAX / (WSD_MESSAGE_HEADER_COST + 20));
  wsd_delivery_on_caught_up(fixture->delivery, on_caught_up, &caught_up);
  bus_double_wait_pings(fixture->bus, 1);
  g_test_expect_message("wsserverd", G_LOG_LEVEL_MESSAGE, "*the bus did not deliver a Ping*");
  bus_double_answer_ping(fixture->bus, "org.freedesktop.DBus");
  bus_double_wait_pings(fixture->bus, 1);
  g_assert_false(caught_up);
  bus_double_answer_ping(fixture->bus, DOUBLE_APP);
  while (!caught_up)
    g_main_context_iteration(NULL, TRUE);
  g_assert_false(wsd_delivery_is_behind(fixture->delivery));
  g_test_assert_expected_messages();
}

static void test_acknowledging_proves_reading(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  while (!wsd_delivery_is_behind(fixture->delivery))
    say(fixture->delivery);
  emit(fixture->lane, 0);
  g_assert_true(wsd_lane_acknowledge(fixture->lane, 1));
  g_assert_false(wsd_delivery_is_behind(fixture->delivery));
}

#define TEST(name, function) g_test_add("/delivery/" name, struct fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  TEST("a silent app gets at most 64 signals", test_events_bound);
  TEST("a silent app gets at most 1 MiB, one larger message alone", test_octets_bound);
  TEST("the app's Ping reply moves the window", test_ping_moves);
  TEST("a Ping reply says nothing of later signals", test_later_events_wait_for_next_ping);
  TEST("an error of the bus is no Ping reply", test_bus_answer_does_not_count);
  TEST("Acknowledge moves the window, never beyond what was sent", test_acknowledge_moves);
  TEST("counts fit after a crash, repeats included", test_restored_count);
  TEST("an app that acknowledges is not pinged", test_acknowledging_app_is_not_pinged_free);
  TEST("two servers of one app share its window", test_lanes_share_window);
  TEST("an app that left holds nobody up", test_gone_app_blocks_nothing);
  TEST("replies nobody reads are bounded, and reading lets them go on", test_unread_bound);
  TEST("an app that acknowledges a signal has read what came before", test_acknowledging_proves_reading);
  return g_test_run();
}
