/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/details.h"

#include "worker/clock.h"

#include <stdlib.h>
#include <string.h>

#define TEXTS 5
#define LENGTH_BITS 7 /* of a text's length in one octet; the top bit says that more follow */
#define LENGTH_MORE 0x80u

struct wsw_details {
  uint8_t family;
  uint8_t packed[]; /* address (of IPv6 with its scope), port; when it opened, lengths of the texts, texts */
};

static size_t size_of_host(uint8_t family) {
  return family == 4 ? 4 : sizeof(((struct wsw_address *)NULL)->octets) + sizeof(uint32_t);
}

static size_t size_of_arrival(uint8_t family) {
  return size_of_host(family) + sizeof(uint16_t);
}

static struct wsw_details *new_details(const struct wsw_address *address, size_t more) {
  struct wsw_details *details = malloc(sizeof *details + size_of_arrival(address->family) + more);
  if (!details)
    return NULL;
  size_t length = size_of_host(address->family);
  details->family = address->family;
  memcpy(details->packed, address->octets, address->family == 4 ? 4 : sizeof address->octets);
  if (address->family != 4)
    memcpy(details->packed + sizeof address->octets, &address->scope, sizeof address->scope);
  memcpy(details->packed + length, &address->port, sizeof address->port);
  return details;
}

struct wsw_details *wsw_details_new(const struct wsw_address *address) {
  return new_details(address, 0);
}

struct wsw_address wsw_details_address(const struct wsw_details *details) {
  struct wsw_address address = {.family = details->family};
  memcpy(address.octets, details->packed, details->family == 4 ? 4 : sizeof address.octets);
  if (details->family != 4)
    memcpy(&address.scope, details->packed + sizeof address.octets, sizeof address.scope);
  memcpy(&address.port, details->packed + size_of_host(details->family), sizeof address.port);
  return address;
}

static size_t size_of_length(size_t length) {
  size_t size = 1;
  while (length >>= LENGTH_BITS)
    size++;
  return size;
}

static uint8_t *put_length(uint8_t *to, size_t length) {
  for (; length >= LENGTH_MORE; length >>= LENGTH_BITS)
    *to++ = (uint8_t)(length | LENGTH_MORE);
  *to++ = (uint8_t)length;
  return to;
}

static const uint8_t *take_length(const uint8_t *from, size_t *length) {
  unsigned shift = 0;
  *length = 0;
  for (; *from & LENGTH_MORE; from++, shift += LENGTH_BITS)
    *length |= (size_t)(*from & ~LENGTH_MORE) << shift;
  *length |= (size_t)*from++ << shift;
  return from;
}

static void put_open(uint8_t *to, uint64_t connected_at, const struct wsp_slice texts[TEXTS]) {
  memcpy(to, &connected_at, sizeof connected_at);
  to += sizeof connected_at;
  for (size_t i = 0; i < TEXTS; i++)
    to = put_length(to, texts[i].length);
  for (size_t i = 0; i < TEXTS; i++) {
    if (texts[i].length)
      memcpy(to, texts[i].text, texts[i].length);
    to += texts[i].length;
  }
}

struct wsw_details *wsw_details_of_open(const struct wsw_details *arrival, const struct wsp_server_handshake *handshake,
                                        struct wsp_slice protocol, struct wsp_slice subject) {
  const struct wsp_slice texts[TEXTS] = {wsp_server_handshake_path(handshake), wsp_server_handshake_query(handshake),
                                         wsp_server_handshake_origin(handshake), protocol, subject};
  struct wsw_address address = wsw_details_address(arrival);
  size_t more = sizeof(uint64_t);
  for (size_t i = 0; i < TEXTS; i++)
    more += size_of_length(texts[i].length) + texts[i].length;
  struct wsw_details *details = new_details(&address, more);
  if (details)
    put_open(details->packed + size_of_arrival(address.family), wsw_clock_wall_microseconds(), texts);
  return details;
}

static void describe_address(const struct wsw_details *details, struct wsc_connect *connect) {
  struct wsw_address address = wsw_details_address(details);
  connect->family = address.family;
  connect->port = address.port;
  connect->scope = address.scope;
  memcpy(connect->address, address.octets, sizeof connect->address);
}

void wsw_details_describe(const struct wsw_details *details, struct wsc_connect *connect) {
  struct wsc_text *texts[TEXTS] = {&connect->path, &connect->query, &connect->origin, &connect->protocol,
                                   &connect->subject};
  const uint8_t *from = details->packed + size_of_arrival(details->family);
  describe_address(details, connect);
  memcpy(&connect->connected_at, from, sizeof connect->connected_at);
  from += sizeof connect->connected_at;
  for (size_t i = 0; i < TEXTS; i++) {
    size_t length;
    from = take_length(from, &length);
    texts[i]->length = length;
  }
  for (size_t i = 0; i < TEXTS; i++) {
    texts[i]->text = (const char *)from;
    from += texts[i]->length;
  }
}
