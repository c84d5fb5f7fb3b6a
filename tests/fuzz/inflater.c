/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/inflater.h"

#include <stdlib.h>
#include <string.h>
#define ZLIB_CONST
#include <zlib.h>

enum { WINDOW_MAX = 32768 };

void fuzz_inflater_clear(struct fuzz_inflater *inflater) {
  free(inflater->octets);
  *inflater = (struct fuzz_inflater){0};
}

/* A new stream behind everything so far, as a block that follows the last one needs it, too. */
static void begin(const struct fuzz_inflater *inflater, z_stream *stream) {
  const size_t there = inflater->length < WINDOW_MAX ? inflater->length : WINDOW_MAX;
  require(inflateReset(stream) == Z_OK);
  if (there > 0)
    require(inflateSetDictionary(stream, inflater->octets + inflater->length - there, (uInt)there) == Z_OK);
}

static int run(struct fuzz_inflater *inflater, z_stream *stream) {
  const size_t room = 4096;
  if (inflater->capacity - inflater->length < room) {
    inflater->capacity = 2 * inflater->capacity + room;
    inflater->octets = realloc(inflater->octets, inflater->capacity);
  }
  stream->next_out = inflater->octets + inflater->length;
  stream->avail_out = (uInt)room;
  const int result = inflate(stream, Z_SYNC_FLUSH);
  inflater->length += room - stream->avail_out;
  return result;
}

/* False when damaged; `ended` behind a block that calls itself the last. */
static bool feed(struct fuzz_inflater *inflater, z_stream *stream, const uint8_t *octets, size_t length, bool *ended) {
  stream->next_in = octets;
  stream->avail_in = (uInt)length;
  do {
    if (*ended && stream->avail_in > 0)
      begin(inflater, stream);
    *ended = *ended && stream->avail_in == 0;
    if (*ended)
      return true;
    const int result = run(inflater, stream);
    *ended = result == Z_STREAM_END;
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
      return false;
  } while (stream->avail_in > 0 || stream->avail_out == 0);
  return true;
}

bool fuzz_inflate(struct fuzz_inflater *inflater, const uint8_t *payload, size_t length, bool ends) {
  z_stream stream = {0};
  bool ended = false;
  inflater->length = inflater->earlier;
  require(inflateInit2(&stream, -15) == Z_OK);
  begin(inflater, &stream);
  bool right = length == 0 || feed(inflater, &stream, payload, length, &ended);
  /* RFC 7692 section 7.2.2: four octets were cut off. They end a block, unless the last one had ended before. */
  if (right && ends && length > 0 && !ended)
    right = feed(inflater, &stream, (const uint8_t *)"\0\0\xff\xff", 4, &ended) && (ended || stream.data_type == 128);
  inflateEnd(&stream);
  return right;
}

void fuzz_inflater_keep(struct fuzz_inflater *inflater) {
  const size_t kept = inflater->length < inflater->window ? inflater->length : inflater->window;
  if (kept > 0)
    memmove(inflater->octets, inflater->octets + inflater->length - kept, kept);
  inflater->earlier = inflater->length = kept;
}
