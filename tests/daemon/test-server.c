/* SPDX-License-Identifier: Apache-2.0 */
/* A server's states with workers that misbehave. The program plays both: run under the name "worker-PART" it is a worker
 * that does what PART says. */
#include "channel/control.h"
#include "channel/queue.h"
#include "daemon/config.h"
#include "daemon/limits.h"
#include "daemon/server.h"
#include "daemon/service.h"
#include "daemon/state.h"
#include "daemon/supervisor.h"
#include "tests/daemon/bus-double.h"

#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The worker's part */

static void put(guint16 type, guint32 tag) {
  guint8 room[256];
  struct wsc_control_writer writer;
  const struct wsc_counters counters = {.messages_received = 7};
  wsc_control_begin(&writer, room, sizeof room, type, tag);
  if (type == WSC_CONTROL_STOPPED || type == WSC_CONTROL_COUNTERS)
    wsc_control_add_counters(&writer, &counters);
  if (type == WSC_CONTROL_READY)
    wsc_control_add_u32(&writer, WSC_FIELD_VERSION, WSC_CONTROL_VERSION);
  if (type == WSC_CONTROL_FAILED)
    wsc_control_add_text(&writer, WSC_FIELD_TEXT, "cannot");
  wsc_control_send(WSC_CONTROL_FD, room, wsc_control_finish(&writer), NULL, 0);
}

static void put_record(int channel, guint8 type, guint64 connection, const void *body, size_t size) {
  struct wsc_queue queue = {0};
  struct wsc_header header = {.type = type, .connection = connection};
  g_assert_true(wsc_queue_append_record(&queue, &header, body, size));
  g_assert_cmpint(write(channel, wsc_queue_front(&queue), wsc_queue_length(&queue)), >, 0);
  wsc_queue_clear(&queue);
}

static void put_welcome(int channel, guint64 generation) {
  struct wsc_welcome welcome = {.version = WSC_VERSION,
                                .acknowledged = true,
                                .generation = generation,
                                .first_event = 1,
                                .max_message = WSD_MESSAGE_DEFAULT,
                                .queue_high = WSC_PEER_QUEUE_HIGH,
                                .queue_low = WSC_PEER_QUEUE_LOW};
  uint8_t body[WSC_WELCOME_SIZE];
  wsc_welcome_encode(&welcome, body);
  put_record(channel, WSC_WELCOME, 0, body, sizeof body);
}

static void put_connect(int channel, guint64 id) {
  struct wsc_connect connect = {.family = 4, .port = 1, .address = {127, 0, 0, 1}};
  uint8_t body[128];
  put_record(channel, WSC_CONNECT, id, body, wsc_connect_encode(&connect, body));
}

struct part {
  const char *name;
  guint64 generation;
  int channel;
};

/* False when the part is played out. */
static bool play(struct part *part, const struct wsc_control_record *record) {
  const char *name = part->name;
  if (g_str_equal(name, "mute"))
    return true;
  if (record->type == WSC_CONTROL_CONFIGURE)
    wsc_control_get_u64(record, WSC_FIELD_GENERATION, &part->generation);
  if (record->type == WSC_CONTROL_CONFIGURE && g_str_equal(name, "failing")) {
    put(WSC_CONTROL_FAILED, 0);
    return false;
  }
  if (record->type == WSC_CONTROL_ATTACH) {
    put_welcome(part->channel, part->generation);
    put(WSC_CONTROL_READY, 0);
    if (!g_str_equal(name, "dying"))
      put_connect(part->channel, part->generation << 32 | 1);
    if (g_str_equal(name, "wild"))
      put_connect(part->channel, 1);
    return !g_str_equal(name, "dying");
  }
  if (record->type == WSC_CONTROL_STATISTICS)
    put(WSC_CONTROL_COUNTERS, record->tag);
  if (record->type == WSC_CONTROL_STOP && !g_str_equal(name, "deaf")) {
    put(WSC_CONTROL_STOPPED, record->tag);
    return false;
  }
  return true;
}

