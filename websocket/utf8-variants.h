/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Internal: UTF-8 validation, once for each instruction set. A variant gives no verdict. It says how much of a text it
 * has proven right, in large steps; utf8.c goes through what is left octet by octet, and so alone decides which
 * octet is wrong and what state an unfinished code point leaves. utf8.c takes the first variant of the table that the
 * processor supports, for everything but short pieces; tests and the benchmark reach each through the same table.
 */
#pragma once

#include "websocket/cpu.h"

#include <stddef.h>
#include <stdint.h>

/* A variant is never given fewer octets than this, and leaves fewer than this and an unfinished code point when
 * nothing is wrong. */
#define WSP_UTF8_BLOCK 64

/* How many octets from the front are whole, valid code points for sure. `octets` begins between code points; what is
 * behind the answer begins with the first code point that is wrong or unfinished, or lies a block before it at most. */
typedef size_t wsp_utf8_prefix_function(const uint8_t *octets, size_t length);

struct wsp_utf8_variant {
  const char *name;
  wsp_utf8_prefix_function *prefix; /* NULL: none, all goes octet by octet and in words */
  bool (*is_supported)(void);
};

/* The fastest first, "portable" last; ends with a NULL name. */
extern const struct wsp_utf8_variant wsp_utf8_variants[];

/* wsp_utf8_feed() with that variant. */
bool wsp_utf8_feed_with(const struct wsp_utf8_variant *variant, uint8_t *state, const uint8_t *octets, size_t length);

/* The portable one. */
bool wsp_utf8_feed_portable(uint8_t *state, const uint8_t *octets, size_t length);

#if defined(WSP_CPU_X86)
wsp_utf8_prefix_function wsp_utf8_prefix_avx2, wsp_utf8_prefix_ssse3, wsp_utf8_prefix_sse2;
#elif defined(WSP_CPU_AARCH64)
wsp_utf8_prefix_function wsp_utf8_prefix_neon;
#endif

/* How many octets before `end` belong to a code point that is unfinished there, when all before it is right.
 * There are three octets before `end` at least. */
static inline size_t wsp_utf8_unfinished(const uint8_t *end) {
  return end[-1] >= 0xC0 ? 1 : end[-2] >= 0xE0 ? 2 : end[-3] >= 0xF0 ? 3 : 0;
}
