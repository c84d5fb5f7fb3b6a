/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/queue.h"
#include "channel/record.h"
#include "daemon/account.h"
#include "daemon/app.h"
#include "daemon/call.h"
#include "daemon/limits.h"
#include "daemon/traffic.h"
#include "tests/daemon/bus-double.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GENERATION 3u
#define FIRST ((guint64)GENERATION << 32 | 1)
#define PATH "/org/wsserver1/server/1"

struct fixture {
  struct bus_double *bus;
  struct wsd_app *app;
  struct wsd_traffic *traffic;
  int worker; /* the worker's end of the channel, blocking */
  bool ended;
  char *fault;
  bool owner_is_full;
};

static void on_ended(void *user, const char *fault) {
  struct fixture *fixture = user;
  fixture->ended = true;
  fixture->fault = g_strdup(fault);
}

static void attach(struct fixture *fixture, guint64 generation) {
  int sockets[2];
  g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), ==, 0);
  fcntl(sockets[0], F_SETFL, O_NONBLOCK);
  wsd_traffic_attach(fixture->traffic, sockets[0], generation, 1024);
  wsd_traffic_open(fixture->traffic);
  fixture->worker = sockets[1];
}

static bool has_room(void *user) {
  return !((struct fixture *)user)->owner_is_full;
}

static void set_up(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  static const struct wsd_traffic_events events = {on_ended, has_room};
  fixture->bus = bus_double_new();
  fixture->bus->answer_pings = true;
  fixture->app = wsd_app_new(DOUBLE_APP, fixture->bus->daemon);
  g_autoptr(GVariant) credentials = g_variant_ref_sink(g_variant_new_parsed("{'UnixUserID': <uint32 1000>}"));
  struct wsd_accounts *accounts = wsd_accounts_new();
  wsd_app_introduce(fixture->app, wsd_identity_new(credentials, NULL, NULL),
                    wsd_accounts_enter(accounts, "uid:1000", NULL));
  wsd_accounts_free(accounts); /* lives as long as the app's account */
  fixture->traffic = wsd_traffic_new(fixture->app->delivery, PATH, &events, fixture);
  attach(fixture, GENERATION);
}

static void tear_down(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  wsd_traffic_free(fixture->traffic);
  wsd_app_leave(fixture->app);
  wsd_app_unref(fixture->app);
  close(fixture->worker);
  bus_double_free(fixture->bus);
  g_free(fixture->fault);
}

static void send_record(struct fixture *fixture, guint8 type, guint8 flags, guint16 code, guint64 connection,
                        const void *body, gsize size) {
  struct wsc_queue queue = {0};
  struct wsc_header header = {.type = type, .flags = flags, .code = code, .connection = connection};
  g_assert_true(wsc_queue_append_record(&queue, &header, body, size));
  gsize length = wsc_queue_length(&queue);
  g_assert_cmpint(send(fixture->worker, wsc_queue_front(&queue), length, MSG_NOSIGNAL), ==, (gssize)length);
  wsc_queue_clear(&queue);
}

static void send_welcome_from(struct fixture *fixture, guint64 generation, bool acknowledged, guint64 first_event,
                              guint32 standing, guint32 repeats) {
  struct wsc_welcome welcome = {.version = WSC_VERSION,
                                .acknowledged = acknowledged,
                                .standing = standing,
                                .repeats = repeats,
                                .generation = generation,
                                .first_event = first_event,
                                .max_message = 1024,
                                .queue_high = WSC_PEER_QUEUE_HIGH,
                                .queue_low = WSC_PEER_QUEUE_LOW};
  uint8_t body[WSC_WELCOME_SIZE];
  wsc_welcome_encode(&welcome, body);
  send_record(fixture, WSC_WELCOME, 0, 0, 0, body, sizeof body);
}

static void send_whole_welcome(struct fixture *fixture, guint64 generation, bool acknowledged, guint32 standing,
                               guint32 repeats) {
  send_welcome_from(fixture, generation, acknowledged, 1, standing, repeats);
}

static void send_welcome_of(struct fixture *fixture, guint64 generation, bool acknowledged) {
  send_whole_welcome(fixture, generation, acknowledged, 0, 0);
}

static void send_welcome(struct fixture *fixture) {
  send_welcome_of(fixture, GENERATION, true);
}

