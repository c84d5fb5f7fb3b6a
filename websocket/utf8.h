/* SPDX-License-Identifier: Apache-2.0 */
/* Streaming UTF-8 validation (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WSP_UTF8_ACCEPT 0 /* the start state, and the state after whole code points */

/* Feeds octets in `state` (WSP_UTF8_ACCEPT at first). Returns false at the first octet that no valid text can
 * continue with; `state` is kept for the next piece. Text is complete when the state is WSP_UTF8_ACCEPT at its end.
 * */
bool wsp_utf8_feed(uint8_t *state, const uint8_t *octets, size_t length);

/* Whole-string check. */
bool wsp_utf8_is_valid(const uint8_t *octets, size_t length);
