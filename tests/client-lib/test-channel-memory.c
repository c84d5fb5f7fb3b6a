/* SPDX-License-Identifier: Apache-2.0 */
/* A television has little memory: what an idle connection and a busy channel cost, and that refusing any allocation loses or leaks nothing. */
#include "client-lib/channel-private.h"
#include "client-lib/limits.h"
#include "tests/channel/allocations.h"
#include "tests/client-lib/stage.h"
#include "tests/client-lib/system-calls.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CROWD = 20000, IDLE_MAX = 100, LARGE = 90000 };

static enum ws_channel_result send_text(struct stage *stage, uint64_t number, const char *text) {
  return ws_channel_send(stage_peer(stage, number), true, text, strlen(text), false);
}

/* --- What it costs --- */

/* The test's own queue and decoder lie elsewhere: give their memory back before counting. */
static size_t live(struct stage *stage) {
  wsc_queue_clear(&stage->saying);
  wsc_decoder_rest(&stage->hearing);
  return allocations_live();
}

static void test_idle_connection(void) {
  struct stage stage;
  stage_begin(&stage, 0);
  g_assert_cmpuint(sizeof(struct ws_channel_peer), <=, 40);
  size_t before = live(&stage);
  for (guint i = 1; i <= CROWD; i++) {
    stage_say_connect(&stage, i);
    if (i % 500 == 0) {
      stage_dispatch(&stage);
      stage_forget(&stage);
      g_assert_cmpuint((live(&stage) - before) / i, <=, IDLE_MAX);
    }
  }
  for (guint i = 1; i <= CROWD; i++) {
    stage_say_closed(&stage, i, 1000);
    if (i % 500 == 0)
      stage_dispatch(&stage);
  }
  stage_forget(&stage);
  g_assert_cmpuint(live(&stage), <=, before + 1000); /* and it is given back */
  stage_end(&stage);
}

static void echo(struct stage *stage, const struct stage_event *event) {
  (void)stage;
  if (event->kind == STAGE_MESSAGE)
    g_assert_cmpint(ws_channel_send(event->peer, event->text, event->data, event->length, false), ==, WS_CHANNEL_SENT);
}

static void echo_some(struct stage *stage, guint count, uint64_t *charged) {
  for (guint i = 0; i < count; i++)
    stage_say_message(stage, 1, "the same again");
  stage_deliver(stage);
  allocations_taken(NULL);
  ws_channel_dispatch(stage->channel);
  size_t taken = allocations_taken(NULL);
  stage_hear(stage);
  *charged += count * (WSC_MESSAGE_COST + strlen("the same again"));
  stage_say_credit(stage, 1, *charged);
  stage_dispatch(stage);
  stage_forget(stage);
  if (*charged > 10000) /* from then on it has what it needs */
    g_assert_cmpuint(taken, ==, 0);
}

static void test_small_messages(void) {
  struct stage stage;
  uint64_t charged = 0;
  stage_begin(&stage, 1);
  stage.hook = echo;
  for (guint i = 0; i < 500; i++)
    echo_some(&stage, 1 + i % 30, &charged);
  stage_end(&stage);
}

static void test_large_message(void) {
  struct stage stage;
  g_autofree uint8_t *octets = stage_octets(8 << 20, 1);
  struct wsc_welcome welcome = stage_welcome();
  welcome.max_message = 8 << 20;
  stage_open(&stage);
  stage_say_welcome(&stage, &welcome);
  stage_say_connect(&stage, 1);
  stage_dispatch(&stage);
  size_t before = live(&stage);
  stage_say(&stage, (struct wsc_header){.type = WSC_MESSAGE, .connection = stage_id(1)}, octets, 8 << 20);
  stage_dispatch(&stage);
  g_assert_cmpuint(live(&stage), <=, before + 4 * WSC_DECODER_ROOM); /* not kept until the next one comes */
  stage_say_message(&stage, 1, "on");
  stage_dispatch(&stage);
  g_assert_true(g_str_has_suffix(stage.events->str, "\nmessage 1 text on\n"));
  stage_forget(&stage);
  stage_end(&stage);
}

