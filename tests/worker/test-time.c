/* SPDX-License-Identifier: Apache-2.0 */
/* Everything a peer waits for or is waited for, on a clock that the test moves: exactly in time, never early. */
#include "tests/worker/fixture.h"
#include "worker/details.h"
#include "worker/peer.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PING "\x89"
#define CLOSE "\x88"

static const uint8_t pong_frame[] = {0x8A, 0x80, 0, 0, 0, 0};
static const uint8_t close_frame[] = {0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8};

static void assert_no_event(struct fixture *fixture) {
  struct wsc_header header;
  g_assert_cmpint(fixture_event(fixture, &header), ==, 0);
}

static void assert_closed(struct fixture *fixture, uint16_t code, bool clean) {
  struct wsc_header header;
  g_assert_cmpint(fixture_event(fixture, &header), ==, WSC_CLOSED);
  g_assert_cmpuint(header.code, ==, code);
  g_assert_cmpint(header.flags == WSC_FLAG_CLEAN, ==, clean);
}

static void assert_frames(int client, const char *expected, int length) {
  g_autoptr(GByteArray) octets = client_read(client);
  g_assert_nonnull(octets);
  g_assert_cmpmem(octets->data, (int)octets->len, expected, length);
}

#define assert_ping(client) assert_frames(client, PING "\0", 2)
#define assert_nothing(client) assert_frames(client, "", 0)

static void a_ping_comes_each_interval_after_the_last_pong(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){.ping_interval = 30, .pong_timeout = 30});
  int client = client_open(fixture, 0, NULL);
  for (unsigned i = 0; i < 3; i++) {
    fixture_advance(fixture, 29999);
    assert_nothing(client);
    fixture_advance(fixture, 1);
    assert_ping(client);
    fixture_advance(fixture, 5000);
    client_write(fixture, client, pong_frame, sizeof pong_frame);
  }
  assert_no_event(fixture);
  close(client);
  fixture_free(fixture);
}

static void a_peer_without_pong_is_dropped_after_the_timeout_and_not_before(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){.ping_interval = 30, .pong_timeout = 10});
  int client = client_open(fixture, 0, NULL);
  fixture_advance(fixture, 30000);
  assert_ping(client);
  fixture_advance(fixture, 9999);
  assert_no_event(fixture);
  fixture_advance(fixture, 1);
  assert_closed(fixture, 1006, false);
  g_assert_true(client_is_closed(client));
  close(client);
  fixture_free(fixture);
}

static void a_timeout_longer_than_the_interval_counts_from_the_first_ping(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){.ping_interval = 10, .pong_timeout = 25});
  int client = client_open(fixture, 0, NULL);
  for (unsigned i = 0; i < 3; i++) {
    fixture_advance(fixture, 10000);
    assert_ping(client);
  }
  fixture_advance(fixture, 4999);
  assert_no_event(fixture);
  fixture_advance(fixture, 1);
  assert_closed(fixture, 1006, false);
  close(client);
  fixture_free(fixture);
}

static void an_interval_of_zero_sends_no_ping(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){.ping_interval = 0, .pong_timeout = 10});
  int client = client_open(fixture, 0, NULL);
  for (unsigned i = 0; i < 100; i++)
    fixture_advance(fixture, 60000);
  assert_nothing(client);
  assert_no_event(fixture);
  close(client);
  fixture_free(fixture);
}

static void a_timeout_of_zero_drops_nobody_who_is_silent(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){.ping_interval = 10, .pong_timeout = 0});
  int client = client_open(fixture, 0, NULL);
  for (unsigned i = 0; i < 20; i++) {
    fixture_advance(fixture, 10000);
    assert_ping(client);
  }
  assert_no_event(fixture);
  close(client);
  fixture_free(fixture);
}

