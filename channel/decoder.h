/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records out of a stream. The user reads octets from the socket into the decoder's own room and then takes whole
 * records until there is none. Records that lie whole in the buffer are handed out in place; a large one makes the
 * buffer grow as its octets arrive (never by what its header promises), and the buffer shrinks again afterwards. A
 * partial last record is simply never handed out.
 *
 *   while ((room = wsc_decoder_room(d, &size))) { n = read(fd, room, size); wsc_decoder_filled(d, n);
 *     while (wsc_decoder_next(d, &record) == WSC_DECODED) handle(&record); }
 *
 * What it hands out is legal as wsc_header_fault() and wsc_record_fault() define it, a header being judged before its
 * body is awaited. Towards the app side it also keeps the order in which a channel begins: one WELCOME, then STANDING
 * records, then the rest. What depends on the user's knowledge (does the connection exist, was that number handed out)
 * is the user's to check.
 */
#pragma once

#include "channel/record.h"

struct wsc_decoder {
  enum wsc_direction direction;
  /* An app side that does not know the worker's limit begins with WSC_MESSAGE_MAX and sets it from WELCOME. */
  uint64_t max_message;
  bool
      shared; /* the channel has shared memory: its records are legal, and WELCOME has to say so. To be set behind wsc_decoder_init() */
  uint8_t *octets;
  size_t start, end, capacity;
  size_t keep;    /* a room of up to so many octets is kept after a large record, for the next; 0: none is */
  uint8_t *spare; /* a block that was given back, for the next large record; NULL: none */
  size_t spare_capacity;
  size_t record_size; /* of the record at `start` once its header is known to be legal, else 0 */
  uint8_t beginning;  /* how much of a channel's beginning was seen, see decoder.c */
  const char *fault;
};

void wsc_decoder_init(struct wsc_decoder *decoder, enum wsc_direction direction, uint64_t max_message);
void wsc_decoder_clear(struct wsc_decoder *decoder);

/* Where to read to, and how much; NULL without memory (what is pending stays: try again later) and after a fault.
 * Records handed out before are invalid from here on. Room is allocated on demand, and freed by wsc_decoder_rest(), so
 * an idle channel holds none. */
uint8_t *wsc_decoder_room(struct wsc_decoder *decoder, size_t *size);
/* `length` octets were read into the room: at most the size that was offered. */
void wsc_decoder_filled(struct wsc_decoder *decoder, size_t length);

enum wsc_decode_result {
  WSC_DECODED,
  WSC_DECODE_MORE,  /* no whole record left */
  WSC_DECODE_FAULT, /* decoder->fault says what is wrong; the stream cannot be read any further */
};
/* The record's body is valid until the next wsc_decoder_room(), _rest() or _clear(); it may lie at any address (no
 * alignment). */
enum wsc_decode_result wsc_decoder_next(struct wsc_decoder *decoder, struct wsc_record *record);

/* Gives the caller the block in which the record handed out last lies: its body stays where it is until the caller frees the block, and what is pending
 * behind it goes on in another. For large records that somebody wants to keep without copying them; once for each record at most. NULL without memory:
 * nothing changed. */
uint8_t *wsc_decoder_take(struct wsc_decoder *decoder);

/* Gives a block back that was taken, whose room was `capacity` octets: it is used again, or freed. */
void wsc_decoder_give(struct wsc_decoder *decoder, uint8_t *block, size_t capacity);

/* Octets of an unfinished record. */
size_t wsc_decoder_pending(const struct wsc_decoder *decoder);
/* Call when the socket is drained: frees the room if nothing is pending. */
void wsc_decoder_rest(struct wsc_decoder *decoder);
/* Gives back what was kept for large records. */
void wsc_decoder_trim(struct wsc_decoder *decoder);