static void send_connect(struct fixture *fixture, guint64 id) {
  struct wsc_connect connect = {.family = 4, .port = 1234, .address = {127, 0, 0, 1}, .path = {"/", 1}};
  uint8_t body[256];
  gsize size = wsc_connect_encode(&connect, body);
  send_record(fixture, WSC_CONNECT, 0, 0, id, body, size);
}

static void settle(struct fixture *fixture) {
  bus_double_settle(fixture->bus);
}

/* What arrives at the worker, without waiting for more. */
static gsize read_records(struct fixture *fixture, guint8 *octets, gsize size) {
  ssize_t length = recv(fixture->worker, octets, size, MSG_DONTWAIT);
  return length > 0 ? (gsize)length : 0;
}

static struct wsd_call *make_call(struct fixture *fixture, const char *member, GVariant *arguments) {
  static guint32 serial = 0;
  g_autoptr(GDBusMessage) message =
      g_dbus_message_new_method_call("org.wsserver1", PATH, "org.wsserver1.Server", member);
  g_dbus_message_set_serial(message, ++serial);
  g_dbus_message_set_body(message, arguments);
  return wsd_call_new(fixture->app, fixture->bus->daemon, message);
}

static GVariant *octets(const char *text) {
  return g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, text, strlen(text), 1);
}

static void call_send(struct fixture *fixture, guint64 id, const char *text) {
  wsd_traffic_send(fixture->traffic, make_call(fixture, "Send", g_variant_new("(tb@ay)", id, TRUE, octets(text))));
}

/* Events */

static void test_events(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  send_welcome(fixture);
  send_connect(fixture, FIRST);
  send_record(fixture, WSC_MESSAGE, WSC_FLAG_TEXT, 0, FIRST, "a\0b", 3);
  send_record(fixture, WSC_DRAINED, 0, 0, FIRST, NULL, 0);
  send_record(fixture, WSC_ERROR, 0, 0, 0, "\x09\x03\0\0sad", 7);
  send_record(fixture, WSC_CLOSED, WSC_FLAG_CLEAN, 4321, FIRST, "why", 3);
  bus_double_wait(fixture->bus, 5);
  static const char *const names[] = {"Connect", "MessageReceive", "Drained", "Error", "Closed"};
  for (guint i = 0; i < G_N_ELEMENTS(names); i++)
    g_assert_cmpstr(bus_double_name(fixture->bus, i), ==, names[i]);
  g_autofree char *message = g_variant_print(bus_double_body(fixture->bus, 1), FALSE);
  g_assert_cmpstr(message, ==, "(12884901889, true, [0x61, 0x00, 0x62])");
  g_autofree char *error = g_variant_print(bus_double_body(fixture->bus, 3), FALSE);
  g_assert_cmpstr(error, ==, "(777, 'sad')");
  g_autofree char *closed = g_variant_print(bus_double_body(fixture->bus, 4), FALSE);
  g_assert_cmpstr(closed, ==, "(12884901889, 4321, 'why', true)");
}

static void test_events_are_acknowledged(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  guint8 room[64];
  send_welcome(fixture);
  send_connect(fixture, FIRST);
  bus_double_wait(fixture->bus, 1);
  gsize length = 0;
  while ((length = read_records(fixture, room, sizeof room)) == 0)
    g_main_context_iteration(NULL, TRUE);
  g_assert_cmpuint(length, ==, WSC_RECORD_HEADER + 8);
  g_assert_cmpuint(room[4], ==, WSC_ACKNOWLEDGE);
  g_assert_cmpuint(wsc_get_u64(room + WSC_RECORD_HEADER), ==, 1);
}

/* When the service leaves it acknowledges what it has sent. That the app then confirms it is nothing new: acknowledged twice, it would be
 * events that nobody was sent. */
