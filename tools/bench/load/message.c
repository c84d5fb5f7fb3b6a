/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/load/message.h"
#include "tools/bench/load/failure.h"
#include "websocket/frame.h"
#include "websocket/mask.h"

#include <string.h>

void load_message_init(struct load_message *message, const char *kind, size_t size, bool text) {
  message->size = size;
  message->text = text;
  message->model = load_allocate(size);
  uint32_t random = 1;
  for (size_t i = 0; i < size; i++) {
    random = random * 1664525u + 1013904223u;
    message->model[i] = (uint8_t)('!' + (random >> 24) % 94);
  }
  memcpy(message->model, kind, LOAD_KIND_LENGTH);
  struct wsp_frame_header header = {.fin = true, .payload_length = size};
  header.opcode = text ? WSP_OPCODE_TEXT : WSP_OPCODE_BINARY;
  message->header_length = wsp_frame_header_encode(&header, message->header);
}

/* Eight digits of six bits: 32 bits for the number, 16 for the peer. */
uint64_t load_stamp(uint32_t peer, uint64_t number) {
  uint64_t stamp = 0;
  const uint64_t bits = (uint64_t)(peer & 0xFFFF) << 32 | (uint32_t)number;
  for (unsigned i = 0; i < LOAD_STAMP_LENGTH; i++)
    stamp |= (' ' + 1 + (bits >> (6 * i) & 63)) << (8 * i);
  return stamp;
}

size_t load_frame_length(const struct load_message *message) {
  return message->header_length + 4 + message->size;
}

void load_frame_write(const struct load_message *message, const char *kind, const uint8_t key[4], uint8_t *frame) {
  struct wsp_frame_header header = {.fin = true, .masked = true, .payload_length = message->size};
  header.opcode = message->text ? WSP_OPCODE_TEXT : WSP_OPCODE_BINARY;
  memcpy(header.mask_key, key, 4);
  uint8_t *payload = frame + wsp_frame_header_encode(&header, frame);
  memcpy(payload, message->model, message->size);
  memcpy(payload, kind, LOAD_KIND_LENGTH);
  wsp_mask(payload, message->size, key, 0);
}

void load_frame_stamp(const struct load_message *message, const uint8_t key[4], uint8_t *frame, uint64_t stamp) {
  const uint8_t twice[8] = {key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]};
  uint8_t *payload = frame + message->header_length + 4;
  uint64_t mask;
  memcpy(&mask, twice, sizeof mask);
  stamp ^= mask; /* a stamp begins at a multiple of four octets */
  for (size_t at = 0; at + LOAD_SIZE_MIN <= message->size; at += LOAD_STAMP_EVERY)
    memcpy(payload + at + LOAD_KIND_LENGTH, &stamp, sizeof stamp);
}

bool load_message_check(const struct load_message *message, uint64_t stamp, size_t offset, const uint8_t *octets,
                        size_t length) {
  while (length) {
    const size_t at = offset % LOAD_STAMP_EVERY;
    const bool stamped = offset - at + LOAD_SIZE_MIN <= message->size;
    const uint8_t *expected = message->model + offset;
    size_t end = LOAD_STAMP_EVERY;
    if (stamped && at < LOAD_KIND_LENGTH)
      end = LOAD_KIND_LENGTH;
    else if (stamped && at < LOAD_SIZE_MIN) {
      end = LOAD_SIZE_MIN;
      expected = (const uint8_t *)&stamp + (at - LOAD_KIND_LENGTH);
    }
    const size_t count = end - at < length ? end - at : length;
    if (memcmp(expected, octets, count) != 0)
      return false;
    offset += count;
    octets += count;
    length -= count;
  }
  return true;
}
