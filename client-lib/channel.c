/* SPDX-License-Identifier: Apache-2.0 */
/* The channel as a whole and what comes in on it; channel-sending.c has the other way. */
#include "client-lib/channel-private.h"

#include "client-lib/limits.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUE_HIGH_MAX (1u << 30)    /* so that what a peer holds is counted in 32 bits */
#define CHARGED_MAX (UINT64_MAX / 2) /* so that what is sent to it is counted in 64, and nobody sends the rest */

enum { TAKE_SHARE = 2 }; /* a block is handed out when the message is at least one part in so many of it */

struct ws_channel *ws_channel_new(int fd, const struct ws_channel_events *events, void *user) {
  struct ws_channel *channel = calloc(1, sizeof *channel);
  if (channel == NULL) {
    close(fd);
    return NULL;
  }
  channel->fd = fd;
  channel->events = events;
  channel->user = user;
  channel->max_message = WSC_MESSAGE_MAX;
  channel->queue_high = UINT32_MAX; /* nothing can be sent before a connection is known, and WELCOME comes first */
  wsc_decoder_init(&channel->decoder, WSC_TO_APP, WSC_MESSAGE_MAX);
  channel->decoder.keep = channel->out.keep = WS_CHANNEL_KEEP;
  return channel;
}

struct ws_channel *ws_channel_new_shared(int fd, int in, int out, const struct ws_channel_events *events, void *user) {
  struct ws_channel_memory *memory = ws_channel_memory_new(in, out);
  close(in);
  close(out);
  if (memory == NULL) {
    shutdown(fd, SHUT_RDWR); /* whoever brought it may have it still, and the service has to know */
    close(fd);
    return NULL;
  }
  struct ws_channel *channel = ws_channel_new(fd, events, user);
  if (channel == NULL) {
    ws_channel_memory_free(memory);
    return NULL;
  }
  channel->memory = memory;
  channel->decoder.shared = true;
  return channel;
}

static void free_peers(struct wsc_id_table *peers) {
  for (uint32_t i = 0; i < peers->capacity; i++)
    free(peers->places[i]);
  wsc_id_table_clear(peers);
}

static void destroy(struct ws_channel *channel) {
  free_peers(&channel->peers);
  wsc_decoder_clear(&channel->decoder);
  ws_channel_clear_tail(channel);
  wsc_queue_clear(&channel->out);
  ws_channel_memory_free(channel->memory);
  free(channel);
}

void ws_channel_free(struct ws_channel *channel) {
  if (channel == NULL || channel->freed)
    return;
  if (channel->fd >= 0)
    close(channel->fd);
  channel->fd = -1;
  if (channel->state == WS_CHANNEL_OPEN)
    channel->state = WS_CHANNEL_ENDED;
  channel->freed = true;
  if (!channel->dispatching)
    destroy(channel);
}

int ws_channel_get_fd(const struct ws_channel *channel) {
  return channel->fd;
}

/* An app whose own messages are stuck gets no more to answer. A worker always reads, so that does not last. */
static bool may_read(const struct ws_channel *channel) {
  return !channel->paused && ws_channel_get_queued(channel) < WS_CHANNEL_QUEUE_HIGH;
}

short ws_channel_get_poll_events(const struct ws_channel *channel) {
  if (channel->state != WS_CHANNEL_OPEN)
    return 0;
  bool writes = ws_channel_get_queued(channel) > 0 || channel->waiting > 0;
  bool tells = channel->half_read && may_read(channel); /* the descriptor knows nothing of what was read already */
  return (short)((may_read(channel) ? POLLIN : 0) | (writes || tells ? POLLOUT : 0));
}

enum ws_channel_state ws_channel_get_state(const struct ws_channel *channel) {
  return channel->state;
}

const char *ws_channel_get_reason(const struct ws_channel *channel) {
  return channel->reason;
}

void ws_channel_set_paused(struct ws_channel *channel, bool paused) {
  channel->paused = paused;
}

size_t ws_channel_get_queued(const struct ws_channel *channel) {
  return channel->tail.length + wsc_queue_length(&channel->out);
}

/* --- Connections --- */

size_t ws_channel_get_peer_count(const struct ws_channel *channel) {
  return channel->peers.count;
}

