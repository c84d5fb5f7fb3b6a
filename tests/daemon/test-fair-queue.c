/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fair-queue.h"
#include "daemon/limits.h"

static GDBusMessage *message_of(const char *sender, guint32 serial, gsize octets) {
  GDBusMessage *message = g_dbus_message_new_method_call(NULL, "/", "test.Interface", "Member");
  g_autofree guint8 *data = g_malloc0(octets + 1);
  g_dbus_message_set_sender(message, sender);
  g_dbus_message_set_serial(message, serial);
  if (octets > 0)
    g_dbus_message_set_body(message,
                            g_variant_new("(@ay)", g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, data, octets, 1)));
  return message;
}

static void push(struct wsd_fair_queue *queue, const char *sender, guint32 serial, gsize octets) {
  wsd_fair_queue_push(queue, message_of(sender, serial, octets));
}

static void expect(GDBusMessage *message, const char *sender, guint32 serial) {
  g_assert_nonnull(message);
  g_assert_cmpstr(g_dbus_message_get_sender(message), ==, sender);
  g_assert_cmpuint(g_dbus_message_get_serial(message), ==, serial);
  g_object_unref(message);
}

static void test_turns(void) {
  struct wsd_fair_queue *queue = wsd_fair_queue_new(100, 1 << 20);
  for (guint32 i = 1; i <= 3; i++)
    push(queue, ":1.1", i, 0);
  push(queue, ":1.2", 1, 0);
  push(queue, ":1.3", 1, 0);
  push(queue, ":1.3", 2, 0);
  expect(wsd_fair_queue_pop(queue), ":1.1", 1);
  expect(wsd_fair_queue_pop(queue), ":1.2", 1);
  expect(wsd_fair_queue_pop(queue), ":1.3", 1);
  expect(wsd_fair_queue_pop(queue), ":1.1", 2);
  push(queue, ":1.2", 2, 0);
  expect(wsd_fair_queue_pop(queue), ":1.3", 2);
  expect(wsd_fair_queue_pop(queue), ":1.1", 3);
  expect(wsd_fair_queue_pop(queue), ":1.2", 2);
  g_assert_null(wsd_fair_queue_pop(queue));
  g_assert_cmpuint(wsd_fair_queue_length(queue), ==, 0);
  wsd_fair_queue_free(queue);
}

/* However many somebody has there, another one's call is taken. */
static void test_number(void) {
  struct wsd_fair_queue *queue = wsd_fair_queue_new(10, 1 << 20);
  for (guint32 i = 1; i <= 10; i++)
    push(queue, ":1.1", i, 0);
  g_assert_null(wsd_fair_queue_take_surplus(queue));
  push(queue, ":1.2", 1, 0);
  expect(wsd_fair_queue_take_surplus(queue), ":1.1", 10);
  g_assert_null(wsd_fair_queue_take_surplus(queue));
  push(queue, ":1.1", 11, 0);
  expect(wsd_fair_queue_take_surplus(queue), ":1.1", 11);
  expect(wsd_fair_queue_pop(queue), ":1.1", 1);
  expect(wsd_fair_queue_pop(queue), ":1.2", 1);
  wsd_fair_queue_free(queue);
}

static void test_octets(void) {
  struct wsd_fair_queue *queue = wsd_fair_queue_new(100, 10000);
  push(queue, ":1.1", 1, 50000); /* one alone is fine */
  g_assert_null(wsd_fair_queue_take_surplus(queue));
  push(queue, ":1.2", 1, 100);
  push(queue, ":1.2", 2, 100);
  expect(wsd_fair_queue_take_surplus(queue), ":1.1", 1); /* not of whom has more calls, but of whom has more octets */
  g_assert_null(wsd_fair_queue_take_surplus(queue));
  g_assert_cmpuint(wsd_fair_queue_length(queue), ==, 2);
  push(queue, ":1.3", 1, 6000);
  push(queue, ":1.3", 2, 6000);
  expect(wsd_fair_queue_take_surplus(queue), ":1.3", 2);
  g_assert_null(wsd_fair_queue_take_surplus(queue));
  expect(wsd_fair_queue_pop(queue), ":1.2", 1);
  expect(wsd_fair_queue_pop(queue), ":1.3", 1);
  wsd_fair_queue_free(queue); /* with one that is left */
}

static void test_cost(void) {
  g_autoptr(GDBusMessage) bare = message_of(":1.1", 1, 0), large = message_of(":1.1", 2, 1000);
  g_assert_cmpuint(wsd_message_octets(bare), >=, WSD_MESSAGE_HEADER_COST);
  g_assert_cmpuint(wsd_message_octets(large), >=, wsd_message_octets(bare) + 1000);
  g_autofree char *path = g_strnfill(100000, 'a');
  path[0] = '/';
  g_dbus_message_set_path(bare, path);
  g_assert_cmpuint(wsd_message_octets(bare), >=, 100000); /* it has no limit of its own */
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/fair-queue/senders take turns, and keep their order", test_turns);
  g_test_add_func("/fair-queue/too many calls are taken back from who has most", test_number);
  g_test_add_func("/fair-queue/too many octets are taken back from who has most", test_octets);
  g_test_add_func("/fair-queue/a message without a body costs something too", test_cost);
  return g_test_run();
}