/* While the app side is away nobody reads the Pong: that is not the peer's fault. */
static void a_peer_is_not_dropped_for_a_pong_that_we_did_not_read(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){.ping_interval = 30, .pong_timeout = 10});
  int client = client_open(fixture, 0, NULL);
  fixture_advance(fixture, 30000);
  assert_ping(client);
  fixture_detach(fixture);
  for (unsigned i = 0; i < 100; i++)
    fixture_advance(fixture, 10000);
  fixture_attach(fixture);
  struct wsc_header header;
  g_assert_cmpint(fixture_event(fixture, &header), ==, WSC_CONNECT); /* repeated */
  fixture_advance(fixture, 9999);
  assert_no_event(fixture);
  fixture_advance(fixture, 1);
  assert_closed(fixture, 1006, false); /* it has had its time anew */
  close(client);
  fixture_free(fixture);
}

/* A frame that arrives in parts of `part` octets, one each nine seconds, while a Ping waits for its Pong. */
static struct fixture *drip(size_t part, unsigned count, int *client) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){.ping_interval = 30, .pong_timeout = 10});
  *client = client_open(fixture, 0, NULL);
  static const uint8_t head[] = {0x82, 0xFE, 0xFF, 0xFF, 0, 0, 0, 0}; /* 65535 octets are to come */
  uint8_t octets[512] = {0};
  fixture_advance(fixture, 29000);
  client_write(fixture, *client, head, sizeof head);
  fixture_advance(fixture, 1000);
  assert_ping(*client);
  client_write(fixture, *client, octets, part);
  for (unsigned i = 0; i < count; i++) {
    fixture_advance(fixture, 9000);
    if (!client_is_closed(*client))
      client_write(fixture, *client, octets, part);
  }
  return fixture;
}

/* A Pong cannot overtake the frame that is arriving. */
static void a_peer_in_the_middle_of_a_slow_message_is_not_dropped(void) {
  int client;
  struct fixture *fixture = drip(WSW_SLOWEST * 10, 100, &client);
  assert_no_event(fixture);
  fixture_advance(fixture, 9999);
  assert_no_event(fixture);
  fixture_advance(fixture, 1); /* but one that stops in the middle is */
  assert_closed(fixture, 1006, false);
  close(client);
  fixture_free(fixture);
}

static void a_peer_that_drips_a_message_to_hold_its_place_is_dropped(void) {
  int client;
  struct fixture *fixture = drip(1, 2, &client);
  assert_closed(fixture, 1006, false);
  close(client);
  fixture_free(fixture);
  fixture = drip(WSW_SLOWEST * 5 - 1, 3, &client); /* half of what counts as progress each time */
  assert_closed(fixture, 1006, false);
  close(client);
  fixture_free(fixture);
}

static void fill_queue(struct fixture *fixture, uint64_t id) {
  struct wsc_header header = {.type = WSC_SEND, .connection = id};
  g_autofree uint8_t *body = g_malloc0(1 << 19);
  for (unsigned i = 0; i < 20 && fixture->server->counters.queued_bytes < 1 << 19; i++)
    fixture_send(fixture, &header, body, 1 << 19);
  g_assert_cmpuint(fixture->server->counters.queued_bytes, >, 0);
}

/* The peer reads just so much that the worker gets rid of something. */
static void drain_some(struct fixture *fixture, int client) {
  uint8_t octets[16384];
  uint64_t before = fixture->server->counters.queued_bytes;
  while (fixture->server->counters.queued_bytes == before) {
    g_assert_cmpint(recv(client, octets, sizeof octets, MSG_DONTWAIT), >, 0);
    fixture_settle(fixture);
  }
}

static void check_stall(uint32_t pong_timeout, uint64_t expected) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){.pong_timeout = pong_timeout});
  uint64_t id;
  int client = client_open(fixture, 4096, &id);
  fill_queue(fixture, id);
  fixture_advance(fixture, expected - 1);
  assert_no_event(fixture);
  drain_some(fixture, client); /* progress starts the time anew */
  g_assert_cmpuint(fixture->server->counters.queued_bytes, >, 0);
  fixture_advance(fixture, expected - 1);
  assert_no_event(fixture);
  fixture_advance(fixture, 1);
  assert_closed(fixture, 1006, false);
  g_assert_cmpuint(fixture->server->counters.queued_bytes, ==, 0);
  close(client);
  fixture_free(fixture);
}

