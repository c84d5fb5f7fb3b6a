/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's end of the channel when the system refuses: a socket that is shut down, no memory here or in the kernel. */
#include "tests/worker/fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define LARGE 100000u /* octets of a message that is not copied */

/* ---- What refuses ---- */

static struct wsw_server *refused; /* whose channel the kernel has no memory for; NULL: nobody's */
static bool without_memory;        /* nothing grows */
static struct wsw_server *crowded; /* the app side falls behind whenever a peer of it is watched again */

ssize_t __real_send(int fd, const void *octets, size_t length, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
int __real_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
void *__real_malloc(size_t size);
void *__real_realloc(void *block, size_t size);
ssize_t __wrap_send(int fd, const void *octets, size_t length, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *block, size_t size);

static bool is_refused(int fd) {
  if (!refused || refused->channel.watch.fd != fd)
    return false;
  errno = ENOBUFS;
  return true;
}

ssize_t __wrap_send(int fd, const void *octets, size_t length, int flags) {
  return is_refused(fd) ? -1 : __real_send(fd, octets, length, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags) {
  return is_refused(fd) ? -1 : __real_sendmsg(fd, message, flags);
}

void *__wrap_malloc(size_t size) {
  return without_memory ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *block, size_t size) {
  return without_memory ? NULL : __real_realloc(block, size);
}

static void fall_behind(struct wsw_server *server) {
  static const uint8_t octets[WSW_EVENT_BACKLOG_HIGH];
  struct wsc_header header = {.type = WSC_MESSAGE, .connection = server->last_id};
  wsw_channel_event(server, &header, octets, sizeof octets);
}

int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
  if (crowded && operation == EPOLL_CTL_ADD && fd != crowded->listener.watch.fd) {
    struct wsw_server *server = crowded;
    crowded = NULL;
    fall_behind(server);
  }
  return __real_epoll_ctl(epoll, operation, fd, event);
}

/* ---- Scenes ---- */

static void send_large(struct fixture *fixture, int client, size_t length) {
  static const uint8_t nothing[16384];
  uint8_t header[14] = {0x82, 0xFF};
  for (unsigned i = 0; i < 8; i++)
    header[2 + i] = (uint8_t)((uint64_t)length >> (56 - 8 * i));
  client_write(fixture, client, header, sizeof header);
  for (size_t part; length; length -= part) {
    part = length < sizeof nothing ? length : sizeof nothing;
    client_write(fixture, client, nothing, part);
  }
}

static struct fixture *direct_fixture(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){0});
  fixture_attach_direct(fixture);
  return fixture;
}

/* Everything that is there, whatever it is. */
static size_t drain(struct fixture *fixture) {
  uint8_t room[65536];
  size_t total = 0;
  for (ssize_t length; (length = recv(fixture->channel, room, sizeof room, MSG_DONTWAIT)) > 0;)
    total += (size_t)length;
  return total;
}

static void an_app_that_reads_no_more_does_not_keep_its_server_spinning(void) {
  struct fixture *fixture = direct_fixture();
  const struct wsw_channel *channel = &fixture->server->channel;
  int client = client_open(fixture, 0, NULL);
  send_large(fixture, client, 4 * LARGE);
  g_assert_true(channel->blocked);
  g_assert_cmpint(shutdown(fixture->channel, SHUT_RD), ==, 0);
  g_assert_cmpuint(drain(fixture), >, 0);
  fixture_settle(fixture);
  g_assert_true(channel->unwritable);
  g_assert_cmpuint(channel->watch.interest, ==, WSW_READABLE); /* writable it is for ever */
  close(client);
  fixture_free(fixture);
}

static void no_memory_in_the_kernel_loses_no_event(void) {
  for (unsigned large = 0; large < 2; large++) {
    struct fixture *fixture = direct_fixture();
    struct wsc_header header;
    int client = client_open(fixture, 0, NULL);
    refused = fixture->server;
    if (large)
      send_large(fixture, client, LARGE);
    else
      client_write(fixture, client, "\x82\x81\0\0\0\0m", 7);
    g_assert_cmpint(fixture_event(fixture, &header), ==, 0);
    refused = NULL;
    uint8_t type = 0;
    for (unsigned tries = 0; !type && tries < 100; tries++)
      type = fixture_event(fixture, &header);
    g_assert_cmpint(type, ==, WSC_MESSAGE);
    g_assert_cmpuint(header.size, ==, large ? LARGE : 1);
    close(client);
    fixture_free(fixture);
  }
}

/* The app side would take what the peer wrote for records. */
static void a_large_message_without_its_header_is_not_written(void) {
  struct fixture *fixture = direct_fixture();
  int client = client_open(fixture, 0, NULL);
  struct wsc_header header = {.type = WSC_MESSAGE, .connection = fixture->server->last_id};
  fixture_settle(fixture);
  wsc_queue_clear(&fixture->server->channel.out);
  uint8_t *body = calloc(1, LARGE);
  without_memory = true;
  wsw_channel_bulk_event(fixture->server, &header, body, LARGE);
  without_memory = false;
  g_assert_cmpint(fixture->server->exit_status, ==, WSW_EXIT_MEMORY);
  wsw_channel_flush(fixture->server); /* as at the end of the wake-up */
  g_assert_cmpuint(drain(fixture), ==, 0);
  close(client);
  fixture_free(fixture);
}

