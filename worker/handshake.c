/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/handshake.h"

#include "worker/deadlines.h"
#include "worker/details.h"
#include "worker/server.h"

#include <stdio.h>
#include <stdlib.h>

static void refuse(struct wsw_peer *peer, unsigned status, const char *sentence, unsigned retry_after) {
  struct wsw_server *server = wsw_server_of(peer);
  struct wsw_address address = wsw_details_address(peer->details);
  server->counters.refused++;
  wsw_notices_refused(server, &address, status, sentence);
  if (!wsw_transport_can_send(&peer->transport)) { /* no word can be said before TLS has shaken hands */
    wsw_peer_drop(peer);
    return;
  }
  if (!wsp_http_refusal(&server->replies, status, sentence, retry_after) || !wsw_peer_take_replies(peer, false)) {
    wsw_peer_drop(peer);
    return;
  }
  wsw_peer_end(peer);
}

void wsw_handshake_refuse(struct wsw_peer *peer, unsigned status, const char *sentence) {
  refuse(peer, status, sentence, WSW_RETRY_AFTER);
}

/* It was refused on arrival. */
static void refuse_as_decided(struct wsw_peer *peer) {
  struct wsw_server *server = wsw_server_of(peer);
  struct wsw_address address = wsw_details_address(peer->details);
  if (peer->refusal == 429)
    refuse(peer, 429, "Too many connections came from this address; try again later.",
           wsw_visitors_wait(&server->visitors, &address, server->loop.now));
  else
    wsw_handshake_refuse(peer, 503, "The server is full.");
}

static void refuse_for_fault(struct wsw_peer *peer, unsigned status, const char *sentence) {
  bool is_fault = status != 426 && status != 503; /* no upgrade is no attack, and no memory not the peer's fault */
  struct wsw_address address = wsw_details_address(peer->details);
  if (is_fault)
    wsw_visitors_fault(&wsw_server_of(peer)->visitors, &address, wsw_server_of(peer)->loop.now);
  wsw_handshake_refuse(peer, status, sentence);
}

void wsw_handshake_expired(struct wsw_peer *peer) {
  if (peer->refusal)
    refuse_as_decided(peer);
  else if (!wsw_server_reads(wsw_server_of(peer))) /* it was us who did not read */
    wsw_handshake_refuse(peer, 503, "The server is busy.");
  else
    refuse_for_fault(peer, 408, "The request did not arrive in time.");
}

static void refuse_protocol(struct wsw_peer *peer) {
  char sentence[WSW_PROTOCOLS_MAX + 128];
  (void)snprintf(sentence, sizeof sentence, "None of the offered subprotocols is supported. This server supports: %s",
                 wsw_server_of(peer)->configuration.protocols);
  wsw_handshake_refuse(peer, 400, sentence);
}

static bool is_of_an_allowed_page(const struct wsw_peer *peer) {
  struct wsp_slice origin = wsp_server_handshake_origin(peer->handshake);
  const struct wsw_configuration *configuration = &wsw_server_of(peer)->configuration;
  return origin.text ? wsw_origins_allow(&configuration->origins, origin.text, origin.length)
                     : !configuration->origin_required;
}

static struct wsc_connect_header channel_header(const struct wsp_server_handshake *handshake, size_t index) {
  struct wsp_header header = wsp_server_handshake_header(handshake, index);
  return (struct wsc_connect_header){
      .name = {.text = header.name.text, .length = header.name.length},
      .value = {.text = header.value.text, .length = header.value.length},
  };
}

static void report_connect(struct wsw_peer *peer, const struct wsp_server_handshake *handshake) {
  struct wsc_connect connect;
  wsw_peer_describe(peer, &connect);
  size_t count = wsp_server_handshake_header_count(handshake);
  size_t size = wsc_connect_size(&connect);
  for (size_t i = 0; i < count; i++) {
    struct wsc_connect_header header = channel_header(handshake, i);
    size += wsc_connect_header_size(&header);
  }
  connect.header_count = (uint16_t)count;
  struct wsc_header header = {.type = WSC_CONNECT, .connection = peer->id};
  uint8_t *body = wsw_channel_event_room(wsw_server_of(peer), &header, size);
  if (!body)
    return;
  body += wsc_connect_encode(&connect, body);
  for (size_t i = 0; i < count; i++) {
    struct wsc_connect_header next = channel_header(handshake, i);
    body += wsc_connect_header_encode(&next, body);
  }
}

