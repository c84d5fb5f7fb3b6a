/* SPDX-License-Identifier: Apache-2.0 */
/* How a channel ends: whatever happened before is told, every connection is closed exactly once, and what breaks the rules has no effect. */
#include "client-lib/limits.h"
#include "tests/client-lib/stage.h"
#include "tests/client-lib/system-calls.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* --- The end --- */

static void assert_ended(struct stage *stage) {
  g_assert_cmpint(stage_dispatch(stage), ==, WS_CHANNEL_ENDED);
  g_assert_cmpint(ws_channel_get_state(stage->channel), ==, WS_CHANNEL_ENDED);
  g_assert_nonnull(ws_channel_get_reason(stage->channel));
  g_assert_cmpint(ws_channel_get_poll_events(stage->channel), ==, 0);
  g_assert_cmpint(ws_channel_get_fd(stage->channel), ==, -1);
  g_assert_cmpuint(ws_channel_get_peer_count(stage->channel), ==, 0);
  g_assert_cmpuint(ws_channel_get_queued(stage->channel), ==, 0);
}

static void test_end(void) {
  struct stage stage;
  stage_begin(&stage, 3);
  stage_say_message(&stage, 1, "last");
  stage_say_closed(&stage, 2, 1000);
  stage_deliver(&stage);
  stage_hang_up(&stage);
  assert_ended(&stage);
  stage_assert_events(&stage, "message 1 text last\nclosed 2 1000 \nclosed 1 1006 \nclosed 3 1006 \n");
  for (guint i = 0; i < 3; i++)
    assert_ended(&stage);
  ws_channel_flush(stage.channel);
  stage_end(&stage); /* no event came twice */
}

static void test_end_before_welcome(void) {
  struct stage stage;
  stage_open(&stage);
  stage_hang_up(&stage);
  assert_ended(&stage);
  stage_end(&stage);
}

static void test_end_in_a_record(void) {
  struct stage stage;
  for (size_t cut = 1; cut < WSC_RECORD_HEADER + 4; cut++) {
    stage_begin(&stage, 1);
    stage_say_message(&stage, 1, "half");
    stage.saying.end = stage.saying.start + cut;
    stage_deliver(&stage);
    stage_hang_up(&stage);
    assert_ended(&stage);
    stage_assert_events(&stage, "closed 1 1006 \n");
    stage_end(&stage);
  }
}

/* The other end is gone: what it said before is still told, then comes the end, and no signal kills the app. */
static void write_into_nothing(size_t length) {
  struct stage stage;
  g_autofree uint8_t *octets = stage_octets(length, 1);
  stage_begin(&stage, 1);
  ws_channel_send(stage_peer(&stage, 1), true, "unread", 6, false); /* which makes it ECONNRESET, then EPIPE */
  ws_channel_flush(stage.channel);
  stage_say_message(&stage, 1, "last");
  stage_deliver(&stage);
  stage_hang_up(&stage);
  for (guint i = 0; i < 4; i++) {
    g_assert_cmpint(ws_channel_send(stage_peer(&stage, 1), false, octets, length, false), !=, WS_CHANNEL_NO_MEMORY);
    ws_channel_flush(stage.channel);
    g_assert_cmpint(ws_channel_get_state(stage.channel), ==, WS_CHANNEL_OPEN);
    g_assert_cmpuint(ws_channel_get_queued(stage.channel), <=, WSC_RECORD_HEADER);
  }
  g_assert_true(ws_channel_get_poll_events(stage.channel) & POLLIN);
  g_assert_cmpint(ws_channel_close(stage_peer(&stage, 1), 0, NULL, 0), ==, WS_CHANNEL_SENT);
  assert_ended(&stage);
  stage_assert_events(&stage, "message 1 text last\nclosed 1 1006 \n");
  stage_end(&stage);
}

static void test_write_into_nothing(void) {
  write_into_nothing(3);
  write_into_nothing(STAGE_MAX_MESSAGE);
}

static void test_reset_while_reading(void) {
  struct stage stage;
  stage_begin(&stage, 1);
  calls_fail_receiving(ECONNRESET, 1);
  assert_ended(&stage);
  stage_assert_events(&stage, "closed 1 1006 \n");
  stage_end(&stage);
}

