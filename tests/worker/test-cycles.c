/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers from many addresses that connect, talk and go, over and over, while hours pass on the clock of the test: nothing grows, and in
 * the end nothing is left. Some never ask, some fall silent, some come too often. WSSERVERD_CYCLES says how many come; a million is the
 * whole test.
 */
#include "tests/worker/fixture.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CYCLES 4000u
#define GROUP 8u     /* peers at a time, each from an address of its own */
#define SETTLED 5    /* wake-ups after which there is nothing left to do */
#define STEP_MS 400u /* that pass with each group */
#define RATE 50u
#define BAN_MS 60000u
#define GROWTH (512u << 10) /* octets that the heap may hold more than after the first part */

static const uint8_t message_frame[] = {0x81, 0x82, 0, 0, 0, 0, 'h', 'i'};

struct tally {
  guint connects, messages, closed, refused;
};

static in_addr_t address_of(guint number) {
  /* Every other group comes from one address, which is too often. */
  guint host = number / GROUP % 2 == 0 ? 0 : 256 + number * 7919u % 60000u;
  return htonl(0x7f000000u | (1 + host));
}

static int connect_from(struct fixture *fixture, in_addr_t source) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  const struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr = {source}};
  const struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)fixture->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  g_assert_cmpint(bind(fd, (const struct sockaddr *)&from, sizeof from), ==, 0);
  g_assert_cmpint(connect(fd, (const struct sockaddr *)&to, sizeof to), ==, 0);
  return fd;
}

/* Loopback delivers at once: there is nothing to wait for. */
static void settle(struct fixture *fixture) {
  for (unsigned turn = 0; turn < SETTLED; turn++)
    if (!wsw_server_turn(fixture->server, 0))
      return;
}

static void advance(struct fixture *fixture, uint64_t milliseconds) {
  fixture->now += milliseconds;
  settle(fixture);
}

static void count(struct tally *tally, uint8_t type) {
  tally->connects += type == WSC_CONNECT;
  tally->messages += type == WSC_MESSAGE;
  tally->closed += type == WSC_CLOSED;
}

static void take_events(struct fixture *fixture, struct tally *tally) {
  struct wsc_record record;
  size_t size;
  settle(fixture);
  for (;;) {
    while (wsc_decoder_next(&fixture->decoder, &record) == WSC_DECODED)
      count(tally, record.header.type);
    uint8_t *room = wsc_decoder_room(&fixture->decoder, &size);
    ssize_t length = recv(fixture->channel, room, size, MSG_DONTWAIT);
    if (length <= 0)
      return;
    wsc_decoder_filled(&fixture->decoder, (size_t)length);
    settle(fixture);
  }
}

static void say(int client, const void *octets, size_t length) {
  (void)send(client, octets, length, MSG_NOSIGNAL); /* who was refused may be cut off already */
}

static void ask(int client) {
  static const char request[] = "GET / HTTP/1.1\r\nHost: tv\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n";
  say(client, request, sizeof request - 1);
}

/* With RST, so that no port stays in TIME_WAIT. */
static void leave(int client) {
  const struct linger hard = {.l_onoff = 1};
  setsockopt(client, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(client);
}

/* Of every 32nd group one never asks, and one falls silent: until the clock has passed what they may. */
static void group(struct fixture *fixture, guint first, struct tally *tally) {
  int clients[GROUP];
  bool odd = first / GROUP % 32 == 5;
  guint connects = tally->connects;
  for (guint i = 0; i < GROUP; i++)
    clients[i] = connect_from(fixture, address_of(first + i));
  settle(fixture);
  for (guint i = 0; i < GROUP; i++)
    if (!odd || i > 0)
      ask(clients[i]);
  take_events(fixture, tally);
  tally->refused += GROUP - (tally->connects - connects) - odd;
  for (guint i = 0; i < GROUP; i++)
    if (client_status(clients[i]) == 101)
      say(clients[i], message_frame, sizeof message_frame);
  take_events(fixture, tally);
  advance(fixture, STEP_MS);
  for (guint turn = 0; odd && turn < 8; turn++)
    advance(fixture, 10000);
  for (guint i = 0; i < GROUP; i++)
    leave(clients[i]);
  take_events(fixture, tally);
}

static guint open_descriptors(void) {
  DIR *folder = opendir("/proc/self/fd");
  guint count = 0;
  while (readdir(folder))
    count++;
  closedir(folder);
  return count;
}

static size_t heap(void) {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

static void assert_empty(struct fixture *fixture) {
  struct wsw_server *server = fixture->server;
  g_assert_cmpuint(server->counters.connections, ==, 0);
  g_assert_cmpuint(server->peers.total, ==, 0);
  g_assert_cmpuint(server->half_open.count, ==, 0);
  g_assert_cmpuint(server->half_open.networks.clients, ==, 0);
  g_assert_cmpuint(server->admission.clients, ==, 0);
  g_assert_cmpuint(server->outboxes.held, ==, 0);
  g_assert_cmpuint(server->settings.gathered, ==, 0);
}

/* Visitors are forgotten a few at a time, whenever somebody comes. */
static void forget_visitors(struct fixture *fixture, struct tally *tally) {
  advance(fixture, BAN_MS + WSW_VISIT_WINDOW_MS);
  for (guint i = 0; i < WSW_VISITORS_MAX && fixture->server->visitors.known.count > 1; i++) {
    leave(connect_from(fixture, address_of(1)));
    settle(fixture);
    advance(fixture, 1300);
  }
  take_events(fixture, tally);
  advance(fixture, BAN_MS);
  g_assert_cmpuint(fixture->server->visitors.banned.count, ==, 0);
  g_assert_cmpuint(fixture->server->visitors.known.count, <=, 1);
}

static void peers_come_and_go(void) {
  const char *wanted = g_getenv("WSSERVERD_CYCLES");
  guint cycles = wanted ? (guint)g_ascii_strtoull(wanted, NULL, 10) : CYCLES;
  struct fixture *fixture =
      fixture_new(&(struct fixture_options){.ping_interval = 30, .pong_timeout = 30, .handshake_timeout = 10});
  struct tally tally = {0};
  guint descriptors = 0;
  size_t octets = 0;
  fixture_attach_direct(fixture);
  fixture->server->visitors.rate = RATE;
  fixture->server->visitors.ban_time = BAN_MS;
  for (guint done = 0; done < cycles; done += GROUP) {
    group(fixture, done, &tally);
    assert_empty(fixture);
    if (done >= cycles / 4 && octets == 0) {
      descriptors = open_descriptors();
      octets = heap();
    }
  }
  g_test_message("%u peers: %u let in, %u refused, %u messages; heap %zu, then %zu octets", cycles, tally.connects,
                 tally.refused, tally.messages, octets, heap());
  g_assert_cmpuint(tally.closed, ==, tally.connects);
  g_assert_cmpuint(tally.messages, ==, tally.connects); /* nobody's message was lost */
  g_assert_cmpuint(tally.refused, >, 0);
  g_assert_cmpuint(tally.connects, >, cycles / 2);
  g_assert_cmpuint(open_descriptors(), ==, descriptors);
  g_assert_cmpuint(heap(), <, octets + GROWTH);
  forget_visitors(fixture, &tally);
  assert_empty(fixture);
  fixture_free(fixture);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/cycles/peers come and go by the thousand and nothing of them stays", peers_come_and_go);
  return g_test_run();
}