static void a_peer_that_takes_nothing_is_dropped_but_a_slow_one_is_not(void) {
  check_stall(10, 10000);
  check_stall(0, WSW_STALL_MS);
}

/* Reads `octets` each second; how many seconds it is borne, at most `seconds`. */
static unsigned seconds_of_reading(size_t octets, unsigned seconds) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){.pong_timeout = 10});
  uint64_t id;
  int client = client_open(fixture, 4096, &id);
  g_autofree uint8_t *room = g_malloc(octets);
  fill_queue(fixture, id);
  unsigned second = 0;
  while (second < seconds && fixture->server->peers.by_id.count) {
    (void)recv(client, room, octets, MSG_DONTWAIT);
    fixture_advance(fixture, 1000);
    second++;
  }
  close(client);
  fixture_free(fixture);
  return second;
}

static void a_peer_that_reads_an_octet_now_and_then_is_dropped(void) {
  g_assert_cmpuint(seconds_of_reading(1, 100), <, 100);
  g_assert_cmpuint(seconds_of_reading(2048, 100), ==, 100);
}

/* Of a peer whose last octets TLS has taken from the socket already, nothing would come to wake anybody up. */
static void a_peer_that_was_to_be_read_on_is_not_forgotten_in_a_pause(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){0});
  uint64_t id;
  int client = client_open(fixture, 0, &id);
  struct wsw_peer *peer = wsw_peers_find(&fixture->server->peers, id);
  peer->watch.once = false; /* as with TLS */
  peer->transport.more = true;
  wsw_peer_refresh(peer);
  g_assert_true(fixture->server->eager.first == peer);
  fixture_detach(fixture);
  g_assert_null(fixture->server->eager.first);
  g_assert_true(peer->paused); /* and so among those that are read on afterwards */
  close(client);
  fixture_free(fixture);
}

/* While reading is paused it waits to be read; gone, it must not be looked at when reading begins again. */
static void who_goes_in_a_pause_is_forgotten(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){.ping_interval = 10, .pong_timeout = 10});
  uint64_t id;
  int client = client_open(fixture, 4096, &id), other = client_open(fixture, 0, NULL);
  fill_queue(fixture, id); /* so that its time is up although nobody reads */
  fixture_detach(fixture);
  client_write(fixture, client, pong_frame, sizeof pong_frame);
  client_write(fixture, other, pong_frame, sizeof pong_frame);
  g_assert_true(wsw_peers_find(&fixture->server->peers, id)->paused);
  for (unsigned i = 0; i < 5; i++) /* the kernel may take a little more of it at first */
    fixture_advance(fixture, 11000);
  g_assert_cmpuint(fixture->server->counters.connections, ==, 1);
  fixture_attach(fixture);
  g_assert_null(fixture->server->peers.paused.first);
  g_assert_cmpuint(fixture->server->peers.total, ==, 1);
  fixture_detach(fixture);
  close(other);
  close(client);
  fixture_free(fixture);
}

static void pings_go_on_when_the_clock_has_run_for_months(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){.ping_interval = 30, .pong_timeout = 30});
  fixture_advance(fixture, (1ull << 32) - fixture->now - 45000);
  int client = client_open(fixture, 0, NULL);
  for (unsigned i = 0; i < 4; i++) {
    fixture_advance(fixture, 29999);
    assert_nothing(client);
    fixture_advance(fixture, 1);
    assert_ping(client);
    client_write(fixture, client, pong_frame, sizeof pong_frame);
  }
  g_assert_cmpuint(fixture->now, >, 1ull << 32);
  fixture_advance(fixture, 30000);
  assert_ping(client);
  fixture_advance(fixture, 29999);
  g_assert_cmpuint(fixture->server->counters.connections, ==, 1);
  fixture_advance(fixture, 1);
  g_assert_cmpuint(fixture->server->counters.connections, ==, 0);
  close(client);
  fixture_free(fixture);
}

