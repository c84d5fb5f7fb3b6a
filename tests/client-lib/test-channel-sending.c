/* SPDX-License-Identifier: Apache-2.0 */
/* What an app sends leaves whole, in order and within everybody's bounds, and whoever was refused is told when there is room. */
#include "client-lib/limits.h"
#include "tests/client-lib/stage.h"
#include "tests/client-lib/system-calls.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

enum {
  COST = WSC_MESSAGE_COST,
  PIECE = 10000,
  PIECES_TO_HIGH = WS_CHANNEL_QUEUE_HIGH / (PIECE + WSC_RECORD_HEADER) + 1
};

static enum ws_channel_result send_octets(struct stage *stage, uint64_t number, const void *octets, size_t length) {
  return ws_channel_send(stage_peer(stage, number), false, octets, length, false);
}

static enum ws_channel_result send_text(struct stage *stage, uint64_t number, const char *text) {
  return ws_channel_send(stage_peer(stage, number), true, text, strlen(text), false);
}

/* A channel with room for large messages to one peer. */
static void begin_wide(struct stage *stage, guint count) {
  struct wsc_welcome welcome = stage_welcome();
  welcome.queue_high = 64u << 20;
  welcome.max_message = 16u << 20;
  stage_open(stage);
  stage_say_welcome(stage, &welcome);
  for (guint i = 1; i <= count; i++)
    stage_say_connect(stage, i);
  stage_dispatch(stage);
  stage_forget(stage);
}

/* The worker does not read until the channel's own queue takes no more. */
static void fill_channel(struct stage *stage, uint64_t number) {
  g_autofree uint8_t *octets = stage_octets(PIECE, 1);
  calls_fail_sending(EAGAIN, G_MAXUINT);
  for (guint i = 0; i < PIECES_TO_HIGH; i++)
    g_assert_cmpint(send_octets(stage, number, octets, PIECE), ==, WS_CHANNEL_SENT);
  g_assert_cmpuint(ws_channel_get_queued(stage->channel), >=, WS_CHANNEL_QUEUE_HIGH);
}

static void read_all(struct stage *stage) {
  calls_reset();
  do {
    ws_channel_dispatch(stage->channel);
    stage_hear(stage);
  } while (ws_channel_get_queued(stage->channel) > 0);
  g_string_truncate(stage->heard, 0);
}

/* --- Order and form --- */

static void test_records(void) {
  struct stage stage;
  stage_begin(&stage, 2);
  g_assert_cmpint(send_text(&stage, 1, "hello"), ==, WS_CHANNEL_SENT);
  g_assert_cmpint(send_octets(&stage, 2, "abc", 3), ==, WS_CHANNEL_SENT);
  g_assert_cmpint(send_octets(&stage, 2, NULL, 0), ==, WS_CHANNEL_SENT);
  g_assert_cmpint(ws_channel_send(stage_peer(&stage, 1), true, NULL, 0, true), ==, WS_CHANNEL_SENT);
  g_assert_cmpint(ws_channel_close(stage_peer(&stage, 2), 0, NULL, 0), ==, WS_CHANNEL_SENT);
  g_assert_cmpint(ws_channel_close(stage_peer(&stage, 1), 4999, "bye", 3), ==, WS_CHANNEL_SENT);
  g_assert_cmpuint(ws_channel_get_queued(stage.channel), ==, 6 * WSC_RECORD_HEADER + 5 + 3 + 3);
  g_assert_cmpint(ws_channel_get_poll_events(stage.channel), ==, POLLIN | POLLOUT);
  calls_sending();
  ws_channel_flush(stage.channel);
  g_assert_cmpuint(calls_sending(), ==, 1);
  g_assert_cmpuint(ws_channel_get_queued(stage.channel), ==, 0);
  g_assert_cmpint(ws_channel_get_poll_events(stage.channel), ==, POLLIN);
  stage_assert_heard(&stage, "SEND 1 text hello\nSEND 2 binary abc\nSEND 2 binary \nSEND 1 text wanted \n"
                             "CLOSE 2 1000 \nCLOSE 1 4999 bye\n");
  stage_end(&stage);
}

