/* SPDX-License-Identifier: Apache-2.0 */
/* Who goes when the memory for unfinished messages is used up, on a clock that the test moves, and what the kernel's limit allows. */
#include "tests/worker/fixture.h"
#include "worker/limits.h"
#include "worker/memory.h"
#include "worker/peer.h"

#include <unistd.h>

#define PART 16384

/* The beginning of a compressed text message: with it a peer holds an inflater, and hardly anything else. */
static const uint8_t compressed_part[] = {0x41, 0x83, 0, 0, 0, 0, 0xF2, 0x48, 0xCD};

static struct fixture *fixture_that_compresses(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){.max_per_client = 100});
  fixture->server->settings.deflate = wsp_deflate_pool_new(WSW_HISTORIES_MAX);
  return fixture;
}

static int open_compressing(struct fixture *fixture) {
  static const char request[] = "GET / HTTP/1.1\r\nHost: tv\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
                                "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
  int client = client_connect(fixture, 0);
  struct wsc_header header;
  client_write(fixture, client, request, sizeof request - 1);
  g_assert_cmpint(fixture_event(fixture, &header), ==, WSC_CONNECT);
  g_assert_cmpuint(client_status(client), ==, 101);
  return client;
}

/* Three that stopped in the middle of a compressed message, longer ago than anybody may stand still. */
static void open_crowd(struct fixture *fixture, int crowd[3]) {
  for (unsigned i = 0; i < 3; i++) {
    crowd[i] = open_compressing(fixture);
    client_write(fixture, crowd[i], compressed_part, sizeof compressed_part);
  }
  g_assert_cmpuint(fixture->server->settings.gathered, >, 3 * WSP_INFLATER_COST);
  fixture_advance(fixture, WSW_STANDING_MS);
}

static void close_all(const int *clients, unsigned count) {
  for (unsigned i = 0; i < count; i++)
    close(clients[i]);
}

/* Counted by the few octets that it has sent, it would take all of the crowd, and the honest one too. */
static void who_holds_an_inflater_is_cut_off_for_what_that_takes(void) {
  struct fixture *fixture = fixture_that_compresses();
  struct wsp_settings *settings = &fixture->server->settings;
  static const uint8_t head[] = {0x82, 0xFF, 0, 0, 0, 0, 0, 0x0F, 0xFF, 0xFF, 0, 0, 0, 0};
  static const uint8_t octets[PART];
  int crowd[3];
  open_crowd(fixture, crowd);
  int honest = open_compressing(fixture);
  client_write(fixture, honest, head, sizeof head);
  settings->max_gathered = settings->gathered + settings->max_message_size + WSP_INFLATER_COST + PART;
  client_write(fixture, honest, octets, PART);
  g_assert_cmpuint(fixture->server->counters.connections, ==, 4);
  client_write(fixture, honest, octets, PART); /* and now one octet too many, or some thousand */
  g_assert_cmpuint(fixture->server->counters.connections, ==, 3);
  g_assert_false(client_is_closed(honest));
  close_all(crowd, 3);
  close(honest);
  fixture_free(fixture);
}

/* The engine refuses whoever asks for an inflater when all is taken: some room has to be left for it, however small the messages. */
static void a_newcomer_is_not_refused_for_those_who_stand_still(void) {
  struct fixture *fixture = fixture_that_compresses();
  struct wsp_settings *settings = &fixture->server->settings;
  struct wsc_header header;
  int crowd[3];
  settings->max_message_size = 1000;
  open_crowd(fixture, crowd);
  int clients[2] = {open_compressing(fixture), open_compressing(fixture)};
  settings->max_gathered = settings->gathered + settings->max_message_size + 1;
  client_write(fixture, clients[0], "\x89\x80\0\0\0\0", 6); /* whoever speaks next */
  client_write(fixture, clients[1], compressed_part, sizeof compressed_part);
  g_assert_false(client_is_closed(clients[1]));
  g_assert_cmpint(fixture_event(fixture, &header), ==, WSC_CLOSED); /* one of the crowd */
  g_assert_cmpuint(header.code, ==, WSP_CLOSE_TRY_AGAIN);
  g_assert_cmpuint(header.connection & 0xFFFFFFFF, <=, 3);
  g_assert_cmpuint(fixture->server->counters.connections, ==, 3); /* one for the room, one for what was taken of it */
  close_all(crowd, 3);
  close_all(clients, 2);
  fixture_free(fixture);
}

/* Peers choose what is kept of their requests, up to a whole head. */
static void the_limit_has_room_for_all_connections_at_their_largest(void) {
  struct fixture *fixture = fixture_that_compresses();
  uint64_t before = wsw_memory_limit(fixture->server);
  fixture->server->peers_max += 1000;
  uint64_t largest = sizeof(struct wsw_peer) + sizeof(struct wsp_deflate) + WSP_HEAD_MAX + WSW_SUBJECT_MAX;
  g_assert_cmpuint(wsw_memory_limit(fixture->server) - before, >=, 1000 * largest);
  fixture_free(fixture);
}

int main(int count, char **arguments) {
  g_test_init(&count, &arguments, NULL);
  g_test_add_func("/memory/who-holds-an-inflater-is-cut-off-for-what-that-takes",
                  who_holds_an_inflater_is_cut_off_for_what_that_takes);
  g_test_add_func("/memory/a-newcomer-is-not-refused-for-those-who-stand-still",
                  a_newcomer_is_not_refused_for_those_who_stand_still);
  g_test_add_func("/memory/the-limit-has-room-for-all-connections-at-their-largest",
                  the_limit_has_room_for_all_connections_at_their_largest);
  return g_test_run();
}
