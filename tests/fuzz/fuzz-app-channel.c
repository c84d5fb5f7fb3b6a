/* SPDX-License-Identifier: Apache-2.0 */
/* An app's end of a channel, fed what a worker says. The app sends, closes, pauses and frees as the seed wills, in the middle of events. A plain reading of
 * the specification, in lockstep, says which event must come next, what each call must return and where the channel must break; any cutting
 * comes to the same, and the library writes what was sent, each record whole and in order, and nothing that would make the worker end the server. */
#include "channel/decoder.h"
#include "channel/queue.h"
#include "client-lib/limits.h"
#include "tests/fuzz/harness.h"
#include <wsserver/ws-channel.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum switches { BEGUN = 1, BUSY = 2, FREES = 4, LARGE_MESSAGES = 8 };
enum {
  PEERS_MAX = 64,
  LARGE = WS_CHANNEL_DIRECT + 100,
  BEGUN_MAX_MESSAGE = 4 * WS_CHANNEL_DIRECT,
  BEGUN_HIGH = 60000,
  SMALL_SOCKET = 4096
};

/* What the specification says of a connection. */
struct shadow {
  uint64_t id, charged, released;
  bool is_open, closing;
};

struct run {
  struct ws_channel *channel;
  int worker;
  struct wsc_decoder expected; /* all that the worker says */
  struct wsc_decoder heard;    /* what the library wrote */
  struct wsc_queue sent;       /* what it accepted and the worker has not heard; of a broadcast without the targets */
  struct shadow peers[PEERS_MAX];
  size_t peer_count;
  struct wsc_welcome welcome;
  uint64_t last_id;
  struct fuzz_log *log;
  uint32_t random, events;
  uint8_t switches;
  bool is_over;  /* the fault or the end has come: `closed` of all that are left */
  bool overflow; /* more connections than fit here: not looked at any further */
};

static struct shadow *find(struct run *run, uint64_t id) {
  for (size_t i = 0; i < run->peer_count; i++)
    if (run->peers[i].id == id && run->peers[i].is_open)
      return &run->peers[i];
  return NULL;
}

/* --- What must come next --- */

enum next { EVENT, FAULT, NOTHING };

static bool add(struct run *run, uint64_t id, uint64_t charged, uint64_t released) {
  if (id <= run->last_id || id >> 32 != run->welcome.generation || (uint32_t)id == 0)
    return false;
  if (run->peer_count == PEERS_MAX) {
    run->overflow = true;
    return false;
  }
  run->last_id = id;
  run->peers[run->peer_count++] = (struct shadow){.id = id, .charged = charged, .released = released, .is_open = true};
  return true;
}

static enum next read_standing(struct run *run, const struct wsc_record *record) {
  uint64_t charged = wsc_get_u64(record->body), released = wsc_get_u64(record->body + 8);
  if (charged - released > UINT32_MAX || charged > UINT64_MAX / 2)
    return FAULT;
  return add(run, record->header.connection, charged, released) ? EVENT : FAULT;
}

static enum next read_credit(struct run *run, const struct wsc_record *record, bool *is_silent) {
  struct shadow *peer = find(run, record->header.connection);
  uint64_t released = wsc_get_u64(record->body);
  *is_silent = peer == NULL;
  if (peer == NULL)
    return record->header.connection > run->last_id ? FAULT : EVENT;
  if (released < peer->released || released > peer->charged)
    return FAULT;
  peer->released = released;
  return EVENT;
}

static void note_sent(struct run *run, struct wsc_header header, const void *payload, size_t length) {
  require(wsc_queue_append_record(&run->sent, &header, payload, length));
}

/* One record's part of the specification. `*is_silent`: the app is told nothing. */
static enum next read_record(struct run *run, const struct wsc_record *record, bool *is_silent) {
  const struct shadow *peer = find(run, record->header.connection);
  *is_silent = record->header.type == WSC_WELCOME;
  switch (record->header.type) {
  case WSC_WELCOME:
    require(wsc_welcome_decode(record->body, record->header.size, &run->welcome));
    run->expected.max_message = run->welcome.max_message;
    run->last_id = run->welcome.generation << 32;
    return run->welcome.acknowledged ? FAULT : EVENT;
  case WSC_STANDING:
    return read_standing(run, record);
  case WSC_CREDIT:
    return read_credit(run, record, is_silent);
  case WSC_ASK:
    *is_silent = true;
    note_sent(run, (struct wsc_header){.type = WSC_ACKNOWLEDGE}, record->body, record->header.size);
    return EVENT;
  case WSC_CONNECT:
    return add(run, record->header.connection, 0, 0) ? EVENT : FAULT;
  case WSC_ERROR:
    return peer != NULL || record->header.connection == 0 ? EVENT : FAULT;
  case WSC_DRAINED:
    *is_silent = peer != NULL && peer->closing;
    return peer != NULL ? EVENT : FAULT;
  default:
    return peer != NULL ? EVENT : FAULT;
  }
}

