/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/deflate-pool.h"

#include <limits.h>
#include <stdlib.h>
#define ZLIB_CONST
#include <zlib.h>

#define LEVEL 2      /* see docs/compression.md for how these two were chosen */
#define MEMORY 5     /* memLevel */
#define BITS_LEAST 9 /* of zlib's raw deflate */
#define BITS_MOST 15

struct wsp_inflater {
  z_stream stream;
  struct wsp_inflater *next; /* while idle */
  bool has_ended;            /* the last block said that it is the last; what follows begins anew */
};

struct wsp_deflate_pool {
  z_stream *deflaters[BITS_MOST + 1]; /* by window bits */
  struct wsp_inflater *idle;
  unsigned idle_count;
  size_t reserved, histories_max;
};

/* zlib asks for its memory here, so that failing is the same for all that the engine does. */
static void *allocate(void *context, unsigned count, unsigned size) {
  (void)context;
  return size && count > SIZE_MAX / size ? NULL : malloc((size_t)count * size);
}

static void release(void *context, void *block) {
  (void)context;
  free(block);
}

struct wsp_deflate_pool *wsp_deflate_pool_new(size_t histories_max) {
  struct wsp_deflate_pool *pool = calloc(1, sizeof *pool);
  if (pool)
    pool->histories_max = histories_max;
  return pool;
}

static void free_inflater(struct wsp_inflater *inflater) {
  (void)inflateEnd(&inflater->stream);
  free(inflater);
}

void wsp_deflate_pool_free(struct wsp_deflate_pool *pool) {
  if (!pool)
    return;
  for (size_t bits = 0; bits <= BITS_MOST; bits++) {
    if (pool->deflaters[bits])
      (void)deflateEnd(pool->deflaters[bits]);
    free(pool->deflaters[bits]);
  }
  while (pool->idle) {
    struct wsp_inflater *inflater = pool->idle;
    pool->idle = inflater->next;
    free_inflater(inflater);
  }
  free(pool);
}

/* ---- The budget ---- */

bool wsp_deflate_pool_has_room(const struct wsp_deflate_pool *pool) {
  return pool->histories_max - pool->reserved >= WSP_DEFLATE_RECEIVED_HISTORY_MAX + WSP_DEFLATE_SENT_HISTORY_MAX;
}

bool wsp_deflate_pool_reserve(struct wsp_deflate_pool *pool, size_t octets) {
  if (octets > pool->histories_max - pool->reserved)
    return false;
  pool->reserved += octets;
  return true;
}

void wsp_deflate_pool_release(struct wsp_deflate_pool *pool, size_t octets) {
  pool->reserved -= octets;
}

size_t wsp_deflate_pool_reserved(const struct wsp_deflate_pool *pool) {
  return pool->reserved;
}

/* ---- Compressing ---- */

static z_stream *make_deflater(int bits) {
  z_stream *stream = calloc(1, sizeof *stream);
  if (!stream)
    return NULL;
  stream->zalloc = allocate;
  stream->zfree = release;
  if (deflateInit2(stream, LEVEL, Z_DEFLATED, -bits, MEMORY, Z_DEFAULT_STRATEGY) == Z_OK)
    return stream;
  free(stream);
  return NULL;
}

/* zlib has no raw deflate with a window of 256 octets. One of 512 refers back 250 octets at most (it keeps 262 of its
 * window ahead of what it compresses), so what it makes fits the smaller one. */
static z_stream *find_deflater(struct wsp_deflate_pool *pool, uint8_t bits) {
  bits = bits < BITS_LEAST ? BITS_LEAST : bits;
  if (!pool->deflaters[bits])
    pool->deflaters[bits] = make_deflater(bits);
  else
    (void)deflateReset(pool->deflaters[bits]);
  return pool->deflaters[bits];
}

/* Pictures and music are compressed already: a look at the beginning tells, before much time is spent. */
static bool is_promising(z_stream *stream, size_t length) {
  if (length < 2 * WSP_DEFLATE_PROBE)
    return true;
  stream->avail_in = WSP_DEFLATE_PROBE;
  if (deflate(stream, Z_BLOCK) != Z_OK || stream->avail_in > 0)
    return false;
  stream->avail_in = (uInt)length - WSP_DEFLATE_PROBE;
  return stream->total_out < WSP_DEFLATE_PROBE - WSP_DEFLATE_PROBE / 16;
}