static void test_settled_events_are_acknowledged_once(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  guint8 room[64];
  fixture->bus->answer_pings = false;
  send_welcome(fixture);
  send_connect(fixture, FIRST);
  send_record(fixture, WSC_MESSAGE, 0, 0, FIRST, "x", 1);
  bus_double_wait(fixture->bus, 2);
  bus_double_wait_pings(fixture->bus, 1);
  g_assert_true(wsd_traffic_settle(fixture->traffic));
  g_assert_cmpuint(read_records(fixture, room, sizeof room), ==, WSC_RECORD_HEADER + 8);
  g_assert_cmpuint(wsc_get_u64(room + WSC_RECORD_HEADER), ==, 2);
  fixture->bus->answer_pings = true;
  bus_double_answer_ping(fixture->bus, DOUBLE_APP);
  settle(fixture);
  g_assert_cmpuint(read_records(fixture, room, sizeof room), ==, 0);
  send_record(fixture, WSC_MESSAGE, 0, 0, FIRST, "y", 1); /* the leaving may be called off: it goes on */
  bus_double_wait(fixture->bus, 3);
  while (read_records(fixture, room, sizeof room) == 0)
    g_main_context_iteration(NULL, TRUE);
  g_assert_cmpuint(wsc_get_u64(room + WSC_RECORD_HEADER), ==, 3);
}

static void test_window_pauses(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  fixture->bus->answer_pings = false;
  send_welcome(fixture);
  send_connect(fixture, FIRST);
  for (guint i = 0; i < 3 * WSD_WINDOW_EVENTS; i++)
    send_record(fixture, WSC_MESSAGE, 0, 0, FIRST, "x", 1);
  bus_double_wait(fixture->bus, WSD_WINDOW_EVENTS);
  settle(fixture);
  g_assert_cmpuint(bus_double_count(fixture->bus), ==, WSD_WINDOW_EVENTS);
  fixture->bus->answer_pings = true;
  bus_double_answer_ping(fixture->bus, DOUBLE_APP);
  bus_double_wait(fixture->bus, 3 * WSD_WINDOW_EVENTS + 1);
  g_assert_false(fixture->ended);
}

static void test_next_worker_is_acknowledged_alone(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  guint8 room[64];
  fixture->bus->answer_pings = false;
  send_welcome(fixture);
  send_connect(fixture, FIRST);
  bus_double_wait(fixture->bus, 1);
  close(fixture->worker);
  wsd_traffic_detach(fixture->traffic);
  wsd_traffic_close_all(fixture->traffic, 1006, "");
  attach(fixture, GENERATION + 1);
  send_welcome_of(fixture, GENERATION + 1, true);
  bus_double_wait_pings(fixture->bus, 1);
  bus_double_answer_ping(fixture->bus, DOUBLE_APP);
  settle(fixture);
  /* Both events were of the first worker, or ours: the second owes nothing and hears nothing. */
  g_assert_cmpuint(read_records(fixture, room, sizeof room), ==, 0);
}

/* Records that no honest worker sends, each with what stands before it. */
enum before { NOTHING, WELCOME, CONNECTED };

static const struct hostile {
  const char *name;
  enum before before;
  guint8 type, flags;
  guint16 code;
  guint64 connection;
  const char *body;
  gsize size;
} hostile[] = {
    {"an event before WELCOME", NOTHING, WSC_DRAINED, 0, 0, FIRST, "", 0},
    {"a credit before WELCOME", NOTHING, WSC_CREDIT, 0, 0, FIRST, "\0\0\0\0\0\0\0\0", 8},
    {"an unknown type", WELCOME, 0x7f, 0, 0, 0, "", 0},
    {"a record of the other direction", WELCOME, WSC_SEND, 0, 0, FIRST, "x", 1},
    {"an unknown flag", CONNECTED, WSC_MESSAGE, 0x80, 0, FIRST, "x", 1},
    {"a connection of another generation", WELCOME, WSC_CONNECT, 0, 0, 1, NULL, 0},
    {"a connection of the next generation", WELCOME, WSC_CONNECT, 0, 0, FIRST + (G_GUINT64_CONSTANT(1) << 32), NULL, 0},
    {"a connection numbered 0", WELCOME, WSC_CONNECT, 0, 0, FIRST - 1, NULL, 0},
    {"a connection twice", CONNECTED, WSC_CONNECT, 0, 0, FIRST, NULL, 0},
    {"a malformed connection", WELCOME, WSC_CONNECT, 0, 0, FIRST, "\x04", 1},
    {"a message of nobody", CONNECTED, WSC_MESSAGE, 0, 0, FIRST + 1, "x", 1},
    {"a closed connection of nobody", CONNECTED, WSC_CLOSED, 0, 1000, FIRST + 1, "", 0},
    {"a drained queue of nobody", CONNECTED, WSC_DRAINED, 0, 0, FIRST + 1, "", 0},
    {"more credit than was charged", CONNECTED, WSC_CREDIT, 0, 0, FIRST, "\1\0\0\0\0\0\0\0", 8},
    {"a credit of the wrong size", CONNECTED, WSC_CREDIT, 0, 0, FIRST, "\0\0\0\0", 4},
    {"standing of an old id", CONNECTED, WSC_STANDING, 0, 0, FIRST, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16},
    {"standing with more released than charged", WELCOME, WSC_STANDING, 0, 0, FIRST, "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0",
     16},
    {"an error without a code", WELCOME, WSC_ERROR, 0, 0, 0, "\0", 1},
};

