/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker says becomes the app's events: each once, in order, whole, however it arrives and whatever the app does in the middle of one. */
#include "client-lib/limits.h"
#include "tests/channel/assertions.h"
#include "tests/client-lib/stage.h"
#include "tests/client-lib/system-calls.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

static const char all_events[] = "standing 1\n"
                                 "connected 2 /\n"
                                 "message 2 text hello\n"
                                 "message 2 binary \n"
                                 "message 2 text \n"
                                 "message 1 binary abc\n"
                                 "written 1 80 of 90\n"
                                 "drained 1\n"
                                 "error 2 2302999 that connection\n"
                                 "error 0 2302999 the server\n"
                                 "closed 2 4321 clean bye\n"
                                 "closed 1 1006 \n";

/* One of each, and what makes readers stumble: messages of nothing. */
static void say_all(struct stage *stage) {
  struct wsc_welcome welcome = stage_welcome();
  stage_say_welcome(stage, &welcome);
  stage_say_standing(stage, 1, 90, 70);
  stage_say_connect(stage, 2);
  stage_say_message(stage, 2, "hello");
  stage_say(stage, (struct wsc_header){.type = WSC_MESSAGE, .connection = stage_id(2)}, NULL, 0);
  stage_say_message(stage, 2, "");
  stage_say(stage, (struct wsc_header){.type = WSC_MESSAGE, .connection = stage_id(1)}, "abc", 3);
  stage_say_credit(stage, 1, 80);
  stage_say_drained(stage, 1);
  stage_say_error(stage, 2, "that connection");
  stage_say_error(stage, 0, "the server");
  stage_say(stage,
            (struct wsc_header){.type = WSC_CLOSED, .flags = WSC_FLAG_CLEAN, .code = 4321, .connection = stage_id(2)},
            "bye", 3);
  stage_say_closed(stage, 1, 1006);
}

/* --- How it arrives --- */

static void test_each_event(void) {
  struct stage stage;
  stage_open(&stage);
  say_all(&stage);
  g_assert_cmpint(stage_dispatch(&stage), ==, WS_CHANNEL_OPEN);
  g_assert_null(ws_channel_get_reason(stage.channel));
  g_assert_cmpuint(ws_channel_get_peer_count(stage.channel), ==, 0);
  stage_assert_events(&stage, all_events);
  stage_end(&stage);
}

static void test_every_cut(void) {
  struct stage model;
  stage_open(&model);
  say_all(&model);
  size_t whole = wsc_queue_length(&model.saying);
  for (size_t cut = 1; cut < whole; cut++) {
    struct stage stage;
    stage_open(&stage);
    g_assert_true(wsc_queue_append_octets(&stage.saying, wsc_queue_front(&model.saying), cut));
    g_assert_cmpint(stage_dispatch(&stage), ==, WS_CHANNEL_OPEN);
    g_assert_true(wsc_queue_append_octets(&stage.saying, wsc_queue_front(&model.saying) + cut, whole - cut));
    g_assert_cmpint(stage_dispatch(&stage), ==, WS_CHANNEL_OPEN);
    stage_assert_events(&stage, all_events);
    stage_end(&stage);
  }
  stage_end(&model);
}

static void test_short_reads(void) {
  static const size_t lengths[] = {1, 2, 7, 15, 16, 17, 100};
  for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
    struct stage stage;
    stage_open(&stage);
    calls_limit_receiving(lengths[i]);
    say_all(&stage);
    g_assert_cmpint(stage_dispatch(&stage), ==, WS_CHANNEL_OPEN);
    stage_assert_events(&stage, all_events);
    stage_end(&stage);
  }
}

static void test_interrupted_reads(void) {
  struct stage stage;
  stage_open(&stage);
  say_all(&stage);
  calls_fail_receiving(EINTR, 3);
  stage_deliver(&stage);
  g_assert_cmpint(ws_channel_dispatch(stage.channel), ==, WS_CHANNEL_OPEN);
  stage_assert_events(&stage, all_events);
  g_assert_cmpuint(calls_receiving(), ==, 4); /* one read a dispatch, or one channel starves what else the app does */
  g_assert_cmpint(ws_channel_dispatch(stage.channel), ==, WS_CHANNEL_OPEN); /* nothing there */
  stage_end(&stage);
}

