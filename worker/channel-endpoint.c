/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/channel-endpoint.h"

#include "websocket/utf8.h"
#include "worker/peer.h"
#include "worker/sending.h"
#include "worker/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static void ready(struct wsw_watch *watch, uint32_t events);

void wsw_channel_init(struct wsw_server *server) {
  struct wsw_channel *channel = &server->channel;
  channel->watch = (struct wsw_watch){.fd = -1, .kind = WSW_WATCH_OF_CHANNEL};
  server->loop.ready[WSW_WATCH_OF_CHANNEL] = ready;
  channel->acknowledged = true;
  wsc_event_store_init(&channel->store, WSC_WINDOW_EVENTS, WSC_WINDOW_OCTETS);
  wsc_decoder_init(&channel->decoder, WSC_TO_WORKER, server->configuration.max_message);
}

static void drop_output(struct wsw_channel *channel) {
  wsc_queue_clear(&channel->out);
  free(channel->bulk.octets);
  channel->bulk = (struct wsw_bulk){0};
  wsc_queue_clear(&channel->behind);
}

static void let_go(struct wsw_server *server) {
  struct wsw_channel *channel = &server->channel;
  if (channel->watch.fd >= 0) {
    wsw_loop_watch(&server->loop, &channel->watch, 0);
    close(channel->watch.fd);
  }
  channel->watch.fd = -1;
  channel->blocked = channel->unwritable = false;
  channel->credits = 0;
  wsc_decoder_clear(&channel->decoder);
  drop_output(channel);
  wsw_shared_leave(server);
}

void wsw_channel_clear(struct wsw_server *server) {
  let_go(server);
  wsc_event_store_clear(&server->channel.store);
}

static void end(struct wsw_server *server, const char *sentence) {
  let_go(server);
  wsw_control_channel_ended(server, sentence);
}

/* An app that asks for credit and never reads it is not heard any more either. */
static bool may_read(const struct wsw_channel *channel) {
  return !channel->blocked || channel->credits < WSW_CHANNEL_CREDITS;
}

static void watch_channel(struct wsw_server *server) {
  struct wsw_channel *channel = &server->channel;
  if (channel->watch.fd < 0)
    return;
  uint32_t interest = (may_read(channel) ? WSW_READABLE : 0) | (channel->blocked ? WSW_WRITABLE : 0);
  if (!wsw_loop_watch(&server->loop, &channel->watch, interest))
    wsw_server_fail(server, WSW_EXIT_MEMORY, "the channel cannot be watched");
}

/* --- Events out --- */

/* Nobody will ever read events of a server that stops without a channel and without anybody who could attach another. */
static bool keeps_events(const struct wsw_server *server) {
  bool abandoned = server->channel.watch.fd < 0 && server->control.watch.fd < 0;
  return server->channel.acknowledged && !(abandoned && wsw_server_is_stopping(server));
}

/* Where records are appended. */
static struct wsc_queue *last_queue(struct wsw_channel *channel) {
  return channel->bulk.octets ? &channel->behind : &channel->out;
}

uint8_t *wsw_channel_event_room(struct wsw_server *server, const struct wsc_header *header, size_t length) {
  struct wsw_channel *channel = &server->channel;
  uint8_t *room;
  if (keeps_events(server)) {
    room = wsc_event_store_append(&channel->store, header, length);
  } else {
    room = wsc_queue_append(last_queue(channel), header, length);
    if (room && !channel->acknowledged)
      wsc_event_store_pass(&channel->store);
  }
  if (!room)
    wsw_server_fail(server, WSW_EXIT_MEMORY, "no memory for an event");
  return room;
}

void wsw_channel_event(struct wsw_server *server, const struct wsc_header *header, const void *body, size_t length) {
  uint8_t *room = wsw_channel_event_room(server, header, length);
  if (room && length)
    memcpy(room, body, length);
}