struct ws_channel_peer *ws_channel_find_peer(const struct ws_channel *channel, uint64_t id) {
  return (struct ws_channel_peer *)wsc_id_table_find(&channel->peers, id);
}

struct ws_channel_peer *ws_channel_next_peer(const struct ws_channel *channel, const struct ws_channel_peer *peer) {
  return (struct ws_channel_peer *)wsc_id_table_next(&channel->peers, peer != NULL ? &peer->identified : NULL);
}

uint64_t ws_channel_peer_get_id(const struct ws_channel_peer *peer) {
  return peer->identified.id;
}

struct ws_channel *ws_channel_peer_get_channel(const struct ws_channel_peer *peer) {
  return peer->channel;
}

void *ws_channel_peer_get_data(const struct ws_channel_peer *peer) {
  return peer->data;
}

void ws_channel_peer_set_data(struct ws_channel_peer *peer, void *data) {
  peer->data = data;
}

uint64_t ws_channel_peer_get_sent(const struct ws_channel_peer *peer) {
  return peer->charged;
}

uint64_t ws_channel_peer_get_written(const struct ws_channel_peer *peer) {
  return peer->charged - peer->held;
}

/* --- Details --- */

static struct ws_channel_text text_of(const struct wsc_text *text) {
  return (struct ws_channel_text){text->text, text->length};
}

/* What wsc_connect_next_header() needs to walk on. */
struct headers {
  const uint8_t *octets;
  size_t size;
};

bool ws_channel_next_header(const struct ws_channel_details *details, size_t *offset, struct ws_channel_text *name,
                            struct ws_channel_text *value) {
  const struct headers *headers = details->headers;
  const struct wsc_connect connect = {.headers = headers->octets, .headers_size = headers->size};
  struct wsc_connect_header header;
  if (!wsc_connect_next_header(&connect, offset, &header))
    return false;
  *name = text_of(&header.name);
  *value = text_of(&header.value);
  return true;
}

static void tell_connected(struct ws_channel *channel, struct ws_channel_peer *peer,
                           const struct wsc_connect *connect) {
  const struct headers headers = {connect->headers, connect->headers_size};
  struct ws_channel_details details = {
      .family = connect->family,
      .tls = connect->tls,
      .port = connect->port,
      .scope = connect->scope,
      .connected_at = connect->connected_at,
      .path = text_of(&connect->path),
      .query = text_of(&connect->query),
      .origin = text_of(&connect->origin),
      .protocol = text_of(&connect->protocol),
      .subject = text_of(&connect->subject),
      .header_count = connect->header_count,
      .headers = &headers,
  };
  memcpy(details.address, connect->address, sizeof details.address);
  channel->events->connected(channel->user, peer, &details);
}

/* --- The end --- */

static void close_socket(struct ws_channel *channel) {
  if (channel->fd >= 0)
    close(channel->fd);
  channel->fd = -1;
}

static void forget_waiting(struct ws_channel *channel, struct ws_channel_peer *peer) {
  channel->waiting -= peer->waits;
  peer->waits = false;
}

static void remove_peer(struct ws_channel *channel, struct ws_channel_peer *peer, uint16_t code,
                        const struct wsc_text *reason, bool clean) {
  wsc_id_table_remove(&channel->peers, &peer->identified);
  forget_waiting(channel, peer);
  peer->closing = true;
  if (channel->events->closed != NULL)
    channel->events->closed(channel->user, peer, code, reason->text, reason->length, clean);
  free(peer);
}

/* Whoever is missing a CLOSED has lost its connection. One by one: those that are left are still found, so that an app which frees the channel on the
 * way can free what it keeps for them. */
static void lose_peers(struct ws_channel *channel) {
  const struct wsc_text no_reason = {"", 0};
  struct wsc_identified last = {0};
  while (channel->peers.count > 0 && !channel->freed) {
    struct wsc_identified *next = wsc_id_table_next(&channel->peers, last.id != 0 ? &last : NULL);
    last.id = next != NULL ? next->id : 0; /* again from the beginning: removing moves some backwards */
    if (next != NULL)
      remove_peer(channel, (struct ws_channel_peer *)next, 1006, &no_reason, false);
  }
}

