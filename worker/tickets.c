/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/tickets.h"

#include "worker/limits.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <string.h>

enum { ISSUING, FORMER, KEYS };
enum { FAULT = -1, UNKNOWN = 0, GOOD = 1, GOOD_BUT_RENEW = 2 }; /* what OpenSSL wants to hear */

static bool make_key(struct wsw_ticket_key *key) {
  return RAND_bytes(key->name, sizeof key->name) == 1 &&
         RAND_priv_bytes(key->encryption, sizeof key->encryption) == 1 &&
         RAND_priv_bytes(key->authentication, sizeof key->authentication) == 1;
}

bool wsw_tickets_init(struct wsw_tickets *tickets, const struct wsw_clock *clock) {
  *tickets = (struct wsw_tickets){.clock = clock, .issuing_since = wsw_clock_now(clock)};
  tickets->keys = OPENSSL_secure_zalloc(KEYS * sizeof *tickets->keys);
  return tickets->keys && make_key(&tickets->keys[ISSUING]);
}

void wsw_tickets_clear(struct wsw_tickets *tickets) {
  OPENSSL_secure_clear_free(tickets->keys, KEYS * sizeof *tickets->keys);
  *tickets = (struct wsw_tickets){0};
}

static void forget_former(struct wsw_tickets *tickets) {
  OPENSSL_cleanse(&tickets->keys[FORMER], sizeof tickets->keys[FORMER]);
  tickets->has_former = false;
}

/* Rotation happens when a key is asked for: nobody needs a fresh one before. */
static bool rotate(struct wsw_tickets *tickets) {
  uint64_t age = wsw_clock_now(tickets->clock) - tickets->issuing_since;
  if (age < WSW_TICKET_KEY_MS)
    return true;
  struct wsw_ticket_key fresh;
  if (!make_key(&fresh))
    return false;
  tickets->keys[FORMER] = tickets->keys[ISSUING];
  tickets->keys[ISSUING] = fresh;
  OPENSSL_cleanse(&fresh, sizeof fresh);
  tickets->issuing_since += age;
  tickets->has_former = true;
  if (age >= 2 * WSW_TICKET_KEY_MS)
    forget_former(tickets);
  return true;
}

static bool is_key(const struct wsw_ticket_key *key, const unsigned char *name) {
  return CRYPTO_memcmp(key->name, name, sizeof key->name) == 0;
}

static bool begin_mac(EVP_MAC_CTX *mac, struct wsw_ticket_key *key) {
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->authentication, sizeof key->authentication),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end(),
  };
  return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

static int seal(struct wsw_ticket_key *key, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                EVP_MAC_CTX *mac) {
  if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
    return FAULT;
  memcpy(name, key->name, sizeof key->name);
  return EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->encryption, iv) == 1 && begin_mac(mac, key) ? GOOD
                                                                                                              : FAULT;
}

static int unseal(struct wsw_ticket_key *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac) {
  return EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->encryption, iv) == 1 && begin_mac(mac, key) ? GOOD
                                                                                                              : FAULT;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                     int encrypt) {
  struct wsw_tickets *tickets = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
  if (!rotate(tickets))
    return FAULT;
  if (encrypt)
    return seal(&tickets->keys[ISSUING], name, iv, cipher, mac);
  if (is_key(&tickets->keys[ISSUING], name))
    return unseal(&tickets->keys[ISSUING], iv, cipher, mac);
  if (!tickets->has_former || !is_key(&tickets->keys[FORMER], name))
    return UNKNOWN;
  return unseal(&tickets->keys[FORMER], iv, cipher, mac) == GOOD ? GOOD_BUT_RENEW : FAULT;
}

void wsw_tickets_serve(struct wsw_tickets *tickets, struct ssl_ctx_st *context) {
  SSL_CTX_set_app_data(context, tickets);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
}