static void test_interrupted_writes(void) {
  struct stage stage;
  g_autofree uint8_t *octets = stage_octets(WS_CHANNEL_DIRECT, 3);
  g_autofree char *shown = stage_show(octets, WS_CHANNEL_DIRECT);
  g_autofree char *expected = g_strdup_printf("SEND 1 text a\nSEND 1 binary %s\n", shown);
  begin_wide(&stage, 1);
  send_text(&stage, 1, "a");
  calls_fail_sending(EINTR, 2);
  ws_channel_flush(stage.channel);
  calls_fail_sending(EINTR, 2);
  g_assert_cmpint(send_octets(&stage, 1, octets, WS_CHANNEL_DIRECT), ==, WS_CHANNEL_SENT);
  stage_assert_heard(&stage, expected);
  stage_end(&stage);
}

/* `taken`: what the socket takes of each write. */
static void send_between(size_t taken, bool before, bool after, size_t length) {
  struct stage stage;
  g_autofree uint8_t *octets = stage_octets(length, 5);
  g_autofree char *shown = stage_show(octets, length);
  g_autofree char *expected = g_strdup_printf("%sSEND 1 binary %s\n%s", before ? "SEND 2 text before\n" : "", shown,
                                              after ? "SEND 2 text after\n" : "");
  begin_wide(&stage, 2);
  if (before)
    g_assert_cmpint(send_text(&stage, 2, "before"), ==, WS_CHANNEL_SENT);
  if (taken > 0)
    calls_limit_sending(taken);
  else
    calls_fail_sending(EAGAIN, 1);
  g_assert_cmpint(send_octets(&stage, 1, octets, length), ==, WS_CHANNEL_SENT);
  memset(octets, 0, length); /* it is the app's again */
  if (after)
    g_assert_cmpint(send_text(&stage, 2, "after"), ==, WS_CHANNEL_SENT);
  calls_limit_sending(SIZE_MAX);
  while (ws_channel_get_queued(stage.channel) > 0) {
    ws_channel_flush(stage.channel);
    stage_hear(&stage);
  }
  stage_assert_heard(&stage, expected);
  stage_end(&stage);
}

static void test_large(void) {
  static const size_t taken[] = {0, 1, 15, 16, 17, 21, 22, 23, 37, 38, 39, 1000, WS_CHANNEL_DIRECT, 1 << 20};
  for (size_t i = 0; i < G_N_ELEMENTS(taken); i++)
    for (guint around = 0; around < 4; around++) {
      send_between(taken[i], around & 1, around & 2, WS_CHANNEL_DIRECT);
      send_between(taken[i], around & 1, around & 2, WS_CHANNEL_DIRECT - 1);
    }
}

static void test_larger_than_the_socket(void) {
  send_between(SIZE_MAX, true, true, 3 << 20);
}

/* --- Credit --- */

static void test_credit(void) {
  struct stage stage;
  stage_begin(&stage, 1);
  struct ws_channel_peer *peer = stage_peer(&stage, 1);
  g_autofree uint8_t *octets = stage_octets(STAGE_HIGH, 1);
  g_assert_cmpint(send_octets(&stage, 1, octets, STAGE_HIGH - COST - 1), ==, WS_CHANNEL_SENT);
  g_assert_cmpuint(ws_channel_peer_get_sent(peer), ==, STAGE_HIGH - 1);
  g_assert_cmpint(send_octets(&stage, 1, octets, STAGE_HIGH), ==, WS_CHANNEL_SENT); /* one may go beyond */
  g_assert_cmpint(send_octets(&stage, 1, NULL, 0), ==, WS_CHANNEL_WOULD_BLOCK);
  g_assert_cmpint(send_octets(&stage, 1, octets, STAGE_MAX_MESSAGE + 1), ==, WS_CHANNEL_TOO_BIG);
  stage_say_credit(&stage, 1, STAGE_HIGH - 1);
  stage_dispatch(&stage);
  g_assert_cmpint(send_octets(&stage, 1, NULL, 0), ==, WS_CHANNEL_WOULD_BLOCK); /* it still holds the second */
  stage_say_credit(&stage, 1, STAGE_HIGH + COST);
  stage_dispatch(&stage);
  g_assert_cmpint(send_octets(&stage, 1, NULL, 0), ==, WS_CHANNEL_SENT);
  g_assert_cmpuint(ws_channel_peer_get_sent(peer), ==, 2 * STAGE_HIGH - 1 + 2 * COST);
  g_assert_cmpuint(ws_channel_peer_get_written(peer), ==, STAGE_HIGH + COST);
  stage_forget(&stage);
  stage_end(&stage);
}

