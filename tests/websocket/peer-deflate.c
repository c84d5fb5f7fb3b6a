/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/websocket/peer-deflate.h"

#include <string.h>
#define ZLIB_CONST
#include <zlib.h>

struct peer_deflater {
  z_stream stream;
};

struct peer_inflater {
  z_stream stream;
};

struct peer_deflater *peer_deflater_new(int level, int bits) {
  struct peer_deflater *deflater = g_new0(struct peer_deflater, 1);
  g_assert_cmpint(deflateInit2(&deflater->stream, level, Z_DEFLATED, -bits, 8, Z_DEFAULT_STRATEGY), ==, Z_OK);
  return deflater;
}

void peer_deflater_free(struct peer_deflater *deflater) {
  deflateEnd(&deflater->stream);
  g_free(deflater);
}

GByteArray *peer_deflate(struct peer_deflater *deflater, const void *data, size_t length, gboolean takeover) {
  GByteArray *compressed = g_byte_array_new();
  z_stream *stream = &deflater->stream;
  if (!takeover)
    deflateReset(stream);
  g_byte_array_set_size(compressed, (guint)(length + length / 4 + 64));
  stream->next_in = data;
  stream->avail_in = (uInt)length;
  stream->next_out = compressed->data;
  stream->avail_out = compressed->len;
  deflate(stream, Z_SYNC_FLUSH);
  g_assert_true(stream->avail_in == 0 && stream->avail_out > 0);
  g_byte_array_set_size(compressed, compressed->len - stream->avail_out);
  if (compressed->len >= 4) /* nothing comes of a second empty message */
    g_byte_array_set_size(compressed, compressed->len - 4);
  return compressed;
}

struct peer_inflater *peer_inflater_new(int bits) {
  struct peer_inflater *inflater = g_new0(struct peer_inflater, 1);
  g_assert_cmpint(inflateInit2(&inflater->stream, -bits), ==, Z_OK);
  return inflater;
}

void peer_inflater_free(struct peer_inflater *inflater) {
  inflateEnd(&inflater->stream);
  g_free(inflater);
}

/* Small pieces of output: zlib then has to find in its own window whatever is referred to. */
static gboolean inflate_octets(z_stream *stream, const void *data, size_t length, GByteArray *whole) {
  guint8 room[16];
  stream->next_in = data;
  stream->avail_in = (uInt)length;
  do {
    stream->next_out = room;
    stream->avail_out = sizeof room;
    int result = inflate(stream, Z_SYNC_FLUSH);
    if (result != Z_OK && result != Z_BUF_ERROR)
      return FALSE;
    g_byte_array_append(whole, room, sizeof room - stream->avail_out);
  } while (stream->avail_out == 0);
  return stream->avail_in == 0;
}

GByteArray *peer_inflate(struct peer_inflater *inflater, const void *data, size_t length, gboolean takeover) {
  g_autoptr(GByteArray) whole = g_byte_array_new();
  if (!takeover)
    inflateReset(&inflater->stream);
  if (!inflate_octets(&inflater->stream, data, length, whole) ||
      !inflate_octets(&inflater->stream, "\x00\x00\xFF\xFF", 4, whole))
    return NULL;
  return g_steal_pointer(&whole);
}
