/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/connection-internal.h"

#include "websocket/utf8.h"

#define FIRST_CAPACITY 256
#define EXPECTED_RATIO 4

static const struct wsp_fault too_large = {WSP_CLOSE_TOO_BIG, "message larger than this side accepts"};
static const struct wsp_fault no_memory = {WSP_CLOSE_TRY_AGAIN, "no memory for the rest of this message at the moment"};
static const struct wsp_fault damaged = {WSP_CLOSE_INVALID_DATA, "compressed message is damaged"};
static const struct wsp_fault no_text = {WSP_CLOSE_INVALID_DATA, "text message is not valid UTF-8"};
static const struct wsp_fault none = {0, NULL};

/* What an unfinished message holds beside the gathered octets. False when all connections together hold too much. */
static bool charge_inflater(struct wsp_connection *connection) {
  struct wsp_settings *settings = connection->settings;
  if (!connection->progress->deflate->inflater || connection->progress->deflate->inflater_is_charged)
    return true;
  if (settings->max_gathered > 0 &&
      (settings->gathered > settings->max_gathered || settings->max_gathered - settings->gathered < WSP_INFLATER_COST))
    return false;
  settings->gathered += WSP_INFLATER_COST;
  connection->progress->deflate->inflater_is_charged = true;
  return true;
}

void wsp_connection_stop_inflating(struct wsp_connection *connection) {
  if (connection->progress->deflate->inflater_is_charged)
    connection->settings->gathered -= WSP_INFLATER_COST;
  connection->progress->deflate->inflater_is_charged = false;
  wsp_deflate_give_back_inflater(connection->progress->deflate);
}

/* Makes room where there is none and may be some: doubled, or a little where the bound over all connections leaves no
 * more. `arriving` compressed octets say what to begin with. */
static bool make_room(struct wsp_connection *connection, size_t arriving) {
  const uint64_t at_most = connection->settings->max_message_size;
  const size_t capacity = connection->progress->gather_capacity;
  if (connection->progress->gather_length < capacity || capacity >= at_most)
    return true;
  const size_t more[] = {capacity ? capacity : arriving * EXPECTED_RATIO + FIRST_CAPACITY, FIRST_CAPACITY};
  for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
    uint64_t wanted = (uint64_t)capacity + more[i];
    wanted = wanted < at_most ? wanted : at_most;
    if (wanted <= SIZE_MAX && wsp_connection_resize_gathered(connection, (size_t)wanted))
      return true;
  }
  return false;
}

/* One run of the inflater, as far as there is room. With the message at its limit, whatever still comes is too much. */
static struct wsp_fault inflate_some(struct wsp_connection *connection, struct wsp_octets *input, bool *more) {
  uint8_t beyond;
  size_t made;
  if (!make_room(connection, input->length))
    return no_memory;
  const size_t room = connection->progress->gather_capacity - connection->progress->gather_length;
  uint8_t *to = room ? connection->progress->gather + connection->progress->gather_length : &beyond;
  enum wsp_inflate_result result =
      wsp_inflater_run(connection->progress->deflate->inflater, input, to, room ? room : sizeof beyond, &made);
  *more = result == WSP_INFLATE_FULL;
  if (!room && made > 0)
    return too_large;
  connection->progress->gather_length += made;
  if (!wsp_connection_is_text_right(connection, to, made, false))
    return no_text;
  return result == WSP_INFLATE_DAMAGED ? damaged : none;
}

static struct wsp_fault inflate_octets(struct wsp_connection *connection, const uint8_t *octets, size_t length) {
  struct wsp_octets input = {.octets = octets, .length = length};
  struct wsp_fault fault = none;
  if (!wsp_deflate_inflater(connection->progress->deflate))
    return no_memory;
  for (bool more = true; more && !fault.code;)
    fault = inflate_some(connection, &input, &more);
  return fault;
}

static struct wsp_fault finish_message(struct wsp_connection *connection) {
  struct wsp_deflate *deflate = connection->progress->deflate;
  /* No octet at all instead of the one of section 7.2.3.6 is what zlib makes of the second of two empty messages. */
  if (deflate->inflater && !wsp_inflater_finish(deflate->inflater))
    return damaged;
  wsp_connection_stop_inflating(connection);
  if (!wsp_connection_is_text_right(connection, NULL, 0, true))
    return no_text;
  return wsp_deflate_remember_received(deflate, connection->progress->gather, connection->progress->gather_length)
             ? none
             : no_memory;
}

struct wsp_fault wsp_connection_inflate(struct wsp_connection *connection, const uint8_t *octets, size_t length,
                                        bool message_ends) {
  struct wsp_fault fault = none;
  if (length > 0)
    fault = inflate_octets(connection, octets, length);
  if (fault.code)
    return fault;
  if (message_ends)
    return finish_message(connection);
  return charge_inflater(connection) ? none : no_memory;
}
