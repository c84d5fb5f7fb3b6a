/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/peer.h"

#include "worker/deadlines.h"
#include "worker/details.h"
#include "worker/farewell.h"
#include "worker/handshake.h"
#include "worker/heap.h"
#include "worker/memory.h"
#include "worker/sending.h"
#include "worker/server.h"

#include <stdlib.h>
#include <string.h>

static struct wsw_peer *peer_of_watch(struct wsw_watch *watch) {
  return (struct wsw_peer *)(void *)((char *)watch - offsetof(struct wsw_peer, watch));
}

/* NULL without memory. */
static struct wsw_peer *new_peer(struct wsw_server *server, int fd, const struct wsw_address *address) {
  struct wsw_peer *peer = calloc(1, sizeof *peer);
  struct wsw_details *details = wsw_details_new(address);
  if (peer && details && wsw_transport_open(&peer->transport, fd, server->tls.context)) {
    peer->details = details;
    return peer;
  }
  struct wsw_transport transport = {.fd = fd};
  wsw_transport_close(peer && details ? &peer->transport : &transport);
  free(details);
  free(peer);
  return NULL;
}

static void stand_apart(struct wsw_peer *peer) {
  wsw_line_append(&wsw_server_of(peer)->peers.apart, peer);
  peer->apart = true;
}

struct wsw_peer *wsw_peer_new(struct wsw_server *server, int fd, const struct wsw_address *address, uint16_t refusal) {
  struct wsw_peer *peer = new_peer(server, fd, address);
  if (!peer)
    return NULL;
  wsp_connection_init(&peer->connection, WSP_SERVER, &server->settings);
  /* TLS may leave octets in the socket when it has had its share, so that it has to be told again. */
  peer->watch = (struct wsw_watch){.fd = fd, .kind = WSW_WATCH_OF_PEER, .once = !peer->transport.tls};
  peer->timer.kind = WSW_TIMER_OF_PEER;
  peer->refusal = refusal;
  peer->state = WSW_PEER_HANDSHAKE;
  peer->heard_at = (wsw_moment)server->loop.now;
  wsw_deadline_set(peer, server->configuration.handshake_timeout);
  peer->refused = refusal != 0;
  server->refused += peer->refused;
  server->peers.total++;
  if (refusal)
    stand_apart(peer);
  else if (!wsw_half_open_enter(server, peer))
    wsw_peer_drop(peer);
  wsw_peer_refresh(peer);
  return peer;
}

void wsw_peer_free(struct wsw_peer *peer) {
  wsp_connection_clear(&peer->connection);
  free(peer->details);
  free(peer->farewell);
  free(peer);
}

void wsw_peer_describe(const struct wsw_peer *peer, struct wsc_connect *connect) {
  *connect = (struct wsc_connect){.tls = peer->transport.tls != NULL};
  wsw_details_describe(peer->details, connect);
}

/* --- What is watched --- */

static bool is_read(struct wsw_peer *peer) {
  if (peer->ended)
    return false;
  if (peer->state == WSW_PEER_OPEN)
    return !peer->parting && wsw_server_reads(wsw_server_of(peer)) &&
           !(peer->outbox && peer->outbox->control > WSW_CONTROL_BACKLOG);
  if (peer->state == WSW_PEER_HANDSHAKE)
    return peer->refusal || wsw_server_reads(wsw_server_of(peer));
  return peer->state != WSW_PEER_GONE;
}

/* Whoever waits for reading to begin again is looked at then; whoever is eager, at the end of the next wake-up. */
static void pause(struct wsw_peer *peer, struct wsw_queue *queue) {
  if (wsw_peer_is_queued(peer) || peer->ended || wsw_server_reads(wsw_server_of(peer)))
    return;
  peer->paused = true;
  wsw_queue_append(queue, peer);
}

static void mark_eager(struct wsw_peer *peer) {
  if (wsw_peer_is_queued(peer) || peer->state == WSW_PEER_GONE)
    return;
  peer->eager = true;
  wsw_queue_append(&wsw_server_of(peer)->eager, peer);
}

