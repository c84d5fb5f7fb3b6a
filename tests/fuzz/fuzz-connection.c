/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection after the opening handshake, in the role that the build gives (FUZZ_ROLE). Any cutting comes to the
 * same events, which are those of a plain reference, and the same octets written; what is written is what a peer of the other role reads without a fault. On
 * the way: text is UTF-8, messages keep to the limit, an event writes one reply at most, memory is bounded, accounted
 * for and given back, and after the end there is silence.
 */
#include "tests/fuzz/reference.h"

#include <string.h>

enum switches {
  LIMIT_BITS = 3, /* which limit on a message's size */
  ECHO = 4,       /* messages are sent back, Pongs are answered by Pings */
  CLOSES = 8,     /* this side begins the closing handshake at the third event */
  SCARCE = 16,    /* little memory for gathering: cuttings differ then, so the input is run in pieces only */
  DEFLATE = 32,   /* messages may be compressed ... */
  FORGETS = 64,   /* ... each by itself */
  NARROW = 128,   /* ... with the smallest windows */
};

enum { HISTORIES_MAX = 1 << 20 };

static const enum wsp_role other_role = FUZZ_ROLE == WSP_SERVER ? WSP_CLIENT : WSP_SERVER;

struct run {
  struct wsp_settings settings;
  struct wsp_connection connection;
  struct wsp_buffer out;
  struct fuzz_log *log;
  struct fuzz_log seen; /* events, as the reference tells them */
  struct fuzz_log sent; /* messages that this side sent */
  uint8_t switches;
  unsigned events;
  bool over; /* FAILED or CLOSE was seen: nothing may follow */
};

static void count_mask(void *context, uint8_t key[4]) {
  uint32_t *count = context;
  *count += 0x01020305;
  memcpy(key, count, 4);
}

/* Both ends agree on the same. */
static void compress(struct wsp_connection *connection, uint8_t switches) {
  const uint8_t bits = switches & NARROW ? WSP_WINDOW_BITS_MIN : WSP_WINDOW_BITS_MAX;
  const struct wsp_deflate_terms terms = {
      .agreed = true,
      .server_no_takeover = switches & FORGETS,
      .client_no_takeover = switches & FORGETS,
      .server_bits = bits,
      .client_bits = bits,
  };
  if (!(switches & DEFLATE))
    return;
  connection->settings->deflate = wsp_deflate_pool_new(HISTORIES_MAX);
  require(connection->settings->deflate && wsp_connection_compress(connection, &terms));
}

/* What was reserved for histories is given back with the connection. */
static void clear(struct wsp_connection *connection) {
  wsp_connection_clear(connection);
  require(connection->settings->gathered == 0);
  if (!connection->settings->deflate)
    return;
  require(wsp_deflate_pool_reserved(connection->settings->deflate) == 0);
  wsp_deflate_pool_free(connection->settings->deflate);
}

static void note_message(struct fuzz_log *log, const struct wsp_event *event) {
  fuzz_note_number(log, event->text);
  fuzz_note(log, event->data, event->length);
}

static void check_event(const struct run *run, const struct wsp_event *event) {
  require(!run->over && event->data);
  switch (event->type) {
  case WSP_EVENT_MESSAGE:
    require(event->length <= run->settings.max_message_size);
    require(!event->text || fuzz_is_utf8(event->data, event->length));
    break;
  case WSP_EVENT_CLOSE:
    require(event->length <= WSP_CLOSE_REASON_MAX && fuzz_is_utf8(event->data, event->length));
    require(event->code == WSP_CLOSE_NO_STATUS ? event->length == 0 : wsp_close_code_is_sendable(event->code));
    require(wsp_connection_close_received(&run->connection) && wsp_connection_close_sent(&run->connection));
    break;
  case WSP_EVENT_FAILED:
    require(event->length > 0 && event->length <= WSP_CLOSE_REASON_MAX && wsp_close_code_is_sendable(event->code));
    require(wsp_connection_failed(&run->connection) && wsp_connection_close_sent(&run->connection));
    break;
  default:
    require(event->length <= WSP_CONTROL_PAYLOAD_MAX);
  }
}