static void echo_uncopied(struct stage *stage, const struct stage_event *event) {
  if (event->kind != STAGE_MESSAGE)
    return;
  calls_limit_sending(20000); /* the rest has to wait */
  allocations_taken(NULL);
  echo(stage, event);
  g_assert_cmpuint(allocations_taken(NULL), ==, 0);
  calls_fail_sending(EAGAIN, G_MAXUINT);
}

/* The rest of it waits where it was read, and belongs to nobody else until it has left. */
static void echo_large(bool leaves, bool worker_lives) {
  struct stage stage;
  g_autofree uint8_t *octets = stage_octets(LARGE, 1), *others = stage_octets(LARGE, 2);
  g_autofree char *shown = stage_show(octets, LARGE);
  g_autofree char *expected = g_strdup_printf("SEND 1 binary %s\nSEND 2 text behind\n", shown);
  stage_begin(&stage, 2);
  stage.hook = echo_uncopied;
  stage_say(&stage, (struct wsc_header){.type = WSC_MESSAGE, .connection = stage_id(1)}, octets, LARGE);
  stage_dispatch(&stage);
  stage.hook = NULL;
  g_assert_cmpuint(ws_channel_get_queued(stage.channel), ==, LARGE + WSC_RECORD_HEADER - 20000);
  g_assert_cmpint(send_text(&stage, 2, "behind"), ==, WS_CHANNEL_SENT);
  stage_say(&stage, (struct wsc_header){.type = WSC_MESSAGE, .connection = stage_id(2)}, others, LARGE);
  stage_dispatch(&stage); /* read to another place */
  calls_reset();
  if (!worker_lives)
    stage_hang_up(&stage);
  if (leaves)
    stage_dispatch(&stage);
  if (leaves && worker_lives)
    stage_assert_heard(&stage, expected);
  stage_forget(&stage);
  stage_end(&stage);
}

static void test_large_echo(void) {
  echo_large(true, true);
  echo_large(false, true);
  echo_large(true, false);
  echo_large(false, false);
}

/* Whoever sends and is refused, without looking, a thousand times. */
static void test_full(void) {
  struct stage stage;
  g_autofree uint8_t *octets = stage_octets(STAGE_MAX_MESSAGE, 1);
  struct wsc_welcome welcome = stage_welcome();
  welcome.queue_high = 1u << 30;
  stage_open(&stage);
  stage_say_welcome(&stage, &welcome);
  stage_say_connect(&stage, 1);
  stage_dispatch(&stage);
  calls_fail_sending(EAGAIN, G_MAXUINT);
  for (guint i = 0; i < 1000; i++) {
    ws_channel_send(stage_peer(&stage, 1), false, octets, STAGE_MAX_MESSAGE, true);
    ws_channel_broadcast_to_all(stage.channel, false, octets, STAGE_MAX_MESSAGE, NULL);
    ws_channel_dispatch(stage.channel);
  }
  g_assert_cmpuint(ws_channel_get_queued(stage.channel), <=, WS_CHANNEL_QUEUE_HIGH + STAGE_MAX_MESSAGE + 100);
  stage_forget(&stage);
  stage_end(&stage);
}

/* --- Without any --- */

/* `octets`: LARGE of them. */
static void say_much(struct stage *stage, const uint8_t *octets) {
  const struct wsc_welcome welcome = stage_welcome();
  stage_say_welcome(stage, &welcome);
  for (guint i = 1; i <= 30; i++)
    stage_say_connect(stage, i);
  stage_say(stage, (struct wsc_header){.type = WSC_MESSAGE, .connection = stage_id(1)}, octets, LARGE);
  stage_say_message(stage, 1, "behind");
}

static void note_result(GString *sent, enum ws_channel_result result, const char *line) {
  if (result == WS_CHANNEL_SENT)
    g_string_append(sent, line);
  else
    g_assert_true(result == WS_CHANNEL_NO_MEMORY || result == WS_CHANNEL_GONE);
}