static void test_hostile(struct fixture *fixture, gconstpointer data) {
  const struct hostile *record = data;
  if (record->before >= WELCOME)
    send_welcome(fixture);
  if (record->before >= CONNECTED)
    send_connect(fixture, FIRST);
  if (record->type == WSC_CONNECT && !record->body)
    send_connect(fixture, record->connection);
  else
    send_record(fixture, record->type, record->flags, record->code, record->connection, record->body, record->size);
  while (!fixture->ended)
    g_main_context_iteration(NULL, TRUE);
  g_assert_nonnull(fixture->fault);
  g_test_message("%s", fixture->fault);
  settle(fixture);
  g_assert_cmpuint(bus_double_count(fixture->bus), ==, record->before == CONNECTED ? 1 : 0);
}

static void test_too_large(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  send_welcome(fixture);
  send_connect(fixture, FIRST);
  static const char large[1025];
  send_record(fixture, WSC_MESSAGE, 0, 0, FIRST, large, sizeof large);
  while (!fixture->ended)
    g_main_context_iteration(NULL, TRUE);
  g_assert_nonnull(fixture->fault);
}

static void test_second_welcome(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  send_welcome(fixture);
  send_welcome(fixture);
  while (!fixture->ended)
    g_main_context_iteration(NULL, TRUE);
  g_assert_nonnull(fixture->fault);
}

static void test_foreign_welcome(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  send_welcome_of(fixture, GENERATION + 1, true);
  while (!fixture->ended)
    g_main_context_iteration(NULL, TRUE);
  g_assert_nonnull(fixture->fault);
}

/* Another worker instead, whose messages and queues may be large, with one connection. */
static void attach_generous(struct fixture *fixture) {
  wsd_traffic_detach(fixture->traffic);
  close(fixture->worker);
  int sockets[2];
  g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), ==, 0);
  fcntl(sockets[0], F_SETFL, O_NONBLOCK);
  wsd_traffic_attach(fixture->traffic, sockets[0], GENERATION, WSD_MESSAGE_CEILING);
  wsd_traffic_open(fixture->traffic);
  fixture->worker = sockets[1];
  struct wsc_welcome welcome = {.version = WSC_VERSION,
                                .acknowledged = true,
                                .generation = GENERATION,
                                .first_event = 1,
                                .max_message = WSD_MESSAGE_CEILING,
                                .queue_high = G_MAXUINT32,
                                .queue_low = 1};
  uint8_t body[WSC_WELCOME_SIZE];
  wsc_welcome_encode(&welcome, body);
  send_record(fixture, WSC_WELCOME, 0, 0, 0, body, sizeof body);
  send_connect(fixture, FIRST);
  bus_double_wait(fixture->bus, 1);
}

/* Writes one message after the other until the other end is closed. */
static gpointer write_on_and_on(gpointer data) {
  enum { SIZE = 1 << 20 };
  int fd = GPOINTER_TO_INT(data);
  g_autofree guint8 *record = g_malloc0(WSC_RECORD_HEADER + SIZE);
  wsc_header_encode(&(struct wsc_header){.size = SIZE, .type = WSC_MESSAGE, .connection = FIRST}, record);
  for (;;)
    for (gsize done = 0; done < WSC_RECORD_HEADER + SIZE;) {
      ssize_t length = send(fd, record + done, WSC_RECORD_HEADER + SIZE - done, MSG_NOSIGNAL);
      if (length < 0)
        return NULL;
      done += (gsize)length;
    }
}

