/* SPDX-License-Identifier: Apache-2.0 */
/* The channel's stream of records, in both directions. Any cutting comes to the same records and the same fault; what
 * was decoded encodes to the very octets it came from; memory follows what arrived. */
#include "channel/decoder.h"
#include "channel/queue.h"
#include "tests/fuzz/harness.h"

#include <stdlib.h>
#include <string.h>

enum switches { TO_WORKER = 1, SMALL_MESSAGES = 2, RESTS = 4, SHARED = 8 };

static void check_connect(const struct wsc_record *record) {
  struct wsc_connect connect;
  struct wsc_connect_header header;
  require(wsc_connect_decode(record->body, record->header.size, &connect));
  uint8_t *copy = malloc(record->header.size);
  size_t length = wsc_connect_encode(&connect, copy), offset = 0, count = 0;
  require(length == wsc_connect_size(&connect));
  for (; wsc_connect_next_header(&connect, &offset, &header); count++)
    length += wsc_connect_header_encode(&header, copy + length);
  require(count == connect.header_count && offset == connect.headers_size);
  require(length == record->header.size && memcmp(copy, record->body, length) == 0);
  free(copy);
}

static void check_welcome(const struct wsc_decoder *decoder, const struct wsc_record *record) {
  struct wsc_welcome welcome;
  uint8_t copy[WSC_WELCOME_SIZE];
  require(wsc_welcome_decode(record->body, record->header.size, &welcome));
  require((welcome.version == WSC_VERSION_SHARED) == decoder->shared);
  wsc_welcome_encode(&welcome, copy);
  const size_t known = record->header.size < WSC_WELCOME_SIZE ? WSC_WELCOME_MIN : WSC_WELCOME_SIZE;
  require(memcmp(copy, record->body, known) == 0);
}

static void check_record(const struct wsc_decoder *decoder, const struct wsc_record *record) {
  require(!wsc_header_fault(&record->header, decoder->direction, decoder->max_message));
  require(record->body && record->header.size <= WSC_BODY_MAX);
  if (record->header.type == WSC_MESSAGE || record->header.type == WSC_SEND)
    require(record->header.size <= decoder->max_message);
  require(decoder->shared || !wsc_type_is_shared(record->header.type));
  if (record->header.type == WSC_SHARED_MESSAGE || record->header.type == WSC_SHARED_SEND)
    require(wsc_get_u64(record->body) % WSC_ARENA_UNIT == 0 &&
            wsc_get_u64(record->body + 8) - 1 < decoder->max_message);
  if (record->header.type == WSC_CONNECT)
    check_connect(record);
  if (record->header.type == WSC_WELCOME)
    check_welcome(decoder, record);
  if (record->header.type == WSC_BROADCAST)
    require(wsc_get_u32(record->body) <= (record->header.size - 8) / 8);
}

/* False after a fault. */
static bool take_records(struct wsc_decoder *decoder, struct wsc_queue *copies) {
  struct wsc_record record;
  enum wsc_decode_result result;
  while ((result = wsc_decoder_next(decoder, &record)) == WSC_DECODED) {
    check_record(decoder, &record);
    require(wsc_queue_append_record(copies, &record.header, record.body, record.header.size));
  }
  require((result == WSC_DECODE_FAULT) == (decoder->fault != NULL));
  return result == WSC_DECODE_MORE;
}

static bool feed_piece(struct wsc_decoder *decoder, const uint8_t *piece, size_t length, size_t *arrived,
                       struct wsc_queue *copies) {
  for (size_t at = 0, size; at < length;) {
    uint8_t *room = wsc_decoder_room(decoder, &size);
    require(room && size > 0);
    size = size < length - at ? size : length - at;
    memcpy(room, piece + at, size);
    wsc_decoder_filled(decoder, size);
    at += size;
    *arrived += size;
    require(decoder->capacity <= 2 * *arrived + WSC_DECODER_ROOM);
    if (!take_records(decoder, copies))
      return false;
  }
  return true;
}

static void run(const struct fuzz_input *input, enum fuzz_cutting cutting, struct fuzz_log *log) {
  struct wsc_decoder decoder;
  struct wsc_queue copies = {0};
  size_t arrived = 0, size;
  wsc_decoder_init(&decoder, input->switches & TO_WORKER ? WSC_TO_WORKER : WSC_TO_APP,
                   input->switches & SMALL_MESSAGES ? 100 : WSC_MESSAGE_MAX);
  decoder.shared = input->switches & SHARED;
  struct fuzz_pieces pieces = fuzz_cut(input, cutting);
  for (size_t length; fuzz_next_piece(&pieces, &length);) {
    if (!feed_piece(&decoder, pieces.piece, length, &arrived, &copies))
      break;
    if (input->switches & RESTS)
      wsc_decoder_rest(&decoder);
  }
  fuzz_pieces_clear(&pieces);

  const size_t decoded = wsc_queue_length(&copies);
  require(decoded <= arrived);
  require(decoded == 0 || memcmp(wsc_queue_front(&copies), input->octets, decoded) == 0);
  fuzz_note_number(log, decoded);
  fuzz_note_text(log, decoder.fault);
  if (decoder.fault)
    require(!wsc_decoder_room(&decoder, &size) && size == 0 && !take_records(&decoder, &copies));
  else
    require(wsc_decoder_pending(&decoder) == input->length - decoded);
  wsc_decoder_clear(&decoder);
  wsc_queue_clear(&copies);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct fuzz_input input;
  if (fuzz_take_apart(data, size, &input))
    fuzz_require_same(run, &input);
  return 0;
}
