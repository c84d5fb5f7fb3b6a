/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/handshake-key.h"

#include <openssl/evp.h>
#include <string.h>

static const char protocol_guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* section 1.3 */

static bool is_base64_digit(char octet) {
  return (octet >= '0' && octet <= '9') || (octet >= 'A' && octet <= 'Z') || (octet >= 'a' && octet <= 'z') ||
         octet == '+' || octet == '/';
}

bool wsp_is_handshake_key(struct wsp_slice key) {
  if (key.length != WSP_KEY_LENGTH || memcmp(key.text + WSP_KEY_LENGTH - 2, "==", 2) != 0)
    return false;
  for (size_t i = 0; i < WSP_KEY_LENGTH - 2; i++)
    if (!is_base64_digit(key.text[i]))
      return false;
  return true;
}

void wsp_handshake_key_encode(const uint8_t octets[16], char key[WSP_KEY_LENGTH + 1]) {
  EVP_EncodeBlock((unsigned char *)key, octets, 16);
}

bool wsp_handshake_accept_for(const char key[WSP_KEY_LENGTH], char accept[WSP_ACCEPT_LENGTH + 1]) {
  char joined[WSP_KEY_LENGTH + sizeof protocol_guid - 1];
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned digest_length = 0;
  memcpy(joined, key, WSP_KEY_LENGTH);
  memcpy(joined + WSP_KEY_LENGTH, protocol_guid, sizeof protocol_guid - 1);
  if (EVP_Digest(joined, sizeof joined, digest, &digest_length, EVP_sha1(), NULL) != 1 || digest_length != 20)
    return false;
  EVP_EncodeBlock((unsigned char *)accept, digest, 20);
  return true;
}
