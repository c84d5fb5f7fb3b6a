/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/sending.h"

#include "websocket/utf8.h"
#include "worker/deadlines.h"
#include "worker/farewell.h"
#include "worker/heap.h"
#include "worker/memory.h"
#include "worker/server.h"

static uint64_t outstanding(const struct wsw_peer *peer) {
  return peer->outbox ? peer->outbox->charge : 0;
}

uint64_t wsw_sending_queued(const struct wsw_peer *peer) {
  /* After wsw_sending_count_anew() more may be outstanding than was charged since; what was before leaves first. */
  uint64_t left = outstanding(peer);
  return left < peer->charged ? left : peer->charged;
}

uint64_t wsw_sending_released(const struct wsw_peer *peer) {
  return peer->charged - wsw_sending_queued(peer);
}

void wsw_sending_count_anew(struct wsw_peer *peer) {
  peer->charged = peer->untold = 0;
  if (peer->outbox)
    peer->outbox->credit_at = 0;
}

uint64_t wsw_sending_tell_released(struct wsw_peer *peer) {
  peer->untold = (uint32_t)wsw_sending_queued(peer);
  return wsw_sending_released(peer);
}

/* Released and not told yet. */
static uint64_t owed(const struct wsw_peer *peer) {
  return peer->untold - wsw_sending_queued(peer);
}

uint32_t wsw_sending_low(const struct wsw_server *server) {
  return server->configuration.max_queue / (WSC_PEER_QUEUE_HIGH / WSC_PEER_QUEUE_LOW);
}

static void tell_credit(struct wsw_peer *peer) {
  if (owed(peer))
    wsw_channel_credit(wsw_server_of(peer), peer->id, wsw_sending_tell_released(peer));
}

void wsw_sending_settle(struct wsw_peer *peer) {
  if (peer->state != WSW_PEER_OPEN)
    return;
  bool drained = peer->wants_drained && outstanding(peer) < wsw_sending_low(wsw_server_of(peer));
  bool wanted = peer->outbox && peer->outbox->credit_at;
  if (drained || wanted || owed(peer) >= WSC_CREDIT_STEP)
    tell_credit(peer);
  if (peer->outbox && wsw_sending_released(peer) >= peer->outbox->credit_at)
    peer->outbox->credit_at = 0;
  if (!drained)
    return;
  peer->wants_drained = false;
  struct wsc_header header = {.type = WSC_DRAINED, .connection = peer->id};
  wsw_channel_event(wsw_server_of(peer), &header, NULL, 0);
}

void wsw_sending_want_drained(struct wsw_peer *peer) {
  peer->wants_drained = true;
  wsw_sending_settle(peer);
}

static void charge_peer(struct wsw_peer *peer, uint32_t charge) {
  peer->charged += charge;
  peer->untold += charge;
}

/* Sent to a connection that takes nothing any more: charged and released at once, and a race rather than a fault. */
static void charge_in_vain(struct wsw_peer *peer, uint32_t charge, bool want_credit) {
  charge_peer(peer, charge);
  if (want_credit && peer->state == WSW_PEER_OPEN) /* nothing is said about one whose CLOSED was */
    tell_credit(peer);
  else
    wsw_sending_settle(peer);
}

static void count_sent(const struct wsw_peer *peer, size_t length) {
  struct wsw_server *server = wsw_server_of(peer);
  server->counters.messages_sent++;
  server->counters.bytes_sent += length;
}

static void account(struct wsw_peer *peer, size_t octets, uint32_t charge, size_t length, bool want_credit) {
  struct wsw_server *server = wsw_server_of(peer);
  charge_peer(peer, charge);
  count_sent(peer, length);
  server->counters.queued_bytes += charge;
  wsw_outbox_added(peer->outbox, octets, charge, 0, want_credit);
  if (want_credit)
    peer->outbox->credit_at = peer->charged;
  wsw_peer_mark_dirty(peer);
  if (!peer->blocked && wsw_outbox_length(peer->outbox) >= WSW_CORK_MAX)
    wsw_peer_flush(peer);
}

const char *wsw_sending_refusal(const struct wsw_peer *peer) {
  return wsw_sending_queued(peer) >= wsw_server_of(peer)->configuration.max_queue
             ? "a message for a connection whose queue is full"
             : NULL;
}

/* Whether it takes no message any more; the one that is to be sent may be what is too much to hold. */
static bool is_over(struct wsw_peer *peer, size_t length) {
  wsw_memory_make_room(wsw_server_of(peer), length);
  return peer->state != WSW_PEER_OPEN || peer->unwritable || (wsw_peer_is_closing(peer) && !peer->parting);
}

/* Whether it can be written from where it lies. */
static bool can_go_through(const struct wsw_peer *peer) {
  return !peer->outbox && wsw_transport_takes_parts(&peer->transport) && !wsp_connection_compresses(&peer->connection);
}

