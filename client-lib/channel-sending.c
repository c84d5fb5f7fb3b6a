/* SPDX-License-Identifier: Apache-2.0 */
/* What goes out on the channel. */
#include "client-lib/channel-private.h"

#include "client-lib/limits.h"
#include "websocket/close-code.h"
#include "websocket/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* --- The socket --- */

/* The other end is gone. What it wrote before is still there to be read, and then comes the end: surely, since it finds that nothing follows. */
static void give_up_writing(struct ws_channel *channel) {
  shutdown(channel->fd, SHUT_WR);
  channel->unwritable = true;
  channel->tail.length = 0; /* its block goes later */
  wsc_queue_clear(&channel->out);
}

/* The kernel's own want of memory passes like a full socket. */
static bool is_passing(int error) {
  return error == EAGAIN || error == ENOBUFS || error == ENOMEM;
}

void ws_channel_clear_tail(struct ws_channel *channel) {
  free(channel->tail.block);
  channel->tail = (struct ws_channel_tail){0};
}

/* So many octets have left. The block stays even when its last octet has: a message in it may still be lent to the app. */
static size_t consume_tail(struct ws_channel *channel, size_t written) {
  size_t of_tail = written < channel->tail.length ? written : channel->tail.length;
  channel->tail.octets += of_tail;
  channel->tail.length -= of_tail;
  return written - of_tail;
}

static void release_tail(struct ws_channel *channel) {
  if (channel->tail.block == NULL || channel->tail.length > 0)
    return;
  wsc_decoder_give(&channel->decoder, channel->tail.block, channel->tail.capacity);
  channel->tail = (struct ws_channel_tail){0};
}

/* What waits, and behind it `more`, in one call. Returns octets of `more` that have left; -1 when the other end is gone. */
static ssize_t write_with(struct ws_channel *channel, const struct iovec *more, size_t count) {
  struct iovec parts[4];
  size_t queued = wsc_queue_length(&channel->out), used = 0;
  if (channel->tail.length > 0)
    parts[used++] = (struct iovec){(void *)(uintptr_t)channel->tail.octets, channel->tail.length};
  if (queued > 0)
    parts[used++] = (struct iovec){(void *)(uintptr_t)wsc_queue_front(&channel->out), queued};
  for (size_t i = 0; i < count; i++)
    parts[used++] = more[i];
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = used};
  ssize_t written;
  do
    written = sendmsg(channel->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (written < 0 && errno == EINTR);
  if (written < 0)
    return is_passing(errno) ? 0 : -1;
  size_t rest = consume_tail(channel, (size_t)written);
  size_t of_queue = rest < queued ? rest : queued;
  wsc_queue_consume(&channel->out, of_queue);
  return (ssize_t)(rest - of_queue);
}

void ws_channel_write(struct ws_channel *channel) {
  if (channel->memory != NULL)
    (void)ws_channel_tell_done(channel); /* without memory for it later */
  if (ws_channel_get_queued(channel) > 0 && write_with(channel, NULL, 0) < 0)
    give_up_writing(channel);
  release_tail(channel);
}

void ws_channel_flush(struct ws_channel *channel) {
  if (!channel->dispatching && channel->state == WS_CHANNEL_OPEN)
    ws_channel_write(channel);
}

/* Queues what of a record has not left: all of it, or nothing where nothing has. */
static bool queue_rest(struct ws_channel *channel, const struct wsc_header *header, const struct iovec *record,
                       size_t left_already) {
  if (left_already == 0)
    return wsc_queue_append_record(&channel->out, header, record[1].iov_base, record[1].iov_len);
  for (int i = 0; i < 2; i++) {
    size_t skipped = left_already < record[i].iov_len ? left_already : record[i].iov_len;
    left_already -= skipped;
    const uint8_t *octets = record[i].iov_base;
    if (!wsc_queue_append_octets(&channel->out, octets + skipped, record[i].iov_len - skipped))
      return false;
  }
  return true;
}

