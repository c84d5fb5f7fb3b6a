/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The opening handshake of RFC 6455 section 4.1 as the load generator needs it. One random key serves all connections
 * of a run: the server has to compute its answer every time, the generator only once.
 */
#pragma once

#include "websocket/handshake-key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_REQUEST_MAX 512
#define LOAD_RESPONSE_MAX 4096

struct load_handshake {
  char request[LOAD_REQUEST_MAX];
  size_t request_length;
  char accept[WSP_ACCEPT_LENGTH + 1];
};

void load_handshake_init(struct load_handshake *handshake, uint16_t port);

/* Octets of the response head in `octets`, 0 while it is not whole. Does not come back from one that is wrong. */
size_t load_handshake_check(const struct load_handshake *handshake, const char *octets, size_t length);
