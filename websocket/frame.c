/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/frame.h"

#include <string.h>

#define LENGTH_16 126 /* the seven-bit length that says: two octets of length follow */
#define LENGTH_64 127 /* ... eight octets follow */

static void put_big_endian(uint8_t *out, uint64_t value, size_t octets) {
  for (size_t i = 0; i < octets; i++)
    out[i] = (uint8_t)(value >> (8 * (octets - 1 - i)));
}

static uint64_t get_big_endian(const uint8_t *octets, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; i++)
    value = value << 8 | octets[i];
  return value;
}

size_t wsp_frame_header_encode(const struct wsp_frame_header *header, uint8_t out[WSP_FRAME_HEADER_MAX]) {
  const uint8_t mask_bit = header->masked ? 0x80 : 0;
  size_t length = 2;
  out[0] = (uint8_t)((header->fin ? 0x80 : 0) | (header->rsv & 7) << 4 | (header->opcode & 0xF));
  if (header->payload_length < LENGTH_16) {
    out[1] = (uint8_t)(mask_bit | header->payload_length);
  } else if (header->payload_length <= UINT16_MAX) {
    out[1] = mask_bit | LENGTH_16;
    put_big_endian(out + 2, header->payload_length, 2);
    length += 2;
  } else {
    out[1] = mask_bit | LENGTH_64;
    put_big_endian(out + 2, header->payload_length, 8);
    length += 8;
  }
  if (header->masked) {
    memcpy(out + length, header->mask_key, 4);
    length += 4;
  }
  return length;
}

/* True when the octets of the extended length that are there already prove it wrong. */
static bool length_is_faulty(const uint8_t *extended, size_t there, size_t size) {
  if (size == 2)
    return there >= 2 && get_big_endian(extended, 2) < LENGTH_16;
  if (there >= 1 && extended[0] & 0x80)
    return true;
  /* The upper six octets are zero: 16 bits would have done. */
  return there >= 6 && get_big_endian(extended, 6) == 0;
}

enum wsp_frame_result wsp_frame_header_decode(const uint8_t *octets, size_t length, struct wsp_frame_header *header,
                                              size_t *header_length) {
  if (length < 2)
    return WSP_FRAME_MORE;
  const uint8_t short_length = octets[1] & 0x7F;
  const bool masked = octets[1] & 0x80;
  const size_t extended_size = short_length == LENGTH_64 ? 8 : short_length == LENGTH_16 ? 2 : 0;
  const size_t whole = 2 + extended_size + (masked ? 4 : 0);
  if (extended_size > 0) {
    size_t there = length - 2 < extended_size ? length - 2 : extended_size;
    if (length_is_faulty(octets + 2, there, extended_size))
      return WSP_FRAME_FAULT;
  }
  if (length < whole)
    return WSP_FRAME_MORE;

  header->fin = octets[0] & 0x80;
  header->rsv = octets[0] >> 4 & 7;
  header->opcode = octets[0] & 0xF;
  header->masked = masked;
  header->payload_length = extended_size ? get_big_endian(octets + 2, extended_size) : short_length;
  if (masked)
    memcpy(header->mask_key, octets + 2 + extended_size, 4);
  else
    memset(header->mask_key, 0, 4);
  *header_length = whole;
  return WSP_FRAME_DONE;
}