void wsw_peer_refresh(struct wsw_peer *peer) {
  if (peer->state == WSW_PEER_GONE)
    return;
  bool reads = is_read(peer);
  uint32_t to_read = peer->transport.wants_writable ? WSW_WRITABLE : WSW_READABLE;
  uint32_t to_write = peer->transport.wants_readable ? WSW_READABLE : WSW_WRITABLE;
  uint32_t interest = (reads ? to_read : 0) | (peer->blocked ? to_write : 0);
  if (!reads)
    pause(peer, &wsw_server_of(peer)->peers.paused);
  else if (peer->transport.more && !peer->watch.once)
    mark_eager(peer);
  if (!wsw_loop_watch(&wsw_server_of(peer)->loop, &peer->watch, interest)) {
    wsw_peer_drop(peer);
    return;
  }
  wsw_deadlines_refresh(peer);
}

/* --- The end --- */

void wsw_peer_remember_close(struct wsw_peer *peer, uint16_t code, const uint8_t *reason, size_t length) {
  if (peer->farewell)
    return;
  if (length > WSP_CLOSE_REASON_MAX)
    length = WSP_CLOSE_REASON_MAX;
  peer->farewell = malloc(sizeof *peer->farewell + length);
  if (!peer->farewell) {
    wsw_server_fail(wsw_server_of(peer), WSW_EXIT_MEMORY, "no memory for a Close reason");
    return;
  }
  peer->farewell->code = code;
  peer->farewell->length = (uint8_t)length;
  if (length)
    memcpy(peer->farewell->reason, reason, length);
}

static void forget_handshake(struct wsw_peer *peer) {
  if (peer->state != WSW_PEER_HANDSHAKE)
    return;
  wsp_server_handshake_free(peer->handshake);
  peer->handshake = NULL;
}

static void leave_place(struct wsw_peer *peer) {
  struct wsw_address address = wsw_details_address(peer->details);
  if (peer->placed)
    wsw_admission_leave(&wsw_server_of(peer)->admission, &address);
  peer->placed = false;
}

static void settle_outbox(struct wsw_peer *peer) {
  if (peer->outbox)
    wsw_server_of(peer)->counters.queued_bytes -= wsw_outbox_forgive(peer->outbox);
}

static void discard_outbox(struct wsw_peer *peer) {
  settle_outbox(peer);
  if (peer->outbox)
    wsw_outbox_give_back(&wsw_server_of(peer)->outboxes, peer->outbox);
  peer->outbox = NULL;
  peer->blocked = false;
}

void wsw_peer_report_closed(struct wsw_peer *peer, bool clean) {
  struct wsw_server *server = wsw_server_of(peer);
  const struct wsw_farewell *farewell = peer->farewell;
  struct wsc_header header = {
      .type = WSC_CLOSED,
      .flags = clean ? WSC_FLAG_CLEAN : 0,
      .code = farewell ? farewell->code : WSP_CLOSE_ABNORMAL,
      .connection = peer->id,
  };
  wsw_channel_event(server, &header, farewell ? farewell->reason : NULL, farewell ? farewell->length : 0);
  wsw_peers_close(&server->peers, peer);
  server->counters.connections--;
  settle_outbox(peer);
  leave_place(peer);
  wsp_connection_clear(&peer->connection);
}

static void go(struct wsw_peer *peer) {
  struct wsw_server *server = wsw_server_of(peer);
  if (server->held.peer == peer)
    server->held.peer = NULL;
  forget_handshake(peer);
  wsw_farewell_forget(peer);
  wsw_loop_forget(&server->loop, &peer->watch);
  wsw_timers_cancel(&server->loop.timers, &peer->timer);
  wsw_transport_close(&peer->transport);
  discard_outbox(peer);
  leave_place(peer);
  wsw_half_open_leave(server, peer);
  server->refused -= peer->refused;
  server->lingering -= peer->lingering;
  peer->refused = peer->lingering = false;
  if (peer->apart)
    wsw_line_remove(&server->peers.apart, peer);
  peer->apart = false;
  server->peers.total--;
  peer->state = WSW_PEER_GONE;
  peer->younger = server->gone;
  server->gone = peer;
}