/* Where nothing else waits, a message that lies in the decoder's block stays there, and the decoder goes on in another. */
static bool keep_as_tail(struct ws_channel *channel, const struct iovec *record, size_t left_already) {
  size_t head = record[0].iov_len;
  if (left_already < head || channel->tail.block != NULL || wsc_queue_length(&channel->out) > 0 ||
      !ws_channel_fills_block(channel, record[1].iov_base, record[1].iov_len))
    return false;
  struct ws_channel_tail tail = {
      .octets = (const uint8_t *)record[1].iov_base + (left_already - head),
      .length = head + record[1].iov_len - left_already,
      .capacity = channel->decoder.capacity,
  };
  tail.block = wsc_decoder_take(&channel->decoder);
  if (tail.block != NULL)
    channel->tail = tail;
  return tail.block != NULL;
}

/* The record is on its way in part, so there is no way back any more. */
static void fail_halfway(struct ws_channel *channel) {
  channel->failed = true;
  shutdown(channel->fd, SHUT_RDWR);
  give_up_writing(channel);
}

static enum ws_channel_result put_large(struct ws_channel *channel, const struct wsc_header *header,
                                        const void *payload) {
  uint8_t head[WSC_RECORD_HEADER];
  ws_channel_expect_large(channel);
  wsc_header_encode(header, head);
  const struct iovec record[2] = {{head, sizeof head}, {(void *)(uintptr_t)payload, header->size}};
  ssize_t left = write_with(channel, record, 2);
  if (left < 0)
    give_up_writing(channel);
  if (left < 0 || (size_t)left == sizeof head + header->size)
    return WS_CHANNEL_SENT;
  if (keep_as_tail(channel, record, (size_t)left) || queue_rest(channel, header, record, (size_t)left))
    return WS_CHANNEL_SENT;
  if (left > 0)
    fail_halfway(channel);
  return WS_CHANNEL_NO_MEMORY;
}

/* --- What may be sent --- */

/* The peer is told about by `drained` as soon as it can be sent to. Without memory for the record that asks for it, it may be too early, which is
 * no harm: sending is refused again. */
static enum ws_channel_result refuse_for_now(struct ws_channel_peer *peer, bool because_of_channel) {
  struct ws_channel *channel = peer->channel;
  const struct wsc_header header = {.type = WSC_WANT_DRAINED, .connection = peer->identified.id};
  if (!because_of_channel && !peer->wants) {
    peer->wants = wsc_queue_append_record(&channel->out, &header, NULL, 0);
    because_of_channel = !peer->wants;
  }
  if (because_of_channel && !peer->waits) {
    peer->waits = true;
    channel->waiting++;
  }
  return WS_CHANNEL_WOULD_BLOCK;
}

static enum ws_channel_result check_peer(struct ws_channel_peer *peer) {
  struct ws_channel *channel = peer->channel;
  if (peer->closing || channel->state != WS_CHANNEL_OPEN)
    return WS_CHANNEL_GONE;
  if (peer->held >= channel->queue_high)
    return refuse_for_now(peer, false);
  if (ws_channel_get_queued(channel) >= WS_CHANNEL_QUEUE_HIGH)
    return refuse_for_now(peer, true);
  return WS_CHANNEL_SENT;
}

static bool is_text_right(bool text, const void *data, size_t length) {
  return !text || wsp_utf8_is_valid(data, length);
}

static void charge(struct ws_channel_peer *peer, size_t length) {
  peer->charged += WSC_MESSAGE_COST + length;
  peer->held += WSC_MESSAGE_COST + (uint32_t)length;
}

/* --- Messages --- */