static int play_worker(const char *name) {
  struct part part = {.name = name, .channel = -1};
  static guint8 packet[WSC_CONTROL_PACKET_MAX];
  for (;;) {
    int fds[WSC_CONTROL_FDS_MAX];
    size_t count = 0;
    struct wsc_control_record record;
    struct pollfd ready = {.fd = WSC_CONTROL_FD, .events = POLLIN};
    poll(&ready, 1, -1);
    ssize_t length = wsc_control_receive(WSC_CONTROL_FD, packet, sizeof packet, fds, &count);
    if (length <= 0 || wsc_control_decode(packet, (size_t)length, &record))
      return 0;
    if (record.type == WSC_CONTROL_ATTACH)
      part.channel = fds[0];
    if (!play(&part, &record))
      return 0;
  }
}

/* The test's part */

struct fixture {
  struct bus_double *bus;
  struct wsd_supervisor *supervisor;
  struct wsd_service *service;
  struct wsd_app *app;
  struct wsd_server *server;
  char *folder, *worker;
  guint seen; /* messages looked at */
};

static bool introduce(struct fixture *fixture, struct wsd_app *app, guint32 uid) {
  g_autoptr(GVariant) credentials = g_variant_ref_sink(g_variant_new_parsed("{'UnixUserID': <%u>}", uid));
  return app->identity || wsd_service_introduce(fixture->service, app, wsd_identity_new(credentials, NULL, NULL), NULL);
}

static void set_up(struct fixture *fixture, gconstpointer part) {
  g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
  g_autofree char *name = g_strconcat("worker-", part, NULL);
  fixture->folder = g_dir_make_tmp("wsserverd-server-XXXXXX", NULL);
  fixture->worker = g_build_filename(fixture->folder, name, NULL);
  g_assert_cmpint(symlink(self, fixture->worker), ==, 0);
  g_autofree char *file = g_build_filename(fixture->folder, "config.json", NULL);
  g_file_set_contents(file, "{\"deviceProfile\": \"smart-screen\", \"policy\": [{\"users\": [\"*\"]}]}", -1, NULL);
  struct wsd_config_source source = {.file = file};
  struct wsd_config *config = wsd_config_load(&source, NULL);
  g_unlink(file);
  fixture->bus = bus_double_new();
  fixture->bus->answer_pings = true;
  fixture->supervisor = wsd_supervisor_new();
  fixture->service = wsd_service_new(&source, config, fixture->worker, false, fixture->supervisor);
  fixture->service->timing = (struct wsd_timing){
      .ready_timeout = 300, .stop_deadline = 100, .stop_grace = 100, .restart_delay_min = 1, .restart_delay_max = 4};
  wsd_service_set_connection(fixture->service, fixture->bus->daemon);
  fixture->app = wsd_service_app(fixture->service, DOUBLE_APP);
  introduce(fixture, fixture->app, 1000);
  fixture->server = wsd_server_ref(wsd_service_create_server(fixture->service, fixture->app, NULL));
}

static void tear_down(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  wsd_service_set_connection(fixture->service, NULL);
  while (wsd_server_state(fixture->server) == WSD_SERVER_STOPPING)
    g_main_context_iteration(NULL, TRUE);
  wsd_server_unref(fixture->server);
  wsd_service_free(fixture->service);
  wsd_supervisor_free(fixture->supervisor);
  bus_double_free(fixture->bus);
  g_unlink(fixture->worker);
  g_rmdir(fixture->folder);
  g_free(fixture->worker);
  g_free(fixture->folder);
}

static struct wsd_call *call(struct fixture *fixture, const char *member, GVariant *arguments) {
  static guint32 serial = 0;
  g_autoptr(GDBusMessage) message =
      g_dbus_message_new_method_call("org.wsserver1", wsd_server_path(fixture->server), "org.wsserver1.Server", member);
  g_dbus_message_set_serial(message, ++serial);
  g_dbus_message_set_body(message, arguments);
  return wsd_call_new(fixture->app, fixture->bus->daemon, message);
}