static void test_drained(void) {
  struct stage stage;
  stage_begin(&stage, 2);
  g_autofree uint8_t *octets = stage_octets(STAGE_HIGH, 1);
  send_octets(&stage, 1, octets, STAGE_HIGH);
  for (guint i = 0; i < 3; i++)
    g_assert_cmpint(send_text(&stage, 1, "x"), ==, WS_CHANNEL_WOULD_BLOCK);
  g_assert_cmpint(send_text(&stage, 2, "for another"), ==, WS_CHANNEL_SENT);
  ws_channel_flush(stage.channel);
  stage_hear(&stage);
  g_autofree char *shown = stage_show(octets, STAGE_HIGH);
  g_autofree char *expected =
      g_strdup_printf("SEND 1 binary %s\nWANT_DRAINED 1\nSEND 2 text for another\n", shown); /* asked for once */
  g_assert_cmpstr(stage.heard->str, ==, expected);
  g_string_truncate(stage.heard, 0);
  stage_say_credit(&stage, 1, STAGE_HIGH + COST);
  stage_say_drained(&stage, 1);
  stage_dispatch(&stage);
  stage_assert_events(&stage, "written 1 1016 of 1016\ndrained 1\n");
  send_octets(&stage, 1, octets, STAGE_HIGH);
  g_assert_cmpint(send_text(&stage, 1, "x"), ==, WS_CHANNEL_WOULD_BLOCK); /* and it is asked for again */
  ws_channel_flush(stage.channel);
  stage_hear(&stage);
  g_assert_nonnull(strstr(stage.heard->str, "\nWANT_DRAINED 1\n"));
  stage_forget(&stage);
  stage_end(&stage);
}

static void test_notify(void) {
  struct stage stage;
  stage_begin(&stage, 1);
  g_assert_cmpint(ws_channel_send(stage_peer(&stage, 1), true, "noted", 5, true), ==, WS_CHANNEL_SENT);
  stage_dispatch(&stage);
  stage_assert_heard(&stage, "SEND 1 text wanted noted\n");
  stage_say_credit(&stage, 1, 21);
  stage_dispatch(&stage);
  stage_assert_events(&stage, "written 1 21 of 21\n");
  stage_end(&stage);
}

/* --- The bound of the channel itself --- */

static void test_channel_full(void) {
  struct stage stage;
  begin_wide(&stage, 4);
  fill_channel(&stage, 1);
  g_assert_cmpint(send_text(&stage, 1, "x"), ==, WS_CHANNEL_WOULD_BLOCK);
  g_assert_cmpint(send_text(&stage, 3, "x"), ==, WS_CHANNEL_WOULD_BLOCK);
  g_assert_cmpint(send_text(&stage, 3, "x"), ==, WS_CHANNEL_WOULD_BLOCK);
  g_assert_cmpint(send_text(&stage, 4, "x"), ==, WS_CHANNEL_WOULD_BLOCK);
  size_t queued = ws_channel_get_queued(stage.channel);
  for (guint i = 0; i < 1000; i++)
    send_text(&stage, 3, "x");
  g_assert_cmpuint(ws_channel_get_queued(stage.channel), ==, queued); /* being refused costs nothing */
  g_assert_cmpint(ws_channel_close(stage_peer(&stage, 4), 1000, NULL, 0), ==,
                  WS_CHANNEL_SENT); /* but goodbye may be said */
  ws_channel_dispatch(stage.channel);
  stage_assert_events(&stage, "");
  read_all(&stage);
  ws_channel_dispatch(stage.channel);
  stage_assert_events(&stage, "drained 1\ndrained 3\n"); /* not 2, who was not refused, nor 4, who takes no more */
  g_assert_cmpint(ws_channel_get_poll_events(stage.channel), ==, POLLIN);
  stage_end(&stage);
}

