/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/client-lib/stage.h"

#include "tests/client-lib/system-calls.h"

#include "channel/integer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SHOWN_MAX = 60, GENERATION = 1 };

/* --- Lines --- */

char *stage_show(const void *data, size_t length) {
  const char *octets = data;
  bool is_plain = length <= SHOWN_MAX;
  for (size_t i = 0; i < length && is_plain; i++)
    is_plain = g_ascii_isprint(octets[i]);
  if (is_plain)
    return g_strndup(octets, length);
  guint32 digest = 2166136261u;
  for (size_t i = 0; i < length; i++)
    digest = (digest ^ (guint8)octets[i]) * 16777619u;
  return g_strdup_printf("#%zu:%08x", length, digest);
}

uint8_t *stage_octets(size_t length, guint seed) {
  uint8_t *octets = g_malloc(length);
  guint32 state = seed * 2654435761u + 1;
  for (size_t i = 0; i < length; i++) {
    state = state * 1664525u + 1013904223u;
    octets[i] = (uint8_t)(state >> 24) | 0x80;
  }
  return octets;
}

static void note(struct stage *stage, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void note(struct stage *stage, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  g_string_append_vprintf(stage->events, format, arguments);
  va_end(arguments);
  g_string_append_c(stage->events, '\n');
}

static void run_hook(struct stage *stage, struct stage_event event) {
  if (stage->hook != NULL)
    stage->hook(stage, &event);
}

/* --- The app --- */

static void connected(void *user, struct ws_channel_peer *peer, const struct ws_channel_details *details) {
  struct stage *stage = user;
  if (details == NULL)
    note(stage, "standing %" PRIu64, stage_number(peer));
  else
    note(stage, "connected %" PRIu64 " %.*s", stage_number(peer), (int)details->path.length, details->path.text);
  run_hook(stage, (struct stage_event){.kind = STAGE_CONNECTED, .peer = peer, .details = details});
}

static void message(void *user, struct ws_channel_peer *peer, bool text, const uint8_t *data, size_t length) {
  struct stage *stage = user;
  g_autofree char *shown = stage_show(data, length);
  note(stage, "message %" PRIu64 " %s %s", stage_number(peer), text ? "text" : "binary", shown);
  run_hook(stage,
           (struct stage_event){.kind = STAGE_MESSAGE, .peer = peer, .text = text, .data = data, .length = length});
}

static void closed(void *user, struct ws_channel_peer *peer, uint16_t code, const char *reason, size_t length,
                   bool clean) {
  struct stage *stage = user;
  note(stage, "closed %" PRIu64 " %u %s%.*s", stage_number(peer), code, clean ? "clean " : "", (int)length, reason);
  run_hook(stage, (struct stage_event){.kind = STAGE_CLOSED, .peer = peer});
}

static void drained(void *user, struct ws_channel_peer *peer) {
  struct stage *stage = user;
  note(stage, "drained %" PRIu64, stage_number(peer));
  run_hook(stage, (struct stage_event){.kind = STAGE_DRAINED, .peer = peer});
}

static void written(void *user, struct ws_channel_peer *peer) {
  struct stage *stage = user;
  note(stage, "written %" PRIu64 " %" PRIu64 " of %" PRIu64, stage_number(peer), ws_channel_peer_get_written(peer),
       ws_channel_peer_get_sent(peer));
  run_hook(stage, (struct stage_event){.kind = STAGE_WRITTEN, .peer = peer});
}

static void failed(void *user, struct ws_channel_peer *peer, uint32_t code, const char *text, size_t length) {
  struct stage *stage = user;
  note(stage, "error %" PRIu64 " %u %.*s", peer != NULL ? stage_number(peer) : 0, code, (int)length, text);
  run_hook(stage, (struct stage_event){.kind = STAGE_ERROR, .peer = peer});
}

static const struct ws_channel_events app = {connected, message, closed, drained, written, failed};

/* --- Beginning and end --- */

void stage_open(struct stage *stage) {
  int ends[2];
  g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), ==, 0);
  calls_reset();
  *stage = (struct stage){.worker = ends[1], .events = g_string_new(NULL), .heard = g_string_new(NULL)};
  wsc_decoder_init(&stage->hearing, WSC_TO_WORKER, WSC_MESSAGE_MAX);
  stage->channel = ws_channel_new(ends[0], &app, stage);
}

void stage_begin(struct stage *stage, guint count) {
  const struct wsc_welcome welcome = stage_welcome();
  stage_open(stage);
  stage_say_welcome(stage, &welcome);
  for (guint i = 1; i <= count; i++)
    stage_say_connect(stage, i);
  g_assert_cmpint(stage_dispatch(stage), ==, WS_CHANNEL_OPEN);
  g_assert_cmpuint(ws_channel_get_peer_count(stage->channel), ==, count);
  stage_forget(stage);
}

