/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of one run. All have the same size and the same text, but for a stamp of eight octets that says whose message it
 * is and which one, and which is repeated in every 1024 octets: an echo is right only if each octet of it is.
 *
 * A message begins with four octets that tell the server what to do with it (tools/bench/servers/reaction.h), then comes
 * the stamp. All of it is printable ASCII, so that it may travel as text as well.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_KIND_LENGTH 4
#define LOAD_STAMP_LENGTH 8
#define LOAD_STAMP_EVERY 1024
#define LOAD_SIZE_MIN (LOAD_KIND_LENGTH + LOAD_STAMP_LENGTH)
#define LOAD_SIZE_MAX (64u << 20)

struct load_message {
  size_t size;
  bool text;
  uint8_t *model; /* what the server is to send back, with any stamp */
  /* The header of an unfragmented, unmasked frame with it. */
  uint8_t header[14];
  size_t header_length;
};

void load_message_init(struct load_message *message, const char *kind, size_t size, bool text);

/* The stamp's octets, as they lie in memory. `number` counts modulo 2^32. */
uint64_t load_stamp(uint32_t peer, uint64_t number);

/* ---- Sending ---- */

/* Octets of one masked frame. */
size_t load_frame_length(const struct load_message *message);
/* Writes one, with any stamp; `kind` may differ from the model's. */
void load_frame_write(const struct load_message *message, const char *kind, const uint8_t key[4], uint8_t *frame);
/* Changes the stamp of one. */
void load_frame_stamp(const struct load_message *message, const uint8_t key[4], uint8_t *frame, uint64_t stamp);

/* ---- Receiving ---- */

/* Whether these are the octets of the message with that stamp, from `offset` on. */
bool load_message_check(const struct load_message *message, uint64_t stamp, size_t offset, const uint8_t *octets,
                        size_t length);