enum ws_channel_result ws_channel_send_checked(struct ws_channel_peer *peer, bool text, const void *data, size_t length,
                                               bool notify) {
  struct ws_channel *channel = peer->channel;
  if (length > channel->max_message)
    return WS_CHANNEL_TOO_BIG;
  enum ws_channel_result result = check_peer(peer);
  if (result != WS_CHANNEL_SENT)
    return result;
  const struct wsc_header header = {
      .size = (uint32_t)length,
      .type = WSC_SEND,
      .flags = (uint8_t)((text ? WSC_FLAG_TEXT : 0) | (notify ? WSC_FLAG_WANT_CREDIT : 0)),
      .connection = peer->identified.id,
  };
  if (channel->unwritable)
    return WS_CHANNEL_SENT; /* in vain, as `closed` is about to tell */
  if (length >= WSC_SHARED_MIN && channel->memory != NULL && ws_channel_put_shared(channel, &header, data))
    result = WS_CHANNEL_SENT;
  else if (length >= WS_CHANNEL_DIRECT)
    result = put_large(channel, &header, data);
  else if (!wsc_queue_append_record(&channel->out, &header, data, length))
    result = WS_CHANNEL_NO_MEMORY;
  if (result == WS_CHANNEL_SENT)
    charge(peer, length);
  return result;
}

enum ws_channel_result ws_channel_send(struct ws_channel_peer *peer, bool text, const void *data, size_t length,
                                       bool notify) {
  if (length <= peer->channel->max_message && !is_text_right(text, data, length))
    return WS_CHANNEL_INVALID;
  return ws_channel_send_checked(peer, text, data, length, notify);
}

/* --- To many --- */

/* Whom a broadcast goes to: those named, or all. */
struct targets {
  const struct ws_channel *channel;
  struct ws_channel_peer *const *peers; /* NULL: all */
  size_t count, next;
  struct ws_channel_peer *last;
};

/* The other side would take the number of anybody else's connection for a fault, and end the server. */
static bool are_of_channel(const struct ws_channel *channel, struct ws_channel_peer *const *peers, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (peers[i] == NULL || peers[i]->channel != channel)
      return false;
  return true;
}

static struct ws_channel_peer *next_target(struct targets *targets) {
  if (targets->peers != NULL)
    return targets->next < targets->count ? targets->peers[targets->next++] : NULL;
  return targets->last = ws_channel_next_peer(targets->channel, targets->last);
}

/* Lists those that can take it, at most `room`, and charges them. */
static uint32_t list_targets(struct targets *targets, size_t length, uint8_t *out, uint32_t room) {
  uint32_t count = 0;
  struct ws_channel_peer *peer;
  while (count < room && (peer = next_target(targets)) != NULL) {
    if (check_peer(peer) != WS_CHANNEL_SENT || peer->hold)
      continue;
    wsc_put_u64(out + 8 * (size_t)count++, peer->identified.id);
    charge(peer, length);
  }
  return count;
}

static bool put_broadcast(struct ws_channel *channel, bool text, const uint8_t *ids, uint32_t count, const void *data,
                          size_t length) {
  const struct wsc_header header = {.type = WSC_BROADCAST, .flags = text ? WSC_FLAG_TEXT : 0};
  uint8_t *body = wsc_queue_append(&channel->out, &header, 8 + 8 * (size_t)count + length);
  if (body == NULL)
    return false;
  wsc_put_u32(body, count);
  wsc_put_u32(body + 4, 0);
  memcpy(body + 8, ids, 8 * (size_t)count);
  if (length > 0)
    memcpy(body + 8 + 8 * (size_t)count, data, length);
  return true;
}

static void uncharge(struct ws_channel *channel, const uint8_t *ids, uint32_t count, size_t length) {
  for (uint32_t i = 0; i < count; i++) {
    struct ws_channel_peer *peer = ws_channel_find_peer(channel, wsc_get_u64(ids + 8 * (size_t)i));
    peer->charged -= WSC_MESSAGE_COST + length;
    peer->held -= WSC_MESSAGE_COST + (uint32_t)length;
  }
}