/* A descriptor that takes nothing although its other end lives must not swallow messages for ever. */
static void test_writing_fails(void) {
  static const size_t lengths[] = {3, WS_CHANNEL_DIRECT};
  for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
    struct stage stage;
    g_autofree uint8_t *octets = stage_octets(lengths[i], 1);
    stage_begin(&stage, 1);
    calls_fail_sending(EIO, 1);
    ws_channel_send(stage_peer(&stage, 1), false, octets, lengths[i], false);
    ws_channel_flush(stage.channel);
    uint8_t octet;
    g_assert_cmpint(recv(stage.worker, &octet, 1, MSG_DONTWAIT), ==,
                    0); /* so the worker comes to the end, and ends it */
    stage_hang_up(&stage);
    assert_ended(&stage);
    stage_assert_events(&stage, "closed 1 1006 \n");
    stage_end(&stage);
  }
}

static void test_kernel_without_memory(void) {
  static const int errors[] = {ENOBUFS, ENOMEM, EAGAIN};
  g_autofree uint8_t *octets = stage_octets(WS_CHANNEL_DIRECT, 1);
  g_autofree char *shown = stage_show(octets, WS_CHANNEL_DIRECT);
  g_autofree char *expected = g_strdup_printf("SEND 1 text a\nSEND 2 binary %s\n", shown);
  for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
    struct stage stage;
    stage_begin(&stage, 2);
    calls_fail_sending(errors[i], 2);
    g_assert_cmpint(ws_channel_send(stage_peer(&stage, 1), true, "a", 1, false), ==, WS_CHANNEL_SENT);
    ws_channel_flush(stage.channel);
    g_assert_cmpint(ws_channel_send(stage_peer(&stage, 2), false, octets, WS_CHANNEL_DIRECT, false), ==,
                    WS_CHANNEL_SENT);
    g_assert_true(ws_channel_get_poll_events(stage.channel) & POLLOUT);
    stage_dispatch(&stage);
    stage_assert_heard(&stage, expected);
    stage_end(&stage);
  }
}

/* --- Faults --- */

/* Says one record behind a good one, and another good one behind it. */
static void assert_fault(struct wsc_header header, const void *body, size_t length, const char *reason) {
  struct stage stage;
  stage_begin(&stage, 2);
  ws_channel_send(stage_peer(&stage, 2), true, "sent", 4, false); /* 20 octets */
  stage_dispatch(&stage);
  stage_assert_heard(&stage, "SEND 2 text sent\n");
  stage_say_message(&stage, 1, "good");
  stage_say(&stage, header, body, length);
  stage_say_message(&stage, 1, "never");
  stage_assert_broken(&stage, reason);
  stage_assert_events(&stage, "message 1 text good\nclosed 1 1006 \nclosed 2 1006 \n");
  stage_end(&stage);
}

static void assert_faults(const struct wsc_header *headers, size_t count, const char *reason) {
  uint8_t body[WSC_CONNECT_FIXED] = {4};
  for (size_t i = 0; i < count; i++)
    assert_fault(headers[i], body, headers[i].size, reason);
}

static void test_types(void) {
  for (guint type = 0; type <= 0xff; type++) {
    bool is_known = (type >= WSC_WELCOME && type <= WSC_ASK) || (type >= WSC_CONNECT && type <= WSC_DRAINED);
    if (!is_known) /* among them those that only an app may send */
      assert_fault((struct wsc_header){.type = (uint8_t)type}, NULL, 0,
                   wsc_type_is_shared((uint8_t)type) ? "a record about shared memory where there is none"
                                                     : "a type of record that does not exist in this direction");
  }
}

