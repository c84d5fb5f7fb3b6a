/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records out of a stream. The user reads octets from the socket into the decoder's own room and then takes whole records until
 * there is none. Records that lie whole in the buffer are handed out in place; a large one makes the buffer grow as its octets arrive (never by
 * what its header promises), and the buffer shrinks again afterwards. A partial last record is simply never handed out.
 *
 *   while ((room = wsc_decoder_room(d, &size))) { n = read(fd, room, size); wsc_decoder_filled(d, n);
 *     while (wsc_decoder_next(d, &record) == WSC_DECODED) handle(&record); }
 */
#pragma once

#include "channel/record.h"

#define WSC_DECODER_ROOM 65536 /* octets offered for one read while no large record is under way */

struct wsc_decoder {
  enum wsc_direction direction;
  uint64_t max_message;
  uint8_t *octets;
  size_t start, end, capacity;
  const char *fault;
};

void wsc_decoder_init(struct wsc_decoder *decoder, enum wsc_direction direction, uint64_t max_message);
void wsc_decoder_clear(struct wsc_decoder *decoder);

/* Where to read to, and how much; NULL without memory. Records handed out before are invalid from here on. Room is allocated on
 * demand, and freed by wsc_decoder_rest(), so an idle channel holds none. */
uint8_t *wsc_decoder_room(struct wsc_decoder *decoder, size_t *size);
void wsc_decoder_filled(struct wsc_decoder *decoder, size_t length);

enum wsc_decode_result {
  WSC_DECODED,
  WSC_DECODE_MORE,  /* no whole record left */
  WSC_DECODE_FAULT, /* decoder->fault says what is wrong; the stream cannot be read any further */
};
enum wsc_decode_result wsc_decoder_next(struct wsc_decoder *decoder, struct wsc_record *record);

/* Octets of an unfinished record. */
size_t wsc_decoder_pending(const struct wsc_decoder *decoder);
/* Call when the socket is drained: frees the room if nothing is pending. */
void wsc_decoder_rest(struct wsc_decoder *decoder);
