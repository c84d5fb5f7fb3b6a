/* SPDX-License-Identifier: Apache-2.0 */
/* The Close frame that a peer is owed comes behind the app's answers to what the peer sent before, and not much later. */
#include "tests/worker/fixture.h"
#include "worker/farewell.h"
#include "worker/peer.h"

#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE "\x82\x81\0\0\0\0m"
#define NORMAL_CLOSE "\x88\x82\0\0\0\0\x03\xE8"
#define FAULT "\xC2\x80\0\0\0\0"
#define ANSWER                                                                                                         \
  "\x82\x01"                                                                                                           \
  "a"
#define CLOSE_ANSWER "\x88\x02\x03\xE8"
#define FAILURE "\x88\x33\x03\xEAreserved bit set although no extension was agreed"

#define write_frames(fixture, client, frames) client_write(fixture, client, frames, sizeof frames - 1)
#define assert_frames(client, expected) assert_octets(client, expected, sizeof expected - 1)

static void assert_octets(int client, const char *expected, size_t length) {
  g_autoptr(GByteArray) octets = client_read(client);
  g_assert_nonnull(octets);
  g_assert_cmpmem(octets->data, (int)octets->len, expected, (int)length);
}

static void assert_event(struct fixture *fixture, uint8_t type, uint16_t code) {
  struct wsc_header header;
  g_assert_cmpint(fixture_event(fixture, &header), ==, type);
  g_assert_cmpuint(header.code, ==, code);
}

static void acknowledge(struct fixture *fixture, uint64_t event) {
  uint8_t body[8];
  wsc_put_u64(body, event);
  fixture_send(fixture, &(struct wsc_header){.type = WSC_ACKNOWLEDGE}, body, sizeof body);
}

static void answer(struct fixture *fixture, uint64_t id) {
  fixture_send(fixture, &(struct wsc_header){.type = WSC_SEND, .connection = id}, "a", 1);
}

static void a_close_is_answered_behind_the_app(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){0});
  uint64_t id;
  int client = client_open(fixture, 0, &id);
  write_frames(fixture, client, MESSAGE NORMAL_CLOSE);
  assert_event(fixture, WSC_MESSAGE, 0);
  assert_event(fixture, 0, 0);
  assert_frames(client, "");
  answer(fixture, id);
  assert_frames(client, ANSWER);
  acknowledge(fixture, 2);
  assert_frames(client, CLOSE_ANSWER);
  assert_event(fixture, WSC_CLOSED, 1000);
  g_assert_true(client_is_closed(client));
  close(client);
  fixture_free(fixture);
}

static void a_fault_is_told_behind_the_app(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){0});
  uint64_t id;
  int client = client_open(fixture, 0, &id);
  write_frames(fixture, client, MESSAGE FAULT);
  assert_event(fixture, WSC_MESSAGE, 0);
  write_frames(fixture, client, MESSAGE); /* behind the fault: nobody's */
  answer(fixture, id);
  acknowledge(fixture, 2);
  assert_frames(client, ANSWER FAILURE);
  assert_event(fixture, WSC_CLOSED, 1002);
  g_assert_true(client_is_closed(client));
  close(client);
  fixture_free(fixture);
}

static void nothing_waits_for_messages_that_the_app_has_had(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){0});
  int client = client_open(fixture, 0, NULL), other = client_open(fixture, 0, NULL);
  write_frames(fixture, client, MESSAGE);
  assert_event(fixture, WSC_MESSAGE, 0);
  acknowledge(fixture, 3);
  write_frames(fixture, other, MESSAGE); /* not acknowledged, and not the business of the first */
  assert_event(fixture, WSC_MESSAGE, 0);
  write_frames(fixture, client, NORMAL_CLOSE);
  assert_frames(client, CLOSE_ANSWER);
  assert_event(fixture, WSC_CLOSED, 1000);
  close(client);
  close(other);
  fixture_free(fixture);
}

static void an_app_that_says_nothing_holds_up_a_close_only_so_long(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){0});
  int client = client_open(fixture, 0, NULL);
  write_frames(fixture, client, MESSAGE NORMAL_CLOSE);
  assert_event(fixture, WSC_MESSAGE, 0);
  fixture_advance(fixture, WSW_FAREWELL_MS - 1);
  assert_frames(client, "");
  assert_event(fixture, 0, 0);
  fixture_advance(fixture, 1);
  assert_frames(client, CLOSE_ANSWER);
  assert_event(fixture, WSC_CLOSED, 1000);
  close(client);
  fixture_free(fixture);
}