static void test_large_message(void) {
  struct stage stage;
  g_autofree uint8_t *octets = stage_octets(STAGE_MAX_MESSAGE, 1);
  g_autofree char *shown = stage_show(octets, STAGE_MAX_MESSAGE);
  g_autofree char *expected = g_strdup_printf("message 1 binary %s\nmessage 1 text after\n", shown);
  stage_begin(&stage, 1);
  calls_limit_receiving(3000);
  stage_say(&stage, (struct wsc_header){.type = WSC_MESSAGE, .connection = stage_id(1)}, octets, STAGE_MAX_MESSAGE);
  stage_say_message(&stage, 1, "after");
  stage_dispatch(&stage);
  stage_assert_events(&stage, expected);
  stage_end(&stage);
}

static void test_no_functions(void) {
  static const struct ws_channel_events none = {0};
  struct stage stage;
  int ends[2];
  stage_open(&stage);
  stage_hang_up(&stage);
  stage_free_channel(&stage);
  g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), ==, 0);
  stage.worker = ends[1];
  stage.channel = ws_channel_new(ends[0], &none, NULL);
  say_all(&stage);
  stage_say_connect(&stage, 3);
  g_assert_cmpint(stage_dispatch(&stage), ==, WS_CHANNEL_OPEN);
  g_assert_cmpuint(ws_channel_get_peer_count(stage.channel), ==, 1);
  stage_hang_up(&stage);
  g_assert_cmpint(stage_dispatch(&stage), ==, WS_CHANNEL_ENDED);
  stage_end(&stage);
}

/* --- Who connected --- */

static const struct wsc_connect_header sample_headers[] = {
    {{"host", 4}, {"tv.example:8080", 15}}, {{"x-twice", 7}, {"one", 3}}, {{"x-twice", 7}, {"", 0}}};

static void check_headers(const struct ws_channel_details *details) {
  struct ws_channel_text name, value;
  size_t offset = 0;
  g_assert_cmpuint(details->header_count, ==, G_N_ELEMENTS(sample_headers));
  for (size_t i = 0; i < details->header_count; i++) {
    g_assert_true(ws_channel_next_header(details, &offset, &name, &value));
    assert_octets(name.text, name.length, sample_headers[i].name.text, sample_headers[i].name.length);
    assert_octets(value.text, value.length, sample_headers[i].value.text, sample_headers[i].value.length);
  }
  g_assert_false(ws_channel_next_header(details, &offset, &name, &value));
  g_assert_false(ws_channel_next_header(details, &offset, &name, &value));
}

static void assert_text(const struct ws_channel_text *text, const char *expected) {
  assert_octets(text->text, text->length, expected, strlen(expected));
}

static void check_details(struct stage *stage, const struct stage_event *event) {
  const struct ws_channel_details *details = event->details;
  (void)stage;
  g_assert_nonnull(details);
  g_assert_cmpuint(details->family, ==, 6);
  g_assert_true(details->tls);
  g_assert_cmpuint(details->port, ==, 50000);
  g_assert_cmpuint(details->scope, ==, 3);
  g_assert_cmpuint(details->address[0], ==, 0xfe);
  g_assert_cmpuint(details->address[15], ==, 0xfe);
  g_assert_cmpuint(details->connected_at, ==, 1700000000000001);
  assert_text(&details->path, "/remote");
  assert_text(&details->query, "a=\xff");
  assert_text(&details->origin, "https://tv.example");
  assert_text(&details->protocol, "chat");
  assert_text(&details->subject, "CN=remote");
  check_headers(details);
}

