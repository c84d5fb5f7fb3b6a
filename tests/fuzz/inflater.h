/* SPDX-License-Identifier: Apache-2.0 */
/* What compressed messages of one direction say, by zlib alone: each is inflated anew, from its first octet, behind the
 * octets that the messages before it came to. */
#pragma once

#include "tests/fuzz/harness.h"

struct fuzz_inflater {
  size_t window;   /* how much of the earlier messages may be referred to; 0: each stands by itself */
  uint8_t *octets; /* the last of the earlier messages, then the present one */
  size_t earlier, length, capacity;
};

void fuzz_inflater_clear(struct fuzz_inflater *inflater);

/* Inflates what there is of a message; `ends` when that is all. False when it is damaged. The message is at
 * octets + earlier, up to length. */
bool fuzz_inflate(struct fuzz_inflater *inflater, const uint8_t *payload, size_t length, bool ends);
/* The message that was inflated last becomes one of the earlier ones. */
void fuzz_inflater_keep(struct fuzz_inflater *inflater);
