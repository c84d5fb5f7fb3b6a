/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes from the server on one connection: frames in any split, checked against the message that has to come next. The server may
 * fragment it and send Pings in between.
 */
#pragma once

#include "tools/bench/load/message.h"
#include "websocket/limits.h"

#define LOAD_PING_MAX WSP_CONTROL_PAYLOAD_MAX

struct load_incoming {
  uint8_t header[WSP_FRAME_HEADER_MAX];
  uint8_t header_length; /* of a header that is not whole yet */
  bool in_frame;         /* behind a header: `left` octets of payload follow */
  bool in_message;
  bool last; /* frame of its message */
  uint8_t opcode;
  uint8_t ping_length;
  uint64_t left;
  size_t at; /* in the message */
  uint8_t ping[LOAD_PING_MAX];
};

enum load_incoming_event {
  LOAD_INCOMING_MORE,    /* everything was taken */
  LOAD_INCOMING_MESSAGE, /* the one that was expected */
  LOAD_INCOMING_PING,    /* to be answered with `ping` */
  LOAD_INCOMING_CLOSE,   /* the server closes */
  LOAD_INCOMING_CHANGED, /* the message is not the one expected */
  LOAD_INCOMING_FRAMING, /* no frame that a server may send here */
};

/* Takes octets from *octets on, up to the next event. `stamp` is that of the message that has to come. */
enum load_incoming_event load_incoming_take(struct load_incoming *incoming, const struct load_message *message,
                                            uint64_t stamp, const uint8_t **octets, const uint8_t *end);