static void a_slow_request_gets_408_in_time(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){.handshake_timeout = 7});
  int client = client_connect(fixture, 0);
  client_write(fixture, client, "GET /", 5);
  fixture_advance(fixture, 6999);
  g_assert_cmpuint(client_status(client), ==, 0);
  g_assert_false(client_is_closed(client));
  fixture_advance(fixture, 1);
  g_assert_cmpuint(client_status(client), ==, 408);
  g_assert_cmpuint(fixture->server->counters.refused, ==, 1);
  close(client);
  fixture_free(fixture);
}

static void the_default_time_for_a_request_is_ten_seconds(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){0});
  int client = client_connect(fixture, 0);
  fixture_advance(fixture, WSW_HANDSHAKE_SECONDS * 1000 - 1);
  g_assert_false(client_is_closed(client));
  fixture_advance(fixture, 1);
  g_assert_cmpuint(client_status(client), ==, 408);
  close(client);
  fixture_free(fixture);
}

static void a_request_that_we_did_not_read_gets_503_instead(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){.handshake_timeout = 7});
  int client = client_connect(fixture, 0);
  fixture_detach(fixture);
  client_request(fixture, client);
  fixture_advance(fixture, 7000);
  g_assert_cmpuint(client_status(client), ==, 503);
  close(client);
  fixture_free(fixture);
}

static void a_refused_peer_that_does_not_close_is_cut_off_in_time(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){0});
  int client = client_connect(fixture, 0);
  client_write(fixture, client, "nonsense\r\n\r\n", 12);
  g_assert_cmpuint(client_status(client), ==, 400);
  fixture_advance(fixture, WSW_LINGER_MS - 1);
  g_assert_cmpuint(fixture->server->peers.total, ==, 1);
  fixture_advance(fixture, 1);
  g_assert_cmpuint(fixture->server->peers.total, ==, 0);
  g_assert_cmpuint(fixture->server->lingering, ==, 0);
  close(client);
  fixture_free(fixture);
}

static void a_peer_that_does_not_answer_a_close_is_dropped_in_time(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){.ping_interval = 1, .pong_timeout = 1});
  uint64_t id;
  int client = client_open(fixture, 0, &id);
  struct wsc_header header = {.type = WSC_CLOSE, .connection = id, .code = 4000};
  fixture_send(fixture, &header, "bye", 3);
  assert_frames(client,
                CLOSE "\x05\x0F\xA0"
                      "bye",
                7);
  fixture_advance(fixture, WSW_CLOSE_TIMEOUT_MS - 1);
  assert_no_event(fixture);
  fixture_advance(fixture, 1);
  assert_closed(fixture, 4000, false);
  g_assert_true(client_is_closed(client));
  close(client);
  fixture_free(fixture);
}

static void a_peer_is_not_dropped_for_a_close_that_we_did_not_read(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){0});
  uint64_t id;
  int client = client_open(fixture, 0, &id);
  struct wsc_header header = {.type = WSC_CLOSE, .connection = id, .code = 1000};
  fixture_send(fixture, &header, NULL, 0);
  fixture_detach(fixture);
  client_write(fixture, client, close_frame, sizeof close_frame);
  for (unsigned i = 0; i < 10; i++)
    fixture_advance(fixture, WSW_CLOSE_TIMEOUT_MS);
  fixture_attach(fixture);
  g_assert_cmpint(fixture_event(fixture, &header), ==, WSC_CONNECT); /* repeated */
  assert_closed(fixture, 1000, true);
  close(client);
  fixture_free(fixture);
}