/* Descriptors of an arena: one to write, one to read. */
static void make_arena(int fds[2], size_t size) {
  fds[0] = memfd_create("arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  g_assert_cmpint(ftruncate(fds[0], (off_t)size), ==, 0);
  g_assert_cmpint(fcntl(fds[0], F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), ==, 0);
  g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fds[0]);
  fds[1] = open(path, O_RDONLY | O_CLOEXEC);
  g_assert_cmpint(fds[1], >=, 0);
}

void stage_begin_shared_by(struct stage *stage, guint count, size_t size, uint32_t abilities) {
  int ends[2], events[2], commands[2];
  struct wsc_welcome welcome = stage_welcome();
  g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), ==, 0);
  make_arena(events, size);
  make_arena(commands, size);
  calls_reset();
  *stage = (struct stage){.worker = ends[1], .events = g_string_new(NULL), .heard = g_string_new(NULL)};
  wsc_decoder_init(&stage->hearing, WSC_TO_WORKER, WSC_MESSAGE_MAX);
  stage->hearing.shared = true;
  g_assert_true(wsc_arena_map(&stage->events_arena, events[0], size));
  g_assert_true(wsc_arena_view_map(&stage->commands_arena, commands[1], size));
  close(events[0]);
  close(commands[1]);
  stage->channel = ws_channel_new_shared(ends[0], events[1], commands[0], &app, stage);
  g_assert_nonnull(stage->channel);
  welcome.version = WSC_VERSION_SHARED;
  welcome.abilities = abilities;
  welcome.max_message = 16u << 20;
  welcome.queue_high = 64u << 20;
  stage_say_welcome(stage, &welcome);
  for (guint i = 1; i <= count; i++)
    stage_say_connect(stage, i);
  g_assert_cmpint(stage_dispatch(stage), ==, WS_CHANNEL_OPEN);
  stage_forget(stage);
}

void stage_begin_shared(struct stage *stage, guint count, size_t size) {
  stage_begin_shared_by(stage, count, size, WSC_CAN_FORWARD);
}

void stage_free_channel(struct stage *stage) {
  ws_channel_free(stage->channel);
  stage->channel = NULL;
}

void stage_end(struct stage *stage) {
  stage->hook = NULL;
  stage_free_channel(stage);
  if (stage->worker >= 0)
    close(stage->worker);
  stage_assert_events(stage, "");
  stage_assert_heard(stage, "");
  wsc_queue_clear(&stage->saying);
  wsc_decoder_clear(&stage->hearing);
  wsc_arena_unmap(&stage->events_arena);
  wsc_arena_view_unmap(&stage->commands_arena);
  g_string_free(stage->events, TRUE);
  g_string_free(stage->heard, TRUE);
  calls_reset();
}

uint64_t stage_id(uint64_t number) {
  return ((uint64_t)GENERATION << 32) + number;
}

uint64_t stage_number(const struct ws_channel_peer *peer) {
  return ws_channel_peer_get_id(peer) - stage_id(0);
}

struct ws_channel_peer *stage_peer(struct stage *stage, uint64_t number) {
  struct ws_channel_peer *peer = ws_channel_find_peer(stage->channel, stage_id(number));
  g_assert_nonnull(peer);
  return peer;
}

/* --- The worker says --- */

struct wsc_welcome stage_welcome(void) {
  return (struct wsc_welcome){.version = WSC_VERSION,
                              .generation = GENERATION,
                              .first_event = 1,
                              .max_message = STAGE_MAX_MESSAGE,
                              .queue_high = STAGE_HIGH,
                              .queue_low = STAGE_LOW};
}

void stage_say(struct stage *stage, struct wsc_header header, const void *body, size_t length) {
  g_assert_true(wsc_queue_append_record(&stage->saying, &header, body, length));
}

void stage_say_welcome(struct stage *stage, const struct wsc_welcome *welcome) {
  uint8_t body[WSC_WELCOME_SIZE];
  wsc_welcome_encode(welcome, body);
  stage_say(stage, (struct wsc_header){.type = WSC_WELCOME}, body, sizeof body);
}

void stage_say_connect(struct stage *stage, uint64_t number) {
  const struct wsc_connect connect = {.family = 4, .address = {127, 0, 0, 1}, .path = {"/", 1}};
  uint8_t body[WSC_CONNECT_FIXED + 1];
  g_assert_cmpuint(wsc_connect_encode(&connect, body), ==, sizeof body);
  stage_say(stage, (struct wsc_header){.type = WSC_CONNECT, .connection = stage_id(number)}, body, sizeof body);
}