/* From where it lies into the socket, the text being checked. */
static void send_through(struct wsw_peer *peer, bool text, const uint8_t *data, size_t length, bool want_credit) {
  uint32_t charge = WSC_MESSAGE_COST + (uint32_t)length;
  uint8_t header[WSP_FRAME_HEADER_MAX];
  size_t header_length = 0;
  struct iovec parts[2] = {{header, 0}, {(void *)(uintptr_t)data, length}};
  bool may_send = wsp_connection_send_header(&peer->connection, text, length, header, &header_length) == WSP_SENT;
  parts[0].iov_len = header_length;
  charge_peer(peer, charge);
  if (may_send && wsw_peer_write_through(peer, parts, charge))
    count_sent(peer, length);
  if (peer->state != WSW_PEER_OPEN)
    return;
  if (want_credit && peer->outbox)
    peer->outbox->credit_at = peer->charged;
  else if (want_credit)
    tell_credit(peer);
  wsw_sending_settle(peer);
}

const char *wsw_sending_message(struct wsw_peer *peer, bool text, const uint8_t *data, size_t length,
                                bool want_credit) {
  uint32_t charge = WSC_MESSAGE_COST + (uint32_t)length;
  const char *refusal = wsw_sending_refusal(peer);
  if (refusal)
    return refusal;
  if (is_over(peer, length)) {
    charge_in_vain(peer, charge, want_credit);
    return NULL;
  }
  if (length >= WSW_BULK_MIN)
    wsw_heap_expect_large(wsw_server_of(peer));
  if (length >= WSW_THROUGH_MIN && can_go_through(peer)) { /* copying it would cost more than a write of its own */
    if (text && !wsp_utf8_is_valid(data, length))
      return "a text message that is not UTF-8";
    send_through(peer, text, data, length, want_credit);
    return NULL;
  }
  struct wsw_outbox *outbox = wsw_peer_outbox(peer);
  if (!outbox) {
    wsw_peer_drop(peer);
    return NULL;
  }
  size_t before = wsw_outbox_length(outbox);
  enum wsp_send_result result = wsp_connection_send(&peer->connection, text, data, length, &outbox->octets);
  if (result == WSP_SENT) {
    account(peer, wsw_outbox_length(outbox) - before, charge, length, want_credit);
    return NULL;
  }
  wsw_peer_mark_dirty(peer); /* an outbox that stayed empty goes back */
  if (result == WSP_SEND_INVALID)
    return "a text message that is not UTF-8";
  wsw_peer_drop(peer);
  return NULL;
}

const char *wsw_sending_broadcast(struct wsw_peer *peer, struct wsp_broadcast *broadcast, bool is_last) {
  uint32_t charge = WSC_MESSAGE_COST + (uint32_t)broadcast->length;
  const char *refusal = wsw_sending_refusal(peer);
  if (refusal)
    return refusal;
  if (is_over(peer, broadcast->length)) {
    charge_in_vain(peer, charge, false);
    return NULL;
  }
  if ((is_last || broadcast->length >= WSW_THROUGH_MIN) && can_go_through(peer)) {
    send_through(peer, broadcast->text, broadcast->data, broadcast->length, false);
    return NULL;
  }
  struct wsw_outbox *outbox = wsw_peer_outbox(peer);
  size_t before = outbox ? wsw_outbox_length(outbox) : 0;
  if (!outbox || wsp_broadcast_send(broadcast, &peer->connection, &outbox->octets) != WSP_SENT) {
    wsw_peer_drop(peer);
    return NULL;
  }
  account(peer, wsw_outbox_length(outbox) - before, charge, broadcast->length, false);
  return NULL;
}

const char *wsw_sending_close(struct wsw_peer *peer, uint16_t code, const uint8_t *reason, size_t length) {
  static const uint8_t nothing[1];
  if (peer->parting) { /* whatever the app has to say was sent before */
    wsw_farewell_say(peer);
    return NULL;
  }
  struct wsw_outbox *outbox = wsw_peer_outbox(peer);
  if (!outbox) {
    wsw_peer_drop(peer);
    return NULL;
  }
  size_t before = wsw_outbox_length(outbox);
  enum wsp_send_result result =
      wsp_connection_close(&peer->connection, code, reason ? reason : nothing, length, &outbox->octets);
  wsw_peer_mark_dirty(peer);
  switch (result) {
  case WSP_SENT:
    wsw_outbox_added(outbox, wsw_outbox_length(outbox) - before, 0, 0, false);
    wsw_peer_remember_close(peer, code, reason, length);
    wsw_deadlines_refresh(peer);
    return NULL;
  case WSP_SEND_CLOSED:
    return NULL;
  case WSP_SEND_NO_MEMORY:
    wsw_peer_drop(peer);
    return NULL;
  default:
    return "a Close with a reason that is too long or not UTF-8";
  }
}