static void a_close_waits_for_the_messages_before_it(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){.pong_timeout = 10});
  uint64_t id;
  int client = client_open(fixture, 4096, &id);
  fill_queue(fixture, id);
  struct wsc_header header = {.type = WSC_CLOSE, .connection = id, .code = 1000};
  fixture_send(fixture, &header, NULL, 0);
  fixture_advance(fixture, WSW_CLOSE_TIMEOUT_MS + 1000); /* the peer is slow, but not dead */
  assert_no_event(fixture);
  while (fixture->server->counters.queued_bytes)
    drain_some(fixture, client);
  client_write(fixture, client, close_frame, sizeof close_frame);
  assert_closed(fixture, 1000, true);
  close(client);
  fixture_free(fixture);
}

static void a_peer_that_closed_is_gone_soon_whatever_it_does(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){0});
  int client = client_open(fixture, 0, NULL);
  client_write(fixture, client, close_frame, sizeof close_frame);
  assert_closed(fixture, 1000, true);
  struct wsw_address address = wsw_details_address(fixture->server->peers.apart.oldest->details);
  g_assert_cmpuint(wsw_admission_count(&fixture->server->admission, &address), ==, 0);
  fixture_advance(fixture, WSW_LINGER_MS - 1);
  g_assert_cmpuint(fixture->server->peers.total, ==, 1);
  fixture_advance(fixture, 1);
  g_assert_cmpuint(fixture->server->peers.total, ==, 0);
  close(client);
  fixture_free(fixture);
}

static void a_failed_peer_that_takes_nothing_is_cut_off_in_time(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){0});
  uint64_t id;
  int client = client_open(fixture, 4096, &id);
  fill_queue(fixture, id);
  client_write(fixture, client, "\xFF\xFF\xFF\xFF", 4);
  assert_closed(fixture, 1002, false);
  g_assert_cmpuint(fixture->server->counters.queued_bytes, ==, 0); /* nothing of it is owed to anyone */
  fixture_advance(fixture, WSW_ENDING_MS - 1);
  g_assert_cmpuint(fixture->server->peers.total, ==, 1);
  fixture_advance(fixture, 1);
  g_assert_cmpuint(fixture->server->peers.total, ==, 0);
  close(client);
  fixture_free(fixture);
}

static void acknowledge_all(struct fixture *fixture) {
  uint8_t body[8];
  wsc_put_u64(body, fixture->server->channel.store.appended);
  fixture_send(fixture, &(struct wsc_header){.type = WSC_ACKNOWLEDGE}, body, sizeof body);
  fixture_settle(fixture);
}

static void a_stop_waits_for_peers_exactly_until_its_deadline(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){0});
  int client = client_open(fixture, 0, NULL), shaking = client_connect(fixture, 0);
  fixture_stop(fixture, 1001, 1500);
  g_assert_cmpuint(client_status(shaking), ==, 503);
  assert_frames(client, CLOSE "\x02\x03\xE9", 4);
  close(shaking);
  fixture_advance(fixture, 1499);
  assert_no_event(fixture);
  fixture_advance(fixture, 1);
  assert_closed(fixture, 1001, false);
  g_assert_cmpint(fixture->server->phase, ==, WSW_PHASE_STOPPING); /* the last event is not safe yet */
  acknowledge_all(fixture);
  g_assert_cmpint(fixture->server->phase, ==, WSW_PHASE_FINISHED);
  g_assert_cmpint(fixture->server->exit_status, ==, WSW_EXIT_STOPPED);
  close(client);
  fixture_free(fixture);
}

/* Whoever stopped it died with the last events unread; a successor asks for them. */
static void last_events_wait_for_a_successor(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){0});
  int client = client_open(fixture, 0, NULL);
  fixture_stop(fixture, 1001, 0);
  fixture_detach(fixture);
  fixture_advance(fixture, 5000);
  fixture_attach(fixture);
  fixture_settle(fixture);
  struct wsc_header header;
  uint8_t type;
  while ((type = fixture_event(fixture, &header)) != 0 && type != WSC_CLOSED)
    continue;
  g_assert_cmpuint(type, ==, WSC_CLOSED);
  g_assert_cmpuint(header.code, ==, 1001);
  acknowledge_all(fixture);
  g_assert_cmpint(fixture->server->phase, ==, WSW_PHASE_FINISHED);
  close(client);
  fixture_free(fixture);
}

