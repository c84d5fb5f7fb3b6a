/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/tls.h"

#include "worker/limits.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* RFC 9325 section 4.2: ephemeral key exchange, authenticated encryption. The suites of TLS 1.3 are all of that kind. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK:!SRP"
#define GROUPS "X25519:P-256:P-384"

/* ---- Before the sandbox ---- */

/* A handshake with ourselves loads everything that OpenSSL loads at first use. */
static bool shake_hands(SSL *server, SSL *client) {
  BIO *one = NULL, *other = NULL;
  if (BIO_new_bio_pair(&one, 0, &other, 0) != 1)
    return false;
  SSL_set_bio(server, one, one);
  SSL_set_bio(client, other, other);
  SSL_set_accept_state(server);
  SSL_set_connect_state(client);
  for (int i = 0; i < 10 && !(SSL_is_init_finished(server) && SSL_is_init_finished(client)); i++) {
    (void)SSL_do_handshake(client);
    (void)SSL_do_handshake(server);
  }
  return SSL_is_init_finished(server) && SSL_is_init_finished(client);
}

static X509 *make_certificate(EVP_PKEY *key) {
  X509 *certificate = X509_new();
  if (certificate && X509_set_version(certificate, X509_VERSION_3) == 1 &&
      ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) == 1 &&
      X509_gmtime_adj(X509_getm_notBefore(certificate), 0) && X509_gmtime_adj(X509_getm_notAfter(certificate), 60) &&
      X509_set_pubkey(certificate, key) == 1 && X509_sign(certificate, key, EVP_sha256()) > 0)
    return certificate;
  X509_free(certificate);
  return NULL;
}

static bool rehearse(SSL_CTX *context, EVP_PKEY *key, X509 *certificate) {
  if (!key || !certificate || SSL_CTX_use_certificate(context, certificate) != 1 ||
      SSL_CTX_use_PrivateKey(context, key) != 1)
    return false;
  SSL *server = SSL_new(context), *client = SSL_new(context);
  bool done = server && client && shake_hands(server, client);
  SSL_free(server);
  SSL_free(client);
  return done;
}

bool wsw_tls_prepare(void) {
  if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS,
                       NULL) != 1)
    return false;
  /* Where memory may not be locked the heap is there all the same, with its guard pages. */
  if (!CRYPTO_secure_malloc_initialized())
    (void)CRYPTO_secure_malloc_init(WSW_SECURE_HEAP, 32);
  SSL_CTX *context = SSL_CTX_new(TLS_method());
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *certificate = key ? make_certificate(key) : NULL;
  bool prepared = context && rehearse(context, key, certificate);
  X509_free(certificate);
  EVP_PKEY_free(key);
  SSL_CTX_free(context);
  ERR_clear_error();
  return prepared;
}

bool wsw_tls_init(struct wsw_tls *tls, uint32_t min_version, const struct wsw_clock *clock) {
  *tls = (struct wsw_tls){.min_version = min_version};
  return wsw_tickets_init(&tls->tickets, clock);
}

void wsw_tls_clear(struct wsw_tls *tls) {
  SSL_CTX_free(tls->context);
  tls->context = NULL;
  if (tls->tickets.keys)
    wsw_tickets_clear(&tls->tickets);
}

/* ---- What the app gave ---- */

/* One loading: its context comes alive or goes. */
struct loading {
  struct wsw_tls *tls;
  const struct wsw_secrets *secrets;
  SSL_CTX *context;
  X509 *leaf;
};

static bool complain(struct loading *loading, const char *option, const char *what) {
  (void)snprintf(loading->tls->fault, sizeof loading->tls->fault, "%s: %s", option, what);
  return false;
}

/* With OpenSSL's own word for it. */
static bool complain_of_openssl(struct loading *loading, const char *option, const char *what) {
  const char *reason = ERR_reason_error_string(ERR_peek_last_error());
  (void)snprintf(loading->tls->fault, sizeof loading->tls->fault, "%s: %s (%s)", option, what,
                 reason ? reason : "no reason given");
  return false;
}

static BIO *open_octets(struct wsw_octets octets) {
  return BIO_new_mem_buf(octets.at, (int)octets.length);
}

/* RFC 7468 form. NULL at the end of the file, and for anything else than a certificate. */
static X509 *next_certificate(BIO *file) {
  return file ? PEM_read_bio_X509(file, NULL, NULL, NULL) : NULL;
}