static void an_app_that_closes_ends_the_wait(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){0});
  uint64_t id;
  int client = client_open(fixture, 0, &id);
  write_frames(fixture, client, MESSAGE NORMAL_CLOSE);
  assert_event(fixture, WSC_MESSAGE, 0);
  answer(fixture, id);
  fixture_send(fixture, &(struct wsc_header){.type = WSC_CLOSE, .connection = id, .code = 4000}, NULL, 0);
  assert_frames(client, ANSWER CLOSE_ANSWER);
  assert_event(fixture, WSC_CLOSED, 1000);
  close(client);
  fixture_free(fixture);
}

static void a_server_that_stops_waits_for_no_app(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){0});
  int client = client_open(fixture, 0, NULL);
  write_frames(fixture, client, MESSAGE NORMAL_CLOSE);
  assert_event(fixture, WSC_MESSAGE, 0);
  fixture_stop(fixture, 1001, 2000);
  assert_frames(client, CLOSE_ANSWER);
  assert_event(fixture, WSC_CLOSED, 1000);
  close(client);
  fixture_free(fixture);
}

static void a_peer_that_hangs_up_meanwhile_still_gets_its_answers(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){0});
  uint64_t id;
  int client = client_open(fixture, 0, &id);
  write_frames(fixture, client, MESSAGE NORMAL_CLOSE);
  assert_event(fixture, WSC_MESSAGE, 0);
  shutdown(client, SHUT_WR);
  fixture_settle(fixture);
  answer(fixture, id);
  acknowledge(fixture, 2);
  assert_frames(client, ANSWER CLOSE_ANSWER);
  assert_event(fixture, WSC_CLOSED, 1000);
  close(client);
  fixture_free(fixture);
}

/* One after the other, from either end of the list and its middle. */
static void peers_that_wait_may_go_in_any_order(void) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){.max_per_client = 10});
  int clients[6];
  uint64_t ids[6];
  for (unsigned i = 0; i < G_N_ELEMENTS(clients); i++) {
    clients[i] = client_open(fixture, 0, &ids[i]);
    write_frames(fixture, clients[i], MESSAGE NORMAL_CLOSE);
    assert_event(fixture, WSC_MESSAGE, 0);
  }
  static const unsigned early[] = {2, 0, 5};
  for (unsigned i = 0; i < G_N_ELEMENTS(early); i++) {
    fixture_send(fixture, &(struct wsc_header){.type = WSC_CLOSE, .connection = ids[early[i]], .code = 4000}, NULL, 0);
    assert_frames(clients[early[i]], CLOSE_ANSWER);
    assert_event(fixture, WSC_CLOSED, 1000);
  }
  acknowledge(fixture, 4); /* covers the first two peers; the one that is left of them goes */
  assert_frames(clients[1], CLOSE_ANSWER);
  assert_frames(clients[3], "");
  acknowledge(fixture, 15);
  assert_frames(clients[3], CLOSE_ANSWER);
  assert_frames(clients[4], CLOSE_ANSWER);
  for (unsigned i = 0; i < G_N_ELEMENTS(clients); i++)
    close(clients[i]);
  fixture_free(fixture);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/farewell/a-close-is-answered-behind-the-app", a_close_is_answered_behind_the_app);
  g_test_add_func("/farewell/a-fault-is-told-behind-the-app", a_fault_is_told_behind_the_app);
  g_test_add_func("/farewell/nothing-waits-for-messages-that-the-app-has-had",
                  nothing_waits_for_messages_that_the_app_has_had);
  g_test_add_func("/farewell/an-app-that-says-nothing-holds-up-a-close-only-so-long",
                  an_app_that_says_nothing_holds_up_a_close_only_so_long);
  g_test_add_func("/farewell/an-app-that-closes-ends-the-wait", an_app_that_closes_ends_the_wait);
  g_test_add_func("/farewell/a-server-that-stops-waits-for-no-app", a_server_that_stops_waits_for_no_app);
  g_test_add_func("/farewell/a-peer-that-hangs-up-meanwhile-still-gets-its-answers",
                  a_peer_that_hangs_up_meanwhile_still_gets_its_answers);
  g_test_add_func("/farewell/peers-that-wait-may-go-in-any-order", peers_that_wait_may_go_in_any_order);
  return g_test_run();
}