static void last_events_do_not_wait_for_ever(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){0});
  int client = client_open(fixture, 0, NULL);
  fixture_stop(fixture, 1001, 0);
  fixture_advance(fixture, WSW_STOP_CONFIRM_MS - 1);
  g_assert_cmpint(fixture->server->phase, ==, WSW_PHASE_STOPPING);
  fixture_advance(fixture, 1);
  g_assert_cmpint(fixture->server->phase, ==, WSW_PHASE_FINISHED);
  close(client);
  fixture_free(fixture);
}

static void a_stop_gives_refused_peers_a_moment_to_read_their_answer(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){0});
  int shaking = client_connect(fixture, 0);
  fixture_stop(fixture, 1001, 2000);
  fixture_advance(fixture, WSW_STOP_LINGER_MS - 1);
  g_assert_cmpint(fixture->server->phase, ==, WSW_PHASE_STOPPING);
  fixture_advance(fixture, 1);
  g_assert_cmpint(fixture->server->phase, ==, WSW_PHASE_FINISHED);
  g_assert_cmpuint(client_status(shaking), ==, 503);
  close(shaking);
  fixture_free(fixture);
}

static void a_stop_waits_for_the_app_side_but_not_for_ever(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){0});
  int client = client_open(fixture, 0, NULL);
  /* More than the channel takes: the app side does not read. */
  g_autofree uint8_t *octets = g_malloc0(60000);
  memcpy(octets, "\x82\xFE\xEA\x58\0\0\0\0", 8); /* a message of 59992 */
  while (wsw_server_reads(fixture->server))
    client_write(fixture, client, octets, 60000);
  close(client);
  fixture_stop(fixture, 1001, 1000);
  fixture_advance(fixture, 1000 + WSW_STOP_CONFIRM_MS - 1);
  g_assert_cmpint(fixture->server->phase, ==, WSW_PHASE_STOPPING);
  fixture_advance(fixture, 1);
  g_assert_cmpint(fixture->server->phase, ==, WSW_PHASE_FINISHED);
  fixture_free(fixture);
}

static void lingering_peers_are_bounded(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){0});
  fixture->server->lingering = WSW_LINGERING_MAX; /* as if so many lingered already */
  int client = client_connect(fixture, 0);
  client_write(fixture, client, "nonsense\r\n\r\n", 12);
  g_assert_cmpuint(client_status(client), ==, 400); /* answered, but not waited for */
  g_assert_cmpuint(fixture->server->peers.total, ==, 0);
  fixture->server->lingering = 0;
  close(client);
  fixture_free(fixture);
}

static void peers_beyond_the_descriptors_are_closed_and_others_live(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){0});
  fixture->server->peers_max = 2;
  int one = client_open(fixture, 0, NULL), two = client_open(fixture, 0, NULL);
  int three = client_connect(fixture, 0);
  g_assert_true(client_is_closed(three));
  g_assert_cmpuint(fixture->server->counters.refused, ==, 1);
  close(two);
  assert_closed(fixture, 1006, false);
  int four = client_open(fixture, 0, NULL);
  close(one);
  close(three);
  close(four);
  fixture_free(fixture);
}

