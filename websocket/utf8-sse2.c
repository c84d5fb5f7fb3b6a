/* SPDX-License-Identifier: Apache-2.0 */
/* SSE2 has no lookup of octets in a vector, so only ASCII goes fast here: for processors from before 2011. */
#include "websocket/utf8-variants.h"
#include "websocket/utf8.h"

#ifdef WSP_CPU_X86
#include <emmintrin.h>

#define TARGET __attribute__((target("sse2")))

static inline TARGET __m128i load(const uint8_t *octets) {
  return _mm_loadu_si128((const __m128i_u *)octets);
}

static inline TARGET bool is_ascii_block(const uint8_t *block) {
  return _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(load(block), load(block + 16)),
                                        _mm_or_si128(load(block + 32), load(block + 48)))) == 0;
}

TARGET size_t wsp_utf8_prefix_sse2(const uint8_t *octets, size_t length) {
  size_t at = 0;
  while (length - at >= WSP_UTF8_BLOCK) {
    if (is_ascii_block(octets + at)) {
      at += WSP_UTF8_BLOCK;
      continue;
    }
    uint8_t state = WSP_UTF8_ACCEPT;
    if (!wsp_utf8_feed_portable(&state, octets + at, WSP_UTF8_BLOCK))
      break;
    at += WSP_UTF8_BLOCK;
    if (state != WSP_UTF8_ACCEPT)
      at -= wsp_utf8_unfinished(octets + at);
  }
  return at;
}
#endif