bool wsw_channel_copies(const struct wsw_server *server) {
  return keeps_events(server) || server->channel.bulk.octets || server->channel.watch.fd < 0;
}

void wsw_channel_bulk_event(struct wsw_server *server, const struct wsc_header *header, uint8_t *body, size_t length) {
  struct wsw_channel *channel = &server->channel;
  if (wsw_channel_copies(server)) {
    wsw_channel_event(server, header, body, length);
    free(body);
    return;
  }
  uint8_t encoded[WSC_RECORD_HEADER];
  struct wsc_header sized = *header;
  sized.size = (uint32_t)length;
  wsc_header_encode(&sized, encoded);
  if (!wsc_queue_append_octets(&channel->out, encoded, sizeof encoded)) {
    wsw_server_fail(server, WSW_EXIT_MEMORY, "no memory for an event");
    free(body); /* without its header it would be taken for records */
    return;
  }
  channel->bulk = (struct wsw_bulk){.octets = body, .length = length};
  if (!channel->acknowledged)
    wsc_event_store_pass(&channel->store);
}

/* A record that is not an event. */
static void queue_record(struct wsw_server *server, const struct wsc_header *header, const void *body, size_t length) {
  if (!wsc_queue_append_record(last_queue(&server->channel), header, body, length))
    wsw_server_fail(server, WSW_EXIT_MEMORY, "no memory for a record");
}

void wsw_channel_credit(struct wsw_server *server, uint64_t connection, uint64_t released) {
  if (server->channel.watch.fd < 0)
    return;
  uint8_t body[8];
  wsc_put_u64(body, released);
  struct wsc_header header = {.type = WSC_CREDIT, .connection = connection};
  queue_record(server, &header, body, sizeof body);
  server->channel.credits += WSC_RECORD_HEADER + sizeof body;
}

bool wsw_channel_awaits(const struct wsw_server *server, uint64_t event) {
  const struct wsw_channel *channel = &server->channel;
  if (channel->acknowledged)
    return event > channel->store.acknowledged;
  return channel->watch.fd >= 0 && !channel->unwritable && event > channel->handled;
}

void wsw_channel_ask(struct wsw_server *server) {
  struct wsw_channel *channel = &server->channel;
  const struct wsc_header header = {.type = WSC_ASK};
  uint8_t body[8];
  if (channel->acknowledged || channel->asked == channel->store.appended)
    return;
  channel->asked = channel->store.appended;
  wsc_put_u64(body, channel->asked);
  queue_record(server, &header, body, sizeof body);
}

static void release(struct wsw_server *server) {
  struct wsw_channel *channel = &server->channel;
  struct wsc_queue *queue = last_queue(channel);
  bool released = channel->releases_all ? wsc_event_store_release_all(&channel->store, queue)
                                        : wsc_event_store_release(&channel->store, queue);
  if (!released)
    wsw_server_fail(server, WSW_EXIT_MEMORY, "no memory for events that may go out");
}

void wsw_channel_tell_done(struct wsw_server *server) {
  struct wsw_channel *channel = &server->channel;
  struct wsc_queue *queue = last_queue(channel);
  size_t before = wsc_queue_length(queue);
  if (!wsc_releases_queue(&channel->shared->done, queue, WSC_RELEASED))
    wsw_server_fail(server, WSW_EXIT_MEMORY, "no memory for a record");
  channel->credits += wsc_queue_length(queue) - before;
}

static size_t least(size_t one, size_t other) {
  return one < other ? one : other;
}

static void consume(struct wsw_channel *channel, size_t written) {
  struct wsw_bulk *bulk = &channel->bulk;
  size_t of_queue = least(written, wsc_queue_length(&channel->out));
  wsc_queue_consume(&channel->out, of_queue);
  size_t of_bulk = least(written - of_queue, bulk->length - bulk->start);
  bulk->start += of_bulk;
  wsc_queue_consume(&channel->behind, written - of_queue - of_bulk);
  if (!bulk->octets || wsc_queue_length(&channel->out) || bulk->start < bulk->length)
    return;
  free(bulk->octets);
  *bulk = (struct wsw_bulk){0};
  wsc_queue_clear(&channel->out);
  channel->out = channel->behind;
  channel->behind = (struct wsc_queue){0};
}

