/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzzers of both halves of the opening handshake share: the key of RFC 6455 section 1.3, which the seeds of
 * the corpus use, and what holds for every header that was read. */
#pragma once

#include "tests/fuzz/harness.h"
#include "websocket/http-head.h"

#define FUZZ_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define FUZZ_NONCE ((const uint8_t *)"the sample nonce")

bool fuzz_slice_is(struct wsp_slice slice, const char *text);
bool fuzz_is_visible(struct wsp_slice slice); /* ASCII without blanks and controls */
void fuzz_note_slice(struct fuzz_log *log, struct wsp_slice slice);
/* Checks it on the way: the name is a token in lower case, the value trimmed and without control characters. */
void fuzz_note_field(struct fuzz_log *log, struct wsp_header field);
