/* SPDX-License-Identifier: Apache-2.0 */
/* Large messages in shared memory: they come and go whole, the app's copy cannot be changed under its eyes, and a worker that breaks the rules is found out. */
#include "channel/integer.h"
#include "client-lib/limits.h"
#include "tests/channel/allocations.h"
#include "tests/client-lib/stage.h"
#include "tests/client-lib/system-calls.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ARENA = 1 << 20, LARGE = 100000 };

static enum ws_channel_result send_octets(struct stage *stage, const void *octets, size_t length, bool notify) {
  return ws_channel_send(stage_peer(stage, 1), false, octets, length, notify);
}

/* A line as the stage writes it of octets. */
static char *line(const char *before, const uint8_t *octets, size_t length) {
  g_autofree char *shown = stage_show(octets, length);
  return g_strconcat(before, " ", shown, "\n", NULL);
}

/* --- In --- */

struct look {
  bool lent;            /* whether the message lies in the arena */
  const uint8_t *arena; /* of events */
  uint8_t *changed;     /* what the worker changes while the app looks */
};

static void look_at(struct stage *stage, const struct stage_event *event) {
  struct look *look = stage->user;
  if (event->kind != STAGE_MESSAGE)
    return;
  uint8_t before = event->data[0];
  *look->changed ^= 1;
  look->lent = event->data[0] != before;
}

static bool is_lent(struct stage *stage, bool text, bool lends) {
  g_autofree char *payload = g_strnfill(LARGE, 'x');
  struct look look = {.changed = stage->events_arena.octets};
  ws_channel_set_lending(stage->channel, lends);
  stage->hook = look_at;
  stage->user = &look;
  g_assert_cmpuint(stage_say_shared(stage, 1, text, payload, LARGE), ==, 0);
  g_assert_cmpint(stage_dispatch(stage), ==, WS_CHANNEL_OPEN);
  g_autofree char *expected = line(text ? "message 1 text" : "message 1 binary", (const uint8_t *)payload, LARGE);
  stage_assert_events(stage, expected);
  stage_assert_heard(stage, "RELEASE 0\n");
  stage->hook = NULL;
  return look.lent;
}

static void test_messages_come(void) {
  struct stage stage;
  stage_begin_shared(&stage, 1, ARENA);
  g_assert_false(is_lent(&stage, false, false));
  g_assert_false(is_lent(&stage, true, false));
  g_assert_false(is_lent(&stage, true, true)); /* text was checked, so it is not lent */
  g_assert_true(is_lent(&stage, false, true));
  stage_end(&stage);
}

static void count_message(struct stage *stage, const struct stage_event *event) {
  guint *count = stage->user;
  *count += event->kind == STAGE_MESSAGE;
}

/* It is not honest, and must not keep the app from everything else. */
static void test_the_same_again_and_again(void) {
  struct stage stage;
  g_autofree uint8_t *octets = stage_octets(LARGE, 1);
  const struct wsc_header header = {.type = WSC_SHARED_MESSAGE, .connection = stage_id(1)};
  guint count = 0, dispatches = 0;
  stage_begin_shared(&stage, 1, ARENA);
  stage.hook = count_message;
  stage.user = &count;
  stage_say_shared(&stage, 1, false, octets, LARGE);
  uint8_t body[WSC_SHARED_SIZE];
  wsc_shared_encode(&(struct wsc_shared){.length = LARGE}, body);
  for (int i = 1; i < 100; i++)
    stage_say(&stage, header, body, sizeof body);
  stage_deliver(&stage);
  for (; count < 100 && dispatches < 100; dispatches++) {
    guint before = count;
    g_assert_cmpint(ws_channel_dispatch(stage.channel), ==, WS_CHANNEL_OPEN);
    g_assert_cmpuint(count - before, <=, ARENA / LARGE + 1);
    g_assert_true(count == 100 || (ws_channel_get_poll_events(stage.channel) & POLLOUT)); /* it goes on by itself */
  }
  g_assert_cmpuint(count, ==, 100);
  stage_forget(&stage);
  stage_end(&stage);
}