static void test_endless_worker(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  attach_generous(fixture);
  GThread *writer = g_thread_new("worker", write_on_and_on, GINT_TO_POINTER(fixture->worker));
  gint64 end = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;
  while (!fixture->ended && g_get_monotonic_time() < end) {
    wsd_traffic_drain(fixture->traffic); /* returns, though there is always more */
    g_main_context_iteration(NULL, FALSE);
  }
  g_assert_true(fixture->ended);
  g_assert_nonnull(fixture->fault);
  wsd_traffic_let_go(fixture->traffic);
  g_thread_join(writer);
}

static void test_partial_record_is_dropped(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  send_welcome(fixture);
  send_connect(fixture, FIRST);
  uint8_t header[WSC_RECORD_HEADER];
  wsc_header_encode(&(struct wsc_header){.size = 10, .type = WSC_MESSAGE, .connection = FIRST}, header);
  g_assert_cmpint(write(fixture->worker, header, sizeof header), ==, sizeof header);
  shutdown(fixture->worker, SHUT_RDWR);
  while (!fixture->ended)
    g_main_context_iteration(NULL, TRUE);
  g_assert_null(fixture->fault);
  wsd_traffic_detach(fixture->traffic);
  wsd_traffic_close_all(fixture->traffic, 1006, "");
  bus_double_wait(fixture->bus, 2);
  g_assert_cmpstr(bus_double_name(fixture->bus, 1), ==, "Closed");
}

/* Calls */

static void test_send(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  guint8 room[64];
  send_welcome(fixture);
  send_connect(fixture, FIRST);
  bus_double_wait(fixture->bus, 1);
  fixture->bus->answer_pings = false;
  call_send(fixture, FIRST, "hello");
  bus_double_wait(fixture->bus, 2);
  g_assert_cmpstr(bus_double_name(fixture->bus, 1), ==, "return");
  gsize length = read_records(fixture, room, sizeof room);
  g_assert_nonnull(memmem(room, length, "hello", 5)); /* before or behind the acknowledgement of CONNECT */
}

static void fill_queue(struct fixture *fixture) {
  g_autofree char *text = g_strnfill(1024 - WSC_MESSAGE_COST, 'x');
  guint8 room[4096];
  for (guint i = 0; i < WSC_PEER_QUEUE_HIGH / 1024; i++) {
    call_send(fixture, FIRST, text);
    while (read_records(fixture, room, sizeof room) > 0)
      continue;
  }
}

static void test_would_block_and_drained(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  guint8 room[64];
  uint8_t credit[8];
  send_welcome(fixture);
  send_connect(fixture, FIRST);
  bus_double_wait(fixture->bus, 1);
  settle(fixture);
  fill_queue(fixture);
  settle(fixture);
  guint before = bus_double_count(fixture->bus);
  call_send(fixture, FIRST, "too much");
  call_send(fixture, FIRST, "too much");
  bus_double_wait(fixture->bus, before + 2);
  g_assert_cmpstr(bus_double_name(fixture->bus, before - 1), ==, "return");
  g_assert_cmpstr(bus_double_name(fixture->bus, before), ==, "org.wsserver1.Error.WouldBlock");
  g_assert_cmpuint(read_records(fixture, room, sizeof room), ==, WSC_RECORD_HEADER); /* asked once */
  g_assert_cmpuint(room[4], ==, WSC_WANT_DRAINED);
  wsc_put_u64(credit, WSC_PEER_QUEUE_HIGH);
  send_record(fixture, WSC_CREDIT, 0, 0, FIRST, credit, sizeof credit);
  send_record(fixture, WSC_DRAINED, 0, 0, FIRST, NULL, 0);
  bus_double_wait(fixture->bus, before + 3);
  g_assert_cmpstr(bus_double_name(fixture->bus, before + 2), ==, "Drained");
  call_send(fixture, FIRST, "again");
  bus_double_wait(fixture->bus, before + 4);
  g_assert_cmpstr(bus_double_name(fixture->bus, before + 3), ==, "return");
}