static void end(struct ws_channel *channel, enum ws_channel_state state, const char *reason) {
  if (channel->state != WS_CHANNEL_OPEN)
    return;
  channel->state = (uint8_t)state;
  channel->reason = reason;
  close_socket(channel);
  ws_channel_clear_tail(channel);
  wsc_queue_clear(&channel->out);
  wsc_decoder_clear(&channel->decoder);
  lose_peers(channel);
}

/* --- Records --- */

static const char *const stranger = "an event of a connection that is not there";

/* A connection that is not there yet; NULL and a sentence when it cannot be. */
static struct ws_channel_peer *add_peer(struct ws_channel *channel, uint64_t id, const char **fault) {
  *fault = NULL;
  if (id >> 32 != channel->generation || id <= channel->last_id) {
    *fault = "a connection whose number is not the worker's, or not above all before it";
    return NULL;
  }
  if (channel->peers.count == WS_CHANNEL_PEERS_MAX) {
    *fault = "more connections than there may be";
    return NULL;
  }
  struct ws_channel_peer *peer = calloc(1, sizeof *peer);
  if (peer != NULL) {
    *peer = (struct ws_channel_peer){.identified = {id}, .channel = channel};
    if (wsc_id_table_add(&channel->peers, &peer->identified)) {
      channel->last_id = id;
      return peer;
    }
  }
  free(peer);
  *fault = "no memory for a connection";
  return NULL;
}

static const char *take_welcome(struct ws_channel *channel, const struct wsc_record *record) {
  struct wsc_welcome welcome;
  (void)wsc_welcome_decode(record->body, record->header.size, &welcome); /* the decoder has seen that it is one */
  if (welcome.acknowledged)
    return "a channel that wants acknowledgements, which is not for apps";
  channel->generation = welcome.generation;
  channel->last_id = welcome.generation << 32;
  channel->max_message = channel->decoder.max_message = welcome.max_message;
  if (channel->memory != NULL)
    channel->memory->forwards = welcome.abilities & WSC_CAN_FORWARD;
  channel->queue_high = welcome.queue_high < QUEUE_HIGH_MAX ? welcome.queue_high : QUEUE_HIGH_MAX;
  return NULL;
}

static const char *take_standing(struct ws_channel *channel, const struct wsc_record *record) {
  const char *fault;
  uint64_t charged = wsc_get_u64(record->body), held = charged - wsc_get_u64(record->body + 8);
  if (held > UINT32_MAX || charged > CHARGED_MAX)
    return "a queue larger than any can be";
  struct ws_channel_peer *peer = add_peer(channel, record->header.connection, &fault);
  if (peer == NULL)
    return fault;
  peer->charged = charged;
  peer->held = (uint32_t)held;
  if (channel->events->connected != NULL)
    channel->events->connected(channel->user, peer, NULL);
  return NULL;
}

static const char *take_connect(struct ws_channel *channel, const struct wsc_record *record) {
  const char *fault;
  struct wsc_connect connect;
  struct ws_channel_peer *peer = add_peer(channel, record->header.connection, &fault);
  if (peer == NULL)
    return fault;
  (void)wsc_connect_decode(record->body, record->header.size, &connect);
  if (channel->events->connected != NULL)
    tell_connected(channel, peer, &connect);
  return NULL;
}

static const char *take_credit(struct ws_channel *channel, const struct wsc_record *record) {
  struct ws_channel_peer *peer = ws_channel_find_peer(channel, record->header.connection);
  if (peer == NULL && record->header.connection > channel->last_id)
    return "a CREDIT for a connection that never was";
  if (peer == NULL)
    return NULL; /* it has closed meanwhile */
  uint64_t released = wsc_get_u64(record->body);
  if (released > peer->charged || released < peer->charged - peer->held)
    return "a CREDIT for what was not sent";
  peer->held = (uint32_t)(peer->charged - released);
  if (channel->events->written != NULL)
    channel->events->written(channel->user, peer);
  return NULL;
}

/* Everything before was handled, and what the app has answered is on its way in front of this. */
static const char *take_ask(struct ws_channel *channel, const struct wsc_record *record) {
  const struct wsc_header header = {.type = WSC_ACKNOWLEDGE};
  if (channel->unwritable || wsc_queue_append_record(&channel->out, &header, record->body, record->header.size))
    return NULL;
  return "no memory for an answer";
}