static void test_details(void) {
  struct wsc_connect connect = {.family = 6, .tls = true, .port = 50000, .scope = 3, .connected_at = 1700000000000001};
  uint8_t body[500];
  struct stage stage;
  memset(connect.address, 0xfe, sizeof connect.address);
  connect.path = (struct wsc_text){"/remote", 7};
  connect.query = (struct wsc_text){"a=\xff", 3};
  connect.origin = (struct wsc_text){"https://tv.example", 18};
  connect.protocol = (struct wsc_text){"chat", 4};
  connect.subject = (struct wsc_text){"CN=remote", 9};
  connect.header_count = G_N_ELEMENTS(sample_headers);
  size_t length = wsc_connect_encode(&connect, body);
  for (size_t i = 0; i < G_N_ELEMENTS(sample_headers); i++)
    length += wsc_connect_header_encode(&sample_headers[i], body + length);
  stage_begin(&stage, 0);
  stage.hook = check_details;
  stage_say(&stage, (struct wsc_header){.type = WSC_CONNECT, .connection = stage_id(7)}, body, length);
  stage_dispatch(&stage);
  stage_assert_events(&stage, "connected 7 /remote\n");
  stage_end(&stage);
}

static void test_standing(void) {
  struct stage stage;
  struct wsc_welcome welcome = stage_welcome();
  stage_open(&stage);
  stage_say_welcome(&stage, &welcome);
  stage_say_standing(&stage, 4, 5000, 4500);
  stage_say_standing(&stage, 9, 2000, 2000 - STAGE_HIGH);
  stage_dispatch(&stage);
  stage_assert_events(&stage, "standing 4\nstanding 9\n");
  g_assert_cmpuint(ws_channel_peer_get_sent(stage_peer(&stage, 4)), ==, 5000);
  g_assert_cmpuint(ws_channel_peer_get_written(stage_peer(&stage, 4)), ==, 4500);
  g_assert_cmpint(ws_channel_send(stage_peer(&stage, 4), true, "x", 1, false), ==, WS_CHANNEL_SENT);
  g_assert_cmpint(ws_channel_send(stage_peer(&stage, 9), true, "x", 1, false), ==, WS_CHANNEL_WOULD_BLOCK);
  stage_say_credit(&stage, 9, 2000);
  stage_dispatch(&stage);
  g_assert_cmpint(ws_channel_send(stage_peer(&stage, 9), true, "y", 1, false), ==, WS_CHANNEL_SENT);
  ws_channel_flush(stage.channel);
  stage_assert_heard(&stage, "SEND 4 text x\nWANT_DRAINED 9\nSEND 9 text y\n");
  stage_assert_events(&stage, "written 9 2000 of 2000\n");
  stage_end(&stage);
}

static void test_peers_are_found(void) {
  struct stage stage;
  bool seen[101] = {false};
  guint count = 0;
  stage_begin(&stage, 100);
  for (struct ws_channel_peer *peer = NULL; (peer = ws_channel_next_peer(stage.channel, peer)) != NULL; count++) {
    g_assert_true(ws_channel_peer_get_channel(peer) == stage.channel);
    g_assert_null(ws_channel_peer_get_data(peer));
    ws_channel_peer_set_data(peer, &seen[stage_number(peer)]);
  }
  g_assert_cmpuint(count, ==, 100);
  for (guint i = 1; i <= 100; i++)
    g_assert_true(ws_channel_peer_get_data(stage_peer(&stage, i)) == &seen[i]);
  g_assert_null(ws_channel_find_peer(stage.channel, stage_id(101)));
  g_assert_null(ws_channel_find_peer(stage.channel, 0));
  g_assert_null(ws_channel_find_peer(stage.channel, 1));
  stage_say_closed(&stage, 50, 1000);
  stage_dispatch(&stage);
  g_assert_null(ws_channel_find_peer(stage.channel, stage_id(50)));
  g_assert_cmpuint(ws_channel_get_peer_count(stage.channel), ==, 99);
  stage_forget(&stage);
  stage_end(&stage);
}

/* --- Pause --- */

