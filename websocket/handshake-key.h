/* SPDX-License-Identifier: Apache-2.0 */
/* Sec-WebSocket-Key and its answer Sec-WebSocket-Accept (RFC 6455 sections 1.3, 4.1 item 7 and 4.2.2 item 5.4). */
#pragma once

#include "websocket/http-head.h"

#define WSP_KEY_LENGTH 24    /* base64 of 16 octets */
#define WSP_ACCEPT_LENGTH 28 /* base64 of a SHA-1 digest */

/* 22 base64 digits and "==". The four bits that the last digit has too many are ignored, as decoders do. */
bool wsp_is_handshake_key(struct wsp_slice key);

void wsp_handshake_key_encode(const uint8_t octets[16], char key[WSP_KEY_LENGTH + 1]);

/* False when libcrypto cannot compute the digest (no memory, or SHA-1 switched off). */
bool wsp_handshake_accept_for(const char key[WSP_KEY_LENGTH], char accept[WSP_ACCEPT_LENGTH + 1]);
