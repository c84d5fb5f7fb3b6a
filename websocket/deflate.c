/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/deflate.h"

#include <stdlib.h>
#include <string.h>

/* The window of `bits`, as far as it is remembered; 0 without context takeover. */
static uint16_t history_size(uint8_t bits, bool no_takeover, size_t most) {
  const size_t window = (size_t)1 << bits;
  if (no_takeover)
    return 0;
  return (uint16_t)(window < most ? window : most);
}

struct wsp_deflate *wsp_deflate_new(struct wsp_deflate_pool *pool, const struct wsp_deflate_terms *terms,
                                    bool is_client) {
  const uint8_t send_bits = is_client ? terms->client_bits : terms->server_bits;
  const uint8_t receive_bits = is_client ? terms->server_bits : terms->client_bits;
  const bool forgets_sent = is_client ? terms->client_no_takeover : terms->server_no_takeover;
  const bool forgets_received = is_client ? terms->server_no_takeover : terms->client_no_takeover;
  struct wsp_deflate *deflate = calloc(1, sizeof *deflate);
  if (!deflate)
    return NULL;
  deflate->pool = pool;
  deflate->send_bits = send_bits;
  deflate->sent.length_max = history_size(send_bits, forgets_sent, WSP_DEFLATE_SENT_HISTORY_MAX);
  deflate->received.length_max = history_size(receive_bits, forgets_received, WSP_DEFLATE_RECEIVED_HISTORY_MAX);
  if (wsp_deflate_pool_reserve(pool, deflate->received.length_max))
    return deflate;
  free(deflate);
  return NULL;
}

static void forget_sent(struct wsp_deflate *deflate) {
  wsp_deflate_pool_release(deflate->pool, deflate->sent.length);
  free(deflate->sent.octets);
  deflate->sent.octets = NULL;
  deflate->sent.length = 0;
}

void wsp_deflate_free(struct wsp_deflate *deflate) {
  if (!deflate)
    return;
  wsp_deflate_give_back_inflater(deflate);
  forget_sent(deflate);
  wsp_deflate_pool_release(deflate->pool, deflate->received.length_max);
  free(deflate->received.octets);
  free(deflate);
}

static uint16_t length_with(const struct wsp_history *history, size_t more) {
  const size_t room = (size_t)history->length_max - history->length;
  return more < room ? (uint16_t)(history->length + more) : history->length_max;
}

/* Moves the history on by a message. False without memory, unchanged. */
static bool remember(struct wsp_history *history, const uint8_t *data, size_t length) {
  const uint16_t wanted = length_with(history, length);
  if (length == 0)
    return true;
  if (wanted > history->length) {
    uint8_t *octets = realloc(history->octets, wanted);
    if (!octets)
      return false;
    history->octets = octets;
  }
  const size_t added = length < wanted ? length : wanted;
  const size_t kept = wanted - added;
  if (kept > 0)
    memmove(history->octets, history->octets + history->length - kept, kept);
  memcpy(history->octets + kept, data + length - added, added);
  history->length = wanted;
  return true;
}

size_t wsp_deflate_compress(struct wsp_deflate *deflate, bool by_itself, const uint8_t *data, size_t length,
                            uint8_t *room) {
  const struct wsp_history *sent = &deflate->sent;
  const struct wsp_octets history = {.octets = sent->octets, .length = by_itself ? 0 : sent->length};
  const struct wsp_octets message = {.octets = data, .length = length};
  return wsp_deflate_pool_compress(deflate->pool, deflate->send_bits, history, message, room);
}

void wsp_deflate_remember_sent(struct wsp_deflate *deflate, const uint8_t *data, size_t length) {
  struct wsp_history *sent = &deflate->sent;
  if (sent->length_max == 0)
    return;
  const size_t more = (size_t)length_with(sent, length) - sent->length;
  if (!wsp_deflate_pool_reserve(deflate->pool, more)) {
    forget_sent(deflate); /* the next message is compressed by itself: always allowed */
    return;
  }
  if (remember(sent, data, length))
    return;
  wsp_deflate_pool_release(deflate->pool, more);
  forget_sent(deflate);
}

struct wsp_inflater *wsp_deflate_inflater(struct wsp_deflate *deflate) {
  const struct wsp_octets history = {.octets = deflate->received.octets, .length = deflate->received.length};
  if (!deflate->inflater)
    deflate->inflater = wsp_inflater_take(deflate->pool, history);
  return deflate->inflater;
}

void wsp_deflate_give_back_inflater(struct wsp_deflate *deflate) {
  if (deflate->inflater)
    wsp_inflater_give_back(deflate->pool, deflate->inflater);
  deflate->inflater = NULL;
}

bool wsp_deflate_remember_received(struct wsp_deflate *deflate, const uint8_t *data, size_t length) {
  return deflate->received.length_max == 0 || remember(&deflate->received, data, length);
}

uint64_t wsp_deflate_bound(uint64_t message_size) {
  if (message_size > INT64_MAX / 2)
    return INT64_MAX;
  return message_size + message_size / 8 + message_size / 64 + WSP_DEFLATE_SLACK;
}