static void pause_at_message(struct stage *stage, const struct stage_event *event) {
  if (event->kind == STAGE_MESSAGE)
    ws_channel_set_paused(stage->channel, true);
}

static void test_pause_in_the_middle(void) {
  struct stage stage;
  stage_begin(&stage, 1);
  stage.hook = pause_at_message;
  for (guint i = 0; i < 3; i++)
    stage_say_message(&stage, 1, i == 0 ? "one" : i == 1 ? "two" : "three");
  stage_say_closed(&stage, 1, 1000);
  stage_dispatch(&stage);
  stage_assert_events(&stage, "message 1 text one\n");
  for (guint i = 0; i < 3; i++)
    ws_channel_dispatch(stage.channel);
  stage_assert_events(&stage, "");
  g_assert_cmpint(ws_channel_get_poll_events(stage.channel) & POLLIN, ==, 0);
  ws_channel_set_paused(stage.channel, false);
  ws_channel_dispatch(stage.channel);
  stage_assert_events(&stage, "message 1 text two\n");
  stage.hook = NULL;
  ws_channel_set_paused(stage.channel, false);
  ws_channel_dispatch(stage.channel);
  stage_assert_events(&stage, "message 1 text three\nclosed 1 1000 \n");
  stage_end(&stage);
}

static void test_pause_reads_nothing(void) {
  struct stage stage;
  stage_begin(&stage, 1);
  ws_channel_set_paused(stage.channel, true);
  stage_say_message(&stage, 1, "kept");
  calls_receiving();
  g_assert_cmpint(ws_channel_send(stage_peer(&stage, 1), true, "out", 3, false), ==, WS_CHANNEL_SENT);
  g_assert_cmpint(ws_channel_get_poll_events(stage.channel), ==, POLLOUT);
  stage_dispatch(&stage);
  g_assert_cmpuint(calls_receiving(), ==, 0);
  g_assert_cmpint(ws_channel_get_poll_events(stage.channel), ==, 0);
  stage_assert_heard(&stage, "SEND 1 text out\n");
  stage_assert_events(&stage, "");
  ws_channel_set_paused(stage.channel, false);
  stage_dispatch(&stage);
  stage_assert_events(&stage, "message 1 text kept\n");
  stage_end(&stage);
}

/* What was read but not told is not in the descriptor any more, so poll(2) must not wait for it. */
static void test_poll_after_pause(void) {
  struct stage stage;
  stage_begin(&stage, 1);
  stage.hook = pause_at_message;
  stage_say_message(&stage, 1, "one");
  stage_say_message(&stage, 1, "two");
  stage_dispatch(&stage);
  stage_assert_events(&stage, "message 1 text one\n");
  ws_channel_set_paused(stage.channel, false);
  struct pollfd poll_fd = {ws_channel_get_fd(stage.channel), ws_channel_get_poll_events(stage.channel), 0};
  g_assert_cmpint(poll(&poll_fd, 1, 0), ==, 1);
  ws_channel_dispatch(stage.channel);
  stage_assert_events(&stage, "message 1 text two\n");
  ws_channel_set_paused(stage.channel, false);
  ws_channel_dispatch(stage.channel);
  g_assert_cmpint(ws_channel_get_poll_events(stage.channel), ==, POLLIN); /* and not for ever */
  stage_end(&stage);
}

static void test_end_while_paused(void) {
  struct stage stage;
  stage_begin(&stage, 1);
  stage.hook = pause_at_message;
  stage_say_message(&stage, 1, "one");
  stage_say_message(&stage, 1, "two");
  stage_deliver(&stage);
  stage_hang_up(&stage);
  stage_dispatch(&stage);
  stage_assert_events(&stage, "message 1 text one\n");
  stage.hook = NULL;
  ws_channel_set_paused(stage.channel, false);
  g_assert_cmpint(stage_dispatch(&stage), ==, WS_CHANNEL_ENDED);
  stage_assert_events(&stage, "message 1 text two\nclosed 1 1006 \n");
  stage_end(&stage);
}

