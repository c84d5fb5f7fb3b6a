/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/connect.h"

#include "channel/integer.h"

#include <string.h>

enum { FIXED = WSC_CONNECT_FIXED, IPV4_OCTETS = 4, FLAG_TLS = 1, HEADER_LENGTHS = 8 };

static uint8_t *put_text(uint8_t *out, const struct wsc_text *text) {
  if (text->length > 0)
    memcpy(out, text->text, text->length);
  return out + text->length;
}

size_t wsc_connect_size(const struct wsc_connect *connect) {
  return FIXED + connect->path.length + connect->query.length + connect->origin.length + connect->protocol.length +
         connect->subject.length;
}

size_t wsc_connect_header_size(const struct wsc_connect_header *header) {
  return HEADER_LENGTHS + header->name.length + header->value.length;
}

size_t wsc_connect_encode(const struct wsc_connect *connect, uint8_t *out) {
  memset(out, 0, FIXED);
  out[0] = connect->family;
  out[1] = connect->tls ? FLAG_TLS : 0;
  wsc_put_u16(out + 2, connect->port);
  wsc_put_u32(out + 4, connect->scope);
  memcpy(out + 8, connect->address, connect->family == 4 ? IPV4_OCTETS : sizeof connect->address);
  wsc_put_u64(out + 24, connect->connected_at);
  wsc_put_u32(out + 32, (uint32_t)connect->path.length);
  wsc_put_u32(out + 36, (uint32_t)connect->query.length);
  wsc_put_u32(out + 40, (uint32_t)connect->origin.length);
  wsc_put_u32(out + 44, (uint32_t)connect->protocol.length);
  wsc_put_u16(out + 48, connect->header_count);
  wsc_put_u16(out + 50, (uint16_t)connect->subject.length);
  uint8_t *end = put_text(out + FIXED, &connect->path);
  end = put_text(end, &connect->query);
  end = put_text(end, &connect->origin);
  end = put_text(end, &connect->protocol);
  end = put_text(end, &connect->subject);
  return (size_t)(end - out);
}

size_t wsc_connect_header_encode(const struct wsc_connect_header *header, uint8_t *out) {
  wsc_put_u32(out, (uint32_t)header->name.length);
  wsc_put_u32(out + 4, (uint32_t)header->value.length);
  put_text(put_text(out + HEADER_LENGTHS, &header->name), &header->value);
  return wsc_connect_header_size(header);
}

/* Takes `length` octets from the front of what is left. */
static bool take_text(const uint8_t **from, size_t *left, size_t length, struct wsc_text *text) {
  if (length > *left)
    return false;
  text->text = (const char *)*from;
  text->length = length;
  *from += length;
  *left -= length;
  return true;
}

bool wsc_connect_next_header(const struct wsc_connect *connect, size_t *offset, struct wsc_connect_header *header) {
  if (*offset > connect->headers_size || connect->headers_size - *offset < HEADER_LENGTHS)
    return false;
  const uint8_t *from = connect->headers + *offset;
  size_t name_length = wsc_get_u32(from), value_length = wsc_get_u32(from + 4);
  size_t left = connect->headers_size - *offset - HEADER_LENGTHS;
  from += HEADER_LENGTHS;
  if (name_length == 0 || !take_text(&from, &left, name_length, &header->name) ||
      !take_text(&from, &left, value_length, &header->value))
    return false;
  *offset = connect->headers_size - left;
  return true;
}

static bool headers_are_whole(const struct wsc_connect *connect) {
  struct wsc_connect_header header;
  size_t offset = 0;
  for (uint16_t i = 0; i < connect->header_count; i++)
    if (!wsc_connect_next_header(connect, &offset, &header))
      return false;
  return offset == connect->headers_size;
}

/* Every address has exactly one form, so that equal addresses are equal octets. */
static bool address_is_canonical(const struct wsc_connect *connect) {
  if (connect->family == 6)
    return true;
  if (connect->family != 4 || connect->scope != 0)
    return false;
  for (size_t i = IPV4_OCTETS; i < sizeof connect->address; i++)
    if (connect->address[i] != 0)
      return false;
  return true;
}

bool wsc_connect_decode(const uint8_t *body, size_t size, struct wsc_connect *connect) {
  if (size < FIXED || size > WSC_CONNECT_MAX || (body[1] & ~FLAG_TLS) != 0)
    return false;
  connect->family = body[0];
  connect->tls = body[1] & FLAG_TLS;
  connect->port = wsc_get_u16(body + 2);
  connect->scope = wsc_get_u32(body + 4);
  memcpy(connect->address, body + 8, sizeof connect->address);
  connect->connected_at = wsc_get_u64(body + 24);
  connect->header_count = wsc_get_u16(body + 48);
  const uint8_t *from = body + FIXED;
  size_t left = size - FIXED;
  if (!take_text(&from, &left, wsc_get_u32(body + 32), &connect->path) ||
      !take_text(&from, &left, wsc_get_u32(body + 36), &connect->query) ||
      !take_text(&from, &left, wsc_get_u32(body + 40), &connect->origin) ||
      !take_text(&from, &left, wsc_get_u32(body + 44), &connect->protocol) ||
      !take_text(&from, &left, wsc_get_u16(body + 50), &connect->subject))
    return false;
  connect->headers = from;
  connect->headers_size = left;
  return address_is_canonical(connect) && headers_are_whole(connect);
}