static void test_many_in_one_turn(void) {
  struct stage stage;
  g_autofree uint8_t *octets = stage_octets(WSC_SHARED_MIN, 1);
  stage_begin_shared(&stage, 1, ARENA);
  for (int i = 0; i < (int)WSC_RELEASES_MAX + 3; i++)
    stage_say_shared(&stage, 1, false, octets, WSC_SHARED_MIN);
  stage_say_message(&stage, 1, "small");
  g_assert_cmpint(stage_dispatch(&stage), ==, WS_CHANNEL_OPEN);
  g_assert_true(g_str_has_suffix(stage.events->str, "message 1 text small\n"));
  stage_hear(&stage);
  g_assert_cmpuint(stage.events_arena.count, ==, 0); /* all of them were released, in order, in two records */
  stage_forget(&stage);
  stage_end(&stage);
}

static void test_a_paused_app_releases_what_it_had(void) {
  struct stage stage;
  g_autofree uint8_t *octets = stage_octets(LARGE, 1);
  g_autofree char *expected = line("message 1 binary", octets, LARGE);
  stage_begin_shared(&stage, 1, ARENA);
  ws_channel_set_paused(stage.channel, true);
  stage_say_shared(&stage, 1, false, octets, LARGE);
  stage_dispatch(&stage);
  stage_assert_events(&stage, "");
  stage_assert_heard(&stage, "");
  ws_channel_set_paused(stage.channel, false);
  stage_dispatch(&stage);
  stage_assert_events(&stage, expected);
  stage_assert_heard(&stage, "RELEASE 0\n");
  stage_end(&stage);
}

static void free_channel(struct stage *stage, const struct stage_event *event) {
  stage_free_channel(stage);
  g_assert_cmpuint(event->data[event->length - 1] & 0x80, !=, 0); /* it lives until the event returns */
}

static void test_freeing_inside_of_a_message(void) {
  for (int lends = 0; lends < 2; lends++) {
    struct stage stage;
    g_autofree uint8_t *octets = stage_octets(LARGE, 1);
    stage_begin_shared(&stage, 1, ARENA);
    ws_channel_set_lending(stage.channel, lends);
    stage.hook = free_channel;
    stage_say_shared(&stage, 1, false, octets, LARGE);
    stage_dispatch(&stage);
    stage_forget(&stage);
    stage_end(&stage);
  }
}

/* --- Out --- */

static void test_messages_leave(void) {
  struct stage stage;
  g_autofree uint8_t *octets = stage_octets(LARGE, 7);
  g_autofree char *first = line("SHARED_SEND 1 binary at 0", octets, LARGE);
  g_autofree char *second = line("SHARED_SEND 1 binary wanted at 100032", octets, LARGE);
  g_autofree char *small = line("SEND 1 binary", octets, WSC_SHARED_MIN - 1);
  g_autofree char *edge = line("SHARED_SEND 1 binary at 0", octets, WSC_SHARED_MIN);
  stage_begin_shared(&stage, 1, ARENA);
  g_assert_cmpint(send_octets(&stage, octets, LARGE, false), ==, WS_CHANNEL_SENT);
  g_assert_cmpint(send_octets(&stage, octets, LARGE, true), ==, WS_CHANNEL_SENT);
  g_assert_cmpint(send_octets(&stage, octets, WSC_SHARED_MIN - 1, false), ==, WS_CHANNEL_SENT);
  ws_channel_flush(stage.channel);
  g_autofree char *all = g_strconcat(first, second, small, NULL);
  stage_assert_heard(&stage, all);
  g_assert_cmpuint(ws_channel_peer_get_sent(stage_peer(&stage, 1)), ==,
                   2 * (LARGE + WSC_MESSAGE_COST) + WSC_SHARED_MIN - 1 + WSC_MESSAGE_COST);
  stage_say_released(&stage, 0);
  stage_dispatch(&stage);
  g_assert_cmpint(send_octets(&stage, octets, WSC_SHARED_MIN, false), ==, WS_CHANNEL_SENT);
  ws_channel_flush(stage.channel);
  stage_assert_heard(&stage, edge);
  g_assert_cmpint(ws_channel_send(stage_peer(&stage, 1), true, octets, LARGE, false), ==, WS_CHANNEL_INVALID);
  stage_end(&stage);
}