static void start(struct fixture *fixture) {
  GVariant *options = g_variant_new_parsed("({'serverPort': <uint16 0>, 'serverIP': <'127.0.0.1'>},)");
  wsd_server_start(fixture->server, call(fixture, "Start", options));
}

/* The next message that is not a State change. */
static const char *next(struct fixture *fixture) {
  for (;;) {
    bus_double_wait(fixture->bus, ++fixture->seen);
    const char *name = bus_double_name(fixture->bus, fixture->seen - 1);
    if (!g_str_equal(name, "PropertiesChanged"))
      return name;
  }
}

static void expect_state(struct fixture *fixture, enum wsd_server_state state) {
  g_assert_cmpstr(wsd_server_state_name(wsd_server_state(fixture->server)), ==, wsd_server_state_name(state));
}

static void test_whole_life(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  start(fixture);
  expect_state(fixture, WSD_SERVER_STARTING);
  g_assert_cmpstr(next(fixture), ==, "return"); /* Start answers before any peer is announced */
  g_assert_cmpstr(next(fixture), ==, "Connect");
  expect_state(fixture, WSD_SERVER_RUNNING);
  g_assert_cmpuint(wsd_server_port(fixture->server), >, 0);
  wsd_server_stop(fixture->server, call(fixture, "Stop", NULL));
  wsd_server_stop(fixture->server, call(fixture, "Stop", NULL)); /* waits for the same end */
  g_assert_cmpstr(next(fixture), ==, "Closed");
  g_assert_cmpstr(next(fixture), ==, "return");
  g_assert_cmpstr(next(fixture), ==, "return");
  expect_state(fixture, WSD_SERVER_STOPPED);
  g_assert_cmpuint(wsd_server_counters(fixture->server)->messages_received, ==, 7);
  start(fixture); /* and again */
  g_assert_cmpstr(next(fixture), ==, "return");
}

static void test_never_ready(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  start(fixture);
  g_assert_cmpstr(next(fixture), ==, "org.wsserver1.Error.Failed");
  expect_state(fixture, WSD_SERVER_FAILED);
  wsd_server_stop(fixture->server, call(fixture, "Stop", NULL));
  g_assert_cmpstr(next(fixture), ==, "return");
  expect_state(fixture, WSD_SERVER_STOPPED);
}

static void test_cancelled_start(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  start(fixture);
  wsd_server_stop(fixture->server, call(fixture, "Stop", NULL));
  g_assert_cmpstr(next(fixture), ==, "org.wsserver1.Error.ShuttingDown");
  g_assert_cmpstr(next(fixture), ==, "return");
  expect_state(fixture, WSD_SERVER_STOPPED);
}

static void test_released_start(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  start(fixture);
  wsd_server_release(fixture->server, call(fixture, "Release", NULL));
  g_assert_cmpstr(next(fixture), ==, "org.wsserver1.Error.ShuttingDown");
  g_assert_cmpstr(next(fixture), ==, "return");
  g_assert_cmpuint(fixture->app->servers->len, ==, 0);
}

static void test_release_while_stopping(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  start(fixture);
  g_assert_cmpstr(next(fixture), ==, "return");
  g_assert_cmpstr(next(fixture), ==, "Connect");
  wsd_server_stop(fixture->server, call(fixture, "Stop", NULL));
  wsd_server_release(fixture->server, call(fixture, "Release", NULL));
  g_assert_cmpstr(next(fixture), ==, "org.wsserver1.Error.ShuttingDown"); /* Stop */
  g_assert_cmpstr(next(fixture), ==, "Closed");
  g_assert_cmpstr(next(fixture), ==, "return"); /* Release */
}