/* The app's part; it depends on events alone, so it is the same in every cutting. */
static void answer(struct run *run, const struct wsp_event *event) {
  struct wsp_connection *connection = &run->connection;
  const enum wsp_send_result expected = wsp_connection_close_sent(connection) ? WSP_SEND_CLOSED : WSP_SENT;
  if (run->switches & ECHO && event->type == WSP_EVENT_MESSAGE) {
    require(wsp_connection_send(connection, event->text, event->data, event->length, &run->out) == expected);
    if (expected == WSP_SENT)
      note_message(&run->sent, event);
  }
  if (run->switches & ECHO && event->type == WSP_EVENT_PONG)
    require(wsp_connection_ping(connection, event->data, event->length, &run->out) == expected);
  if (run->switches & CLOSES && ++run->events == 3)
    require(wsp_connection_close(connection, 4000, (const uint8_t *)"bye", 3, &run->out) == expected);
}

static void receive(struct run *run, uint8_t *piece, size_t length) {
  struct wsp_event event;
  size_t consumed;
  do {
    const size_t before = wsp_buffer_length(&run->out);
    enum wsp_event_type type = wsp_connection_receive(&run->connection, piece, length, &consumed, &run->out, &event);
    require(type == event.type && consumed <= length);
    require(wsp_buffer_length(&run->out) - before <= WSP_FRAME_HEADER_MAX + WSP_CONTROL_PAYLOAD_MAX);
    require(!run->over || wsp_buffer_length(&run->out) == before);
    require(run->settings.gathered <=
            run->settings.max_message_size + (run->switches & DEFLATE ? WSP_INFLATER_COST : 0));
    require(!run->settings.max_gathered || run->settings.gathered <= run->settings.max_gathered);
    piece += consumed;
    length -= consumed;
    if (type == WSP_EVENT_NONE)
      break;
    check_event(run, &event);
    fuzz_note_event(&run->seen, &event);
    fuzz_note_number(run->log, type);
    fuzz_note_number(run->log, event.code);
    note_message(run->log, &event);
    run->over = type == WSP_EVENT_CLOSE || type == WSP_EVENT_FAILED;
    answer(run, &event);
  } while (true);
  require(length == 0);
}

/* The other side's engine reads what this side wrote: all of it, and the messages as they were sent. */
static void read_back(const struct run *run) {
  uint32_t masks = 0;
  struct wsp_settings settings = {.max_message_size = 1 << 24, .fresh_mask = count_mask, .context = &masks};
  struct wsp_connection peer;
  struct wsp_buffer unused = {0};
  struct wsp_event event;
  struct fuzz_log read = {0};
  wsp_connection_init(&peer, other_role, &settings);
  compress(&peer, run->switches);
  uint8_t *octets = wsp_buffer_front(&run->out);
  size_t left = wsp_buffer_length(&run->out), consumed = 0;
  while (left > 0 && wsp_connection_receive(&peer, octets, left, &consumed, &unused, &event) != WSP_EVENT_NONE) {
    octets += consumed;
    left -= consumed;
    require(event.type != WSP_EVENT_FAILED);
    require(event.type != WSP_EVENT_CLOSE || left == 0);
    if (event.type == WSP_EVENT_MESSAGE)
      note_message(&read, &event);
  }
  require(!wsp_connection_in_message(&peer));
  require(wsp_connection_close_received(&peer) == wsp_connection_close_sent(&run->connection));
  require(fuzz_same(&read, &run->sent));
  clear(&peer);
  wsp_buffer_clear(&unused);
  fuzz_log_clear(&read);
}

static struct fuzz_inflater inflater_of(uint8_t switches) {
  const size_t window = (size_t)1 << (switches & NARROW ? WSP_WINDOW_BITS_MIN : WSP_WINDOW_BITS_MAX);
  return (struct fuzz_inflater){.window = switches & FORGETS ? 0 : window};
}

