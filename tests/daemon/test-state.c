/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/limits.h"
#include "daemon/state.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static struct wsd_state *sample(void) {
  struct wsd_state *state = wsd_state_new();
  state->sequence = 7;
  state->bus_guid = g_strdup("0123456789abcdef");
  state->last_number = 12;
  for (guint64 number = 3; number <= 4; number++) {
    struct wsd_kept_server *server = wsd_state_add(state);
    server->number = number;
    server->owner = g_strdup(":1.42");
    server->owner_uid = 1000;
    server->owner_label = number == 3 ? g_strdup("label") : NULL;
    server->state = g_strdup(number == 3 ? "running" : "created");
    server->generation = 5;
    server->worker_version = 1;
    server->worker_last_request = 9;
    server->events_before = 99;
    server->settled = number == 3;
    server->options.server_ip = number == 3 ? g_strdup("::1") : NULL;
    server->options.protocol = number == 3 ? g_strdup("a, b") : NULL;
    const char *origins[] = {"https://a.example", "null", NULL};
    server->options.allowed_origins = number == 3 ? g_strdupv((GStrv)origins) : NULL;
    server->options.server_port = 8080;
    server->options.max_clients = 1;
    server->options.max_per_client = 2;
    server->options.max_message = 3;
    server->options.ping_interval = 4;
    server->options.pong_timeout = 5;
    server->options.compression = number == 3;
  }
  return state;
}

static void test_round_trip(void) {
  struct wsd_state *before = sample();
  int fd = wsd_state_write(before, NULL);
  g_assert_cmpint(fd, >=, 0);
  struct wsd_state *after = wsd_state_read(fd, NULL);
  g_assert_nonnull(after);
  g_assert_cmpuint(after->sequence, ==, 7);
  g_assert_cmpstr(after->bus_guid, ==, "0123456789abcdef");
  g_assert_cmpuint(after->last_number, ==, 12);
  g_assert_cmpuint(after->servers->len, ==, 2);
  const struct wsd_kept_server *server = after->servers->pdata[0];
  g_assert_cmpuint(server->number, ==, 3);
  g_assert_cmpstr(server->owner, ==, ":1.42");
  g_assert_cmpuint(server->owner_uid, ==, 1000);
  g_assert_cmpstr(server->owner_label, ==, "label");
  g_assert_cmpstr(server->state, ==, "running");
  g_assert_cmpuint(server->generation, ==, 5);
  g_assert_cmpuint(server->worker_version, ==, 1);
  g_assert_cmpuint(server->worker_last_request, ==, 9);
  g_assert_cmpuint(server->events_before, ==, 99);
  g_assert_true(server->settled);
  g_assert_cmpstr(server->options.server_ip, ==, "::1");
  g_assert_cmpstr(server->options.protocol, ==, "a, b");
  g_assert_cmpuint(server->options.server_port, ==, 8080);
  g_assert_cmpuint(server->options.max_message, ==, 3);
  g_assert_cmpuint(server->options.pong_timeout, ==, 5);
  g_assert_true(server->options.compression);
  g_assert_cmpuint(g_strv_length(server->options.allowed_origins), ==, 2);
  g_assert_cmpstr(server->options.allowed_origins[1], ==, "null");
  const struct wsd_kept_server *idle = after->servers->pdata[1];
  g_assert_null(idle->owner_label);
  g_assert_null(idle->options.server_ip);
  g_assert_null(idle->options.allowed_origins);
  g_assert_false(idle->settled);
  g_assert_false(idle->options.compression);
  wsd_state_free(before);
  wsd_state_free(after);
  close(fd);
}

static void test_cannot_be_changed(void) {
  struct wsd_state *state = sample();
  int fd = wsd_state_write(state, NULL);
  g_assert_cmpint(pwrite(fd, "x", 1, 0), ==, -1);
  g_assert_cmpint(ftruncate(fd, 1), ==, -1);
  g_assert_cmpint(fcntl(fd, F_GET_SEALS) & SEALS, ==, SEALS);
  close(fd);
  wsd_state_free(state);
}

static int memfd_with(const void *octets, gsize length, bool sealed) {
  int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  g_assert_cmpint(write(fd, octets, length), ==, (gssize)length);
  if (sealed)
    g_assert_cmpint(fcntl(fd, F_ADD_SEALS, SEALS), ==, 0);
  return fd;
}

/* Closes the descriptor. */
static void expect_refused(int fd) {
  g_autoptr(GError) error = NULL;
  g_assert_null(wsd_state_read(fd, &error));
  g_assert_nonnull(error);
  g_test_message("%s", error->message);
  close(fd);
}