static enum next expect(struct run *run, struct wsc_record *record) {
  for (;;) {
    enum wsc_decode_result result = wsc_decoder_next(&run->expected, record);
    bool is_silent = false;
    if (result != WSC_DECODED)
      return result == WSC_DECODE_MORE ? NOTHING : FAULT;
    enum next next = read_record(run, record, &is_silent);
    if (next != EVENT || !is_silent)
      return next;
  }
}

/* --- What the app does in an event --- */

static uint32_t chance(struct run *run, uint32_t below) {
  run->random = run->random * 1664525u + 1013904223u;
  return (run->random >> 16) % below;
}

static uint64_t held(const struct shadow *peer) {
  return peer->charged - peer->released;
}

static uint32_t high(const struct run *run) {
  return run->welcome.queue_high < 1u << 30 ? run->welcome.queue_high : 1u << 30;
}

static enum ws_channel_result result_for(const struct run *run, const struct shadow *peer) {
  if (peer->closing || !peer->is_open || run->is_over)
    return WS_CHANNEL_GONE;
  return held(peer) >= high(run) ? WS_CHANNEL_WOULD_BLOCK : WS_CHANNEL_SENT;
}

static void check_figures(const struct ws_channel_peer *peer, const struct shadow *shadow) {
  require(ws_channel_peer_get_sent(peer) == shadow->charged);
  require(ws_channel_peer_get_written(peer) == shadow->released);
}

static void send_one(struct run *run, struct ws_channel_peer *peer, struct shadow *shadow, bool text,
                     const uint8_t *data, size_t length) {
  enum ws_channel_result expected = result_for(run, shadow);
  if (length > run->welcome.max_message)
    expected = WS_CHANNEL_TOO_BIG;
  else if (text && !fuzz_is_utf8(data, length))
    expected = WS_CHANNEL_INVALID;
  bool notify = chance(run, 2);
  require(ws_channel_send(peer, text, data, length, notify) == expected);
  if (expected == WS_CHANNEL_SENT) {
    uint8_t flags = (uint8_t)((text ? WSC_FLAG_TEXT : 0) | (notify ? WSC_FLAG_WANT_CREDIT : 0));
    note_sent(run, (struct wsc_header){.type = WSC_SEND, .flags = flags, .connection = shadow->id}, data, length);
    shadow->charged += WSC_MESSAGE_COST + length;
  }
  check_figures(peer, shadow);
}

static void broadcast(struct run *run, struct ws_channel_peer *peer) {
  struct ws_channel_peer *twice[] = {peer, peer};
  bool all = chance(run, 2);
  size_t sent, expected = 0;
  if (run->is_over || run->welcome.max_message < 3)
    return;
  enum ws_channel_result result = all ? ws_channel_broadcast_to_all(run->channel, true, "all", 3, &sent)
                                      : ws_channel_broadcast(run->channel, twice, 2, true, "all", 3, &sent);
  require(result == WS_CHANNEL_SENT);
  for (size_t i = 0; i < run->peer_count; i++)
    for (int times = all ? 1 : 2; times > 0 && (all || run->peers[i].id == ws_channel_peer_get_id(peer)); times--)
      if (result_for(run, &run->peers[i]) == WS_CHANNEL_SENT) {
        run->peers[i].charged += WSC_MESSAGE_COST + 3;
        expected++;
      }
  require(sent == expected);
  if (sent > 0)
    note_sent(run, (struct wsc_header){.type = WSC_BROADCAST, .flags = WSC_FLAG_TEXT}, "all", 3);
}