/* Not as soon as one octet fits, or everybody wakes up for each. */
static void test_channel_drained_at_the_low_mark(void) {
  struct stage stage;
  begin_wide(&stage, 1);
  fill_channel(&stage, 1);
  g_assert_cmpint(send_text(&stage, 1, "x"), ==, WS_CHANNEL_WOULD_BLOCK);
  calls_reset();
  calls_limit_sending(50000);
  while (stage.events->len == 0) {
    size_t queued = ws_channel_get_queued(stage.channel);
    ws_channel_dispatch(stage.channel);
    stage_hear(&stage);
    g_assert_true((stage.events->len > 0) == (ws_channel_get_queued(stage.channel) < WS_CHANNEL_QUEUE_LOW));
    g_assert_cmpuint(ws_channel_get_queued(stage.channel), <, queued);
  }
  stage_assert_events(&stage, "drained 1\n");
  stage_forget(&stage);
  stage_end(&stage);
}

static void test_channel_full_and_closed(void) {
  struct stage stage;
  begin_wide(&stage, 2);
  fill_channel(&stage, 1);
  g_assert_cmpint(send_text(&stage, 1, "x"), ==, WS_CHANNEL_WOULD_BLOCK);
  g_assert_cmpint(send_text(&stage, 2, "x"), ==, WS_CHANNEL_WOULD_BLOCK);
  stage_say_closed(&stage, 1, 1006);
  stage_say_closed(&stage, 2, 1006);
  stage_dispatch(&stage);
  read_all(&stage);
  stage_assert_events(&stage, "closed 1 1006 \nclosed 2 1006 \n");
  g_assert_cmpint(ws_channel_get_poll_events(stage.channel), ==, POLLIN); /* nobody is waited for */
  stage_end(&stage);
}

static void test_drained_by_flush(void) {
  struct stage stage;
  begin_wide(&stage, 1);
  fill_channel(&stage, 1);
  g_assert_cmpint(send_text(&stage, 1, "x"), ==, WS_CHANNEL_WOULD_BLOCK);
  calls_reset();
  while (ws_channel_get_queued(stage.channel) > 0) {
    ws_channel_flush(stage.channel);
    stage_hear(&stage);
  }
  stage_assert_events(&stage, "");
  g_assert_cmpint(ws_channel_get_poll_events(stage.channel), ==, POLLIN | POLLOUT); /* so that dispatch is called */
  ws_channel_dispatch(stage.channel);
  stage_assert_events(&stage, "drained 1\n");
  stage_forget(&stage);
  stage_end(&stage);
}

/* Sends as long as it may, as an app does that copies a file to everybody. */
static void send_greedily(struct stage *stage, const struct stage_event *event) {
  g_autofree uint8_t *octets = stage_octets(PIECE, stage->left);
  if (event->kind != STAGE_DRAINED)
    return;
  calls_fail_sending(EAGAIN, G_MAXUINT);
  while (ws_channel_send(event->peer, false, octets, PIECE, false) == WS_CHANNEL_SENT)
    ;
}

static void test_channel_full_in_turn(void) {
  struct stage stage;
  begin_wide(&stage, 3);
  fill_channel(&stage, 1);
  for (guint i = 1; i <= 3; i++)
    g_assert_cmpint(send_text(&stage, i, "x"), ==, WS_CHANNEL_WOULD_BLOCK);
  stage.hook = send_greedily;
  for (guint round = 0; round < 2; round++)
    for (guint i = 1; i <= 3; i++) {
      g_autofree char *expected = g_strdup_printf("drained %u\n", i);
      do {
        calls_reset();
        ws_channel_dispatch(stage.channel);
        stage_hear(&stage);
      } while (stage.events->len == 0);
      stage_assert_events(&stage, expected); /* in turn, and nobody in vain */
    }
  stage.hook = NULL;
  stage_forget(&stage);
  stage_end(&stage);
}

/* --- What cannot be sent --- */