static void test_forms(void) {
  struct stage stage;
  const uint64_t one = stage_id(1);
  const struct wsc_header headers[] = {
      {.type = WSC_MESSAGE, .flags = WSC_FLAG_CLEAN, .connection = one},
      {.type = WSC_MESSAGE, .flags = 0x80, .connection = one},
      {.type = WSC_CONNECT, .flags = 1, .connection = stage_id(3), .size = WSC_CONNECT_FIXED},
      {.type = WSC_DRAINED, .code = 1000, .connection = one},
      {.type = WSC_MESSAGE},
      {.type = WSC_DRAINED},
      {.type = WSC_CREDIT, .size = 8},
      {.type = WSC_CREDIT, .connection = one, .size = 7},
      {.type = WSC_CREDIT, .connection = one, .size = 9},
      {.type = WSC_DRAINED, .connection = one, .size = 1},
      {.type = WSC_ERROR, .size = 3},
      {.type = WSC_CLOSED, .code = 999, .connection = one},
      {.type = WSC_CLOSED, .code = 0, .connection = one},
      {.type = WSC_CLOSED, .code = 1006, .flags = WSC_FLAG_CLEAN, .connection = one},
      {.type = WSC_CONNECT, .connection = stage_id(3), .size = WSC_CONNECT_FIXED - 1},
  };
  for (size_t i = 0; i < G_N_ELEMENTS(headers); i++) {
    uint8_t body[WSC_CONNECT_FIXED] = {4};
    stage_begin(&stage, 2);
    stage_say_message(&stage, 1, "good");
    stage_say(&stage, headers[i], body, headers[i].size);
    stage_say_message(&stage, 1, "never");
    g_assert_cmpint(stage_dispatch(&stage), ==, WS_CHANNEL_BROKEN);
    g_assert_nonnull(ws_channel_get_reason(stage.channel));
    stage_assert_events(&stage, "message 1 text good\nclosed 1 1006 \nclosed 2 1006 \n");
    stage_end(&stage);
  }
}

static void test_malformed_connect(void) {
  uint8_t body[WSC_CONNECT_FIXED] = {5}; /* of no family */
  assert_fault((struct wsc_header){.type = WSC_CONNECT, .connection = stage_id(3)}, body, sizeof body,
               "a malformed CONNECT");
  body[0] = 4;
  body[32] = 1; /* a path that is not there */
  assert_fault((struct wsc_header){.type = WSC_CONNECT, .connection = stage_id(3)}, body, sizeof body,
               "a malformed CONNECT");
}

static void test_too_large(void) {
  struct stage stage;
  g_autofree uint8_t *octets = stage_octets(STAGE_MAX_MESSAGE + 1, 1);
  stage_begin(&stage, 1);
  stage_say(&stage, (struct wsc_header){.type = WSC_MESSAGE, .connection = stage_id(1)}, octets, STAGE_MAX_MESSAGE + 1);
  stage_assert_broken(&stage, "a message above the limit");
  stage_assert_events(&stage, "closed 1 1006 \n");
  stage_end(&stage);
}

static void test_ids(void) {
  const struct wsc_header headers[] = {
      {.type = WSC_CONNECT, .connection = stage_id(2), .size = WSC_CONNECT_FIXED}, /* there already */
      {.type = WSC_CONNECT, .connection = stage_id(1), .size = WSC_CONNECT_FIXED},
      {.type = WSC_CONNECT, .connection = stage_id(0), .size = WSC_CONNECT_FIXED}, /* the first has number 1 */
      {.type = WSC_CONNECT, .connection = 3, .size = WSC_CONNECT_FIXED},           /* of an earlier generation */
      {.type = WSC_CONNECT, .connection = stage_id(0) * 2 + 3, .size = WSC_CONNECT_FIXED}, /* of a later one */
      {.type = WSC_CONNECT, .connection = UINT64_MAX, .size = WSC_CONNECT_FIXED},
  };
  assert_faults(headers, G_N_ELEMENTS(headers),
                "a connection whose number is not the worker's, or not above all before it");
}

/* A worker that lost its mind must not take the app's memory. */
static void test_too_many(void) {
  struct stage stage;
  stage_begin(&stage, WS_CHANNEL_PEERS_MAX);
  stage_say_closed(&stage, 7, 1000);
  stage_say_connect(&stage, WS_CHANNEL_PEERS_MAX + 1);
  g_assert_cmpint(stage_dispatch(&stage), ==, WS_CHANNEL_OPEN);
  stage_assert_events(&stage, "closed 7 1000 \nconnected 65536 /\n");
  stage_say_connect(&stage, WS_CHANNEL_PEERS_MAX + 2);
  stage_assert_broken(&stage, "more connections than there may be");
  g_assert_null(strstr(stage.events->str, "65537"));
  stage_forget(&stage);
  stage_end(&stage);
}

static void test_first_id(void) {
  struct stage stage;
  stage_begin(&stage, 0);
  stage_say_connect(&stage, 0);
  stage_assert_broken(&stage, "a connection whose number is not the worker's, or not above all before it");
  stage_end(&stage);
}

static void test_strangers(void) {
  const struct wsc_header headers[] = {
      {.type = WSC_MESSAGE, .connection = stage_id(3)},
      {.type = WSC_DRAINED, .connection = stage_id(3)},
      {.type = WSC_CLOSED, .code = 1000, .connection = stage_id(3)},
      {.type = WSC_ERROR, .connection = stage_id(3), .size = 4},
      {.type = WSC_MESSAGE, .connection = 1},
  };
  assert_faults(headers, G_N_ELEMENTS(headers), "an event of a connection that is not there");
}

