/* SPDX-License-Identifier: Apache-2.0 */
/* The frame header of RFC 6455 section 5.2: encode and strict decode. */
#pragma once

#include "websocket/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wsp_opcode {
  WSP_OPCODE_CONTINUATION = 0x0,
  WSP_OPCODE_TEXT = 0x1,
  WSP_OPCODE_BINARY = 0x2,
  WSP_OPCODE_CLOSE = 0x8,
  WSP_OPCODE_PING = 0x9,
  WSP_OPCODE_PONG = 0xA,
};

#define WSP_RSV1 4 /* in `rsv`: the message is compressed (RFC 7692 section 6) */

struct wsp_frame_header {
  bool fin;
  uint8_t rsv; /* three bits */
  uint8_t opcode;
  bool masked;
  uint8_t mask_key[4];
  uint64_t payload_length;
};

/* Writes the header, minimally encoded, and returns its length (2 to 14). */
size_t wsp_frame_header_encode(const struct wsp_frame_header *header, uint8_t out[WSP_FRAME_HEADER_MAX]);

enum wsp_frame_result {
  WSP_FRAME_MORE, /* fewer octets than the header has */
  WSP_FRAME_DONE,
  WSP_FRAME_FAULT, /* length not minimally encoded, or its top bit is set */
};

/* Decodes from the front of `octets`; on DONE `header_length` is how many octets it took. */
enum wsp_frame_result wsp_frame_header_decode(const uint8_t *octets, size_t length, struct wsp_frame_header *header,
                                              size_t *header_length);