static void test_deaf_worker(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  start(fixture);
  g_assert_cmpstr(next(fixture), ==, "return");
  g_assert_cmpstr(next(fixture), ==, "Connect");
  wsd_server_stop(fixture->server, call(fixture, "Stop", NULL));
  g_assert_cmpstr(next(fixture), ==, "Closed");
  g_autofree char *closed = g_variant_print(bus_double_body(fixture->bus, fixture->seen - 1), FALSE);
  g_assert_nonnull(strstr(closed, ", 1001, '', false)"));
  g_assert_cmpstr(next(fixture), ==, "return");
  expect_state(fixture, WSD_SERVER_STOPPED);
}

static void test_dying_worker(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  start(fixture);
  g_assert_cmpstr(next(fixture), ==, "return");
  guint errors = 0;
  while (wsd_server_state(fixture->server) == WSD_SERVER_RUNNING) {
    g_main_context_iteration(NULL, TRUE);
    g_assert_cmpuint(wsd_server_port(fixture->server) > 0, ==, wsd_server_state(fixture->server) == WSD_SERVER_RUNNING);
  }
  expect_state(fixture, WSD_SERVER_FAILED);
  bus_double_settle(fixture->bus);
  while (fixture->seen < bus_double_count(fixture->bus))
    errors += g_str_equal(bus_double_name(fixture->bus, fixture->seen++), "Error");
  g_assert_cmpuint(errors, ==, WSD_RESTARTS_MAX + 2); /* each death, and that it gave up */
  start(fixture);                                     /* the app may try again */
  g_assert_cmpstr(next(fixture), ==, "return");
}

static void test_wild_worker(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  start(fixture);
  g_assert_cmpstr(next(fixture), ==, "return");
  g_assert_cmpstr(next(fixture), ==, "Connect");
  g_assert_cmpstr(next(fixture), ==, "Error");
  g_assert_cmpstr(next(fixture), ==, "Closed");
  g_autofree char *closed = g_variant_print(bus_double_body(fixture->bus, fixture->seen - 1), FALSE);
  g_assert_nonnull(strstr(closed, ", 1006, '', false)"));
}

static void test_owner_gone(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  start(fixture);
  g_assert_cmpstr(next(fixture), ==, "return");
  wsd_service_name_vanished(fixture->service, DOUBLE_APP);
  expect_state(fixture, WSD_SERVER_STOPPING);
  while (wsd_server_state(fixture->server) == WSD_SERVER_STOPPING)
    g_main_context_iteration(NULL, TRUE);
  fixture->app = NULL;
}

/* Survival */

static void adopt(struct fixture *fixture, const char *state, guint32 version, int control, int listener) {
  struct wsd_kept_server kept = {
      .state = (char *)state, .generation = 4, .worker_version = version, .events_before = 9};
  kept.options.server_ip = (char *)"127.0.0.1";
  kept.options.protocol = (char *)"";
  kept.options.max_message = WSD_MESSAGE_DEFAULT;
  const struct wsd_server_remains remains = {control, listener, -1, -1, WSD_NO_CHANNEL};
  wsd_server_adopt(fixture->server, &kept, &remains);
}

static void test_adopt_idle(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  adopt(fixture, "failed", 1, -1, -1);
  expect_state(fixture, WSD_SERVER_FAILED);
  start(fixture);
  g_assert_cmpstr(next(fixture), ==, "return");
  g_assert_cmpstr(next(fixture), ==, "Connect");
  guint64 id;
  g_variant_get_child(bus_double_body(fixture->bus, fixture->seen - 1), 0, "t", &id);
  g_assert_cmpuint(id, ==, G_GUINT64_CONSTANT(5) << 32 | 1); /* ids of the generation before are not used again */
}

static void test_adopt_without_listener(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  int ends[2];
  g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), ==, 0);
  adopt(fixture, "running", 1, ends[0], -1);
  expect_state(fixture, WSD_SERVER_FAILED);
  g_assert_cmpstr(next(fixture), ==, "Error");
  guint8 octet;
  g_assert_cmpint(read(ends[1], &octet, 1), ==, 0); /* its worker is let go */
  close(ends[1]);
}