void wsw_peer_drop(struct wsw_peer *peer) {
  if (peer->state == WSW_PEER_GONE)
    return;
  if (peer->state == WSW_PEER_OPEN)
    wsw_peer_report_closed(peer, false);
  go(peer);
}

void wsw_peer_end(struct wsw_peer *peer) {
  struct wsw_server *server = wsw_server_of(peer);
  forget_handshake(peer);
  leave_place(peer);
  wsw_half_open_leave(server, peer);
  server->refused -= peer->refused;
  peer->refused = false;
  if (!peer->apart)
    stand_apart(peer);
  peer->lingering = true;
  server->lingering++;
  peer->state = WSW_PEER_ENDING;
  if (!wsp_connection_close_received(&peer->connection))
    peer->heard = 0;
  wsw_deadline_set(peer, WSW_ENDING_MS);
  wsw_peer_mark_dirty(peer);
  wsw_peer_refresh(peer);
}

static void linger(struct wsw_peer *peer) {
  if (peer->ended || peer->unwritable || wsw_server_of(peer)->lingering > WSW_LINGERING_MAX) {
    go(peer);
    return;
  }
  peer->blocked = !wsw_transport_finish(&peer->transport);
  if (peer->blocked) {
    wsw_peer_refresh(peer);
    return;
  }
  peer->state = WSW_PEER_LINGERING;
  wsw_deadline_set(peer, WSW_LINGER_MS);
  wsw_peer_refresh(peer);
}

/* --- Writing --- */

void wsw_peer_mark_dirty(struct wsw_peer *peer) {
  if (peer->dirty || peer->state == WSW_PEER_GONE)
    return;
  peer->dirty = true;
  wsw_pile_add(&wsw_server_of(peer)->dirty, peer);
}

struct wsw_outbox *wsw_peer_outbox(struct wsw_peer *peer) {
  if (!peer->outbox) {
    peer->outbox = wsw_outbox_take(&wsw_server_of(peer)->outboxes);
    if (peer->outbox)
      peer->outbox->progress_at = wsw_server_of(peer)->loop.now;
  }
  return peer->outbox;
}

bool wsw_peer_take_replies(struct wsw_peer *peer, bool control) {
  struct wsp_buffer *replies = &wsw_server_of(peer)->replies;
  size_t length = wsp_buffer_length(replies);
  if (!length || peer->unwritable) {
    wsp_buffer_consume(replies, length);
    return true;
  }
  struct wsw_outbox *outbox = wsw_peer_outbox(peer);
  bool taken = outbox && wsp_buffer_append(&outbox->octets, wsp_buffer_front(replies), length);
  if (taken)
    wsw_outbox_added(outbox, length, 0, control ? length : 0, false);
  wsp_buffer_consume(replies, length);
  wsw_peer_mark_dirty(peer);
  return taken;
}

/* The connection is broken this way, but what the peer sent before may still be there to be read. */
static void give_up_writing(struct wsw_peer *peer) {
  peer->unwritable = true;
  discard_outbox(peer);
  wsw_sending_settle(peer);
}