static void test_a_full_arena(void) {
  struct stage stage;
  g_autofree uint8_t *octets = stage_octets(LARGE, 7);
  g_autofree char *inline_line = line("SEND 1 binary", octets, LARGE);
  stage_begin_shared(&stage, 1, 4 * LARGE);
  for (int i = 0; i < 4; i++) /* a little is lost to whole units, so the fourth does not fit */
    g_assert_cmpint(send_octets(&stage, octets, LARGE, false), ==, WS_CHANNEL_SENT);
  while (ws_channel_get_queued(stage.channel) > 0) {
    ws_channel_flush(stage.channel);
    stage_hear(&stage);
  }
  stage_hear(&stage);
  g_assert_true(g_str_has_suffix(stage.heard->str, inline_line));
  g_assert_cmpuint(g_strrstr(stage.heard->str, "SHARED_SEND 1 binary at 200064") != NULL, ==, true);
  stage_forget(&stage);
  stage_end(&stage);
}

/* --- Without memory --- */

static void test_no_memory_for_the_copy(void) {
  struct stage stage;
  g_autofree uint8_t *octets = stage_octets(LARGE, 7);
  stage_begin_shared(&stage, 1, ARENA);
  stage_say_shared(&stage, 1, false, octets, LARGE);
  stage_deliver(&stage);
  allocations_refuse_nth(1);
  ws_channel_dispatch(stage.channel);
  g_assert_true(allocations_refused_nth());
  g_assert_cmpstr(ws_channel_get_reason(stage.channel), ==, "no memory for a message");
  stage_forget(&stage);
  stage_end(&stage);
}

/* --- Faults of the worker --- */

static void assert_fault(struct wsc_header header, const struct wsc_shared *shared, const char *reason) {
  struct stage stage;
  uint8_t body[WSC_SHARED_SIZE];
  wsc_shared_encode(shared, body);
  stage_begin_shared(&stage, 1, ARENA);
  memset(stage.events_arena.octets, 0xFF, 100);
  stage_say(&stage, header, body, header.type == WSC_RELEASED ? 8 : sizeof body);
  stage_assert_broken(&stage, reason);
  stage_assert_events(&stage, "closed 1 1006 \n");
  stage_end(&stage);
}

static void test_faults(void) {
  struct wsc_header message = {.type = WSC_SHARED_MESSAGE, .connection = stage_id(1)};
  assert_fault(message, &(struct wsc_shared){0, ARENA + 1}, "a message that lies beyond the shared memory");
  assert_fault(message, &(struct wsc_shared){ARENA, 1}, "a message that lies beyond the shared memory");
  assert_fault(message, &(struct wsc_shared){UINT64_MAX - 63, 64}, "a message that lies beyond the shared memory");
  assert_fault(message, &(struct wsc_shared){0, 0}, "a range without octets");
  assert_fault(message, &(struct wsc_shared){1, 1}, "a range that begins where none may");
  message.flags = WSC_FLAG_TEXT;
  assert_fault(message, &(struct wsc_shared){0, 100}, "a text message that is not UTF-8");
  message = (struct wsc_header){.type = WSC_SHARED_MESSAGE, .connection = stage_id(2)};
  assert_fault(message, &(struct wsc_shared){0, 1}, "an event of a connection that is not there");
  message = (struct wsc_header){.type = WSC_RELEASED};
  assert_fault(message, &(struct wsc_shared){0, 0}, "a release of what is not the worker's");
}