static int listen_somewhere(void) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint(listen(listener, 1), ==, 0);
  return listener;
}

static void test_adopt_foreign_version(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  int ends[2];
  g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), ==, 0);
  adopt(fixture, "running", WSC_CONTROL_VERSION + 1, ends[0], listen_somewhere());
  expect_state(fixture, WSD_SERVER_RUNNING);
  guint8 octet;
  g_assert_cmpint(read(ends[1], &octet, 1), ==, 0); /* drained by the end of its control socket, and replaced */
  g_assert_cmpstr(next(fixture), ==, "Error");
  g_assert_cmpstr(next(fixture), ==, "Connect");
  close(ends[1]);
}

static void test_adopt_dead_worker(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  adopt(fixture, "running", 1, -1, listen_somewhere());
  g_assert_cmpstr(next(fixture), ==, "Error");
  g_assert_cmpstr(next(fixture), ==, "Connect");
  expect_state(fixture, WSD_SERVER_RUNNING);
}

static void test_adopt_stopping(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  adopt(fixture, "stopping", 1, -1, -1);
  expect_state(fixture, WSD_SERVER_STOPPED);
}

static void test_adopt_hung_worker(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  int ends[2];
  g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), ==, 0);
  adopt(fixture, "running", 1, ends[0], listen_somewhere()); /* nobody answers on ends[1] */
  wsd_server_stop(fixture->server, call(fixture, "Stop", NULL));
  g_assert_cmpstr(next(fixture), ==, "return");
  expect_state(fixture, WSD_SERVER_STOPPED);
  close(ends[1]);
}

static void test_servers_per_app(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  g_autoptr(GError) error = NULL;
  for (guint i = 1; i < WSD_SERVERS_PER_APP_MAX; i++)
    g_assert_nonnull(wsd_service_create_server(fixture->service, fixture->app, NULL));
  g_assert_null(wsd_service_create_server(fixture->service, fixture->app, &error));
  g_assert_error(error, WSD_ERROR, WSD_ERROR_LIMIT_EXCEEDED);
}

/* Who connects often does not get more for it. */
static void test_servers_per_account(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  g_autoptr(GError) error = NULL;
  struct wsd_app *app = NULL, *other = wsd_service_app(fixture->service, ":8.1");
  for (guint i = 1; i < WSD_SERVERS_PER_ACCOUNT_MAX; i++) {
    g_autofree char *name = g_strdup_printf(":9.%u", i / WSD_SERVERS_PER_APP_MAX);
    app = wsd_service_app(fixture->service, name);
    g_assert_true(introduce(fixture, app, 1000));
    g_assert_nonnull(wsd_service_create_server(fixture->service, app, NULL));
  }
  app = wsd_service_app(fixture->service, ":9.999");
  g_assert_true(introduce(fixture, app, 1000));
  g_assert_null(wsd_service_create_server(fixture->service, app, &error));
  g_assert_error(error, WSD_ERROR, WSD_ERROR_LIMIT_EXCEEDED);
  g_assert_true(introduce(fixture, other, 1001));
  g_assert_nonnull(wsd_service_create_server(fixture->service, other, NULL));
  wsd_server_release(fixture->server, call(fixture, "Release", NULL));
  g_assert_nonnull(wsd_service_create_server(fixture->service, app, NULL));
}

static void test_clients_per_account(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  for (guint i = 1; i < WSD_APPS_PER_ACCOUNT_MAX; i++) {
    g_autofree char *name = g_strdup_printf(":9.%u", i);
    g_assert_true(introduce(fixture, wsd_service_app(fixture->service, name), 1000));
  }
  g_assert_false(introduce(fixture, wsd_service_app(fixture->service, ":8.1"), 1000));
  g_assert_true(introduce(fixture, wsd_service_app(fixture->service, ":8.2"), 1001));
  wsd_service_name_vanished(fixture->service, ":9.1");
  g_assert_true(introduce(fixture, wsd_service_app(fixture->service, ":8.1"), 1000));
}

