/* SPDX-License-Identifier: Apache-2.0 */
/* The other side of permessage-deflate, on zlib alone: one compressor or decompressor that lives as long as the
 * connection, as most implementations have it. Compressed messages are told without the octets that are cut off. */
#pragma once

#include <glib.h>

struct peer_deflater;
struct peer_inflater;

/* `level` and `bits` (9 to 15) as zlib has them. */
struct peer_deflater *peer_deflater_new(int level, int bits);
void peer_deflater_free(struct peer_deflater *deflater);
/* `takeover` false: the message is compressed by itself. */
GByteArray *peer_deflate(struct peer_deflater *deflater, const void *data, size_t length, gboolean takeover);

/* `bits` 8 to 15: anything that refers further back than that is a fault. */
struct peer_inflater *peer_inflater_new(int bits);
void peer_inflater_free(struct peer_inflater *inflater);
/* NULL for damaged data. */
GByteArray *peer_inflate(struct peer_inflater *inflater, const void *data, size_t length, gboolean takeover);