static const char *take_message(struct ws_channel *channel, const struct wsc_record *record) {
  struct ws_channel_peer *peer = ws_channel_find_peer(channel, record->header.connection);
  if (peer == NULL)
    return stranger;
  if (record->header.size >= WS_CHANNEL_DIRECT)
    ws_channel_expect_large(channel);
  if (channel->events->message != NULL)
    channel->events->message(channel->user, peer, record->header.flags & WSC_FLAG_TEXT, record->body,
                             record->header.size);
  return NULL;
}

static const char *take_shared_message(struct ws_channel *channel, const struct wsc_record *record) {
  struct ws_channel_peer *peer = ws_channel_find_peer(channel, record->header.connection);
  return peer != NULL ? ws_channel_take_shared(channel, peer, record) : stranger;
}

static const char *take_closed(struct ws_channel *channel, const struct wsc_record *record) {
  struct ws_channel_peer *peer = ws_channel_find_peer(channel, record->header.connection);
  if (peer == NULL)
    return stranger;
  const struct wsc_text reason = {(const char *)record->body, record->header.size};
  remove_peer(channel, peer, record->header.code, &reason, record->header.flags & WSC_FLAG_CLEAN);
  return NULL;
}

static const char *take_error(struct ws_channel *channel, const struct wsc_record *record) {
  struct ws_channel_peer *peer = ws_channel_find_peer(channel, record->header.connection);
  if (peer == NULL && record->header.connection != 0)
    return stranger;
  if (channel->events->error != NULL)
    channel->events->error(channel->user, peer, wsc_get_u32(record->body), (const char *)record->body + 4,
                           record->header.size - 4);
  return NULL;
}

static const char *take_drained(struct ws_channel *channel, const struct wsc_record *record) {
  struct ws_channel_peer *peer = ws_channel_find_peer(channel, record->header.connection);
  if (peer == NULL)
    return stranger;
  peer->wants = false;
  if (!peer->closing && channel->events->drained != NULL)
    channel->events->drained(channel->user, peer);
  return NULL;
}

static const char *take_record(struct ws_channel *channel, const struct wsc_record *record) {
  switch (record->header.type) {
  case WSC_WELCOME:
    return take_welcome(channel, record);
  case WSC_STANDING:
    return take_standing(channel, record);
  case WSC_CREDIT:
    return take_credit(channel, record);
  case WSC_ASK:
    return take_ask(channel, record);
  case WSC_CONNECT:
    return take_connect(channel, record);
  case WSC_MESSAGE:
    return take_message(channel, record);
  case WSC_CLOSED:
    return take_closed(channel, record);
  case WSC_ERROR:
    return take_error(channel, record);
  case WSC_DRAINED:
    return take_drained(channel, record);
  case WSC_SHARED_MESSAGE:
    return take_shared_message(channel, record);
  case WSC_RELEASED:
    return ws_channel_take_released(channel, record);
  default:
    return "a record of a type that this library does not know";
  }
}

/* --- Dispatch --- */

static void take_records(struct ws_channel *channel) {
  struct wsc_record record;
  channel->half_read = false;
  while (channel->state == WS_CHANNEL_OPEN) {
    if (!may_read(channel) || ws_channel_has_taken_enough(channel)) {
      channel->half_read = true;
      return;
    }
    enum wsc_decode_result result = wsc_decoder_next(&channel->decoder, &record);
    if (result == WSC_DECODE_MORE)
      return;
    const char *fault = result == WSC_DECODED ? take_record(channel, &record) : channel->decoder.fault;
    if (fault != NULL)
      end(channel, WS_CHANNEL_BROKEN, fault);
  }
}

static void end_by_itself(struct ws_channel *channel) {
  if (channel->failed)
    end(channel, WS_CHANNEL_BROKEN, "no memory for the rest of a message");
  else
    end(channel, WS_CHANNEL_ENDED, "the server stopped, or its process ended");
}