static void send_some(struct stage *stage, const uint8_t *octets, const char *shown, GString *sent) {
  g_autofree char *large = g_strdup_printf("SEND 2 binary %s\n", shown);
  struct ws_channel_peer *twice[] = {stage_peer(stage, 3), stage_peer(stage, 3)};
  size_t count;
  calls_fail_sending(EAGAIN, 1);
  note_result(sent, send_text(stage, 1, "small"), "SEND 1 text small\n");
  note_result(sent, ws_channel_send(stage_peer(stage, 2), false, octets, LARGE, false), large);
  note_result(sent, ws_channel_broadcast(stage->channel, twice, 2, false, octets, 500, &count), "");
  if (count > 0) {
    g_autofree char *less = stage_show(octets, 500);
    g_string_append_printf(sent, "BROADCAST 3 3 binary %s\n", less);
  }
  g_assert_cmpuint(ws_channel_peer_get_sent(twice[0]), ==, count * (500 + WSC_MESSAGE_COST));
  note_result(sent, ws_channel_close(stage_peer(stage, 4), 4000, "go", 2), "CLOSE 4 4000 go\n");
}

/* Everything that was accepted arrives, and nothing else. */
static void refuse_nth(size_t nth, const uint8_t *octets, bool *came) {
  struct stage stage;
  g_autofree char *shown = stage_show(octets, LARGE);
  GString *sent = g_string_new(NULL);
  stage_open(&stage);
  say_much(&stage, octets);
  size_t size;
  (void)wsc_decoder_room(&stage.hearing, &size); /* what the test needs, it has before */
  allocations_refuse_nth(nth);
  stage_dispatch(&stage);
  if (ws_channel_get_state(stage.channel) == WS_CHANNEL_OPEN)
    send_some(&stage, octets, shown, sent);
  while (ws_channel_get_queued(stage.channel) > 0 && ws_channel_dispatch(stage.channel) == WS_CHANNEL_OPEN)
    if (allocations_refused_nth())
      stage_hear(&stage);
  *came = allocations_refused_nth();
  allocations_refuse_nth(0);
  if (ws_channel_get_state(stage.channel) == WS_CHANNEL_OPEN) {
    g_assert_nonnull(strstr(stage.events->str, "message 1 text behind\n"));
    stage_assert_heard(&stage, sent->str);
  } else {
    g_assert_cmpint(ws_channel_get_state(stage.channel), ==, WS_CHANNEL_BROKEN);
    g_assert_nonnull(strstr(ws_channel_get_reason(stage.channel), "memory"));
  }
  g_string_free(sent, TRUE);
  stage_forget(&stage);
  stage_end(&stage);
}

static void test_each_refused(void) {
  g_autofree uint8_t *octets = stage_octets(LARGE, 1);
  size_t before = allocations_live(), nth = 0;
  bool came = true;
  while (came)
    refuse_nth(++nth, octets, &came);
  g_assert_cmpuint(nth, >, 35); /* thirty connections, the table, rooms and queues */
  g_assert_cmpuint(allocations_live(), ==, before);
}

static void test_new_without_memory(void) {
  int ends[2];
  g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), ==, 0);
  static const struct ws_channel_events none = {0};
  uint8_t octet;
  allocations_refuse(true);
  g_assert_null(ws_channel_new(ends[0], &none, NULL));
  allocations_refuse(false);
  g_assert_cmpint(recvfrom(ends[1], &octet, 1, MSG_DONTWAIT, NULL, NULL), ==, 0); /* its end was closed */
  close(ends[1]);
}