int main(int count, char **arguments) {
  g_test_init(&count, &arguments, NULL);
  g_test_add_func("/ping/comes-each-interval-after-the-last-pong", a_ping_comes_each_interval_after_the_last_pong);
  g_test_add_func("/ping/a-peer-without-pong-is-dropped-after-the-timeout-and-not-before",
                  a_peer_without_pong_is_dropped_after_the_timeout_and_not_before);
  g_test_add_func("/ping/a-timeout-longer-than-the-interval-counts-from-the-first",
                  a_timeout_longer_than_the_interval_counts_from_the_first_ping);
  g_test_add_func("/ping/an-interval-of-zero-sends-none", an_interval_of_zero_sends_no_ping);
  g_test_add_func("/ping/a-peer-that-drips-a-message-is-dropped",
                  a_peer_that_drips_a_message_to_hold_its_place_is_dropped);
  g_test_add_func("/stall/a-peer-that-reads-an-octet-now-and-then-is-dropped",
                  a_peer_that_reads_an_octet_now_and_then_is_dropped);
  g_test_add_func("/ping/a-timeout-of-zero-drops-nobody-who-is-silent", a_timeout_of_zero_drops_nobody_who_is_silent);
  g_test_add_func("/ping/nobody-is-dropped-for-a-pong-that-we-did-not-read",
                  a_peer_is_not_dropped_for_a_pong_that_we_did_not_read);
  g_test_add_func("/ping/nobody-is-dropped-in-the-middle-of-a-slow-message",
                  a_peer_in_the_middle_of_a_slow_message_is_not_dropped);
  g_test_add_func("/stall/a-peer-that-takes-nothing-is-dropped-but-a-slow-one-is-not",
                  a_peer_that_takes_nothing_is_dropped_but_a_slow_one_is_not);
  g_test_add_func("/pause/a-peer-that-was-to-be-read-on-is-not-forgotten",
                  a_peer_that_was_to_be_read_on_is_not_forgotten_in_a_pause);
  g_test_add_func("/handshake/who-goes-in-a-pause-is-forgotten", who_goes_in_a_pause_is_forgotten);
  g_test_add_func("/handshake/pings-go-on-when-the-clock-has-run-for-months",
                  pings_go_on_when_the_clock_has_run_for_months);
  g_test_add_func("/handshake/a-slow-request-gets-408-in-time", a_slow_request_gets_408_in_time);
  g_test_add_func("/handshake/the-default-time-is-ten-seconds", the_default_time_for_a_request_is_ten_seconds);
  g_test_add_func("/handshake/a-request-that-we-did-not-read-gets-503",
                  a_request_that_we_did_not_read_gets_503_instead);
  g_test_add_func("/end/a-refused-peer-that-does-not-close-is-cut-off-in-time",
                  a_refused_peer_that_does_not_close_is_cut_off_in_time);
  g_test_add_func("/end/a-peer-that-does-not-answer-a-close-is-dropped-in-time",
                  a_peer_that_does_not_answer_a_close_is_dropped_in_time);
  g_test_add_func("/end/nobody-is-dropped-for-a-close-that-we-did-not-read",
                  a_peer_is_not_dropped_for_a_close_that_we_did_not_read);
  g_test_add_func("/end/a-close-waits-for-the-messages-before-it", a_close_waits_for_the_messages_before_it);
  g_test_add_func("/end/a-peer-that-closed-is-gone-soon-whatever-it-does",
                  a_peer_that_closed_is_gone_soon_whatever_it_does);
  g_test_add_func("/end/a-failed-peer-that-takes-nothing-is-cut-off-in-time",
                  a_failed_peer_that_takes_nothing_is_cut_off_in_time);
  g_test_add_func("/end/lingering-peers-are-bounded", lingering_peers_are_bounded);
  g_test_add_func("/end/peers-beyond-the-descriptors-are-closed-and-others-live",
                  peers_beyond_the_descriptors_are_closed_and_others_live);
  g_test_add_func("/stop/waits-for-peers-exactly-until-its-deadline",
                  a_stop_waits_for_peers_exactly_until_its_deadline);
  g_test_add_func("/stop/last-events-wait-for-a-successor", last_events_wait_for_a_successor);
  g_test_add_func("/stop/last-events-do-not-wait-for-ever", last_events_do_not_wait_for_ever);
  g_test_add_func("/stop/gives-refused-peers-a-moment-to-read-their-answer",
                  a_stop_gives_refused_peers_a_moment_to_read_their_answer);
  g_test_add_func("/stop/waits-for-the-app-side-but-not-for-ever", a_stop_waits_for_the_app_side_but_not_for_ever);
  return g_test_run();
}
