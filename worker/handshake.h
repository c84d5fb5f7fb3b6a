/* SPDX-License-Identifier: Apache-2.0 */
/* A peer's opening: the request head goes in, out comes an open connection (101, CONNECT) or a refusal with its HTTP status. */
#pragma once

#include "worker/peer.h"

/* Takes octets of the head; returns how many. Afterwards the peer is still in its handshake, open, or ending. */
size_t wsw_handshake_feed(struct wsw_peer *peer, const uint8_t *octets, size_t length);

/* The head took too long. */
void wsw_handshake_expired(struct wsw_peer *peer);

/* Answers with an HTTP status and ends the connection; 429 and 503 say when to try again. */
void wsw_handshake_refuse(struct wsw_peer *peer, unsigned status, const char *sentence);