/* Part of a message has left and there is no memory for the rest: it cannot be finished, and the app is told why. */
static void test_no_memory_halfway(void) {
  static const size_t taken[] = {1, WSC_RECORD_HEADER, 1000};
  g_autofree uint8_t *octets = stage_octets(LARGE, 1);
  for (size_t i = 0; i < G_N_ELEMENTS(taken); i++) {
    struct stage stage;
    stage_begin(&stage, 1);
    stage_say_message(&stage, 1, "last");
    stage_deliver(&stage);
    calls_limit_sending(taken[i]);
    allocations_refuse(true);
    g_assert_cmpint(ws_channel_send(stage_peer(&stage, 1), false, octets, LARGE, false), ==, WS_CHANNEL_NO_MEMORY);
    allocations_refuse(false);
    g_assert_cmpint(send_text(&stage, 1, "x"), !=, WS_CHANNEL_NO_MEMORY);
    stage_assert_broken(&stage, "no memory for the rest of a message");
    stage_assert_events(&stage, "message 1 text last\nclosed 1 1006 \n");
    stage_assert_heard(&stage, "");
    stage_end(&stage);
  }
}

static void test_no_memory_at_first(void) {
  struct stage stage;
  g_autofree uint8_t *octets = stage_octets(LARGE, 1);
  stage_begin(&stage, 1);
  for (size_t nth = 1; nth <= 2; nth++) {
    calls_fail_sending(EAGAIN, 1);
    allocations_refuse_nth(nth);
    enum ws_channel_result result = ws_channel_send(stage_peer(&stage, 1), false, octets, LARGE, false);
    allocations_refuse_nth(0);
    if (result == WS_CHANNEL_SENT)
      break;
    g_assert_cmpint(result, ==, WS_CHANNEL_NO_MEMORY);
    g_assert_cmpuint(ws_channel_peer_get_sent(stage_peer(&stage, 1)), ==, 0);
    g_assert_cmpint(stage_dispatch(&stage), ==, WS_CHANNEL_OPEN); /* nothing has happened */
  }
  ws_channel_flush(stage.channel);
  stage_hear(&stage);
  stage_forget(&stage);
  stage_end(&stage);
}

/* Refused for want of credit, and there is no memory to ask when there is some: asked later, not never. */
static void test_no_memory_to_ask(void) {
  struct stage stage;
  g_autofree uint8_t *octets = stage_octets(STAGE_HIGH, 1);
  stage_begin(&stage, 1);
  ws_channel_send(stage_peer(&stage, 1), false, octets, STAGE_HIGH, false);
  stage_dispatch(&stage);
  stage_hear(&stage);
  stage_forget(&stage);
  wsc_queue_clear(&stage.channel->out);
  allocations_refuse(true);
  g_assert_cmpint(send_text(&stage, 1, "x"), ==, WS_CHANNEL_WOULD_BLOCK);
  allocations_refuse(false);
  ws_channel_dispatch(stage.channel);
  stage_assert_events(&stage, "drained 1\n");
  g_assert_cmpint(send_text(&stage, 1, "x"), ==, WS_CHANNEL_WOULD_BLOCK);
  ws_channel_dispatch(stage.channel);
  stage_assert_heard(&stage, "WANT_DRAINED 1\n");
  stage_assert_events(&stage, "");
  stage_end(&stage);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/channel-memory/an-idle-connection-costs-little-and-is-forgotten", test_idle_connection);
  g_test_add_func("/channel-memory/small-messages-cost-no-allocation", test_small_messages);
  g_test_add_func("/channel-memory/a-large-message-is-not-kept", test_large_message);
  g_test_add_func("/channel-memory/a-large-echo-is-not-copied", test_large_echo);
  g_test_add_func("/channel-memory/a-worker-that-does-not-read-makes-nothing-grow", test_full);
  g_test_add_func("/channel-memory/none/any-one-refused-loses-nothing-that-was-accepted", test_each_refused);
  g_test_add_func("/channel-memory/none/no-channel-and-no-descriptor-left", test_new_without_memory);
  g_test_add_func("/channel-memory/none/in-the-middle-of-a-message-ends-it", test_no_memory_halfway);
  g_test_add_func("/channel-memory/none/before-a-large-message-changes-nothing", test_no_memory_at_first);
  g_test_add_func("/channel-memory/none/to-ask-when-there-is-room-is-asked-later", test_no_memory_to_ask);
  return g_test_run();
}
