/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/decoder.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* How a channel towards the app side begins; each record is judged by what came before it. */
enum { BEFORE_WELCOME, AMONG_STANDING, UNDER_WAY };

void wsc_decoder_init(struct wsc_decoder *decoder, enum wsc_direction direction, uint64_t max_message) {
  memset(decoder, 0, sizeof *decoder);
  decoder->direction = direction;
  decoder->max_message = max_message;
  decoder->beginning = direction == WSC_TO_APP ? BEFORE_WELCOME : UNDER_WAY;
}

static void free_room(struct wsc_decoder *decoder) {
  free(decoder->octets);
  decoder->octets = NULL;
  decoder->start = decoder->end = decoder->capacity = 0;
}

static void free_spare(struct wsc_decoder *decoder) {
  free(decoder->spare);
  decoder->spare = NULL;
  decoder->spare_capacity = 0;
}

void wsc_decoder_clear(struct wsc_decoder *decoder) {
  free_room(decoder);
  free_spare(decoder);
  decoder->record_size = 0;
}

/* What is pending moves to the spare block, which is large enough; the one it leaves is nothing worth. */
static void move_to_spare(struct wsc_decoder *decoder) {
  if (decoder->end > 0)
    memcpy(decoder->spare, decoder->octets, decoder->end);
  free(decoder->octets);
  decoder->octets = decoder->spare;
  decoder->capacity = decoder->spare_capacity;
  decoder->spare = NULL;
  decoder->spare_capacity = 0;
}

static bool resize(struct wsc_decoder *decoder, size_t capacity) {
  if (capacity > decoder->capacity && capacity <= decoder->spare_capacity) {
    move_to_spare(decoder);
    return true;
  }
  uint8_t *octets = realloc(decoder->octets, capacity);
  if (octets == NULL)
    return false;
  decoder->octets = octets;
  decoder->capacity = capacity;
  return true;
}

/* The unfinished record goes to the front and stays there until it is whole, so each octet moves at most once. */
static void compact(struct wsc_decoder *decoder) {
  size_t pending = wsc_decoder_pending(decoder);
  if (decoder->start > 0 && pending > 0)
    memmove(decoder->octets, decoder->octets + decoder->start, pending);
  decoder->start = 0;
  decoder->end = pending;
}

/*
 * Twice what has arrived, but not beyond the record's end, and a whole room at least. Growing waits until little is
 * left, so that a sender who drips octets cannot make each of them cost a reallocation.
 */
static bool fit_room(struct wsc_decoder *decoder) {
  size_t pending = decoder->end;
  size_t missing = decoder->record_size > pending ? decoder->record_size - pending : WSC_RECORD_HEADER;
  size_t wanted = missing < WSC_DECODER_ROOM / 4 ? missing : WSC_DECODER_ROOM / 4;
  size_t growth = pending < missing ? pending : missing;
  size_t target = pending + (growth > WSC_DECODER_ROOM ? growth : WSC_DECODER_ROOM);
  if (decoder->capacity - pending < wanted || decoder->octets == NULL)
    return resize(decoder, target);
  /* After a large record. Failing to shrink harms nobody. */
  if (decoder->capacity > 4 * WSC_DECODER_ROOM && decoder->capacity > decoder->keep &&
      pending + missing <= WSC_DECODER_ROOM)
    resize(decoder, target);
  return true;
}

uint8_t *wsc_decoder_room(struct wsc_decoder *decoder, size_t *size) {
  *size = 0;
  if (decoder->fault != NULL)
    return NULL;
  compact(decoder);
  if (!fit_room(decoder))
    return NULL;
  *size = decoder->capacity - decoder->end;
  return decoder->octets + decoder->end;
}

void wsc_decoder_filled(struct wsc_decoder *decoder, size_t length) {
  assert(length <= decoder->capacity - decoder->end);
  decoder->end += length;
}

static const char *beginning_fault(struct wsc_decoder *decoder, uint8_t type) {
  if (decoder->beginning == BEFORE_WELCOME && type != WSC_WELCOME)
    return "a record before WELCOME";
  if (decoder->beginning != BEFORE_WELCOME && type == WSC_WELCOME)
    return "a second WELCOME";
  if (decoder->beginning == UNDER_WAY && type == WSC_STANDING)
    return "a STANDING that is not right behind WELCOME";
  if (decoder->beginning != UNDER_WAY)
    decoder->beginning = type == WSC_WELCOME || type == WSC_STANDING ? AMONG_STANDING : UNDER_WAY;
  return NULL;
}

static const char *version_fault(const struct wsc_decoder *decoder, const struct wsc_record *record) {
  if (record->header.type != WSC_WELCOME)
    return NULL;
  uint16_t version = wsc_get_u16(record->body);
  return version == (decoder->shared ? WSC_VERSION_SHARED : WSC_VERSION) ? NULL : "another version than was asked for";
}

static enum wsc_decode_result fail(struct wsc_decoder *decoder, const char *fault) {
  decoder->fault = fault;
  return WSC_DECODE_FAULT;
}

enum wsc_decode_result wsc_decoder_next(struct wsc_decoder *decoder, struct wsc_record *record) {
  if (decoder->fault != NULL)
    return WSC_DECODE_FAULT;
  size_t pending = wsc_decoder_pending(decoder);
  if (pending < WSC_RECORD_HEADER)
    return WSC_DECODE_MORE;
  wsc_header_decode(decoder->octets + decoder->start, &record->header);
  if (decoder->record_size == 0) {
    const char *fault = decoder->shared || !wsc_type_is_shared(record->header.type)
                            ? wsc_header_fault(&record->header, decoder->direction, decoder->max_message)
                            : "a record about shared memory where there is none";
    if (fault == NULL)
      fault = beginning_fault(decoder, record->header.type);
    if (fault != NULL)
      return fail(decoder, fault);
    decoder->record_size = WSC_RECORD_HEADER + (size_t)record->header.size;
  }
  if (pending < decoder->record_size)
    return WSC_DECODE_MORE;
  record->body = decoder->octets + decoder->start + WSC_RECORD_HEADER;
  const char *fault = wsc_record_fault(record, decoder->direction, decoder->max_message);
  if (fault == NULL)
    fault = version_fault(decoder, record);
  if (fault != NULL)
    return fail(decoder, fault);
  decoder->start += decoder->record_size;
  decoder->record_size = 0;
  return WSC_DECODED;
}

uint8_t *wsc_decoder_take(struct wsc_decoder *decoder) {
  size_t pending = wsc_decoder_pending(decoder);
  uint8_t *taken = decoder->octets;
  uint8_t *other = NULL;
  if (pending > 0) {
    other = malloc(pending);
    if (other == NULL)
      return NULL;
    memcpy(other, taken + decoder->start, pending);
  }
  decoder->octets = other;
  decoder->start = 0;
  decoder->end = decoder->capacity = pending;
  return taken;
}

void wsc_decoder_give(struct wsc_decoder *decoder, uint8_t *block, size_t capacity) {
  if (capacity > decoder->keep || capacity <= decoder->spare_capacity) {
    free(block);
    return;
  }
  free(decoder->spare);
  decoder->spare = block;
  decoder->spare_capacity = capacity;
}

void wsc_decoder_trim(struct wsc_decoder *decoder) {
  free_spare(decoder);
  if (wsc_decoder_pending(decoder) == 0)
    free_room(decoder);
}

size_t wsc_decoder_pending(const struct wsc_decoder *decoder) {
  return decoder->end - decoder->start;
}

void wsc_decoder_rest(struct wsc_decoder *decoder) {
  if (wsc_decoder_pending(decoder) == 0)
    free_room(decoder);
}