static void test_invalid(void) {
  static const uint16_t codes[] = {1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535};
  char reason[WSC_REASON_MAX + 1];
  struct stage stage;
  size_t sent = 5;
  memset(reason, 'r', sizeof reason);
  stage_begin(&stage, 1);
  struct ws_channel_peer *peer = stage_peer(&stage, 1);
  g_assert_cmpint(send_text(&stage, 1, "\xff"), ==, WS_CHANNEL_INVALID);
  g_assert_cmpint(send_text(&stage, 1, "cut \xc3"), ==, WS_CHANNEL_INVALID);
  g_assert_cmpint(ws_channel_broadcast_to_all(stage.channel, true, "\xff", 1, &sent), ==, WS_CHANNEL_INVALID);
  g_assert_cmpuint(sent, ==, 0);
  for (size_t i = 0; i < G_N_ELEMENTS(codes); i++)
    g_assert_cmpint(ws_channel_close(peer, codes[i], NULL, 0), ==, WS_CHANNEL_INVALID);
  g_assert_cmpint(ws_channel_close(peer, 1000, "\xff", 1), ==, WS_CHANNEL_INVALID);
  g_assert_cmpint(ws_channel_close(peer, 1000, reason, sizeof reason), ==, WS_CHANNEL_INVALID);
  g_assert_cmpuint(ws_channel_get_queued(stage.channel), ==, 0);
  g_assert_cmpuint(ws_channel_peer_get_sent(peer), ==, 0);
  g_assert_cmpint(ws_channel_close(peer, 3000, reason, WSC_REASON_MAX), ==, WS_CHANNEL_SENT); /* it was still open */
  ws_channel_flush(stage.channel);
  stage_hear(&stage);
  stage_forget(&stage);
  stage_end(&stage);
}

static void test_too_big(void) {
  struct stage stage;
  g_autofree uint8_t *octets = stage_octets(STAGE_MAX_MESSAGE + 1, 1);
  stage_begin(&stage, 1);
  struct ws_channel_peer *peer = stage_peer(&stage, 1);
  g_assert_cmpint(send_octets(&stage, 1, octets, STAGE_MAX_MESSAGE + 1), ==, WS_CHANNEL_TOO_BIG);
  g_assert_cmpint(ws_channel_send(peer, true, octets, SIZE_MAX, false), ==,
                  WS_CHANNEL_TOO_BIG); /* not even looked at */
  g_assert_cmpint(ws_channel_broadcast_to_all(stage.channel, true, octets, SIZE_MAX, NULL), ==, WS_CHANNEL_TOO_BIG);
  g_assert_cmpuint(ws_channel_peer_get_sent(peer), ==, 0);
  g_assert_cmpint(send_octets(&stage, 1, octets, STAGE_MAX_MESSAGE), ==, WS_CHANNEL_SENT);
  ws_channel_flush(stage.channel);
  stage_hear(&stage);
  stage_forget(&stage);
  stage_end(&stage);
}

static void test_gone(void) {
  struct stage stage;
  stage_begin(&stage, 2);
  struct ws_channel_peer *peer = stage_peer(&stage, 1);
  g_assert_cmpint(ws_channel_close(peer, 0, NULL, 0), ==, WS_CHANNEL_SENT);
  g_assert_cmpint(send_text(&stage, 1, "x"), ==, WS_CHANNEL_GONE);
  g_assert_cmpint(ws_channel_close(peer, 0, NULL, 0), ==, WS_CHANNEL_GONE);
  size_t sent;
  g_assert_cmpint(ws_channel_broadcast_to_all(stage.channel, true, "x", 1, &sent), ==, WS_CHANNEL_SENT);
  g_assert_cmpuint(sent, ==, 1);
  stage_dispatch(&stage);
  stage_assert_heard(&stage, "CLOSE 1 1000 \nBROADCAST 2 text x\n");
  stage_hang_up(&stage);
  g_assert_cmpint(stage_dispatch(&stage), ==, WS_CHANNEL_ENDED);
  g_assert_cmpint(ws_channel_broadcast_to_all(stage.channel, true, "x", 1, &sent), ==, WS_CHANNEL_GONE);
  g_assert_cmpuint(sent, ==, 0);
  stage_assert_events(&stage, "closed 1 1006 \nclosed 2 1006 \n");
  stage_end(&stage);
}

/* --- To many --- */