static void test_versions(void) {
  struct stage stage;
  struct wsc_welcome welcome = stage_welcome();
  stage_open(&stage);
  welcome.version = WSC_VERSION_SHARED;
  stage_say_welcome(&stage, &welcome);
  stage_assert_broken(&stage, "another version than was asked for");
  stage_end(&stage);
}

static void assert_no_channel(int in, int out) {
  static const struct ws_channel_events nothing;
  int ends[2];
  g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), ==, 0);
  int copy = dup(ends[0]); /* as the reply that brought it holds for a while */
  g_assert_null(ws_channel_new_shared(ends[0], in, out, &nothing, NULL));
  g_assert_cmpint(fcntl(ends[0], F_GETFD), <, 0); /* all three were taken over */
  g_assert_cmpint(fcntl(in, F_GETFD), <, 0);
  g_assert_cmpint(fcntl(out, F_GETFD), <, 0);
  struct pollfd other = {.fd = ends[1]};
  g_assert_cmpint(poll(&other, 1, 0), ==, 1); /* told at once, so that another can be asked for */
  g_assert_true(other.revents & POLLHUP);
  close(copy);
  close(ends[1]);
}

static int memory(size_t size, int seals) {
  int fd = memfd_create("arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
  g_assert_cmpint(fcntl(fd, F_ADD_SEALS, seals), ==, 0);
  return fd;
}

static void test_what_is_no_arena(void) {
  assert_no_channel(memory(ARENA, F_SEAL_SHRINK), memory(ARENA, F_SEAL_GROW)); /* somebody could shorten it: SIGBUS */
  assert_no_channel(memory(ARENA, 0), memory(ARENA, F_SEAL_SHRINK));
  assert_no_channel(memory(0, F_SEAL_SHRINK), memory(ARENA, F_SEAL_SHRINK));
  assert_no_channel(open("/dev/null", O_RDWR | O_CLOEXEC), memory(ARENA, F_SEAL_SHRINK));
}

static void test_trimming(void) {
  struct stage stage;
  g_autofree uint8_t *octets = stage_octets(LARGE, 7);
  stage_begin_shared(&stage, 1, ARENA);
  g_assert_cmpint(send_octets(&stage, octets, LARGE, false), ==, WS_CHANNEL_SENT);
  ws_channel_flush(stage.channel);
  ws_channel_trim(stage.channel); /* the worker has not read it yet */
  g_autofree char *first = line("SHARED_SEND 1 binary at 0", octets, LARGE);
  stage_assert_heard(&stage, first);
  stage_say_released(&stage, 0);
  stage_dispatch(&stage);
  ws_channel_trim(stage.channel);
  g_assert_cmpuint(stage.commands_arena.octets[0], ==, 0); /* given back to the system */
  stage_end(&stage);
}

/* What the app does with a message while it looks at it. */
struct answer {
  size_t from, length; /* the part of it that is sent back */
  const uint8_t *kept; /* where it lay */
};

static void send_back(struct stage *stage, const struct stage_event *event) {
  struct answer *answer = stage->user;
  if (event->kind != STAGE_MESSAGE)
    return;
  answer->kept = event->data;
  for (int i = 0; i < 2; i++)
    g_assert_cmpint(ws_channel_send(stage_peer(stage, 1), false, event->data + answer->from, answer->length, i == 1),
                    ==, WS_CHANNEL_SENT);
}

static void forwarded(bool lends, uint32_t abilities, struct answer answer, const char *record) {
  struct stage stage;
  g_autofree uint8_t *octets = stage_octets(LARGE, 3);
  stage_begin_shared_by(&stage, 1, ARENA, abilities);
  ws_channel_set_lending(stage.channel, lends);
  stage.hook = send_back;
  stage.user = &answer;
  stage_say_shared(&stage, 1, false, octets, LARGE);
  stage_dispatch(&stage);
  stage_hear(&stage);
  g_autofree char *first = g_strdup_printf("%s 1 binary at 0 ", record);
  g_autofree char *second = g_strdup_printf("\n%s 1 binary wanted at ", record);
  g_test_message("%s", stage.heard->str);
  g_assert_true(g_str_has_prefix(stage.heard->str, first));
  g_assert_nonnull(strstr(stage.heard->str, second));
  g_assert_true(g_str_has_suffix(stage.heard->str, "RELEASE 0\n")); /* behind what needs it */
  stage_forget(&stage);
  stage_end(&stage);
}

static void test_forwarding(void) {
  forwarded(true, WSC_CAN_FORWARD, (struct answer){.length = LARGE}, "SHARED_FORWARD");
  forwarded(true, 0, (struct answer){.length = LARGE}, "SHARED_SEND");                   /* an older worker */
  forwarded(false, WSC_CAN_FORWARD, (struct answer){.length = LARGE}, "SHARED_SEND");    /* a copy, which the app has */
  forwarded(true, WSC_CAN_FORWARD, (struct answer){.length = LARGE - 1}, "SHARED_SEND"); /* a part */
  forwarded(true, WSC_CAN_FORWARD, (struct answer){64, LARGE - 64, NULL}, "SHARED_SEND");
}

/* Later it is the worker's again, and whatever lies there. */
static void test_nothing_is_forwarded_later(void) {
  struct stage stage;
  struct answer answer = {.length = LARGE};
  g_autofree uint8_t *octets = stage_octets(LARGE, 3);
  stage_begin_shared(&stage, 1, ARENA);
  ws_channel_set_lending(stage.channel, true);
  stage.hook = send_back;
  stage.user = &answer;
  stage_say_shared(&stage, 1, false, octets, LARGE);
  stage_dispatch(&stage);
  stage_hear(&stage);
  stage_forget(&stage);
  g_assert_cmpint(ws_channel_send(stage_peer(&stage, 1), false, answer.kept, LARGE, false), ==, WS_CHANNEL_SENT);
  ws_channel_flush(stage.channel);
  stage_hear(&stage);
  g_assert_true(g_str_has_prefix(stage.heard->str, "SHARED_SEND 1 binary at 0 "));
  stage_forget(&stage);
  stage_end(&stage);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/shared/messages-come-and-cannot-change-unless-they-are-lent", test_messages_come);
  g_test_add_func("/shared/many-in-one-turn-are-all-released", test_many_in_one_turn);
  g_test_add_func("/shared/the-same-again-and-again-leaves-turns-to-others", test_the_same_again_and_again);
  g_test_add_func("/shared/a-paused-app-gets-it-later", test_a_paused_app_releases_what_it_had);
  g_test_add_func("/shared/the-channel-may-be-freed-inside-of-a-message", test_freeing_inside_of_a_message);
  g_test_add_func("/shared/messages-leave", test_messages_leave);
  g_test_add_func("/shared/a-message-that-is-lent-goes-on-from-where-it-lies", test_forwarding);
  g_test_add_func("/shared/what-was-lent-is-copied-later", test_nothing_is_forwarded_later);
  g_test_add_func("/shared/what-does-not-fit-goes-through-the-stream", test_a_full_arena);
  g_test_add_func("/shared/without-memory-for-the-copy-the-channel-breaks", test_no_memory_for_the_copy);
  g_test_add_func("/shared/faults-of-the-worker", test_faults);
  g_test_add_func("/shared/the-version-is-the-one-asked-for", test_versions);
  g_test_add_func("/shared/what-is-no-arena-is-refused", test_what_is_no_arena);
  g_test_add_func("/shared/memory-is-given-back", test_trimming);
  return g_test_run();
}