/* As send(), of everything there is. */
static ssize_t write_once(struct wsw_channel *channel) {
  const struct wsw_bulk *bulk = &channel->bulk;
  struct iovec parts[] = {
      {(void *)(uintptr_t)wsc_queue_front(&channel->out), wsc_queue_length(&channel->out)},
      {bulk->octets ? bulk->octets + bulk->start : NULL, bulk->length - bulk->start},
      {(void *)(uintptr_t)wsc_queue_front(&channel->behind), wsc_queue_length(&channel->behind)},
  };
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = sizeof parts / sizeof *parts};
  ssize_t written;
  do
    written = bulk->octets ? sendmsg(channel->watch.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
                           : send(channel->watch.fd, parts[0].iov_base, parts[0].iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (written < 0 && errno == EINTR);
  return written;
}

/* The kernel's own want of memory passes like a full socket. */
static bool is_passing(int error) {
  return error == EAGAIN || error == ENOBUFS || error == ENOMEM;
}

void wsw_channel_flush(struct wsw_server *server) {
  struct wsw_channel *channel = &server->channel;
  if (channel->watch.fd < 0 || channel->unwritable) {
    drop_output(channel);
    return;
  }
  if (channel->acknowledged)
    release(server);
  if (channel->shared)
    wsw_channel_tell_done(server);
  size_t length = wsw_channel_output(channel);
  if (!length || channel->blocked) {
    watch_channel(server);
    return;
  }
  ssize_t written = write_once(channel);
  if (channel->shared)
    channel->shared->unsaid = 0;
  channel->unwritable = written < 0 && !is_passing(errno); /* reading comes to the end soon */
  if (written > 0)
    consume(channel, (size_t)written);
  channel->blocked = !channel->unwritable && (written < 0 || (size_t)written < length);
  if (!channel->blocked)
    channel->credits = 0;
  watch_channel(server);
}

void wsw_channel_relieve(struct wsw_server *server) {
  const struct wsw_channel *channel = &server->channel;
  size_t shared = channel->shared ? channel->shared->unsaid : 0;
  bool enough = wsw_channel_output(channel) >= WSW_CHANNEL_CORK || shared >= WSW_SHARED_CORK;
  if (enough && !channel->blocked && !channel->acknowledged)
    wsw_channel_flush(server);
}

void wsw_channel_release_all(struct wsw_server *server) {
  server->channel.releases_all = true;
}

bool wsw_channel_is_drained(const struct wsw_server *server) {
  const struct wsw_channel *channel = &server->channel;
  return channel->watch.fd < 0 || channel->unwritable || wsw_channel_backlog(&server->channel) == 0;
}

bool wsw_channel_is_confirmed(const struct wsw_server *server) {
  const struct wsw_channel *channel = &server->channel;
  return !channel->acknowledged || channel->store.acknowledged == channel->store.appended;
}

/* --- Records in --- */

const char *wsw_channel_find_peer(struct wsw_server *server, uint64_t id, struct wsw_peer **peer) {
  *peer = wsw_peers_find(&server->peers, id);
  return id > server->last_id ? "a connection that does not exist" : NULL;
}

static const char *take_send(struct wsw_server *server, const struct wsc_record *record) {
  struct wsw_peer *peer;
  const char *fault = wsw_channel_find_peer(server, record->header.connection, &peer);
  if (fault || !peer)
    return fault;
  return wsw_sending_message(peer, record->header.flags & WSC_FLAG_TEXT, record->body, record->header.size,
                             record->header.flags & WSC_FLAG_WANT_CREDIT);
}

/* NULL when each of them may be sent to: a faulty record has no effect at all. */
static const char *check_targets(struct wsw_server *server, const uint8_t *targets, uint32_t count) {
  const char *fault = NULL;
  for (uint32_t i = 0; i < count && !fault; i++) {
    struct wsw_peer *peer;
    fault = wsw_channel_find_peer(server, wsc_get_u64(targets + 8 * (size_t)i), &peer);
    if (!fault && peer)
      fault = wsw_sending_refusal(peer);
  }
  return fault;
}

static const char *take_broadcast(struct wsw_server *server, const struct wsc_record *record) {
  bool text = record->header.flags & WSC_FLAG_TEXT;
  uint32_t count = wsc_get_u32(record->body);
  const uint8_t *targets = record->body + 8;
  const uint8_t *payload = targets + 8 * (size_t)count;
  size_t length = record->header.size - 8 - 8 * (size_t)count;
  const char *fault = check_targets(server, targets, count);
  if (fault)
    return fault;
  if (text && !wsp_utf8_is_valid(payload, length))
    return "a text message that is not UTF-8";
  /* What follows may be for the same peers: then it is gathered. */
  bool is_last = wsc_decoder_pending(&server->channel.decoder) == 0;
  struct wsp_broadcast broadcast;
  wsp_broadcast_init(&broadcast, text, payload, length);
  for (uint32_t i = 0; i < count && !fault; i++) {
    struct wsw_peer *peer = wsw_peers_find(&server->peers, wsc_get_u64(targets + 8 * (size_t)i));
    if (peer)
      fault = wsw_sending_broadcast(peer, &broadcast, is_last);
  }
  wsp_broadcast_clear(&broadcast);
  return fault; /* only of a peer that the list names so often that its queue ran full */
}

static const char *take_close(struct wsw_server *server, const struct wsc_record *record) {
  struct wsw_peer *peer;
  const char *fault = wsw_channel_find_peer(server, record->header.connection, &peer);
  if (fault || !peer)
    return fault;
  return wsw_sending_close(peer, record->header.code, record->body, record->header.size);
}

static const char *take_answer(struct wsw_channel *channel, uint64_t number) {
  if (number == 0 || number > channel->asked)
    return "an acknowledgement that was not asked for";
  if (number > channel->handled)
    channel->handled = number;
  return NULL;
}

static const char *take_acknowledge(struct wsw_server *server, const struct wsc_record *record) {
  if (!server->channel.acknowledged)
    return take_answer(&server->channel, wsc_get_u64(record->body));
  return wsc_event_store_acknowledge(&server->channel.store, wsc_get_u64(record->body))
             ? NULL
             : "an acknowledgement of an event that was not sent";
}

static const char *take_want_drained(struct wsw_server *server, const struct wsc_record *record) {
  struct wsw_peer *peer;
  const char *fault = wsw_channel_find_peer(server, record->header.connection, &peer);
  if (!fault && peer)
    wsw_sending_want_drained(peer);
  return fault;
}

static const char *take_record(struct wsw_server *server, const struct wsc_record *record) {
  switch (record->header.type) {
  case WSC_SEND:
    return take_send(server, record);
  case WSC_BROADCAST:
    return take_broadcast(server, record);
  case WSC_CLOSE:
    return take_close(server, record);
  case WSC_ACKNOWLEDGE:
    return take_acknowledge(server, record);
  case WSC_WANT_DRAINED:
    return take_want_drained(server, record);
  case WSC_SHARED_SEND:
    return wsw_shared_take_send(server, record);
  case WSC_SHARED_FORWARD:
    return wsw_shared_take_forward(server, record);
  case WSC_RELEASE:
    return wsw_shared_take_release(server, record);
  default:
    return "a record of a type that this worker does not know";
  }
}

static const char *take_records(struct wsw_server *server) {
  struct wsc_decoder *decoder = &server->channel.decoder;
  struct wsc_record record;
  for (;;) {
    enum wsc_decode_result result = wsc_decoder_next(decoder, &record);
    if (result == WSC_DECODE_MORE)
      return NULL;
    const char *fault = result == WSC_DECODED ? take_record(server, &record) : decoder->fault;
    if (fault)
      return fault;
  }
}

static const char *const closed_sentence = "the app side closed the channel";

/* One read and what it brought. `*more` says whether another may bring something; NULL or why the channel is over. */
static const char *read_once(struct wsw_server *server, size_t *received, bool *more) {
  struct wsw_channel *channel = &server->channel;
  size_t size;
  uint8_t *room = wsc_decoder_room(&channel->decoder, &size);
  *more = false;
  *received = 0;
  if (!room) {
    wsw_server_fail(server, WSW_EXIT_MEMORY, "no memory for a record of the app side");
    return NULL;
  }
  ssize_t length;
  do
    length = recv(channel->watch.fd, room, size, MSG_DONTWAIT);
  while (length < 0 && errno == EINTR);
  if (length < 0 && (errno == EAGAIN))
    return NULL;
  if (length <= 0)
    return closed_sentence;
  *received = (size_t)length;
  *more = (size_t)length == size;
  wsc_decoder_filled(&channel->decoder, (size_t)length);
  return take_records(server);
}

static void ready(struct wsw_watch *watch, uint32_t events) {
  struct wsw_channel *channel = (struct wsw_channel *)(void *)((char *)watch - offsetof(struct wsw_channel, watch));
  struct wsw_server *server = (struct wsw_server *)(void *)((char *)channel - offsetof(struct wsw_server, channel));
  if (events & WSW_WRITABLE)
    channel->blocked = false;
  bool more = events & (WSW_READABLE | WSW_HUNG);
  for (int i = 0; more && i < WSW_READS_PER_WAKE; i++) {
    size_t received;
    const char *over = read_once(server, &received, &more);
    if (over) {
      end(server, over);
      return;
    }
  }
  wsc_decoder_rest(&channel->decoder);
}

/* --- A new channel --- */

/* A dead daemon's last records are in there; a living app side that goes on writing is cut off at the bound. */
static void drain(struct wsw_server *server) {
  size_t left = (size_t)WSW_CHANNEL_DRAIN_MAX << 20;
  while (server->channel.watch.fd >= 0) {
    size_t received;
    bool more;
    const char *over = read_once(server, &received, &more);
    if (over || !received || received >= left)
      break;
    left -= received;
  }
}

static void queue_welcome(struct wsw_server *server, uint32_t repeats, uint32_t standing) {
  struct wsw_channel *channel = &server->channel;
  struct wsc_welcome welcome = {
      .version = channel->shared ? WSC_VERSION_SHARED : WSC_VERSION,
      .acknowledged = channel->acknowledged,
      .repeats = repeats,
      .generation = server->configuration.generation,
      .first_event = channel->store.acknowledged + 1,
      .max_message = server->configuration.max_message,
      .queue_high = server->configuration.max_queue,
      .queue_low = wsw_sending_low(server),
      .standing = standing,
      .abilities = channel->shared ? WSC_CAN_FORWARD : 0,
  };
  uint8_t body[WSC_WELCOME_SIZE];
  wsc_welcome_encode(&welcome, body);
  struct wsc_header header = {.type = WSC_WELCOME};
  queue_record(server, &header, body, sizeof body);
}

static void queue_standing(struct wsw_server *server, uint64_t id, uint64_t charged, uint64_t released) {
  uint8_t body[16];
  wsc_put_u64(body, charged);
  wsc_put_u64(body + 8, released);
  struct wsc_header header = {.type = WSC_STANDING, .connection = id};
  queue_record(server, &header, body, sizeof body);
}

/* The first connection whose CONNECT will be repeated. Ids rise in the order of their CONNECTs, so all before it are known. */
static uint64_t first_repeated_connect(const struct wsc_event_store *store) {
  struct wsc_header header;
  for (size_t offset = 0; wsc_event_store_next(store, &offset, &header);)
    if (header.type == WSC_CONNECT)
      return header.connection;
  return UINT64_MAX;
}

static int compare_ids(const void *one, const void *other) {
  uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
  return (a > b) - (a < b);
}

/* Connections that are closed here while the app side still has to hear of it, in the order of their ids. Puts them into `ids`
 * where there is room; returns how many there are. */
static size_t find_departed(const struct wsc_event_store *store, uint64_t first_new, uint64_t *ids, size_t room) {
  struct wsc_header header;
  size_t count = 0;
  for (size_t offset = 0; wsc_event_store_next(store, &offset, &header);) {
    if (header.type != WSC_CLOSED || header.connection >= first_new)
      continue;
    if (count < room)
      ids[count] = header.connection;
    count++;
  }
  if (count && count <= room)
    qsort(ids, count, sizeof *ids, compare_ids);
  return count;
}

static uint32_t count_standing(const struct wsw_server *server) {
  const struct wsc_event_store *store = &server->channel.store;
  uint64_t first_new = first_repeated_connect(store);
  size_t count = find_departed(store, first_new, NULL, 0);
  for (const struct wsw_peer *peer = server->peers.open.oldest; peer && peer->id < first_new; peer = peer->younger)
    count++;
  return (uint32_t)count;
}

/* One STANDING for each connection whose CONNECT will not follow, open or departed, in the order of ids. */
static void queue_all_standing(struct wsw_server *server) {
  const struct wsc_event_store *store = &server->channel.store;
  uint64_t first_new = first_repeated_connect(store);
  size_t count = find_departed(store, first_new, NULL, 0);
  uint64_t *departed = calloc(count + 1, sizeof *departed);
  if (!departed) {
    wsw_server_fail(server, WSW_EXIT_MEMORY, "no memory for the connections that closed");
    return;
  }
  (void)find_departed(store, first_new, departed, count);
  size_t next = 0;
  for (struct wsw_peer *peer = server->peers.open.oldest; peer; peer = peer->younger) {
    if (peer->id >= first_new) {
      wsw_sending_count_anew(peer);
      continue;
    }
    for (; next < count && departed[next] < peer->id; next++)
      queue_standing(server, departed[next], 0, 0);
    queue_standing(server, peer->id, peer->charged, wsw_sending_tell_released(peer));
  }
  for (; next < count; next++)
    queue_standing(server, departed[next], 0, 0);
  free(departed);
}

void wsw_channel_attach(struct wsw_server *server, int fd, const struct wsw_channel_terms *terms) {
  struct wsw_channel *channel = &server->channel;
  if (channel->watch.fd >= 0)
    drain(server);
  let_go(server);
  if (channel->shared) { /* without memory to leave it: peers' octets are still there, and the process ends */
    wsw_shared_free(terms->shared);
    close(fd);
    return;
  }
  channel->watch.fd = fd;
  channel->acknowledged = terms->acknowledged;
  channel->handled = channel->store.acknowledged;
  channel->asked = 0;
  channel->store.window_events = terms->window_events;
  channel->store.window_octets = terms->window_octets;
  channel->shared = terms->shared;
  wsc_decoder_init(&channel->decoder, WSC_TO_WORKER, server->configuration.max_message);
  channel->decoder.shared = channel->shared;
  uint32_t repeats = wsc_event_store_resume(&channel->store);
  queue_welcome(server, repeats, count_standing(server));
  queue_all_standing(server);
  if (!channel->acknowledged) {
    /* Nothing is kept from here on; what was kept goes first. */
    if (!wsc_event_store_release_all(&channel->store, &channel->out))
      wsw_server_fail(server, WSW_EXIT_MEMORY, "no memory for the events of a new channel");
    (void)wsc_event_store_acknowledge(&channel->store, channel->store.appended);
  }
  watch_channel(server);
}
