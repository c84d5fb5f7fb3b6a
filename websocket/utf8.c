/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/utf8.h"
#include "websocket/utf8-variants.h"

#include <endian.h>
#include <stdatomic.h>
#include <string.h>

/*
 * A state says which octet may come next inside a code point. RFC 3629 section 4 narrows the first continuation
 * octet after E0 (overlong), ED (surrogates), F0 (overlong) and F4 (above U+10FFFF); all others are 80-BF.
 */
enum utf8_state {
  WHOLE = WSP_UTF8_ACCEPT,
  ONE_MORE,
  TWO_MORE,
  THREE_MORE,
  AFTER_E0,
  AFTER_ED,
  AFTER_F0,
  AFTER_F4,
};

static const struct {
  uint8_t lowest, highest;
  uint8_t next;
} continuation[] = {
    [ONE_MORE] = {0x80, 0xBF, WHOLE},    [TWO_MORE] = {0x80, 0xBF, ONE_MORE}, [THREE_MORE] = {0x80, 0xBF, TWO_MORE},
    [AFTER_E0] = {0xA0, 0xBF, ONE_MORE}, [AFTER_ED] = {0x80, 0x9F, ONE_MORE}, [AFTER_F0] = {0x90, 0xBF, TWO_MORE},
    [AFTER_F4] = {0x80, 0x8F, TWO_MORE},
};

/* The state behind a first octet that is not ASCII, or WHOLE when no code point begins with it. */
static inline uint8_t state_after_lead(uint8_t lead) {
  if (lead < 0xC2)
    return WHOLE;
  if (lead < 0xE0)
    return ONE_MORE;
  if (lead < 0xF0)
    return lead == 0xE0 ? AFTER_E0 : lead == 0xED ? AFTER_ED : TWO_MORE;
  if (lead == 0xF0)
    return AFTER_F0;
  if (lead < 0xF4)
    return THREE_MORE;
  return lead == 0xF4 ? AFTER_F4 : WHOLE;
}

static inline uint64_t load(const uint8_t *octets) {
  uint64_t word;
  memcpy(&word, octets, sizeof word);
  return word;
}

/* How many octets from the front are ASCII; may stop up to seven octets before the end. */
static inline size_t ascii_prefix(const uint8_t *octets, size_t length) {
  const uint64_t high_bits = UINT64_C(0x8080808080808080);
  size_t done = 0;
  for (; length - done >= 32; done += 32) {
    const uint8_t *block = octets + done;
    if ((load(block) | load(block + 8) | load(block + 16) | load(block + 24)) & high_bits)
      break;
  }
  for (; length - done >= 8; done += 8) {
    uint64_t found = le64toh(load(octets + done)) & high_bits;
    if (found)
      return done + (size_t)__builtin_ctzll(found) / 8;
  }
  return done;
}

/* Skips whole two- and three-octet code points without going through the states: most of the world's text. Needs
 * three octets to look at; anything it does not recognise is left to the caller. */
static inline size_t common_prefix(const uint8_t *octets, size_t length) {
  size_t done = 0;
  while (length - done >= 3) {
    const uint8_t *at = octets + done;
    if (at[0] >= 0xC2 && at[0] <= 0xDF && (at[1] & 0xC0) == 0x80)
      done += 2;
    else if (at[0] >= 0xE1 && at[0] <= 0xEF && at[0] != 0xED && (at[1] & 0xC0) == 0x80 && (at[2] & 0xC0) == 0x80)
      done += 3;
    else
      break;
  }
  return done;
}

/* Inlined in both its users, so that short pieces, which are most, cost no second call. */
static inline __attribute__((always_inline)) bool feed(uint8_t *state, const uint8_t *octets, size_t length) {
  uint8_t now = *state;
  size_t at = 0;
  while (at < length) {
    if (now == WHOLE && length - at >= 8) {
      at += ascii_prefix(octets + at, length - at);
      at += common_prefix(octets + at, length - at);
      if (at == length)
        break;
    }
    uint8_t octet = octets[at++];
    if (now != WHOLE) {
      if (octet < continuation[now].lowest || octet > continuation[now].highest)
        return false;
      now = continuation[now].next;
    } else if (octet >= 0x80) {
      now = state_after_lead(octet);
      if (now == WHOLE)
        return false;
    }
  }
  *state = now;
  return true;
}

bool wsp_utf8_feed_portable(uint8_t *state, const uint8_t *octets, size_t length) {
  return feed(state, octets, length);
}

/* ---- Variants ---- */

const struct wsp_utf8_variant wsp_utf8_variants[] = {
#if defined(WSP_CPU_X86)
    {"avx2", wsp_utf8_prefix_avx2, wsp_cpu_has_avx2},
    {"ssse3", wsp_utf8_prefix_ssse3, wsp_cpu_has_ssse3},
    {"sse2", wsp_utf8_prefix_sse2, wsp_cpu_has_sse2},
#elif defined(WSP_CPU_AARCH64)
    {"neon", wsp_utf8_prefix_neon, wsp_cpu_has_neon},
#endif
    {"portable", NULL, wsp_cpu_has_c},
    {NULL, NULL, NULL},
};

/* Every thread that comes first finds the same, so it does not matter whose choice stays. */
static const struct wsp_utf8_variant *best_variant(void) {
  static _Atomic(const struct wsp_utf8_variant *) chosen;
  const struct wsp_utf8_variant *variant = atomic_load_explicit(&chosen, memory_order_relaxed);
  if (variant)
    return variant;
  variant = wsp_utf8_variants;
  while (!variant->is_supported())
    variant++;
  atomic_store_explicit(&chosen, variant, memory_order_relaxed);
  return variant;
}

bool wsp_utf8_feed_with(const struct wsp_utf8_variant *variant, uint8_t *state, const uint8_t *octets, size_t length) {
  uint8_t now = *state;
  size_t at = 0;
  for (; now != WHOLE && at < length; at++)
    if (!wsp_utf8_feed_portable(&now, octets + at, 1))
      return false;
  if (variant->prefix && length - at >= WSP_UTF8_BLOCK)
    at += variant->prefix(octets + at, length - at);
  if (at < length && !wsp_utf8_feed_portable(&now, octets + at, length - at))
    return false;
  *state = now;
  return true;
}

static __attribute__((noinline)) bool feed_long(uint8_t *state, const uint8_t *octets, size_t length) {
  return wsp_utf8_feed_with(best_variant(), state, octets, length);
}

bool wsp_utf8_feed(uint8_t *state, const uint8_t *octets, size_t length) {
  return length < WSP_UTF8_BLOCK ? feed(state, octets, length) : feed_long(state, octets, length);
}

bool wsp_utf8_is_valid(const uint8_t *octets, size_t length) {
  uint8_t state = WSP_UTF8_ACCEPT;
  return wsp_utf8_feed(&state, octets, length) && state == WSP_UTF8_ACCEPT;
}