static void test_servers_in_all(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  g_autoptr(GError) error = NULL;
  for (guint i = 1; i < WSD_SERVERS_MAX; i++) {
    g_autofree char *name = g_strdup_printf(":9.%u", i / WSD_SERVERS_PER_APP_MAX);
    struct wsd_app *app = wsd_service_app(fixture->service, name);
    g_assert_true(introduce(fixture, app, 1000 + i / WSD_SERVERS_PER_ACCOUNT_MAX));
    g_assert_nonnull(wsd_service_create_server(fixture->service, app, NULL));
  }
  struct wsd_app *late = wsd_service_app(fixture->service, ":9.999");
  g_assert_true(introduce(fixture, late, 2000));
  g_assert_null(wsd_service_create_server(fixture->service, late, &error));
  g_assert_error(error, WSD_ERROR, WSD_ERROR_LIMIT_EXCEEDED);
  wsd_server_release(fixture->server, call(fixture, "Release", NULL));
  g_assert_nonnull(wsd_service_create_server(fixture->service, late, NULL));
}

static void test_apps(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  for (guint i = 1; i < WSD_APPS_MAX; i++) {
    g_autofree char *name = g_strdup_printf(":8.%u", i);
    g_assert_nonnull(wsd_service_app(fixture->service, name));
  }
  g_assert_null(wsd_service_app(fixture->service, ":8.late"));
  g_assert_true(wsd_service_app(fixture->service, DOUBLE_APP) == fixture->app);
  wsd_service_name_vanished(fixture->service, ":8.1");
  g_assert_nonnull(wsd_service_app(fixture->service, ":8.late"));
}

#define TEST(name, part, function) g_test_add("/server/" name, struct fixture, part, set_up, function, tear_down)

int main(int argc, char **argv) {
  g_autofree char *name = g_path_get_basename(argv[0]);
  if (g_str_has_prefix(name, "worker-"))
    return play_worker(name + strlen("worker-"));
  g_test_init(&argc, &argv, NULL);
  g_log_set_always_fatal(G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL); /* warnings are what the daemon owes here */
  TEST("start, stop, start again", "serving", test_whole_life);
  TEST("a worker that never gets ready fails the start", "mute", test_never_ready);
  TEST("a worker that cannot start fails the start", "failing", test_never_ready);
  TEST("Stop cancels a start", "mute", test_cancelled_start);
  TEST("Release cancels a start", "mute", test_released_start);
  TEST("Release while stopping answers both calls", "serving", test_release_while_stopping);
  TEST("a worker that ignores STOP is ended", "deaf", test_deaf_worker);
  TEST("a worker that keeps dying fails the server, not the daemon", "dying", test_dying_worker);
  TEST("a worker that breaks the channel's rules is replaced", "wild", test_wild_worker);
  TEST("an owner that left takes its server along", "serving", test_owner_gone);
  TEST("a server that did not run is there again", "serving", test_adopt_idle);
  TEST("a server whose socket is lost has failed", "serving", test_adopt_without_listener);
  TEST("a worker of a version we do not speak is drained and replaced", "serving", test_adopt_foreign_version);
  TEST("a worker that died meanwhile is replaced", "serving", test_adopt_dead_worker);
  TEST("a server that was stopping has stopped", "serving", test_adopt_stopping);
  TEST("an adopted worker that hangs can be stopped", "serving", test_adopt_hung_worker);
  TEST("one app has at most 16 servers", "serving", test_servers_per_app);
  TEST("one user has at most 64 servers, however often it connects", "serving", test_servers_per_account);
  TEST("one user is known by at most 512 connections", "serving", test_clients_per_account);
  TEST("all apps have at most 256 servers", "serving", test_servers_in_all);
  TEST("at most 4096 bus clients are known", "serving", test_apps);
  return g_test_run();
}