void stage_say_standing(struct stage *stage, uint64_t number, uint64_t charged, uint64_t released) {
  uint8_t body[16];
  wsc_put_u64(body, charged);
  wsc_put_u64(body + 8, released);
  stage_say(stage, (struct wsc_header){.type = WSC_STANDING, .connection = stage_id(number)}, body, sizeof body);
}

void stage_say_credit(struct stage *stage, uint64_t number, uint64_t released) {
  uint8_t body[8];
  wsc_put_u64(body, released);
  stage_say(stage, (struct wsc_header){.type = WSC_CREDIT, .connection = stage_id(number)}, body, sizeof body);
}

void stage_say_message(struct stage *stage, uint64_t number, const char *text) {
  stage_say(stage, (struct wsc_header){.type = WSC_MESSAGE, .flags = WSC_FLAG_TEXT, .connection = stage_id(number)},
            text, strlen(text));
}

void stage_say_closed(struct stage *stage, uint64_t number, uint16_t code) {
  stage_say(stage, (struct wsc_header){.type = WSC_CLOSED, .code = code, .connection = stage_id(number)}, NULL, 0);
}

void stage_say_drained(struct stage *stage, uint64_t number) {
  stage_say(stage, (struct wsc_header){.type = WSC_DRAINED, .connection = stage_id(number)}, NULL, 0);
}

void stage_say_error(struct stage *stage, uint64_t number, const char *text) {
  g_autofree uint8_t *body = g_malloc(4 + strlen(text));
  wsc_put_u32(body, 2302999);
  memcpy(body + 4, text, strlen(text));
  stage_say(stage, (struct wsc_header){.type = WSC_ERROR, .connection = number != 0 ? stage_id(number) : 0}, body,
            4 + strlen(text));
}