/* Takes the peer's place in the limits; false when it was refused. */
static bool take_place(struct wsw_peer *peer) {
  struct wsw_server *server = wsw_server_of(peer);
  struct wsw_address address = wsw_details_address(peer->details);
  if (server->counters.connections >= server->configuration.max_connections) {
    wsw_handshake_refuse(peer, 503, "The server is full.");
    return false;
  }
  enum wsw_admission_result result = wsw_admission_enter(&server->admission, &address);
  peer->placed = result == WSW_ADMITTED;
  if (result == WSW_TOO_MANY_OF_CLIENT)
    wsw_handshake_refuse(peer, 429, "This address has as many connections as one client may have.");
  else if (result != WSW_ADMITTED)
    wsw_handshake_refuse(peer, 503, "The server is full.");
  return peer->placed;
}

static bool open_peer(struct wsw_peer *peer, struct wsp_slice protocol) {
  struct wsw_server *server = wsw_server_of(peer);
  char subject[WSW_SUBJECT_MAX];
  size_t subject_length = peer->transport.tls ? wsw_tls_subject(peer->transport.tls, subject, sizeof subject) : 0;
  struct wsw_details *details =
      wsw_details_of_open(peer->details, peer->handshake, protocol, (struct wsp_slice){subject, subject_length});
  if (!details)
    return false;
  free(peer->details);
  peer->details = details;
  wsw_half_open_leave(server, peer);
  peer->id = server->last_id + 1;
  if (!wsw_peers_open(&server->peers, peer))
    return false;
  server->last_id++;
  server->counters.connections++;
  peer->last_message = (uint32_t)server->channel.store.acknowledged; /* none that is still to be acknowledged */
  peer->state = WSW_PEER_OPEN;
  peer->farewell = NULL; /* where the handshake was, which is the caller's from here on */
  wsw_deadlines_begin(peer);
  return true;
}

/* Terms that fit the budget; without an acceptable offer nothing is compressed. False without memory. */
static bool agree_on_compression(struct wsw_peer *peer) {
  const struct wsp_deflate_pool *pool = wsw_server_of(peer)->settings.deflate;
  if (!pool)
    return true;
  struct wsp_deflate_terms terms =
      wsp_server_handshake_choose_deflate(peer->handshake, wsp_deflate_pool_has_room(pool));
  return !terms.agreed || wsp_connection_compress(&peer->connection, &terms);
}

static void accept_peer(struct wsw_peer *peer) {
  struct wsp_server_handshake *handshake = peer->handshake;
  struct wsw_server *server = wsw_server_of(peer);
  struct wsp_slice protocol;
  if (wsw_server_is_stopping(server)) {
    wsw_handshake_refuse(peer, 503, "The server is stopping.");
    return;
  }
  if (!is_of_an_allowed_page(peer)) { /* RFC 6455 section 4.2.2 */
    wsw_handshake_refuse(peer, 403,
                         wsp_server_handshake_origin(peer->handshake).text
                             ? "Pages of this origin may not connect to this server."
                             : "This server requires the header Origin.");
    return;
  }
  if (!wsp_server_handshake_choose_protocol(peer->handshake, server->configuration.protocols, &protocol)) {
    refuse_protocol(peer);
    return;
  }
  if (!take_place(peer))
    return;
  if (!agree_on_compression(peer) || !wsp_server_handshake_accept(peer->handshake, protocol, &server->replies) ||
      !wsw_peer_take_replies(peer, false)) {
    wsw_peer_drop(peer);
    return;
  }
  if (!open_peer(peer, protocol)) {
    wsw_peer_drop(peer);
    return;
  }
  report_connect(peer, handshake);
  wsp_server_handshake_free(handshake);
  wsw_deadlines_refresh(peer);
}

size_t wsw_handshake_feed(struct wsw_peer *peer, const uint8_t *octets, size_t length) {
  if (!peer->handshake)
    peer->handshake = wsp_server_handshake_new();
  if (!peer->handshake) {
    wsw_peer_drop(peer);
    return length;
  }
  size_t consumed = length;
  enum wsp_handshake_result result = wsp_server_handshake_feed(peer->handshake, octets, length, &consumed);
  if (result == WSP_HANDSHAKE_MORE)
    return consumed;
  if (peer->refusal)
    refuse_as_decided(peer);
  else if (result == WSP_HANDSHAKE_DONE)
    accept_peer(peer);
  else
    refuse_for_fault(peer, wsp_server_handshake_status(peer->handshake), wsp_server_handshake_fault(peer->handshake));
  return consumed;
}