static void close_one(struct run *run, struct ws_channel_peer *peer, struct shadow *shadow, uint16_t code) {
  bool is_legal =
      code == 0 || (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
  bool is_open = result_for(run, shadow) != WS_CHANNEL_GONE;
  require(ws_channel_close(peer, code, "bye", 3) == (!is_legal ? WS_CHANNEL_INVALID
                                                     : is_open ? WS_CHANNEL_SENT
                                                               : WS_CHANNEL_GONE));
  shadow->closing = shadow->closing || is_legal;
  if (is_legal && is_open)
    note_sent(run, (struct wsc_header){.type = WSC_CLOSE, .code = code ? code : 1000, .connection = shadow->id}, "bye",
              3);
}

static void walk(struct run *run) {
  size_t open = 0, walked = 0;
  for (size_t i = 0; i < run->peer_count; i++)
    open += run->peers[i].is_open;
  for (struct ws_channel_peer *peer = NULL; (peer = ws_channel_next_peer(run->channel, peer)) != NULL; walked++) {
    struct shadow *shadow = find(run, ws_channel_peer_get_id(peer));
    require(shadow != NULL && ws_channel_find_peer(run->channel, shadow->id) == peer);
    check_figures(peer, shadow);
  }
  require(walked == open && ws_channel_get_peer_count(run->channel) == open);
}

/* `peer` may be NULL, where the event was of the server. */
static void act(struct run *run, struct ws_channel_peer *peer, struct shadow *shadow, const uint8_t *data,
                size_t length) {
  static const uint8_t large[LARGE];
  uint32_t what = chance(run, run->switches & BUSY ? 8 : 24);
  run->events++;
  if (run->switches & FREES && chance(run, 16) == 0) {
    ws_channel_free(run->channel);
    run->channel = NULL;
  } else if (what == 0) {
    ws_channel_set_paused(run->channel, true);
  } else if (what == 1) {
    walk(run);
  } else if (peer == NULL) {
    return;
  } else if (what == 2 || what == 3) {
    for (uint32_t times = 1 + chance(run, 2); times > 0; times--)
      send_one(run, peer, shadow, chance(run, 2), data, length);
  } else if (what == 4) {
    send_one(run, peer, shadow, false, large, run->events % 4 == 0 ? LARGE : 100);
  } else if (what == 5) {
    broadcast(run, peer);
  } else if (what == 6 && chance(run, 3) == 0) {
    close_one(run, peer, shadow, (uint16_t)(chance(run, 2) ? 0 : 990 + chance(run, 4100)));
  }
}

/* --- Events, each the one that must come --- */

static void note(struct run *run, uint8_t type, uint64_t id, const void *data, size_t length) {
  fuzz_note_number(run->log, type);
  fuzz_note_number(run->log, id);
  fuzz_note(run->log, data, length);
}

static struct shadow *check(struct run *run, struct ws_channel_peer *peer, uint8_t type, const void *data,
                            size_t length, struct wsc_record *record) {
  uint64_t id = peer != NULL ? ws_channel_peer_get_id(peer) : 0;
  require(run->channel != NULL && !run->is_over);
  require(expect(run, record) == EVENT);
  require(record->header.type == type && record->header.connection == id);
  note(run, type, id, data, length);
  struct shadow *shadow = find(run, id);
  require(id == 0 || shadow != NULL);
  require(type == WSC_CLOSED || ws_channel_find_peer(run->channel, id) == peer);
  return shadow;
}

static void connected(void *user, struct ws_channel_peer *peer, const struct ws_channel_details *details) {
  struct run *run = user;
  struct wsc_record record;
  struct ws_channel_text name, value;
  size_t offset = 0, count = 0;
  struct shadow *shadow = check(run, peer, details != NULL ? WSC_CONNECT : WSC_STANDING, "", 0, &record);
  while (details != NULL && ws_channel_next_header(details, &offset, &name, &value)) {
    note(run, 0, count++, name.text, name.length);
    fuzz_note(run->log, value.text, value.length);
  }
  require(details == NULL || count == details->header_count);
  check_figures(peer, shadow);
  act(run, peer, shadow, (const uint8_t *)"hi", 2);
}

static void message(void *user, struct ws_channel_peer *peer, bool text, const uint8_t *data, size_t length) {
  struct run *run = user;
  struct wsc_record record;
  struct shadow *shadow = check(run, peer, WSC_MESSAGE, data, length, &record);
  require(text == (record.header.flags & WSC_FLAG_TEXT) && length == record.header.size &&
          (length == 0 || memcmp(data, record.body, length) == 0));
  act(run, peer, shadow, data, length);
}

static void closed(void *user, struct ws_channel_peer *peer, uint16_t code, const char *reason, size_t length,
                   bool clean) {
  struct run *run = user;
  struct wsc_record record;
  struct shadow *shadow;
  if (!run->is_over && ws_channel_get_state(run->channel) != WS_CHANNEL_OPEN) {
    require(expect(run, &record) == (ws_channel_get_state(run->channel) == WS_CHANNEL_BROKEN ? FAULT : NOTHING) ||
            run->overflow);
    run->is_over = true;
  }
  if (run->is_over) {
    shadow = find(run, ws_channel_peer_get_id(peer));
    require(run->channel != NULL && shadow != NULL && code == 1006 && length == 0 && !clean);
  } else {
    shadow = check(run, peer, WSC_CLOSED, reason, length, &record);
    require(code == record.header.code && clean == !!(record.header.flags & WSC_FLAG_CLEAN));
  }
  shadow->is_open = false;
  act(run, peer, shadow, (const uint8_t *)"late", 4);
}

static void drained(void *user, struct ws_channel_peer *peer) {
  struct run *run = user;
  struct wsc_record record;
  struct shadow *shadow = check(run, peer, WSC_DRAINED, "", 0, &record);
  act(run, peer, shadow, (const uint8_t *)"more", 4);
}

static void written(void *user, struct ws_channel_peer *peer) {
  struct run *run = user;
  struct wsc_record record;
  struct shadow *shadow = check(run, peer, WSC_CREDIT, "", 0, &record);
  check_figures(peer, shadow);
  act(run, peer, shadow, (const uint8_t *)"\xff", 1);
}

static void failed(void *user, struct ws_channel_peer *peer, uint32_t code, const char *text, size_t length) {
  struct run *run = user;
  struct wsc_record record;
  struct shadow *shadow = check(run, peer, WSC_ERROR, text, length, &record);
  require(code == wsc_get_u32(record.body));
  act(run, peer, shadow, (const uint8_t *)"oh", 2);
}

static const struct ws_channel_events app = {connected, message, closed, drained, written, failed};

/* --- The worker --- */

/* The next that was accepted. */
static void check_order(struct run *run, const struct wsc_record *record, const uint8_t *payload, size_t length) {
  struct wsc_header header;
  if (record->header.type == WSC_WANT_DRAINED)
    return;
  require(wsc_queue_length(&run->sent) >= WSC_RECORD_HEADER);
  const uint8_t *sent = wsc_queue_front(&run->sent);
  wsc_header_decode(sent, &header);
  require(header.type == record->header.type && header.flags == record->header.flags &&
          header.code == record->header.code && header.connection == record->header.connection);
  require(header.size == length && memcmp(sent + WSC_RECORD_HEADER, payload, length) == 0);
  wsc_queue_consume(&run->sent, WSC_RECORD_HEADER + length);
}

static void check_heard(struct run *run, const struct wsc_record *record) {
  const uint8_t *payload = record->body;
  size_t length = record->header.size;
  require(record->header.connection <= run->last_id);
  if (record->header.type == WSC_BROADCAST) {
    size_t head = 8 + 8 * (size_t)wsc_get_u32(record->body);
    for (size_t at = 8; at < head; at += 8)
      require(wsc_get_u64(record->body + at) <= run->last_id);
    payload += head;
    length -= head;
  }
  require(length <= run->welcome.max_message || record->header.type == WSC_CLOSE);
  require(!(record->header.flags & WSC_FLAG_TEXT) || fuzz_is_utf8(payload, length));
  require(record->header.type != WSC_ACKNOWLEDGE);
  check_order(run, record, payload, length);
}

static void hear(struct run *run) {
  struct wsc_record record;
  enum wsc_decode_result result;
  size_t size;
  ssize_t length;
  do {
    uint8_t *room = wsc_decoder_room(&run->heard, &size);
    length = recv(run->worker, room, size, MSG_DONTWAIT);
    if (length > 0)
      wsc_decoder_filled(&run->heard, (size_t)length);
    while ((result = wsc_decoder_next(&run->heard, &record)) == WSC_DECODED)
      check_heard(run, &record);
    require(result == WSC_DECODE_MORE);
  } while (length > 0);
}

/* False when the channel is over. */
static bool dispatch(struct run *run) {
  bool again = true;
  while (again && run->channel != NULL) {
    enum ws_channel_state state = ws_channel_dispatch(run->channel);
    hear(run);
    if (run->channel == NULL || state != WS_CHANNEL_OPEN)
      return false;
    struct pollfd poll_fd = {.fd = ws_channel_get_fd(run->channel), .events = POLLIN};
    again = !(ws_channel_get_poll_events(run->channel) & POLLIN) ||
            poll(&poll_fd, 1, 0) > 0; /* paused, or one read was not enough */
    ws_channel_set_paused(run->channel, false);
  }
  return run->channel != NULL;
}

static bool say(struct run *run, const uint8_t *octets, size_t length) {
  while (length > 0) {
    ssize_t said = send(run->worker, octets, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (said > 0) {
      octets += said;
      length -= (size_t)said;
    }
    if (!dispatch(run))
      return false;
  }
  return true;
}

/* Messages that are echoed from where they lie, of which the socket takes a part. */
static void say_large(struct wsc_queue *out) {
  for (uint64_t i = 0; i < 4; i++) {
    const struct wsc_header header = {.type = WSC_MESSAGE, .connection = (1ull << 32) + 1 + i % 3};
    const size_t size = 3 * WS_CHANNEL_DIRECT + 3000 * i; /* most of a room */
    uint8_t *body = wsc_queue_append(out, &header, size);
    for (size_t at = 0; at < size; at++)
      body[at] = (uint8_t)(at * 7 + at / 251 + i);
  }
}

static void say_first(struct wsc_queue *out) {
  const struct wsc_welcome welcome = {.version = WSC_VERSION,
                                      .generation = 1,
                                      .first_event = 1,
                                      .max_message = BEGUN_MAX_MESSAGE,
                                      .queue_high = BEGUN_HIGH,
                                      .queue_low = 1000};
  const struct wsc_connect connect = {.family = 4};
  uint8_t body[WSC_CONNECT_FIXED];
  wsc_welcome_encode(&welcome, wsc_queue_append(out, &(struct wsc_header){.type = WSC_WELCOME}, WSC_WELCOME_SIZE));
  wsc_connect_encode(&connect, body);
  for (uint64_t i = 1; i <= 3; i++)
    require(wsc_queue_append_record(out, &(struct wsc_header){.type = WSC_CONNECT, .connection = (1ull << 32) + i},
                                    body, sizeof body));
}

static void expect_octets(struct run *run, const uint8_t *octets, size_t length) {
  for (size_t size; length > 0;) {
    uint8_t *room = wsc_decoder_room(&run->expected, &size);
    size = size < length ? size : length;
    memcpy(room, octets, size);
    wsc_decoder_filled(&run->expected, size);
    octets += size;
    length -= size;
  }
}

/* --- A run --- */

static void finish(struct run *run) {
  struct wsc_record record;
  while (run->channel != NULL && ws_channel_get_queued(run->channel) > 0 && dispatch(run))
    ;
  if (run->channel != NULL && ws_channel_get_state(run->channel) == WS_CHANNEL_OPEN)
    require(wsc_queue_length(&run->sent) == 0); /* all that was accepted has been heard */
  close(run->worker);
  while (run->channel != NULL && ws_channel_dispatch(run->channel) == WS_CHANNEL_OPEN)
    ws_channel_set_paused(run->channel, false);
  if (run->channel != NULL) {
    enum ws_channel_state state = ws_channel_get_state(run->channel);
    require(run->is_over || run->overflow || expect(run, &record) == (state == WS_CHANNEL_BROKEN ? FAULT : NOTHING));
    require(ws_channel_get_reason(run->channel) != NULL && ws_channel_get_peer_count(run->channel) == 0);
    for (size_t i = 0; i < run->peer_count; i++)
      require(!run->peers[i].is_open || run->overflow);
    fuzz_note_number(run->log, state);
    fuzz_note_text(run->log, ws_channel_get_reason(run->channel));
    ws_channel_free(run->channel);
  }
  wsc_decoder_clear(&run->expected);
  wsc_decoder_clear(&run->heard);
  wsc_queue_clear(&run->sent);
}

static void run_input(const struct fuzz_input *input, enum fuzz_cutting cutting, struct fuzz_log *log) {
  struct run run = {.log = log, .random = input->seed, .switches = input->switches};
  struct wsc_queue first = {0};
  int ends[2];
  require(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  run.worker = ends[1];
  run.channel = ws_channel_new(ends[0], &app, &run);
  wsc_decoder_init(&run.expected, WSC_TO_APP, WSC_MESSAGE_MAX);
  wsc_decoder_init(&run.heard, WSC_TO_WORKER, WSC_MESSAGE_MAX);
  if (input->switches & BEGUN)
    say_first(&first);
  if (input->switches & BEGUN && input->switches & LARGE_MESSAGES) {
    say_large(&first);
    require(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &(int){SMALL_SOCKET}, sizeof(int)) == 0);
  }
  expect_octets(&run, wsc_queue_front(&first), wsc_queue_length(&first));
  expect_octets(&run, input->octets, input->length);
  bool goes_on = say(&run, wsc_queue_front(&first), wsc_queue_length(&first));
  struct fuzz_pieces pieces = fuzz_cut(input, cutting);
  for (size_t length; goes_on && fuzz_next_piece(&pieces, &length);)
    goes_on = say(&run, pieces.piece, length);
  fuzz_pieces_clear(&pieces);
  finish(&run);
  wsc_queue_clear(&first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct fuzz_input input;
  if (fuzz_take_apart(data, size, &input))
    fuzz_require_same(run_input, &input);
  return 0;
}