/* Where the owner has as much waiting for all its workers as it may. */
static void test_owner_without_room(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  guint8 room[64];
  send_welcome(fixture);
  send_connect(fixture, FIRST);
  bus_double_wait(fixture->bus, 1);
  settle(fixture);
  fixture->owner_is_full = true;
  call_send(fixture, FIRST, "too much");
  bus_double_wait(fixture->bus, 2);
  g_assert_cmpstr(bus_double_name(fixture->bus, 1), ==, "org.wsserver1.Error.WouldBlock");
  gsize length = read_records(fixture, room, sizeof room); /* the acknowledgement of Connect before it */
  g_assert_cmpuint(length, >=, WSC_RECORD_HEADER);
  g_assert_cmpuint(room[length - WSC_RECORD_HEADER + 4], ==, WSC_WANT_DRAINED);
  fixture->owner_is_full = false;
  call_send(fixture, FIRST, "fine");
  bus_double_wait(fixture->bus, 3);
  g_assert_cmpstr(bus_double_name(fixture->bus, 2), ==, "return");
}

static void test_stuck_worker(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  /* The worker does not read: calls wait, and beyond a bound are refused; when it is gone, all are answered. */
  attach_generous(fixture);
  g_autofree char *text = g_strnfill(WSD_MESSAGE_CEILING, 'x');
  call_send(fixture, FIRST, text);
  call_send(fixture, FIRST, text);
  call_send(fixture, FIRST, "small");
  bus_double_wait(fixture->bus, 2);
  settle(fixture);
  g_assert_cmpuint(bus_double_count(fixture->bus), ==, 2);
  g_assert_cmpstr(bus_double_name(fixture->bus, 1), ==, "org.wsserver1.Error.WouldBlock");
  wsd_traffic_fail_calls(fixture->traffic, WSD_ERROR_SHUTTING_DOWN, "gone");
  bus_double_wait(fixture->bus, 4);
  g_assert_cmpstr(bus_double_name(fixture->bus, 2), ==, "org.wsserver1.Error.ShuttingDown");
}

/* Adoption */

static void adopt(struct fixture *fixture) {
  int sockets[2];
  g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), ==, 0);
  fcntl(sockets[0], F_SETFL, O_NONBLOCK);
  wsd_traffic_let_go(fixture->traffic);
  close(fixture->worker);
  wsd_traffic_adopt(fixture->traffic, sockets[0], GENERATION, 1024, 0, true);
  wsd_traffic_open(fixture->traffic);
  fixture->worker = sockets[1];
}

static void call_broadcast(struct fixture *fixture) {
  GVariant *all = g_variant_new_array(G_VARIANT_TYPE_UINT64, NULL, 0);
  GVariant *arguments = g_variant_new("(@atb@ay)", all, TRUE, octets("hello"));
  wsd_traffic_broadcast(fixture->traffic, make_call(fixture, "Broadcast", arguments));
}

static void test_early_calls(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  static const guint8 standing[16] = {0};
  adopt(fixture);
  call_send(fixture, FIRST, "to one that stands");
  call_send(fixture, FIRST + 1, "to one whose Connect is repeated");
  call_broadcast(fixture);
  settle(fixture);
  g_assert_cmpuint(bus_double_count(fixture->bus), ==, 0);
  send_whole_welcome(fixture, GENERATION, true, 1, 2);
  settle(fixture);
  g_assert_cmpuint(bus_double_count(fixture->bus), ==, 0);
  send_record(fixture, WSC_STANDING, 0, 0, FIRST, standing, sizeof standing);
  bus_double_wait(fixture->bus, 1);
  settle(fixture);
  g_assert_cmpuint(bus_double_count(fixture->bus), ==, 1);
  send_connect(fixture, FIRST + 1);
  bus_double_wait(fixture->bus, 3); /* the signal and the second reply */
  settle(fixture);
  g_assert_cmpuint(bus_double_count(fixture->bus), ==, 3);
  send_connect(fixture, FIRST + 2);
  bus_double_wait(fixture->bus, 5);
  guint count = 0;
  g_variant_get(bus_double_body(fixture->bus, 4), "(u)", &count);
  g_assert_cmpuint(count, ==, 3);
  call_send(fixture, FIRST + 3, "to nobody");
  bus_double_wait(fixture->bus, 6);
  g_assert_cmpstr(bus_double_name(fixture->bus, 5), ==, "org.wsserver1.Error.ConnectionNotFound");
}