void stage_deliver(struct stage *stage) {
  size_t length = wsc_queue_length(&stage->saying);
  if (length == 0 || stage->worker < 0)
    return;
  ssize_t said = sendto(stage->worker, wsc_queue_front(&stage->saying), length, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
  if (said >= 0)
    wsc_queue_consume(&stage->saying, (size_t)said);
  else if (errno != EAGAIN)
    wsc_queue_clear(&stage->saying);
}

static bool has_more(struct stage *stage) {
  if (stage->channel == NULL || ws_channel_get_state(stage->channel) != WS_CHANNEL_OPEN ||
      !(ws_channel_get_poll_events(stage->channel) & POLLIN))
    return false;
  struct pollfd poll_fd = {.fd = ws_channel_get_fd(stage->channel), .events = POLLIN};
  return wsc_queue_length(&stage->saying) > 0 || poll(&poll_fd, 1, 0) > 0;
}

uint64_t stage_say_shared(struct stage *stage, uint64_t number, bool text, const void *data, size_t length) {
  struct wsc_shared where = {.length = length};
  uint8_t body[WSC_SHARED_SIZE], *room = wsc_arena_take(&stage->events_arena, length, &where.offset);
  g_assert_nonnull(room);
  memcpy(room, data, length);
  wsc_arena_give(&stage->events_arena, where.offset);
  wsc_shared_encode(&where, body);
  const struct wsc_header header = {
      .type = WSC_SHARED_MESSAGE, .flags = text ? WSC_FLAG_TEXT : 0, .connection = stage_id(number)};
  stage_say(stage, header, body, sizeof body);
  return where.offset;
}

void stage_say_released(struct stage *stage, uint64_t offset) {
  uint8_t body[8];
  wsc_put_u64(body, offset);
  stage_say(stage, (struct wsc_header){.type = WSC_RELEASED}, body, sizeof body);
}

enum ws_channel_state stage_dispatch(struct stage *stage) {
  enum ws_channel_state state = WS_CHANNEL_ENDED;
  do {
    stage_deliver(stage);
    if (stage->channel != NULL)
      state = ws_channel_dispatch(stage->channel);
  } while (has_more(stage));
  return state;
}

void stage_hang_up(struct stage *stage) {
  close(stage->worker);
  stage->worker = -1;
}

/* --- The worker hears --- */

static void show_broadcast(struct stage *stage, const struct wsc_record *record) {
  uint32_t count = wsc_get_u32(record->body);
  size_t head = 8 + 8 * (size_t)count;
  g_autofree char *shown = stage_show(record->body + head, record->header.size - head);
  g_string_append(stage->heard, "BROADCAST");
  for (uint32_t i = 0; i < count && i < 10; i++)
    g_string_append_printf(stage->heard, " %" PRIu64, wsc_get_u64(record->body + 8 + 8 * (size_t)i) - stage_id(0));
  if (count > 10)
    g_string_append_printf(stage->heard, " of %u", count);
  g_string_append_printf(stage->heard, " %s %s\n", record->header.flags & WSC_FLAG_TEXT ? "text" : "binary", shown);
}

static void show_shared(struct stage *stage, const struct wsc_record *record, const char *name, uint64_t number,
                        const struct wsc_shared *where, const uint8_t *data) {
  g_assert_nonnull(data);
  g_autofree char *shown = stage_show(data, (size_t)where->length);
  g_string_append_printf(stage->heard, "%s %" PRIu64 " %s%s at %" PRIu64 " %s\n", name, number,
                         record->header.flags & WSC_FLAG_TEXT ? "text" : "binary",
                         record->header.flags & WSC_FLAG_WANT_CREDIT ? " wanted" : "", where->offset, shown);
}

static void show(struct stage *stage, const struct wsc_record *record) {
  uint64_t number = record->header.connection - stage_id(0);
  struct wsc_shared where;
  g_autofree char *shown = stage_show(record->body, record->header.size);
  switch (record->header.type) {
  case WSC_SEND:
    g_string_append_printf(stage->heard, "SEND %" PRIu64 " %s%s %s\n", number,
                           record->header.flags & WSC_FLAG_TEXT ? "text" : "binary",
                           record->header.flags & WSC_FLAG_WANT_CREDIT ? " wanted" : "", shown);
    break;
  case WSC_BROADCAST:
    show_broadcast(stage, record);
    break;
  case WSC_SHARED_SEND:
    wsc_shared_decode(record->body, &where);
    show_shared(stage, record, "SHARED_SEND", number, &where, wsc_arena_view_find(&stage->commands_arena, &where));
    break;
  case WSC_SHARED_FORWARD:
    wsc_shared_decode(record->body, &where);
    show_shared(stage, record, "SHARED_FORWARD", number, &where, wsc_arena_find_given(&stage->events_arena, &where));
    break;
  case WSC_RELEASE:
    for (uint32_t at = 0; at < record->header.size; at += 8) {
      g_string_append_printf(stage->heard, "RELEASE %" PRIu64 "\n", wsc_get_u64(record->body + at));
      g_assert_true(wsc_arena_release(&stage->events_arena, wsc_get_u64(record->body + at)));
    }
    break;
  case WSC_CLOSE:
    g_string_append_printf(stage->heard, "CLOSE %" PRIu64 " %u %s\n", number, record->header.code, shown);
    break;
  case WSC_ACKNOWLEDGE:
    g_string_append_printf(stage->heard, "ACKNOWLEDGE %" PRIu64 "\n", wsc_get_u64(record->body));
    break;
  case WSC_WANT_DRAINED:
    g_string_append_printf(stage->heard, "WANT_DRAINED %" PRIu64 "\n", number);
    break;
  default:
    g_error("a record that no app sends");
  }
}

void stage_hear(struct stage *stage) {
  struct wsc_record record;
  enum wsc_decode_result result;
  ssize_t length;
  do {
    size_t size;
    uint8_t *room = wsc_decoder_room(&stage->hearing, &size);
    length = recvfrom(stage->worker, room, size, MSG_DONTWAIT, NULL, NULL);
    if (length > 0)
      wsc_decoder_filled(&stage->hearing, (size_t)length);
    while ((result = wsc_decoder_next(&stage->hearing, &record)) == WSC_DECODED)
      show(stage, &record);
    g_assert_cmpint(result, ==, WSC_DECODE_MORE);
  } while (length > 0);
}

/* --- Comparing --- */

void stage_assert_events(struct stage *stage, const char *lines) {
  g_assert_cmpstr(stage->events->str, ==, lines);
  g_string_truncate(stage->events, 0);
}

void stage_assert_heard(struct stage *stage, const char *lines) {
  if (stage->worker >= 0)
    stage_hear(stage);
  g_assert_cmpstr(stage->heard->str, ==, lines);
  g_string_truncate(stage->heard, 0);
}

void stage_forget(struct stage *stage) {
  g_string_truncate(stage->events, 0);
  g_string_truncate(stage->heard, 0);
}

void stage_assert_broken(struct stage *stage, const char *reason) {
  g_assert_cmpint(stage_dispatch(stage), ==, WS_CHANNEL_BROKEN);
  g_assert_cmpint(ws_channel_get_state(stage->channel), ==, WS_CHANNEL_BROKEN);
  g_assert_cmpstr(ws_channel_get_reason(stage->channel), ==, reason);
  g_assert_cmpint(ws_channel_get_poll_events(stage->channel), ==, 0);
  g_assert_cmpuint(ws_channel_get_peer_count(stage->channel), ==, 0);
}