static void test_after_closed(void) {
  static const uint8_t types[] = {WSC_MESSAGE, WSC_DRAINED, WSC_CLOSED, WSC_ERROR};
  for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
    struct stage stage;
    stage_begin(&stage, 1);
    stage_say_closed(&stage, 1, 1000);
    stage_say_credit(&stage, 1, 5); /* may still have been on its way */
    stage_say(
        &stage,
        (struct wsc_header){.type = types[i], .code = types[i] == WSC_CLOSED ? 1000 : 0, .connection = stage_id(1)},
        "\0\0\0", types[i] == WSC_ERROR ? 4 : 0);
    stage_assert_broken(&stage, "an event of a connection that is not there");
    stage_assert_events(&stage, "closed 1 1000 \n");
    stage_end(&stage);
  }
}

static void test_credit(void) {
  uint8_t body[8] = {21};
  assert_fault((struct wsc_header){.type = WSC_CREDIT, .connection = stage_id(2)}, body, sizeof body,
               "a CREDIT for what was not sent");
  memset(body, 0xff, sizeof body);
  assert_fault((struct wsc_header){.type = WSC_CREDIT, .connection = stage_id(2)}, body, sizeof body,
               "a CREDIT for what was not sent");
  assert_fault((struct wsc_header){.type = WSC_CREDIT, .connection = stage_id(3)}, body, sizeof body,
               "a CREDIT for a connection that never was");
}

static void test_shrinking_credit(void) {
  struct stage stage;
  stage_begin(&stage, 1);
  ws_channel_send(stage_peer(&stage, 1), true, "sent", 4, false);
  stage_dispatch(&stage);
  stage_say_credit(&stage, 1, 18);
  stage_say_credit(&stage, 1, 18);
  stage_say_credit(&stage, 1, 17);
  stage_assert_broken(&stage, "a CREDIT for what was not sent");
  stage_assert_heard(&stage, "SEND 1 text sent\n");
  stage_assert_events(&stage, "written 1 18 of 20\nwritten 1 18 of 20\nclosed 1 1006 \n");
  stage_end(&stage);
}

static void test_second_welcome(void) {
  uint8_t body[WSC_WELCOME_SIZE];
  const struct wsc_welcome welcome = stage_welcome();
  wsc_welcome_encode(&welcome, body);
  assert_fault((struct wsc_header){.type = WSC_WELCOME}, body, sizeof body, "a second WELCOME");
}

static void assert_refused_welcome(const struct wsc_welcome *welcome, const char *reason) {
  struct stage stage;
  stage_open(&stage);
  stage_say_welcome(&stage, welcome);
  stage_say_connect(&stage, 1);
  stage_assert_broken(&stage, reason);
  stage_end(&stage);
}

static void test_welcomes(void) {
  struct wsc_welcome welcome = stage_welcome();
  welcome.acknowledged = true;
  assert_refused_welcome(&welcome, "a channel that wants acknowledgements, which is not for apps");
  for (guint i = 0; i < 6; i++) {
    welcome = stage_welcome();
    if (i == 0)
      welcome.version = 3;
    else if (i == 1)
      welcome.generation = G_GUINT64_CONSTANT(1) << 32;
    else if (i == 2)
      welcome.first_event = 0;
    else if (i == 3)
      welcome.max_message = WSC_MESSAGE_MAX + 1;
    else if (i == 4)
      welcome.queue_low = 0;
    else
      welcome.queue_low = welcome.queue_high + 1;
    assert_refused_welcome(&welcome, "a malformed WELCOME");
  }
}

static void test_before_welcome(void) {
  struct stage stage;
  stage_open(&stage);
  stage_say_connect(&stage, 1);
  stage_assert_broken(&stage, "a record before WELCOME");
  stage_end(&stage);
}

static void assert_refused_standing(uint64_t number, uint64_t charged, uint64_t released, const char *reason) {
  struct stage stage;
  const struct wsc_welcome welcome = stage_welcome();
  stage_open(&stage);
  stage_say_welcome(&stage, &welcome);
  stage_say_standing(&stage, 5, 0, 0);
  stage_say_standing(&stage, number, charged, released);
  stage_assert_broken(&stage, reason);
  stage_assert_events(&stage, "standing 5\nclosed 5 1006 \n"); /* never `closed` of one that was not told */
  stage_end(&stage);
}