size_t wsp_deflate_pool_compress(struct wsp_deflate_pool *pool, uint8_t bits, struct wsp_octets history,
                                 struct wsp_octets message, uint8_t *room) {
  z_stream *stream = message.length > 0 && message.length <= WSP_DEFLATE_MAX ? find_deflater(pool, bits) : NULL;
  if (!stream)
    return 0;
  if (history.length > 0 && deflateSetDictionary(stream, history.octets, (uInt)history.length) != Z_OK)
    return 0;
  const size_t space = message.length - 1 + WSP_DEFLATE_TAIL;
  stream->next_in = message.octets;
  stream->avail_in = (uInt)message.length;
  stream->next_out = room;
  stream->avail_out = (uInt)space;
  if (!is_promising(stream, message.length))
    return 0;
  /* With room left over, all has been written and flushed; otherwise it is at least as long as the message. */
  if (deflate(stream, Z_SYNC_FLUSH) != Z_OK || stream->avail_in > 0 || stream->avail_out == 0)
    return 0;
  return space - stream->avail_out - WSP_DEFLATE_TAIL;
}

/* ---- Decompressing ---- */

/* One window size for all: a reference that goes further back than agreed but not beyond the history is followed, the
 * same for every way in which the message arrives in pieces. */
static struct wsp_inflater *make_inflater(void) {
  struct wsp_inflater *inflater = calloc(1, sizeof *inflater);
  if (!inflater)
    return NULL;
  inflater->stream.zalloc = allocate;
  inflater->stream.zfree = release;
  if (inflateInit2(&inflater->stream, -BITS_MOST) != Z_OK) {
    free(inflater);
    return NULL;
  }
  /* Lets zlib allocate its window now, and so never in the middle of a message. */
  if (inflateSetDictionary(&inflater->stream, (const Bytef *)"", 0) != Z_OK) {
    free_inflater(inflater);
    return NULL;
  }
  return inflater;
}

struct wsp_inflater *wsp_inflater_take(struct wsp_deflate_pool *pool, struct wsp_octets history) {
  struct wsp_inflater *inflater = pool->idle;
  if (inflater) {
    pool->idle = inflater->next;
    pool->idle_count--;
    inflater->next = NULL;
  } else if (!(inflater = make_inflater())) {
    return NULL;
  }
  (void)inflateReset(&inflater->stream);
  inflater->has_ended = false;
  if (history.length > 0)
    (void)inflateSetDictionary(&inflater->stream, history.octets, (uInt)history.length);
  return inflater;
}

void wsp_inflater_give_back(struct wsp_deflate_pool *pool, struct wsp_inflater *inflater) {
  if (pool->idle_count >= WSP_DEFLATE_IDLE_INFLATERS) {
    free_inflater(inflater);
    return;
  }
  inflater->next = pool->idle;
  pool->idle = inflater;
  pool->idle_count++;
}

static uInt at_most_uint(size_t length) {
  return length < UINT_MAX ? (uInt)length : UINT_MAX;
}

/* One call of zlib's. False when the data is damaged. */
static bool run_once(struct wsp_inflater *inflater, struct wsp_octets *input, uint8_t *to, size_t room, size_t *made) {
  z_stream *stream = &inflater->stream;
  const uInt given = at_most_uint(input->length), space = at_most_uint(room);
  if (inflater->has_ended && given == 0)
    return true;
  if (inflater->has_ended) /* section 7.2.3.5: blocks follow one that called itself the last; the window stays */
    (void)inflateResetKeep(stream);
  stream->next_in = input->octets;
  stream->avail_in = given;
  stream->next_out = to;
  stream->avail_out = space;
  const int result = inflate(stream, Z_SYNC_FLUSH);
  inflater->has_ended = result == Z_STREAM_END;
  input->octets += given - stream->avail_in;
  input->length -= given - stream->avail_in;
  *made = space - stream->avail_out;
  return result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR;
}

enum wsp_inflate_result wsp_inflater_run(struct wsp_inflater *inflater, struct wsp_octets *input, uint8_t *to,
                                         size_t room, size_t *made) {
  *made = 0;
  do {
    size_t more = 0;
    const bool is_right = run_once(inflater, input, to + *made, room - *made, &more);
    *made += more;
    if (!is_right)
      return WSP_INFLATE_DAMAGED;
    if (*made == room)
      return WSP_INFLATE_FULL;
  } while (input->length > 0);
  return WSP_INFLATE_MORE;
}

bool wsp_inflater_finish(struct wsp_inflater *inflater) {
  static const uint8_t tail[WSP_DEFLATE_TAIL] = {0x00, 0x00, 0xFF, 0xFF};
  struct wsp_octets input = {.octets = tail, .length = sizeof tail};
  uint8_t beyond;
  size_t made;
  if (inflater->has_ended) /* section 7.2.3.4, where the sender forgot the octet behind its last block */
    return true;
  if (wsp_inflater_run(inflater, &input, &beyond, 1, &made) != WSP_INFLATE_MORE)
    return false;
  /* inflate() tells where it stands: 128 between blocks, + 64 in the last one, + bits not yet used. */
  return inflater->has_ended || inflater->stream.data_type == 128;
}