static void write_once(struct wsw_peer *peer) {
  struct wsw_outbox *outbox = peer->outbox;
  size_t length = wsw_outbox_length(outbox);
  ssize_t written = length ? wsw_transport_send(&peer->transport, wsp_buffer_front(&outbox->octets), length) : 0;
  if (written == WSW_TRANSPORT_FAILED) {
    give_up_writing(peer);
    return;
  }
  bool was_blocked = peer->blocked;
  wsw_deadlines_written(peer, written > 0 ? (size_t)written : 0);
  peer->blocked = written < 0 || (size_t)written < length;
  if (written > 0)
    wsw_server_of(peer)->counters.queued_bytes -= wsw_outbox_written(outbox, (size_t)written);
  wsw_sending_settle(peer);
  if (!peer->blocked) {
    discard_outbox(peer);
    /* While octets waited, the Ping waited with them. */
    if (was_blocked && peer->awaits_pong)
      wsw_deadline_set(peer, wsw_server_of(peer)->configuration.pong_timeout);
  }
}

static bool keep_rest(struct wsw_peer *peer, const struct iovec parts[2], size_t written, uint32_t charge) {
  struct wsw_outbox *outbox = wsw_peer_outbox(peer);
  size_t of_first = written < parts[0].iov_len ? written : parts[0].iov_len;
  size_t of_second = written - of_first;
  if (!outbox || !wsp_buffer_reserve(&outbox->octets, parts[0].iov_len + parts[1].iov_len - written))
    return false;
  (void)wsp_buffer_append(&outbox->octets, (uint8_t *)parts[0].iov_base + of_first, parts[0].iov_len - of_first);
  (void)wsp_buffer_append(&outbox->octets, (uint8_t *)parts[1].iov_base + of_second, parts[1].iov_len - of_second);
  wsw_server_of(peer)->counters.queued_bytes += charge - wsw_outbox_added_rest(outbox, written, charge);
  peer->blocked = true;
  wsw_peer_refresh(peer);
  return true;
}

bool wsw_peer_write_through(struct wsw_peer *peer, struct iovec parts[2], uint32_t charge) {
  struct iovec left[2] = {parts[0], parts[1]};
  ssize_t written = wsw_transport_send_parts(&peer->transport, left, 2);
  if (written == WSW_TRANSPORT_FAILED) {
    give_up_writing(peer);
    return false;
  }
  size_t went = written > 0 ? (size_t)written : 0;
  if (went < parts[0].iov_len + parts[1].iov_len && !keep_rest(peer, parts, went, charge)) {
    wsw_peer_drop(peer);
    return false;
  }
  return true;
}

/* What an open connection does once everything it had to say is written. */
static void open_written(struct wsw_peer *peer) {
  struct wsp_connection *connection = &peer->connection;
  if (!wsw_peer_is_closing(peer) || peer->parting)
    return;
  if (wsp_connection_close_received(connection)) {
    wsw_peer_report_closed(peer, !peer->unwritable);
    wsw_peer_end(peer);
  } else if (!peer->awaits_close) {
    peer->awaits_close = true;
    wsw_deadline_set(peer, WSW_CLOSE_TIMEOUT_MS);
  }
}

void wsw_peer_flush(struct wsw_peer *peer) {
  if (peer->state == WSW_PEER_GONE)
    return;
  if (peer->outbox)
    write_once(peer);
  if (!peer->outbox && peer->state == WSW_PEER_OPEN)
    open_written(peer);
  if (!peer->outbox && peer->state == WSW_PEER_ENDING)
    linger(peer);
  wsw_peer_refresh(peer);
}

/* --- Reading --- */

/* Through the stream. */
static void tell_message(struct wsw_peer *peer, const struct wsc_header *header, const struct wsp_event *event) {
  struct wsw_server *server = wsw_server_of(peer);
  bool is_bulk = event->length >= WSW_BULK_MIN && !wsw_channel_copies(server);
  uint8_t *taken = is_bulk ? wsp_connection_take_message(&peer->connection, event) : NULL;
  if (taken)
    wsw_channel_bulk_event(server, header, taken, event->length);
  else
    wsw_channel_event(server, header, event->data, event->length);
}