static void test_broadcast(void) {
  struct stage stage;
  size_t sent;
  stage_begin(&stage, 4);
  struct ws_channel_peer *some[] = {stage_peer(&stage, 4), stage_peer(&stage, 2), stage_peer(&stage, 4)};
  g_assert_cmpint(ws_channel_broadcast_to_all(stage.channel, true, "all", 3, &sent), ==, WS_CHANNEL_SENT);
  g_assert_cmpuint(sent, ==, 4);
  g_assert_cmpint(ws_channel_broadcast(stage.channel, some, 3, false, "some", 4, &sent), ==, WS_CHANNEL_SENT);
  g_assert_cmpuint(sent, ==, 3);
  g_assert_cmpint(ws_channel_broadcast(stage.channel, some, 1, true, NULL, 0, NULL), ==, WS_CHANNEL_SENT);
  sent = 7;
  g_assert_cmpint(ws_channel_broadcast(stage.channel, NULL, 0, true, "x", 1, &sent), ==, WS_CHANNEL_SENT);
  g_assert_cmpuint(sent, ==, 0); /* a list of nobody is not everybody */
  g_assert_cmpint(ws_channel_broadcast(stage.channel, NULL, 1, true, "x", 1, &sent), ==, WS_CHANNEL_INVALID);
  g_assert_cmpint(ws_channel_broadcast(stage.channel, some, 0, true, "nobody", 6, &sent), ==, WS_CHANNEL_SENT);
  g_assert_cmpuint(sent, ==, 0);
  g_assert_cmpuint(ws_channel_peer_get_sent(some[0]), ==, 4 * COST + 3 + 4 + 4);
  g_assert_cmpuint(ws_channel_peer_get_sent(some[1]), ==, 2 * COST + 3 + 4);
  ws_channel_flush(stage.channel);
  stage_assert_heard(&stage, "BROADCAST 1 2 3 4 text all\nBROADCAST 4 2 4 binary some\nBROADCAST 4 text \n");
  stage_end(&stage);
}

static void test_broadcast_to_nobody(void) {
  struct stage stage;
  size_t sent = 1;
  stage_open(&stage);
  g_assert_cmpint(ws_channel_broadcast_to_all(stage.channel, true, "x", 1, &sent), ==, WS_CHANNEL_SENT);
  g_assert_cmpuint(sent, ==, 0);
  g_assert_cmpuint(ws_channel_get_queued(stage.channel), ==, 0);
  stage_end(&stage);
}

static void test_broadcast_to_full(void) {
  struct stage stage;
  size_t sent;
  stage_begin(&stage, 3);
  g_autofree uint8_t *octets = stage_octets(STAGE_HIGH, 1);
  send_octets(&stage, 2, octets, STAGE_HIGH);
  ws_channel_flush(stage.channel);
  stage_hear(&stage);
  g_string_truncate(stage.heard, 0);
  g_assert_cmpint(ws_channel_broadcast_to_all(stage.channel, true, "x", 1, &sent), ==, WS_CHANNEL_SENT);
  g_assert_cmpuint(sent, ==, 2);
  ws_channel_flush(stage.channel);
  stage_assert_heard(&stage, "WANT_DRAINED 2\nBROADCAST 1 3 text x\n");
  /* One that is named so often that it runs full gets as much as it may, or the worker would call it a fault. */
  struct ws_channel_peer *thrice[] = {stage_peer(&stage, 1), stage_peer(&stage, 1), stage_peer(&stage, 1)};
  g_assert_cmpint(ws_channel_broadcast(stage.channel, thrice, 3, false, octets, 600, &sent), ==, WS_CHANNEL_SENT);
  g_assert_cmpuint(sent, ==, 2);
  ws_channel_flush(stage.channel);
  stage_hear(&stage);
  g_assert_true(g_str_has_prefix(stage.heard->str, "WANT_DRAINED 1\nBROADCAST 1 1 binary "));
  g_string_truncate(stage.heard, 0);
  stage_say_credit(&stage, 2, STAGE_HIGH + COST);
  stage_say_drained(&stage, 2);
  stage_dispatch(&stage);
  stage_assert_events(&stage, "written 2 1016 of 1016\ndrained 2\n");
  stage_end(&stage);
}