/* The end of a PEM file, and not something malformed in it. */
static bool is_at_end(void) {
  return ERR_GET_LIB(ERR_peek_last_error()) == ERR_LIB_PEM &&
         ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
}

static void describe_time(const ASN1_TIME *time, char *text, size_t size) {
  struct tm parts;
  if (!ASN1_TIME_to_tm(time, &parts) || !strftime(text, size, "%Y-%m-%d %H:%M:%S UTC", &parts))
    (void)snprintf(text, size, "an unknown time");
}

/* A certificate that begins in the future is taken: devices without a battery start in the past. */
static bool check_leaf(struct loading *loading, bool fresh) {
  const ASN1_TIME *end = X509_get0_notAfter(loading->leaf);
  if (fresh && X509_cmp_current_time(end) < 0) {
    char time[64], what[128];
    describe_time(end, time, sizeof time);
    (void)snprintf(what, sizeof what, "expired at %s; renew it, or set the clock", time);
    return complain(loading, "certificate", what);
  }
  if (X509_check_purpose(loading->leaf, X509_PURPOSE_SSL_SERVER, 0) != 1)
    return complain(loading, "certificate", "its extensions say that it is not for a TLS server; use one that is");
  return true;
}

/* The server's own certificate first, then those that lead up to its CA. */
static bool use_chain(struct loading *loading, BIO *file, bool fresh) {
  loading->leaf = next_certificate(file);
  if (!loading->leaf)
    return is_at_end() ? complain(loading, "certificate", "holds no certificate in PEM form")
                       : complain_of_openssl(loading, "certificate", "is malformed");
  if (!check_leaf(loading, fresh))
    return false;
  if (SSL_CTX_use_certificate(loading->context, loading->leaf) != 1)
    return complain_of_openssl(loading, "certificate", "cannot be used");
  for (int i = 0; i < WSW_CHAIN_MAX; i++) {
    ERR_clear_error();
    X509 *next = next_certificate(file);
    if (!next)
      return is_at_end() || complain_of_openssl(loading, "certificate", "one of its chain is malformed");
    if (SSL_CTX_add0_chain_cert(loading->context, next) != 1) {
      X509_free(next);
      return complain_of_openssl(loading, "certificate", "one of its chain cannot be used");
    }
  }
  return complain(loading, "certificate", "its chain is too long");
}

struct password {
  struct wsw_octets octets;
  bool asked;
};

static int give_password(char *room, int size, int writing, void *user) {
  (void)writing;
  struct password *password = user;
  password->asked = true;
  if (password->octets.length == 0 || password->octets.length > (size_t)size)
    return -1;
  memcpy(room, password->octets.at, password->octets.length);
  return (int)password->octets.length;
}

static bool use_key(struct loading *loading, BIO *file) {
  struct password password = {.octets = loading->secrets->password};
  EVP_PKEY *key = file ? PEM_read_bio_PrivateKey(file, NULL, give_password, &password) : NULL;
  if (!key && password.asked)
    return password.octets.length ? complain(loading, "privateKeyPassword", "does not open the private key")
                                  : complain(loading, "privateKey", "is encrypted; give its password, too");
  if (!key)
    return complain(loading, "privateKey", "holds no private key in PEM form");
  bool belongs = X509_check_private_key(loading->leaf, key) == 1;
  bool used = belongs && SSL_CTX_use_PrivateKey(loading->context, key) == 1;
  EVP_PKEY_free(key);
  if (!belongs)
    return complain(loading, "privateKey", "does not belong to the certificate");
  return used || complain_of_openssl(loading, "privateKey", "cannot be used");
}