static struct wsw_shared *new_shared(void) {
  int arena = memfd_create("arena", MFD_CLOEXEC);
  g_assert_cmpint(ftruncate(arena, WSC_ARENA_SIZE), ==, 0);
  struct wsw_shared *shared = wsw_shared_new(arena, arena, WSC_ARENA_SIZE);
  g_assert_nonnull(shared);
  close(arena);
  return shared;
}

/* Returns the app side's end. */
static int attach_shared(struct fixture *fixture, struct wsw_shared *shared) {
  int ends[2];
  g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
  wsw_channel_attach(fixture->server, ends[0], &(struct wsw_channel_terms){.shared = shared});
  return ends[1];
}

/* What peers have sent in part stays where it is, and must not be taken for something else. */
static void no_memory_for_what_leaves_an_arena_ends_the_process_and_nothing_else(void) {
  struct fixture *fixture = direct_fixture();
  struct wsw_server *server = fixture->server;
  int client = client_open(fixture, 0, NULL);
  int former = attach_shared(fixture, new_shared());
  client_write(fixture, client, "\x82\xFF\0\0\0\0\0\x10\0\0\0\0\0\0", 14);
  for (unsigned i = 0; i < 16; i++)
    client_write(fixture, client, (const uint8_t[16384]){0}, 16384);
  g_assert_cmpuint(server->channel.shared->events.count, >, 0);
  struct wsw_shared *other = new_shared();
  without_memory = true;
  int next = attach_shared(fixture, other);
  without_memory = false;
  g_assert_cmpint(server->exit_status, ==, WSW_EXIT_MEMORY);
  close(client);
  fixture_free(fixture);
  close(former);
  close(next);
}

static void reading_that_is_paused_while_it_begins_again_ends_nowhere_else(void) {
  struct fixture *fixture = direct_fixture();
  struct wsw_server *server = fixture->server;
  int clients[4];
  for (unsigned i = 0; i < G_N_ELEMENTS(clients); i++)
    clients[i] = client_open(fixture, 0, NULL);
  fall_behind(server);
  fall_behind(server); /* more than the socket takes */
  g_assert_false(wsw_server_reads(server));
  fixture->now += WSW_PATIENCE_MS;
  for (unsigned i = 0; i < G_N_ELEMENTS(clients); i++)
    client_write(fixture, clients[i], "\x82\x80\0\0\0\0", 6);
  g_assert_nonnull(server->peers.paused.first);
  crowded = server;
  for (unsigned tries = 0; crowded && tries < 1000; tries++) {
    drain(fixture);
    alarm(20); /* or it would go on for ever */
    fixture_settle(fixture);
    alarm(0);
  }
  g_assert_null(crowded);
  unsigned heard = 0;
  for (unsigned tries = 0; heard < G_N_ELEMENTS(clients) && tries < 1000; tries++) {
    drain(fixture);
    fixture_advance(fixture, WSW_PATIENCE_MS);
    heard = (unsigned)server->counters.messages_received;
  }
  g_assert_cmpuint(heard, ==, G_N_ELEMENTS(clients));
  for (unsigned i = 0; i < G_N_ELEMENTS(clients); i++)
    close(clients[i]);
  fixture_free(fixture);
}

static void credit_that_nobody_reads_does_not_grow_without_bound(void) {
  struct fixture *fixture = direct_fixture();
  struct wsw_server *server = fixture->server;
  fall_behind(server);
  fall_behind(server); /* more than the socket takes */
  fixture_settle(fixture);
  g_assert_true(server->channel.watch.interest & WSW_READABLE);
  for (uint64_t i = 0; i * (WSC_RECORD_HEADER + 8) < WSW_CHANNEL_CREDITS; i++)
    wsw_channel_credit(server, server->last_id, i);
  fixture_settle(fixture);
  g_assert_false(server->channel.watch.interest & WSW_READABLE);
  for (unsigned tries = 0; server->channel.blocked && tries < 1000; tries++) {
    drain(fixture);
    fixture_settle(fixture);
  }
  g_assert_true(server->channel.watch.interest & WSW_READABLE); /* it reads, so it is heard again */
  fixture_free(fixture);
}

int main(int count, char **arguments) {
  g_test_init(&count, &arguments, NULL);
  g_test_add_func("/channel/an-app-that-reads-no-more-does-not-keep-its-server-spinning",
                  an_app_that_reads_no_more_does_not_keep_its_server_spinning);
  g_test_add_func("/channel/no-memory-in-the-kernel-loses-no-event", no_memory_in_the_kernel_loses_no_event);
  g_test_add_func("/channel/a-large-message-without-its-header-is-not-written",
                  a_large_message_without_its_header_is_not_written);
  g_test_add_func("/channel/no-memory-for-what-leaves-an-arena-ends-the-process-and-nothing-else",
                  no_memory_for_what_leaves_an_arena_ends_the_process_and_nothing_else);
  g_test_add_func("/channel/reading-that-is-paused-while-it-begins-again-ends-nowhere-else",
                  reading_that_is_paused_while_it_begins_again_ends_nowhere_else);
  g_test_add_func("/channel/credit-that-nobody-reads-does-not-grow-without-bound",
                  credit_that_nobody_reads_does_not_grow_without_bound);
  return g_test_run();
}