static gsize sample_octets(guint8 *octets, gsize size) {
  struct wsd_state *state = sample();
  int fd = wsd_state_write(state, NULL);
  ssize_t length = pread(fd, octets, size, 0);
  close(fd);
  wsd_state_free(state);
  g_assert_cmpint(length, >, 0);
  return (gsize)length;
}

static void test_wrong_descriptors(void) {
  guint8 octets[8192];
  gsize length = sample_octets(octets, sizeof octets);
  int ends[2];
  g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
  close(ends[1]);
  expect_refused(ends[0]);
  expect_refused(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  expect_refused(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  expect_refused(memfd_with(octets, length, false));
  expect_refused(memfd_with("", 0, true));
  g_autofree guint8 *large = g_malloc0(WSD_STATE_MAX + 1);
  expect_refused(memfd_with(large, WSD_STATE_MAX + 1, true));
}

static void test_every_truncation(void) {
  guint8 octets[8192];
  gsize length = sample_octets(octets, sizeof octets);
  for (gsize cut = 1; cut < length; cut++)
    expect_refused(memfd_with(octets, cut, true));
}

/* Any octet changed: refused, or read as something that keeps every rule. Never a crash. */
static void test_every_octet_changed(void) {
  guint8 octets[8192];
  gsize length = sample_octets(octets, sizeof octets);
  for (gsize i = 0; i < length; i++) {
    octets[i] ^= 0x55;
    int fd = memfd_with(octets, length, true);
    struct wsd_state *state = wsd_state_read(fd, NULL);
    for (guint j = 0; state && j < state->servers->len; j++) {
      const struct wsd_kept_server *server = state->servers->pdata[j];
      g_assert_true(g_dbus_is_unique_name(server->owner));
      g_assert_cmpuint(server->number, >, 0);
      g_assert_cmpuint(server->number, <=, state->last_number);
    }
    wsd_state_free(state);
    close(fd);
    octets[i] ^= 0x55;
  }
}

static void expect_faulty(void (*spoil)(struct wsd_state *state)) {
  struct wsd_state *state = sample();
  spoil(state);
  expect_refused(wsd_state_write(state, NULL));
  wsd_state_free(state);
}

static void spoil_owner(struct wsd_state *state) {
  struct wsd_kept_server *server = state->servers->pdata[0];
  g_free(server->owner);
  server->owner = g_strdup("org.example.Name");
}

static void spoil_state(struct wsd_state *state) {
  struct wsd_kept_server *server = state->servers->pdata[0];
  g_free(server->state);
  server->state = g_strdup("exploding");
}

static void spoil_number(struct wsd_state *state) {
  state->last_number = 2;
}

static void spoil_generation(struct wsd_state *state) {
  struct wsd_kept_server *server = state->servers->pdata[0];
  server->generation = G_GUINT64_CONSTANT(1) << 32;
}

static void spoil_origin(struct wsd_state *state) {
  struct wsd_kept_server *server = state->servers->pdata[0];
  g_free(server->options.allowed_origins[0]);
  server->options.allowed_origins[0] = g_strdup("https://A.example");
}

static void spoil_origins(struct wsd_state *state) {
  struct wsd_kept_server *server = state->servers->pdata[0];
  g_strfreev(server->options.allowed_origins);
  server->options.allowed_origins = g_new0(char *, WSD_ORIGINS_MAX + 2);
  for (guint i = 0; i <= WSD_ORIGINS_MAX; i++)
    server->options.allowed_origins[i] = g_strdup("null");
}

static void spoil_count(struct wsd_state *state) {
  state->last_number = 1000;
  while (state->servers->len <= WSD_SERVERS_MAX) {
    struct wsd_kept_server *server = wsd_state_add(state);
    server->number = state->servers->len;
    server->owner = g_strdup(":1.1");
    server->state = g_strdup("created");
  }
}

static void test_faulty_content(void) {
  expect_faulty(spoil_owner);
  expect_faulty(spoil_state);
  expect_faulty(spoil_origin);
  expect_faulty(spoil_origins);
  expect_faulty(spoil_number);
  expect_faulty(spoil_generation);
  expect_faulty(spoil_count);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/state/what is written comes back", test_round_trip);
  g_test_add_func("/state/nobody can change it", test_cannot_be_changed);
  g_test_add_func("/state/descriptors that are no sealed memfd are refused", test_wrong_descriptors);
  g_test_add_func("/state/cut anywhere it is refused", test_every_truncation);
  g_test_add_func("/state/changed anywhere it does no harm", test_every_octet_changed);
  g_test_add_func("/state/content that breaks a rule is refused", test_faulty_content);
  return g_test_run();
}