static void read_once(struct ws_channel *channel) {
  size_t size;
  uint8_t *room = wsc_decoder_room(&channel->decoder, &size);
  if (room == NULL) {
    end(channel, WS_CHANNEL_BROKEN, "no memory for what comes in");
    return;
  }
  ssize_t length;
  do
    length = recv(channel->fd, room, size, MSG_DONTWAIT);
  while (length < 0 && errno == EINTR);
  if (length < 0 && errno == EAGAIN)
    return;
  if (length <= 0) {
    end_by_itself(channel);
    return;
  }
  wsc_decoder_filled(&channel->decoder, (size_t)length);
  take_records(channel);
  if (channel->decoder.capacity > WS_CHANNEL_KEEP)
    wsc_decoder_rest(&channel->decoder);
}

/* All of them in turn, beginning with the one behind whom it was told last. */
static struct ws_channel_peer *next_in_turn(struct ws_channel *channel) {
  const struct wsc_identified last = {channel->last_told};
  struct wsc_identified *next = wsc_id_table_next(&channel->peers, &last);
  if (next == NULL)
    next = wsc_id_table_next(&channel->peers, NULL);
  channel->last_told = next->id;
  return (struct ws_channel_peer *)next;
}

/* Those that were refused because too much waited for the channel as a whole, until it is so again. */
static void tell_drained(struct ws_channel *channel) {
  for (uint32_t left = channel->peers.count; left > 0 && channel->waiting > 0 && channel->state == WS_CHANNEL_OPEN &&
                                             ws_channel_get_queued(channel) < WS_CHANNEL_QUEUE_HIGH;
       left--) {
    struct ws_channel_peer *peer = next_in_turn(channel);
    bool told = peer->waits && !peer->closing;
    forget_waiting(channel, peer);
    if (told && channel->events->drained != NULL)
      channel->events->drained(channel->user, peer);
  }
}

bool ws_channel_has_spare_memory(const struct ws_channel *channel) {
  const struct ws_channel_memory *memory = channel->memory;
  return channel->decoder.capacity > 0 || channel->decoder.spare != NULL || channel->out.capacity > WSC_QUEUE_KEEP ||
         (memory != NULL && (memory->copy != NULL || memory->out.touched > 0));
}

void ws_channel_trim(struct ws_channel *channel) {
  if (channel->dispatching)
    return;
  wsc_decoder_trim(&channel->decoder);
  wsc_queue_trim(&channel->out);
  if (channel->memory != NULL)
    ws_channel_memory_trim(channel->memory);
}

/* Memory for large messages is not kept for ever. */
static void count_quiet(struct ws_channel *channel) {
  if (channel->quiet >= WS_CHANNEL_PATIENCE)
    return;
  channel->quiet++;
  if (channel->quiet == WS_CHANNEL_PATIENCE)
    ws_channel_trim(channel);
}

enum ws_channel_state ws_channel_dispatch(struct ws_channel *channel) {
  if (channel->dispatching || channel->state != WS_CHANNEL_OPEN)
    return channel->state;
  channel->dispatching = true;
  if (channel->memory != NULL)
    channel->memory->taken = 0;
  if (channel->half_read)
    take_records(channel);
  if (channel->state == WS_CHANNEL_OPEN && may_read(channel) && !channel->half_read)
    read_once(channel);
  if (channel->state == WS_CHANNEL_OPEN)
    ws_channel_write(channel);
  if (channel->state == WS_CHANNEL_OPEN && channel->waiting > 0 &&
      ws_channel_get_queued(channel) < WS_CHANNEL_QUEUE_LOW)
    tell_drained(channel);
  channel->dispatching = false;
  count_quiet(channel);
  enum ws_channel_state state = channel->state;
  if (channel->freed)
    destroy(channel);
  return state;
}

bool ws_channel_is_half_read(const struct ws_channel *channel) {
  return channel->half_read && may_read(channel) && channel->state == WS_CHANNEL_OPEN;
}

bool ws_channel_fills_block(const struct ws_channel *channel, const uint8_t *data, size_t length) {
  uintptr_t from = (uintptr_t)channel->decoder.octets, at = (uintptr_t)data;
  return channel->decoder.octets != NULL && at >= from && at - from <= channel->decoder.capacity &&
         length <= channel->decoder.capacity - (at - from) && length >= channel->decoder.capacity / TAKE_SHARE;
}

void *ws_channel_take_block(struct ws_channel *channel, const uint8_t *data, size_t length) {
  return ws_channel_fills_block(channel, data, length) ? wsc_decoder_take(&channel->decoder)
                                                       : ws_channel_take_copy(channel, data, length);
}