static void test_standings(void) {
  const char *order = "a connection whose number is not the worker's, or not above all before it";
  assert_refused_standing(5, 0, 0, order);
  assert_refused_standing(4, 0, 0, order);
  assert_refused_standing(G_GUINT64_CONSTANT(1) << 32, 0, 0, order);
  assert_refused_standing(6, 5, 6, "more released than charged");
  assert_refused_standing(6, G_GUINT64_CONSTANT(1) << 32, 0, "a queue larger than any can be");
  assert_refused_standing(6, UINT64_MAX, UINT64_MAX, "a queue larger than any can be"); /* what is sent would not fit */
}

static void test_late_standing(void) {
  uint8_t body[16] = {0};
  assert_fault((struct wsc_header){.type = WSC_STANDING, .connection = stage_id(3)}, body, sizeof body,
               "a STANDING that is not right behind WELCOME");
}

/* A worker that promises the largest queue anybody can have must not make the figures overflow. */
static void test_largest_queue(void) {
  struct stage stage;
  struct wsc_welcome welcome = stage_welcome();
  welcome.queue_high = UINT32_MAX;
  stage_open(&stage);
  stage_say_welcome(&stage, &welcome);
  stage_say_standing(&stage, 1, UINT32_MAX, 0);
  stage_say_standing(&stage, 2, (1u << 30) - 1, 0);
  stage_dispatch(&stage);
  stage_forget(&stage);
  g_assert_cmpint(ws_channel_send(stage_peer(&stage, 1), true, "x", 1, false), ==, WS_CHANNEL_WOULD_BLOCK);
  g_assert_cmpint(ws_channel_send(stage_peer(&stage, 2), true, "x", 1, false), ==, WS_CHANNEL_SENT);
  g_assert_cmpint(ws_channel_send(stage_peer(&stage, 2), true, "x", 1, false), ==, WS_CHANNEL_WOULD_BLOCK);
  g_assert_cmpuint(ws_channel_peer_get_written(stage_peer(&stage, 2)), ==, 0);
  stage_end(&stage);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/channel-end/everybody-is-closed-once-behind-what-came-before", test_end);
  g_test_add_func("/channel-end/before-anything-was-said", test_end_before_welcome);
  g_test_add_func("/channel-end/half-a-record-is-dropped", test_end_in_a_record);
  g_test_add_func("/channel-end/what-was-said-before-is-told-when-writing-fails", test_write_into_nothing);
  g_test_add_func("/channel-end/reset", test_reset_while_reading);
  g_test_add_func("/channel-end/a-channel-that-takes-nothing-ends", test_writing_fails);
  g_test_add_func("/channel-end/a-kernel-short-of-memory-loses-nothing", test_kernel_without_memory);
  g_test_add_func("/channel-fault/types-that-are-not-for-apps", test_types);
  g_test_add_func("/channel-fault/flags-codes-connections-and-sizes", test_forms);
  g_test_add_func("/channel-fault/malformed-connect", test_malformed_connect);
  g_test_add_func("/channel-fault/a-message-above-the-servers-limit", test_too_large);
  g_test_add_func("/channel-fault/ids-that-do-not-ascend-or-are-of-another-worker", test_ids);
  g_test_add_func("/channel-fault/more-connections-than-there-may-be", test_too_many);
  g_test_add_func("/channel-fault/number-nought", test_first_id);
  g_test_add_func("/channel-fault/events-of-strangers", test_strangers);
  g_test_add_func("/channel-fault/events-behind-closed", test_after_closed);
  g_test_add_func("/channel-fault/credit-for-what-was-not-sent", test_credit);
  g_test_add_func("/channel-fault/credit-that-shrinks", test_shrinking_credit);
  g_test_add_func("/channel-fault/second-welcome", test_second_welcome);
  g_test_add_func("/channel-fault/welcomes-that-are-not-for-apps", test_welcomes);
  g_test_add_func("/channel-fault/before-welcome", test_before_welcome);
  g_test_add_func("/channel-fault/standings", test_standings);
  g_test_add_func("/channel-fault/late-standing", test_late_standing);
  g_test_add_func("/channel-fault/the-largest-figures-do-not-overflow", test_largest_queue);
  return g_test_run();
}