static void take_message(struct wsw_peer *peer, const struct wsp_event *event) {
  struct wsw_server *server = wsw_server_of(peer);
  struct wsc_header header = {.type = WSC_MESSAGE, .flags = event->text ? WSC_FLAG_TEXT : 0, .connection = peer->id};
  server->counters.messages_received++;
  server->counters.bytes_received += event->length;
  if (event->length >= WSW_BULK_MIN)
    wsw_heap_expect_large(server);
  if (!wsw_shared_message(peer, &header, event))
    tell_message(peer, &header, event);
  wsw_channel_relieve(server);
  peer->last_message = (uint32_t)server->channel.store.appended;
}

/* False when the connection is over. */
static bool take_event(struct wsw_peer *peer, const struct wsp_event *event) {
  switch (event->type) {
  case WSP_EVENT_MESSAGE:
    take_message(peer, event);
    return true;
  case WSP_EVENT_PONG:
    wsw_deadlines_take_pong(peer);
    return true;
  case WSP_EVENT_CLOSE:
    wsw_peer_remember_close(peer, event->code, event->data, event->length);
    return false;
  case WSP_EVENT_FAILED:
    wsw_peer_remember_close(peer, event->code, event->data, event->length);
    return false;
  default:
    return true;
  }
}

/* The app side no longer keeps up: the rest waits. */
static void hold(struct wsw_peer *peer, const uint8_t *octets, size_t length) {
  struct wsw_held *held = &wsw_server_of(peer)->held;
  memmove(held->octets, octets, length);
  held->length = length;
  held->peer = peer;
}

static void take_frames(struct wsw_peer *peer, uint8_t *octets, size_t length) {
  struct wsp_event event;
  bool goes_on = true, waits = false;
  do {
    size_t consumed = 0;
    wsp_connection_receive(&peer->connection, octets, length, &consumed, &wsw_server_of(peer)->replies, &event);
    octets += consumed;
    length -= consumed;
    goes_on = take_event(peer, &event);
    waits = goes_on && length && !wsw_server_reads(wsw_server_of(peer));
  } while (goes_on && !waits && event.type != WSP_EVENT_NONE);
  if (waits)
    hold(peer, octets, length);
  if (!wsw_peer_take_replies(peer, true)) {
    wsw_peer_drop(peer);
    return;
  }
  if (!goes_on) {
    peer->heard = 0; /* from here on it counts what is discarded */
    wsw_farewell_begin(peer);
    return;
  }
  if (peer->outbox && peer->outbox->control > WSW_CONTROL_BACKLOG)
    wsw_peer_flush(peer);
}

/* Nothing that it still sends is wanted. */
static bool is_at_its_end(const struct wsw_peer *peer) {
  return peer->state > WSW_PEER_OPEN || wsp_connection_close_received(&peer->connection);
}

static void discard(struct wsw_peer *peer, size_t length) {
  peer->heard += (uint32_t)length;
  if (peer->heard > WSW_LINGER_OCTETS && peer->state != WSW_PEER_GONE)
    wsw_peer_drop(peer);
}

static void take_octets(struct wsw_peer *peer, uint8_t *octets, size_t length) {
  if (is_at_its_end(peer)) {
    discard(peer, length);
    return;
  }
  wsw_deadlines_hear(peer, length);
  if (peer->state == WSW_PEER_HANDSHAKE) {
    size_t consumed = wsw_handshake_feed(peer, octets, length);
    octets += consumed;
    length -= consumed;
  }
  if (peer->state == WSW_PEER_OPEN) {
    if (length)
      take_frames(peer, octets, length);
    wsw_memory_make_room(wsw_server_of(peer), 0);
  } else if (peer->state != WSW_PEER_HANDSHAKE) { /* refused: what came behind its head */
    discard(peer, length);
  }
}

void wsw_peer_take_held(struct wsw_server *server) {
  struct wsw_peer *peer = server->held.peer;
  server->held.peer = NULL;
  take_octets(peer, server->held.octets, server->held.length);
}