static void test_broadcast_to_strangers(void) {
  struct stage stage, other;
  size_t sent;
  stage_begin(&stage, 1);
  stage_begin(&other, 2);
  struct ws_channel_peer *mixed[] = {stage_peer(&stage, 1), stage_peer(&other, 2)};
  struct ws_channel_peer *none[] = {NULL};
  g_assert_cmpint(ws_channel_broadcast(stage.channel, mixed, 2, true, "x", 1, &sent), ==, WS_CHANNEL_INVALID);
  g_assert_cmpint(ws_channel_broadcast(stage.channel, none, 1, true, "x", 1, &sent), ==, WS_CHANNEL_INVALID);
  g_assert_cmpuint(sent, ==, 0);
  g_assert_cmpuint(ws_channel_get_queued(stage.channel), ==, 0);
  g_assert_cmpuint(ws_channel_peer_get_sent(mixed[0]), ==, 0);
  stage_end(&stage);
  stage_end(&other);
}

static void test_broadcast_to_more_than_a_record_names(void) {
  enum { CROWD = 3, TARGETS = WSC_BROADCAST_TARGETS_MAX + 6 };
  struct stage stage;
  size_t sent;
  begin_wide(&stage, CROWD);
  g_autofree struct ws_channel_peer **peers = g_new(struct ws_channel_peer *, TARGETS);
  for (guint i = 0; i < TARGETS; i++)
    peers[i] = stage_peer(&stage, 1 + i % CROWD);
  g_assert_cmpint(ws_channel_broadcast(stage.channel, peers, TARGETS, true, "all", 3, &sent), ==, WS_CHANNEL_SENT);
  g_assert_cmpuint(sent, ==, TARGETS);
  while (ws_channel_get_queued(stage.channel) > 0) {
    ws_channel_flush(stage.channel);
    stage_hear(&stage);
  }
  stage_assert_heard(&stage, "BROADCAST 1 2 3 1 2 3 1 2 3 1 of 65535 text all\nBROADCAST 1 2 3 1 2 3 text all\n");
  for (guint i = 1; i <= CROWD; i++)
    g_assert_cmpuint(ws_channel_peer_get_sent(stage_peer(&stage, i)), ==, TARGETS / CROWD * (COST + 3));
  stage_end(&stage);
}

static void test_broadcast_when_channel_is_full(void) {
  struct stage stage;
  size_t sent;
  begin_wide(&stage, 3);
  fill_channel(&stage, 1);
  g_assert_cmpint(ws_channel_broadcast_to_all(stage.channel, true, "x", 1, &sent), ==, WS_CHANNEL_SENT);
  g_assert_cmpuint(sent, ==, 0);
  read_all(&stage);
  ws_channel_dispatch(stage.channel);
  stage_assert_events(&stage, "drained 1\ndrained 2\ndrained 3\n");
  stage_end(&stage);
}

/* --- What came is sent as it is --- */

static void echo(struct stage *stage, const struct stage_event *event) {
  (void)stage;
  if (event->kind == STAGE_MESSAGE)
    g_assert_cmpint(ws_channel_send(event->peer, event->text, event->data, event->length, false), ==, WS_CHANNEL_SENT);
}

static void test_from_the_event(void) {
  struct stage stage;
  GString *expected = g_string_new(NULL);
  begin_wide(&stage, 1);
  stage.hook = echo;
  for (guint i = 0; i < 40; i++) {
    size_t length = i % 3 == 0 ? 100000 : i * 100;
    g_autofree uint8_t *octets = stage_octets(length, i);
    g_autofree char *shown = stage_show(octets, length);
    g_string_append_printf(expected, "SEND 1 binary %s\n", shown);
    stage_say(&stage, (struct wsc_header){.type = WSC_MESSAGE, .connection = stage_id(1)}, octets, length);
  }
  calls_limit_sending(30000); /* most leave in parts */
  stage_dispatch(&stage);
  while (ws_channel_get_queued(stage.channel) > 0) {
    ws_channel_dispatch(stage.channel);
    stage_hear(&stage);
  }
  stage_assert_heard(&stage, expected->str);
  g_string_free(expected, TRUE);
  stage_forget(&stage);
  stage_end(&stage);
}