/* WSD_CATCH_UP_MS */
static void test_early_calls_are_answered(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  adopt(fixture);
  gint64 started = g_get_monotonic_time();
  call_send(fixture, FIRST, "hello");
  send_whole_welcome(fixture, GENERATION, true, G_MAXUINT32, G_MAXUINT32);
  bus_double_wait(fixture->bus, 1);
  g_assert_cmpint(g_get_monotonic_time() - started, >=, WSD_CATCH_UP_MS * G_TIME_SPAN_MILLISECOND);
  g_assert_cmpstr(bus_double_name(fixture->bus, 0), ==, "org.wsserver1.Error.ConnectionNotFound");
}

static void test_early_acknowledgement(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  static const guint8 standing[16] = {0};
  adopt(fixture);
  call_send(fixture, FIRST, "to one that is not named yet");
  wsd_traffic_acknowledge(fixture->traffic, make_call(fixture, "Acknowledge", g_variant_new("(t)", (guint64)5)));
  wsd_traffic_acknowledge(fixture->traffic, make_call(fixture, "Acknowledge", g_variant_new("(t)", (guint64)6)));
  settle(fixture);
  g_assert_cmpuint(bus_double_count(fixture->bus), ==, 0);
  send_welcome_from(fixture, GENERATION, true, 6, 1, 0);
  bus_double_wait(fixture->bus, 2); /* before the call that came first and still waits */
  g_assert_cmpstr(bus_double_name(fixture->bus, 0), ==, "return");
  g_assert_cmpstr(bus_double_name(fixture->bus, 1), ==, "org.wsserver1.Error.InvalidArgument");
  send_record(fixture, WSC_STANDING, 0, 0, FIRST, standing, sizeof standing);
  bus_double_wait(fixture->bus, 3);
  g_assert_cmpstr(bus_double_name(fixture->bus, 2), ==, "return");
}

static void test_early_calls_end(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  adopt(fixture);
  call_send(fixture, FIRST, "hello");
  wsd_traffic_acknowledge(fixture->traffic, make_call(fixture, "Acknowledge", g_variant_new("(t)", (guint64)1)));
  wsd_traffic_fail_calls(fixture->traffic, WSD_ERROR_SHUTTING_DOWN, "gone");
  bus_double_wait(fixture->bus, 2);
  g_assert_cmpstr(bus_double_name(fixture->bus, 0), ==, "org.wsserver1.Error.ShuttingDown");
  g_assert_cmpstr(bus_double_name(fixture->bus, 1), ==, "org.wsserver1.Error.ShuttingDown");
}

#define TEST(name, function) g_test_add("/traffic/" name, struct fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  TEST("records become signals, in order", test_events);
  TEST("what reached the app is acknowledged to the worker", test_events_are_acknowledged);
  TEST("what was acknowledged in leaving is not acknowledged again", test_settled_events_are_acknowledged_once);
  TEST("a silent app pauses its worker and loses nothing", test_window_pauses);
  TEST("signals of a dead worker are not acknowledged to the next", test_next_worker_is_acknowledged_alone);
  TEST("a message above the limit ends the link", test_too_large);
  TEST("a worker that should stop and goes on and on is ended", test_endless_worker);
  TEST("a second WELCOME ends the link", test_second_welcome);
  TEST("a WELCOME of another generation ends the link", test_foreign_welcome);
  TEST("half a record at the end is dropped", test_partial_record_is_dropped);
  TEST("Send puts a record into the channel", test_send);
  TEST("a full queue is WouldBlock, then Drained, then free", test_would_block_and_drained);
  TEST("so is a full queue of the owner", test_owner_without_room);
  TEST("a stuck worker holds a bounded amount", test_stuck_worker);
  TEST("calls wait until an adopted worker has named its connections", test_early_calls);
  TEST("an adopted worker that names none keeps no call for ever", test_early_calls_are_answered);
  TEST("an acknowledgement waits for the count of an adopted worker and for nothing else", test_early_acknowledgement);
  TEST("calls that wait for an adopted worker are answered when the server goes", test_early_calls_end);
  for (gsize i = 0; i < G_N_ELEMENTS(hostile); i++) {
    g_autofree char *path = g_strconcat("/traffic/hostile worker/", hostile[i].name, NULL);
    g_test_add(path, struct fixture, &hostile[i], set_up, test_hostile, tear_down);
  }
  return g_test_run();
}