/* --- In the middle of an event --- */

static void free_at_countdown(struct stage *stage, const struct stage_event *event) {
  if (stage->left-- != 0)
    return;
  struct ws_channel *channel = stage->channel;
  stage_free_channel(stage);
  ws_channel_free(channel); /* once more harms nobody, inside of an event */
  g_assert_cmpint(ws_channel_get_state(channel), ==, WS_CHANNEL_ENDED);
  g_assert_cmpint(ws_channel_dispatch(channel), ==, WS_CHANNEL_ENDED);
  ws_channel_flush(channel);
  if (event->peer != NULL) {
    g_assert_cmpint(ws_channel_send(event->peer, true, "x", 1, false), ==, WS_CHANNEL_GONE);
    g_assert_cmpint(ws_channel_close(event->peer, 0, NULL, 0), ==, WS_CHANNEL_GONE);
  }
  g_assert_cmpint(ws_channel_broadcast_to_all(channel, true, "x", 1, NULL), ==, WS_CHANNEL_GONE);
  if (event->kind == STAGE_MESSAGE) /* what was handed out lives on until the function returns */
    g_assert_true(event->length == 0 || event->data[0] != 0);
}

static void test_free_in_each_event(void) {
  for (guint nth = 0; nth < 12; nth++) {
    struct stage stage;
    stage_open(&stage);
    stage.left = nth;
    stage.hook = free_at_countdown;
    say_all(&stage);
    g_assert_cmpint(stage_dispatch(&stage), ==, WS_CHANNEL_ENDED);
    g_assert_null(stage.channel);
    g_auto(GStrv) lines = g_strsplit(stage.events->str, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, nth + 2); /* and no event after it */
    g_assert_true(g_str_has_prefix(all_events, stage.events->str));
    stage_forget(&stage);
    stage_end(&stage);
  }
}

static void test_free_at_the_end(void) {
  for (guint nth = 0; nth < 5; nth++) {
    struct stage stage;
    stage_begin(&stage, 5);
    stage_hang_up(&stage);
    stage.left = nth;
    stage.hook = free_at_countdown;
    g_assert_cmpint(stage_dispatch(&stage), ==, WS_CHANNEL_ENDED);
    g_assert_null(stage.channel);
    g_auto(GStrv) lines = g_strsplit(stage.events->str, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, nth + 2);
    stage_forget(&stage);
    stage_end(&stage);
  }
}

static void reach_back(struct stage *stage, const struct stage_event *event) {
  if (event->kind == STAGE_MESSAGE && event->text)
    ws_channel_send(event->peer, event->text, event->data, event->length, false);
  g_assert_cmpint(ws_channel_dispatch(stage->channel), ==, WS_CHANNEL_OPEN);
  ws_channel_flush(stage->channel);
}

static void test_calls_in_each_event(void) {
  struct stage stage;
  stage_open(&stage);
  stage.hook = reach_back;
  say_all(&stage);
  calls_sending();
  stage_deliver(&stage);
  ws_channel_dispatch(stage.channel);
  g_assert_cmpuint(calls_sending(), ==, 1); /* everything leaves at once */
  stage_assert_heard(&stage, "SEND 2 text hello\nSEND 2 text \n");
  stage_assert_events(&stage, all_events);
  stage_end(&stage);
}

static void close_everybody(struct stage *stage, const struct stage_event *event) {
  if (event->kind == STAGE_CLOSED) {
    g_assert_cmpint(ws_channel_close(event->peer, 0, NULL, 0), ==, WS_CHANNEL_GONE);
    g_assert_cmpint(ws_channel_send(event->peer, true, "x", 1, false), ==, WS_CHANNEL_GONE);
    g_assert_null(ws_channel_find_peer(stage->channel, ws_channel_peer_get_id(event->peer)));
  }
  for (struct ws_channel_peer *peer = NULL; (peer = ws_channel_next_peer(stage->channel, peer)) != NULL;)
    ws_channel_close(peer, 4000, "go", 2);
}