static void check_events(const struct run *run, const struct fuzz_input *input) {
  struct fuzz_log expected = {0};
  struct fuzz_inflater inflater = inflater_of(run->switches);
  struct fuzz_log seen = run->seen;
  const bool all = fuzz_reference(input, FUZZ_ROLE, run->settings.max_message_size,
                                  run->switches & DEFLATE ? &inflater : NULL, &expected);
  require(seen.length >= expected.length);
  if (!all)
    seen.length = expected.length;
  require(fuzz_same(&seen, &expected));
  fuzz_inflater_clear(&inflater);
  fuzz_log_clear(&expected);
}

/* The messages that were sent, read by the reference: so no fault of the engine's can hide that is in both its halves. */
static void check_sent(const struct run *run) {
  const struct fuzz_input written = {.octets = wsp_buffer_front(&run->out), .length = wsp_buffer_length(&run->out)};
  struct fuzz_inflater inflater = inflater_of(run->switches);
  struct fuzz_log read = {0}, messages = {0};
  require(fuzz_reference(&written, other_role, UINT32_MAX, run->switches & DEFLATE ? &inflater : NULL, &read));
  for (size_t at = 0; at < read.length;) {
    uint64_t parts[4]; /* as fuzz_note_event() notes them: type, code, text, length */
    memcpy(parts, read.octets + at, sizeof parts);
    const struct wsp_event event = {
        .text = parts[2], .data = read.octets + at + sizeof parts, .length = (size_t)parts[3]};
    require(parts[0] != WSP_EVENT_FAILED);
    if (parts[0] == WSP_EVENT_MESSAGE)
      note_message(&messages, &event);
    at += sizeof parts + event.length;
  }
  require(fuzz_same(&messages, &run->sent));
  fuzz_inflater_clear(&inflater);
  fuzz_log_clear(&read);
  fuzz_log_clear(&messages);
}

static void run_input(const struct fuzz_input *input, enum fuzz_cutting cutting, struct fuzz_log *log) {
  static const uint64_t limits[] = {125, 1000, 70000, 1 << 20};
  uint32_t masks = 0;
  struct run run = {
      .settings = {.max_message_size = limits[input->switches & LIMIT_BITS],
                   .max_gathered = input->switches & SCARCE ? 100 : 0,
                   .fresh_mask = count_mask,
                   .context = &masks},
      .log = log,
      .switches = input->switches,
  };
  wsp_connection_init(&run.connection, FUZZ_ROLE, &run.settings);
  compress(&run.connection, input->switches);
  struct fuzz_pieces pieces = fuzz_cut(input, cutting);
  for (size_t length; fuzz_next_piece(&pieces, &length);)
    receive(&run, pieces.piece, length);
  if (cutting == FUZZ_WHOLE)
    check_events(&run, input);
  receive(&run, (uint8_t[1]){0}, 0); /* what was delivered is given back */
  require(run.settings.gathered == 0 || wsp_connection_in_message(&run.connection));
  fuzz_note_number(log, wsp_connection_in_message(&run.connection));
  if (wsp_buffer_length(&run.out) > 0) {
    fuzz_note(log, wsp_buffer_front(&run.out), wsp_buffer_length(&run.out));
    check_sent(&run);
    read_back(&run); /* it unmasks in place */
  }
  clear(&run.connection);
  wsp_buffer_clear(&run.out);
  fuzz_log_clear(&run.seen);
  fuzz_log_clear(&run.sent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct fuzz_input input;
  if (!fuzz_take_apart(data, size, &input))
    return 0;
  if (!(input.switches & SCARCE)) {
    fuzz_require_same(run_input, &input);
    return 0;
  }
  struct fuzz_log log = {0};
  run_input(&input, FUZZ_PIECES, &log);
  fuzz_log_clear(&log);
  return 0;
}