/* While its own messages are stuck an app is asked for no further answers; when they have left, it goes on where it was. */
static void test_stuck_app_is_asked_nothing(void) {
  struct stage stage;
  begin_wide(&stage, 2);
  fill_channel(&stage, 1);
  stage_say_message(&stage, 2, "first");
  stage_say_message(&stage, 2, "second");
  stage_deliver(&stage);
  g_assert_cmpint(ws_channel_get_poll_events(stage.channel), ==, POLLOUT);
  ws_channel_dispatch(stage.channel);
  stage_assert_events(&stage, "");
  calls_fail_sending(EAGAIN, 0);
  for (guint i = 0; i < 1000 && stage.events->len < strlen("message 2 text first\nmessage 2 text second\n"); i++) {
    ws_channel_dispatch(stage.channel);
    stage_hear(&stage);
  }
  stage_assert_events(&stage, "message 2 text first\nmessage 2 text second\n");
  stage_forget(&stage);
  stage_end(&stage);
}

static void answer_in_capitals(struct stage *stage, const struct stage_event *event) {
  (void)stage;
  if (event->kind == STAGE_MESSAGE)
    g_assert_cmpint(ws_channel_send(event->peer, true, "HELLO", 5, false), ==, WS_CHANNEL_SENT);
}

/* A peer that says something and leaves at once gets its answer: the worker asks before it says goodbye. */
static void test_asked(void) {
  struct stage stage;
  uint8_t number[8];
  stage_begin(&stage, 1);
  stage.hook = answer_in_capitals;
  stage_say_message(&stage, 1, "hello");
  wsc_put_u64(number, 77);
  stage_say(&stage, (struct wsc_header){.type = WSC_ASK}, number, sizeof number);
  stage_dispatch(&stage);
  stage_assert_events(&stage, "message 1 text hello\n");
  stage_assert_heard(&stage, "SEND 1 text HELLO\nACKNOWLEDGE 77\n");
  stage_end(&stage);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/channel-sending/everything-leaves-in-order-and-at-once", test_records);
  g_test_add_func("/channel-sending/an-interrupted-write-is-repeated", test_interrupted_writes);
  g_test_add_func("/channel-sending/large-ones-keep-their-place-however-little-the-socket-takes", test_large);
  g_test_add_func("/channel-sending/larger-than-the-socket-is", test_larger_than_the_socket);
  g_test_add_func("/channel-sending/what-came-can-be-sent-as-it-is", test_from_the_event);
  g_test_add_func("/channel-sending/credit-is-counted-to-the-octet", test_credit);
  g_test_add_func("/channel-sending/whoever-was-refused-is-told-when-drained", test_drained);
  g_test_add_func("/channel-sending/notify-tells-when-it-is-written", test_notify);
  g_test_add_func("/channel-sending/full-channel/refuses-everybody-and-tells-those", test_channel_full);
  g_test_add_func("/channel-sending/full-channel/tells-at-the-low-mark", test_channel_drained_at_the_low_mark);
  g_test_add_func("/channel-sending/full-channel/the-closed-are-not-waited-for", test_channel_full_and_closed);
  g_test_add_func("/channel-sending/full-channel/flushed-by-the-app-is-told-all-the-same", test_drained_by_flush);
  g_test_add_func("/channel-sending/full-channel/greedy-peers-take-turns", test_channel_full_in_turn);
  g_test_add_func("/channel-sending/full-channel/broadcasts-wait-too", test_broadcast_when_channel_is_full);
  g_test_add_func("/channel-sending/invalid-is-refused-before-it-ends-the-server", test_invalid);
  g_test_add_func("/channel-sending/too-big-is-refused-unread", test_too_big);
  g_test_add_func("/channel-sending/gone-after-close-and-after-the-end", test_gone);
  g_test_add_func("/channel-sending/broadcast/all-some-and-twice", test_broadcast);
  g_test_add_func("/channel-sending/broadcast/nobody-is-nobody", test_broadcast_to_nobody);
  g_test_add_func("/channel-sending/broadcast/the-full-get-nothing-and-are-told-later", test_broadcast_to_full);
  g_test_add_func("/channel-sending/broadcast/another-channels-peers-are-refused", test_broadcast_to_strangers);
  g_test_add_func("/channel-sending/broadcast/more-than-a-record-names", test_broadcast_to_more_than_a_record_names);
  g_test_add_func("/channel-sending/an-app-whose-own-messages-are-stuck-gets-no-more-to-answer",
                  test_stuck_app_is_asked_nothing);
  g_test_add_func("/channel-sending/what-was-asked-for-is-acknowledged-behind-the-answers", test_asked);
  return g_test_run();
}