static void test_closes_in_each_event(void) {
  struct stage stage;
  stage_open(&stage);
  stage.hook = close_everybody;
  say_all(&stage);
  g_assert_cmpint(stage_dispatch(&stage), ==, WS_CHANNEL_OPEN);
  stage_assert_heard(&stage, "CLOSE 1 4000 go\nCLOSE 2 4000 go\n");
  /* A message may still come from one that is being closed, but it cannot be sent to: no `drained`. */
  stage_assert_events(&stage, "standing 1\nconnected 2 /\nmessage 2 text hello\nmessage 2 binary \nmessage 2 text \n"
                              "message 1 binary abc\nwritten 1 80 of 90\nerror 2 2302999 that connection\n"
                              "error 0 2302999 the server\nclosed 2 4321 clean bye\nclosed 1 1006 \n");
  stage_end(&stage);
}

/* The app frees what it keeps for each in `closed`, so none may come twice and none may be missing. */
static void walk_when_closed(struct stage *stage, const struct stage_event *event) {
  guint walked = 0;
  if (event->kind != STAGE_CLOSED)
    return;
  g_assert_null(ws_channel_find_peer(stage->channel, ws_channel_peer_get_id(event->peer)));
  (void)ws_channel_next_peer(stage->channel, event->peer);
  for (struct ws_channel_peer *peer = NULL; (peer = ws_channel_next_peer(stage->channel, peer)) != NULL; walked++)
    g_assert_true(peer != event->peer);
  g_assert_cmpuint(walked, ==, ws_channel_get_peer_count(stage->channel));
  g_assert_cmpuint(walked, ==, --stage->left);
}

static void test_walk_at_the_end(void) {
  for (guint count = 1; count < 200; count += 33) {
    struct stage stage;
    stage_begin(&stage, count);
    stage_hang_up(&stage);
    stage.left = count;
    stage.hook = walk_when_closed;
    g_assert_cmpint(stage_dispatch(&stage), ==, WS_CHANNEL_ENDED);
    g_assert_cmpuint(stage.left, ==, 0);
    stage_forget(&stage);
    stage_end(&stage);
  }
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/channel-events/each-comes-in-order-with-its-arguments", test_each_event);
  g_test_add_func("/channel-events/a-cut-at-any-octet-changes-nothing", test_every_cut);
  g_test_add_func("/channel-events/short-reads-lose-nothing", test_short_reads);
  g_test_add_func("/channel-events/an-interrupted-read-is-repeated", test_interrupted_reads);
  g_test_add_func("/channel-events/a-large-message-arrives-whole", test_large_message);
  g_test_add_func("/channel-events/an-app-that-wants-none-gets-none", test_no_functions);
  g_test_add_func("/channel-events/details-are-what-the-peer-sent", test_details);
  g_test_add_func("/channel-events/a-connection-from-before-keeps-its-credit", test_standing);
  g_test_add_func("/channel-events/peers-are-found-and-walked", test_peers_are_found);
  g_test_add_func("/channel-events/pause/takes-effect-in-the-middle", test_pause_in_the_middle);
  g_test_add_func("/channel-events/pause/reads-nothing-but-writes", test_pause_reads_nothing);
  g_test_add_func("/channel-events/pause/poll-does-not-wait-for-what-was-read-before-it", test_poll_after_pause);
  g_test_add_func("/channel-events/pause/the-end-comes-after-what-was-read-before-it", test_end_while_paused);
  g_test_add_func("/channel-events/free-inside-of-each", test_free_in_each_event);
  g_test_add_func("/channel-events/free-inside-of-closed-at-the-end", test_free_at_the_end);
  g_test_add_func("/channel-events/dispatch-and-flush-inside-of-each-do-nothing", test_calls_in_each_event);
  g_test_add_func("/channel-events/closes-inside-of-each", test_closes_in_each_event);
  g_test_add_func("/channel-events/whoever-is-left-is-found-when-one-closes-at-the-end", test_walk_at_the_end);
  return g_test_run();
}