/* The peer closed its side, or the connection broke. */
static void lose(struct wsw_peer *peer, bool broken) {
  if (broken && peer->transport.broken && peer->state == WSW_PEER_HANDSHAKE) {
    wsw_server_of(peer)
        ->counters.refused++; /* no TLS, or none that we speak: the alert says why, if it is let arrive */
    wsw_peer_end(peer);
    return;
  }
  peer->ended = true;
  bool has_last_words = peer->state == WSW_PEER_ENDING || peer->parting ||
                        (peer->state == WSW_PEER_OPEN && wsp_connection_close_received(&peer->connection));
  if (has_last_words && !broken && !peer->unwritable)
    wsw_peer_refresh(peer); /* it may still read */
  else
    wsw_peer_drop(peer);
}

/* What is read at once is handled at once, so it is little where it may inflate to much: others have their turn between. */
static size_t room_for(const struct wsw_peer *peer) {
  bool compresses = peer->state == WSW_PEER_OPEN && wsp_connection_compresses(&peer->connection);
  return compresses ? WSW_COMPRESSED_ROOM : sizeof wsw_server_of(peer)->received;
}

static ssize_t receive(struct wsw_peer *peer, size_t room) {
  struct wsw_server *server = wsw_server_of(peer);
  bool is_over = peer->state == WSW_PEER_ENDING || peer->state == WSW_PEER_LINGERING;
  return is_over ? wsw_transport_discard(&peer->transport, server->received, room)
                 : wsw_transport_receive(&peer->transport, server->received, room);
}

static void read_some(struct wsw_peer *peer) {
  struct wsw_server *server = wsw_server_of(peer);
  for (int i = 0; i < WSW_READS_PER_WAKE && is_read(peer); i++) {
    size_t room = room_for(peer);
    ssize_t length = receive(peer, room);
    if (length == WSW_TRANSPORT_AGAIN)
      break;
    if (length <= 0) {
      lose(peer, length == WSW_TRANSPORT_FAILED);
      return;
    }
    take_octets(peer, server->received, (size_t)length);
    if ((size_t)length < room)
      break;
  }
  if (peer->blocked && peer->transport.wants_readable)
    wsw_peer_mark_dirty(peer);
  if (peer->transport.tls)
    wsw_peer_refresh(peer);
  else if (peer->transport.more) /* what was left is not told again */
    mark_eager(peer);
}

void wsw_peer_read_on(struct wsw_peer *peer) {
  if (peer->transport.more && is_read(peer)) {
    read_some(peer);
    return;
  }
  if (!is_read(peer)) /* it was paused since: to be read on when that is over, behind those that had no turn at all */
    pause(peer, &wsw_server_of(peer)->peers.paused_last);
  wsw_peer_refresh(peer);
}

static void ready(struct wsw_watch *watch, uint32_t events) {
  struct wsw_peer *peer = peer_of_watch(watch);
  if (events & (WSW_HALF_CLOSED | WSW_HUNG))
    peer->transport.ends = true;
  if ((events & (WSW_WRITABLE | WSW_HUNG) || peer->transport.wants_readable) && peer->blocked)
    wsw_peer_mark_dirty(peer);
  if (peer->eager) /* it has its turn at the end of this wake-up */
    return;
  if ((events & (WSW_READABLE | WSW_HUNG) || peer->transport.wants_writable) && is_read(peer))
    read_some(peer);
  else if (!is_read(peer))
    wsw_peer_refresh(peer); /* it spoke while it is not read: no longer watched for that */
}

void wsw_peer_stop(struct wsw_peer *peer, uint16_t code) {
  if (peer->state == WSW_PEER_HANDSHAKE)
    wsw_handshake_refuse(peer, 503, "The server is stopping.");
  else if (peer->state == WSW_PEER_OPEN)
    (void)wsw_sending_close(peer, code, NULL, 0);
}

void wsw_peer_attend(struct wsw_loop *loop) {
  loop->ready[WSW_WATCH_OF_PEER] = ready;
  loop->timers.expired[WSW_TIMER_OF_PEER] = wsw_deadlines_expired;
}