static enum ws_channel_result broadcast(struct targets *targets, bool text, const void *data, size_t length,
                                        uint8_t *ids, uint32_t room, size_t *sent) {
  struct ws_channel *channel = (struct ws_channel *)(uintptr_t)targets->channel;
  uint32_t count;
  do { /* a list that is not full has come to the end, behind which the walk would begin again */
    count = list_targets(targets, length, ids, room);
    if (count > 0 && !channel->unwritable && !put_broadcast(channel, text, ids, count, data, length)) {
      uncharge(channel, ids, count, length);
      return WS_CHANNEL_NO_MEMORY;
    }
    *sent += count;
  } while (count == room);
  return WS_CHANNEL_SENT;
}

enum ws_channel_result ws_channel_broadcast_checked(struct ws_channel *channel, struct ws_channel_peer *const *peers,
                                                    size_t count, bool text, const void *data, size_t length,
                                                    size_t *sent) {
  *sent = 0;
  if (channel->state != WS_CHANNEL_OPEN)
    return WS_CHANNEL_GONE;
  if (length > channel->max_message)
    return WS_CHANNEL_TOO_BIG;
  struct targets targets = {.channel = channel, .peers = peers, .count = count};
  size_t all = peers != NULL ? count : ws_channel_get_peer_count(channel);
  if (all == 0)
    return WS_CHANNEL_SENT;
  uint32_t room = all < WSC_BROADCAST_TARGETS_MAX ? (uint32_t)all : WSC_BROADCAST_TARGETS_MAX;
  uint8_t *ids = malloc(8 * (size_t)room);
  if (ids == NULL)
    return WS_CHANNEL_NO_MEMORY;
  enum ws_channel_result result = broadcast(&targets, text, data, length, ids, room, sent);
  free(ids);
  return result;
}

static enum ws_channel_result broadcast_text(struct ws_channel *channel, struct ws_channel_peer *const *peers,
                                             size_t count, bool text, const void *data, size_t length, size_t *sent) {
  size_t unwanted;
  sent = sent != NULL ? sent : &unwanted;
  *sent = 0;
  if (length <= channel->max_message && !is_text_right(text, data, length))
    return WS_CHANNEL_INVALID;
  return ws_channel_broadcast_checked(channel, peers, count, text, data, length, sent);
}

enum ws_channel_result ws_channel_broadcast(struct ws_channel *channel, struct ws_channel_peer *const *peers,
                                            size_t count, bool text, const void *data, size_t length, size_t *sent) {
  static struct ws_channel_peer *const nobody[1];
  if (sent != NULL)
    *sent = 0;
  if (count > 0 && (peers == NULL || !are_of_channel(channel, peers, count)))
    return WS_CHANNEL_INVALID;
  return broadcast_text(channel, count > 0 ? peers : nobody, count, text, data, length, sent);
}

enum ws_channel_result ws_channel_broadcast_to_all(struct ws_channel *channel, bool text, const void *data,
                                                   size_t length, size_t *sent) {
  return broadcast_text(channel, NULL, 0, text, data, length, sent);
}

/* --- Close --- */

enum ws_channel_result ws_channel_close(struct ws_channel_peer *peer, uint16_t code, const char *reason,
                                        size_t length) {
  struct ws_channel *channel = peer->channel;
  const struct wsc_header header = {
      .type = WSC_CLOSE, .code = code != 0 ? code : 1000, .connection = peer->identified.id};
  if (!wsp_close_code_is_sendable(header.code) || length > WSC_REASON_MAX ||
      !wsp_utf8_is_valid((const uint8_t *)reason, length))
    return WS_CHANNEL_INVALID;
  if (peer->closing || channel->state != WS_CHANNEL_OPEN)
    return WS_CHANNEL_GONE;
  if (!channel->unwritable && !wsc_queue_append_record(&channel->out, &header, reason, length))
    return WS_CHANNEL_NO_MEMORY;
  peer->closing = true;
  return WS_CHANNEL_SENT;
}