/* Peers have to show a certificate that one of these CAs signed. */
static bool use_client_ca(struct loading *loading, BIO *file) {
  X509_STORE *store = SSL_CTX_get_cert_store(loading->context);
  int count = 0;
  for (; count < WSW_CLIENT_CAS_MAX; count++) {
    ERR_clear_error();
    X509 *ca = next_certificate(file);
    if (!ca)
      break;
    bool added = X509_STORE_add_cert(store, ca) == 1 && SSL_CTX_add_client_CA(loading->context, ca) == 1;
    X509_free(ca);
    if (!added)
      return complain_of_openssl(loading, "clientCa", "cannot be used");
  }
  if (count == WSW_CLIENT_CAS_MAX)
    return complain(loading, "clientCa", "holds too many certificates");
  if (!is_at_end())
    return complain_of_openssl(loading, "clientCa", "is malformed");
  if (count == 0)
    return complain(loading, "clientCa", "holds no certificate in PEM form");
  SSL_CTX_set_verify(loading->context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
  SSL_CTX_set_verify_depth(loading->context, WSW_CHAIN_MAX);
  return true;
}

static bool use_secrets(struct loading *loading, bool fresh) {
  const struct wsw_secrets *secrets = loading->secrets;
  BIO *file = open_octets(secrets->certificate);
  bool used = use_chain(loading, file, fresh);
  BIO_free(file);
  if (!used)
    return false;
  file = open_octets(secrets->key);
  used = use_key(loading, file);
  BIO_free(file);
  if (!used || !secrets->client_ca.length)
    return used;
  file = open_octets(secrets->client_ca);
  used = use_client_ca(loading, file);
  BIO_free(file);
  return used;
}

/* ---- The context ---- */

/* RFC 7301 section 3.2: a peer that names protocols and not ours is told so. */
static int choose_alpn(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_length,
                       const unsigned char *offered, unsigned length, void *user) {
  static const unsigned char ours[] = "\x08http/1.1";
  (void)ssl;
  (void)user;
  unsigned char *found;
  if (SSL_select_next_proto(&found, chosen_length, ours, sizeof ours - 1, offered, length) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

static bool set_up(SSL_CTX *context, uint32_t min_version) {
  static const unsigned char session_context[] = "wsserver";
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                   SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context,
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(context, WSW_SESSION_SECONDS);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_alpn_select_cb(context, choose_alpn, NULL);
  return SSL_CTX_set_min_proto_version(context, (int)min_version) == 1 &&
         SSL_CTX_set_cipher_list(context, CIPHERS) == 1 && SSL_CTX_set1_groups_list(context, GROUPS) == 1 &&
         SSL_CTX_set_num_tickets(context, 1) == 1 && SSL_CTX_set_max_early_data(context, 0) == 1 &&
         SSL_CTX_set_session_id_context(context, session_context, sizeof session_context - 1) == 1;
}

const char *wsw_tls_load(struct wsw_tls *tls, const struct wsw_secrets *secrets, bool fresh) {
  ERR_clear_error();
  struct loading loading = {.tls = tls, .secrets = secrets, .context = SSL_CTX_new(TLS_server_method())};
  bool right = loading.context && set_up(loading.context, tls->min_version);
  if (!right)
    complain_of_openssl(&loading, "certificate", "TLS cannot be set up");
  right = right && use_secrets(&loading, fresh);
  X509_free(loading.leaf);
  ERR_clear_error();
  if (!right) {
    SSL_CTX_free(loading.context);
    return tls->fault;
  }
  wsw_tickets_serve(&tls->tickets, loading.context);
  SSL_CTX_free(tls->context); /* its connections hold it as long as they need it */
  tls->context = loading.context;
  return NULL;
}

bool wsw_tls_open_key(const struct wsw_tls *tls, struct wsw_secrets *key) {
  BIO *writer = BIO_new(BIO_s_secmem());
  char *octets = NULL;
  bool written =
      writer && PEM_write_bio_PrivateKey(writer, SSL_CTX_get0_privatekey(tls->context), NULL, NULL, 0, NULL, NULL) == 1;
  long length = written ? BIO_get_mem_data(writer, &octets) : 0;
  bool fits = length > 0 && length <= (long)WSC_PEM_MAX;
  *key = (struct wsw_secrets){.memory = fits ? malloc((size_t)length) : NULL, .size = fits ? (size_t)length : 0};
  if (key->memory) {
    memcpy(key->memory, octets, key->size);
    key->key = (struct wsw_octets){key->memory, key->size};
  }
  BIO_free(writer);
  ERR_clear_error();
  return key->memory != NULL;
}

size_t wsw_tls_subject(const struct ssl_st *connection, char *text, size_t size) {
  X509 *certificate = SSL_get0_peer_certificate(connection);
  BIO *writer = certificate ? BIO_new(BIO_s_mem()) : NULL;
  if (!writer)
    return 0;
  /* UTF-8 as it is; control characters and what separates stay escaped. */
  const unsigned long form = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
  (void)X509_NAME_print_ex(writer, X509_get_subject_name(certificate), 0, form);
  int length = BIO_read(writer, text, (int)size);
  BIO_free(writer);
  return length > 0 ? (size_t)length : 0;
}
