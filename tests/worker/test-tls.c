/* SPDX-License-Identifier: Apache-2.0 */
/* What TLS of a worker rests on: a vault that is whole or nothing, and ticket keys that grow old. */
#include "tests/worker/fixture.h"
#include "worker/limits.h"
#include "worker/tls.h"
#include "worker/transport.h"

#include <fcntl.h>
#include <glib.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static uint64_t now;

static uint64_t read_clock(void *context) {
  (void)context;
  return now;
}

/* --- Certificates --- */

struct pair {
  GBytes *certificate, *key;
};

static GBytes *take_bytes(BIO *bio) {
  char *octets;
  long length = BIO_get_mem_data(bio, &octets);
  GBytes *bytes = g_bytes_new(octets, (gsize)length);
  BIO_free(bio);
  return bytes;
}

static struct pair make_pair(void) {
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *certificate = X509_new();
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  g_assert_cmpint(X509_sign(certificate, key, EVP_sha256()), >, 0);
  BIO *certificate_file = BIO_new(BIO_s_mem()), *key_file = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(certificate_file, certificate);
  PEM_write_bio_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return (struct pair){take_bytes(certificate_file), take_bytes(key_file)};
}

static void pair_clear(struct pair *pair) {
  g_bytes_unref(pair->certificate);
  g_bytes_unref(pair->key);
}

static struct wsw_octets octets_of(GBytes *bytes) {
  gsize length;
  const uint8_t *at = g_bytes_get_data(bytes, &length);
  return (struct wsw_octets){at, length};
}

static struct wsw_secrets secrets_of(const struct pair *pair) {
  return (struct wsw_secrets){.certificate = octets_of(pair->certificate), .key = octets_of(pair->key)};
}

/* --- Tickets --- */

/* One connection; returns the session that the server gave, and whether `session` was taken up. */
static SSL_SESSION *connect_once(SSL_CTX *server_context, SSL_SESSION *session, bool *resumed) {
  SSL_CTX *client_context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_max_proto_version(client_context, TLS1_2_VERSION);
  SSL *server = SSL_new(server_context), *client = SSL_new(client_context);
  BIO *one, *other;
  g_assert_cmpint(BIO_new_bio_pair(&one, 0, &other, 0), ==, 1);
  SSL_set_bio(server, one, one);
  SSL_set_bio(client, other, other);
  SSL_set_accept_state(server);
  SSL_set_connect_state(client);
  if (session)
    SSL_set_session(client, session);
  for (int i = 0; i < 10; i++) {
    SSL_do_handshake(client);
    SSL_do_handshake(server);
  }
  g_assert_true(SSL_is_init_finished(client) && SSL_is_init_finished(server));
  *resumed = SSL_session_reused(client);
  SSL_SESSION *given = SSL_get1_session(client);
  SSL_set_shutdown(client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* else the session would count as broken */
  SSL_free(server);
  SSL_free(client);
  SSL_CTX_free(client_context);
  return given;
}

static bool resumes_after(SSL_CTX *context, uint64_t milliseconds) {
  bool resumed;
  SSL_SESSION *session = connect_once(context, NULL, &resumed);
  g_assert_false(resumed);
  now += milliseconds;
  SSL_SESSION *next = connect_once(context, session, &resumed);
  SSL_SESSION_free(session);
  SSL_SESSION_free(next);
  return resumed;
}

static void test_tickets(void) {
  const struct wsw_clock clock = {.milliseconds = read_clock};
  struct wsw_tls tls;
  struct pair pair = make_pair();
  const struct wsw_secrets secrets = secrets_of(&pair);
  g_assert_true(wsw_tls_init(&tls, WSW_TLS_1_2, &clock));
  g_assert_cmpstr(wsw_tls_load(&tls, &secrets, true), ==, NULL);
  g_assert_true(resumes_after(tls.context, 0));
  g_assert_true(resumes_after(tls.context, WSW_TICKET_KEY_MS - 1));
  g_assert_true(resumes_after(tls.context, WSW_TICKET_KEY_MS - 1)); /* issued by the key that is the former one now */
  g_assert_false(resumes_after(tls.context, 2 * WSW_TICKET_KEY_MS));
  g_assert_false(resumes_after(tls.context, 100 * WSW_TICKET_KEY_MS));
  g_assert_true(resumes_after(tls.context, 1000));
  wsw_tls_clear(&tls);
  pair_clear(&pair);
}

static void test_a_new_certificate_takes_old_tickets(void) {
  const struct wsw_clock clock = {.milliseconds = read_clock};
  struct wsw_tls tls;
  struct pair pair = make_pair(), next_pair = make_pair();
  const struct wsw_secrets secrets = secrets_of(&pair), next = secrets_of(&next_pair);
  bool resumed;
  g_assert_true(wsw_tls_init(&tls, WSW_TLS_1_2, &clock));
  g_assert_cmpstr(wsw_tls_load(&tls, &secrets, true), ==, NULL);
  SSL_SESSION *session = connect_once(tls.context, NULL, &resumed);
  g_assert_cmpstr(wsw_tls_load(&tls, &next, true), ==, NULL);
  SSL_SESSION *second = connect_once(tls.context, session, &resumed);
  g_assert_true(resumed);
  SSL_SESSION_free(session);
  SSL_SESSION_free(second);
  wsw_tls_clear(&tls);
  pair_clear(&pair);
  pair_clear(&next_pair);
}

static void test_a_bad_certificate_leaves_the_one_before(void) {
  const struct wsw_clock clock = {.milliseconds = read_clock};
  struct wsw_tls tls;
  struct pair pair = make_pair(), other = make_pair();
  const struct wsw_secrets secrets = secrets_of(&pair);
  struct wsw_secrets mixed = secrets;
  mixed.key = octets_of(other.key);
  bool resumed;
  g_assert_true(wsw_tls_init(&tls, WSW_TLS_1_2, &clock));
  g_assert_cmpstr(wsw_tls_load(&tls, &secrets, true), ==, NULL);
  SSL_CTX *before = tls.context;
  g_assert_cmpstr(wsw_tls_load(&tls, &mixed, true), ==, "privateKey: does not belong to the certificate");
  g_assert_true(tls.context == before);
  SSL_SESSION_free(connect_once(tls.context, NULL, &resumed));
  wsw_tls_clear(&tls);
  pair_clear(&pair);
  pair_clear(&other);
}

/* --- Peers --- */

/* A server that speaks TLS from here on, and a peer of it whose opening handshake is done. */
static struct fixture *new_tls_fixture(SSL **peer, SSL_CTX *client_context) {
  struct fixture *fixture = fixture_new(&(struct fixture_options){.ping_interval = 30, .pong_timeout = 60});
  struct pair pair = make_pair();
  const struct wsw_secrets secrets = secrets_of(&pair);
  struct wsc_header header;
  g_assert_true(wsw_tls_init(&fixture->server->tls, WSW_TLS_1_2, &fixture->server->loop.clock));
  g_assert_cmpstr(wsw_tls_load(&fixture->server->tls, &secrets, true), ==, NULL);
  pair_clear(&pair);
  int fd = client_connect(fixture, 0);
  g_assert_cmpint(fcntl(fd, F_SETFL, O_NONBLOCK), ==, 0);
  *peer = SSL_new(client_context);
  SSL_set_fd(*peer, fd);
  SSL_set_connect_state(*peer);
  while (SSL_do_handshake(*peer) != 1)
    fixture_settle(fixture);
  static const char request[] = "GET / HTTP/1.1\r\nHost: tv\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n";
  g_assert_cmpint(SSL_write(*peer, request, sizeof request - 1), ==, sizeof request - 1);
  g_assert_cmpint(fixture_event(fixture, &header), ==, WSC_CONNECT);
  return fixture;
}

/* Who sits between the two can break a connection, but not speak for the peer, whatever else happens meanwhile. */
static void test_what_follows_a_broken_record_is_never_taken_for_the_peer_s(void) {
  static const uint8_t text[] = {0x81, 0x81, 0, 0, 0, 0, 'a'};
  static const uint8_t broken_record[5 + 32] = {0x17, 3, 3, 0, 32};
  SSL_CTX *client_context = SSL_CTX_new(TLS_client_method());
  SSL *peer;
  struct wsc_header header;
  struct fixture *fixture = new_tls_fixture(&peer, client_context);
  g_assert_cmpint(SSL_write(peer, text, sizeof text), ==, sizeof text);
  g_assert_cmpint(send(SSL_get_fd(peer), broken_record, sizeof broken_record, MSG_NOSIGNAL), >, 0);
  g_assert_true(wsw_loop_turn(&fixture->server->loop, 100)); /* reads both ... */
  fixture_detach(fixture);                                   /* ... and no more, as the app side is gone */
  fixture_advance(fixture, 30000);                           /* a Ping is due, and cannot be sent */
  g_assert_cmpint(send(SSL_get_fd(peer), text, sizeof text, MSG_NOSIGNAL), ==, sizeof text);
  fixture_attach(fixture);
  g_assert_cmpint(fixture_event(fixture, &header), ==, WSC_CONNECT); /* repeated */
  g_assert_cmpint(fixture_event(fixture, &header), ==, WSC_MESSAGE);
  g_assert_cmpint(fixture_event(fixture, &header), ==, WSC_CLOSED);
  g_assert_cmpuint(header.code, ==, 1006);
  close(SSL_get_fd(peer));
  SSL_free(peer);
  SSL_CTX_free(client_context);
  fixture_free(fixture);
}

/* As many small certificates as no file of an app can hold today: the bound stands behind that of the file. */
static void test_too_many_clients_cas(void) {
  const struct wsw_clock clock = {.milliseconds = read_clock};
  struct wsw_tls tls;
  struct pair pair = make_pair();
  g_autoptr(GByteArray) many = g_byte_array_new();
  const struct wsw_octets one = octets_of(pair.certificate);
  struct wsw_secrets secrets = secrets_of(&pair);
  g_assert_true(wsw_tls_init(&tls, WSW_TLS_1_2, &clock));
  for (int i = 0; i < WSW_CLIENT_CAS_MAX - 1; i++)
    g_byte_array_append(many, one.at, (guint)one.length);
  secrets.client_ca = (struct wsw_octets){many->data, many->len};
  g_assert_cmpstr(wsw_tls_load(&tls, &secrets, true), ==, NULL);
  g_byte_array_append(many, one.at, (guint)one.length);
  secrets.client_ca = (struct wsw_octets){many->data, many->len};
  g_assert_cmpstr(wsw_tls_load(&tls, &secrets, true), ==, "clientCa: holds too many certificates");
  wsw_tls_clear(&tls);
  pair_clear(&pair);
}

/* --- Peers that keep no measure --- */

static char *secret_line; /* what the client's traffic is encrypted with, as hexadecimal digits */

static void on_secret(const SSL *ssl, const char *line) {
  (void)ssl;
  if (!g_str_has_prefix(line, "CLIENT_TRAFFIC_SECRET_0 "))
    return;
  g_free(secret_line);
  secret_line = g_strdup(strrchr(line, ' ') + 1);
}

/* A peer whose records the test writes into the socket by itself. */
struct talk {
  struct wsw_tls tls;
  struct wsw_transport transport;
  struct pair pair;
  SSL_CTX *context;
  SSL *client; /* with memory for both directions */
  int socket;  /* the peer's end */
};

/* The peer's records, as the network would bring them. */
static void put_records(struct talk *talk) {
  char *octets;
  BIO *out = SSL_get_wbio(talk->client);
  long length = BIO_get_mem_data(out, &octets);
  if (length > 0)
    g_assert_cmpint(send(talk->socket, octets, (size_t)length, 0), ==, length);
  (void)BIO_reset(out);
}

static void take_records(struct talk *talk) {
  char octets[16384];
  ssize_t length = recv(talk->socket, octets, sizeof octets, MSG_DONTWAIT);
  if (length > 0)
    g_assert_cmpint(BIO_write(SSL_get_rbio(talk->client), octets, (int)length), ==, length);
}

static void talk_open(struct talk *talk) {
  static const struct wsw_clock clock = {.milliseconds = read_clock};
  const int room = 4 << 20;
  uint8_t octets[64];
  int sockets[2];
  *talk = (struct talk){.pair = make_pair(), .context = SSL_CTX_new(TLS_client_method())};
  g_assert_cmpint(SSL_CTX_set_ciphersuites(talk->context, "TLS_AES_128_GCM_SHA256"), ==, 1);
  SSL_CTX_set_keylog_callback(talk->context, on_secret);
  const struct wsw_secrets secrets = secrets_of(&talk->pair);
  g_assert_true(wsw_tls_init(&talk->tls, WSW_TLS_1_3, &clock));
  g_assert_cmpstr(wsw_tls_load(&talk->tls, &secrets, true), ==, NULL);
  g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), ==, 0);
  g_assert_cmpint(setsockopt(sockets[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room), ==, 0);
  g_assert_cmpint(fcntl(sockets[1], F_SETFL, O_NONBLOCK), ==, 0);
  talk->socket = sockets[0];
  g_assert_true(wsw_transport_open(&talk->transport, sockets[1], talk->tls.context));
  talk->client = SSL_new(talk->context);
  SSL_set_bio(talk->client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  SSL_set_connect_state(talk->client);
  for (int i = 0; i < 5; i++) {
    (void)SSL_do_handshake(talk->client);
    put_records(talk);
    g_assert_cmpint(wsw_transport_receive(&talk->transport, octets, sizeof octets), ==, WSW_TRANSPORT_AGAIN);
    take_records(talk);
  }
  g_assert_true(wsw_transport_can_send(&talk->transport) && SSL_is_init_finished(talk->client));
}

static void talk_close(struct talk *talk) {
  wsw_transport_close(&talk->transport);
  close(talk->socket);
  SSL_free(talk->client);
  SSL_CTX_free(talk->context);
  wsw_tls_clear(&talk->tls);
  pair_clear(&talk->pair);
}

static int unread(const struct talk *talk) {
  int count = 0;
  g_assert_cmpint(ioctl(talk->transport.fd, FIONREAD, &count), ==, 0);
  return count;
}

/* However fast they come: all others wait meanwhile. */
static void test_keys_renewed_without_end(void) {
  struct talk talk;
  uint8_t octets[64];
  talk_open(&talk);
  for (int i = 0; i < 4000; i++) {
    g_assert_cmpint(SSL_key_update(talk.client, SSL_KEY_UPDATE_NOT_REQUESTED), ==, 1);
    g_assert_cmpint(SSL_do_handshake(talk.client), ==, 1);
  }
  put_records(&talk);
  int before = unread(&talk);
  g_assert_cmpint(wsw_transport_receive(&talk.transport, octets, sizeof octets), ==, WSW_TRANSPORT_FAILED);
  g_assert_cmpint(unread(&talk), >, before / 2);
  talk_close(&talk);
}

/* Records of one octet cost as much as large ones. */
static void test_tiny_records(void) {
  static uint8_t octets[WSW_RECEIVE_ROOM];
  enum { RECORDS = 9000 };
  struct talk talk;
  size_t sent, total = 0;
  talk_open(&talk);
  for (int i = 0; i < RECORDS; i++)
    g_assert_cmpint(SSL_write_ex(talk.client, "x", 1, &sent), ==, 1);
  put_records(&talk);
  while (total < RECORDS) {
    int before = unread(&talk);
    ssize_t length = wsw_transport_receive(&talk.transport, octets, sizeof octets);
    g_assert_cmpint(length, >, 0);
    g_assert_cmpint(before - unread(&talk), <=, WSW_TLS_READ_MAX + SSL3_RT_MAX_PACKET_SIZE);
    total += (size_t)length;
  }
  g_assert_cmpuint(total, ==, RECORDS);
  talk_close(&talk);
}

/* HKDF-Expand-Label of RFC 8446 section 7.1, for as little as one block of SHA-256 gives. */
static void expand(const uint8_t secret[32], const char *label, uint8_t *out, uint8_t length) {
  uint8_t info[64] = {0, length, (uint8_t)(6 + strlen(label))}, block[32];
  size_t at = 3 + (size_t)g_snprintf((char *)info + 3, sizeof info - 3, "tls13 %s", label);
  info[at++] = 0; /* no context */
  info[at++] = 1; /* the first block */
  g_assert_nonnull(HMAC(EVP_sha256(), secret, 32, info, at, block, NULL));
  memcpy(out, block, length);
}

/* The first record behind the handshake, as OpenSSL would never make it: a KeyUpdate without its last octet. */
static void put_half_a_renewal(struct talk *talk) {
  uint8_t secret[32], key[16], iv[12];
  const uint8_t plain[] = {SSL3_MT_KEY_UPDATE, 0, 0, 1, SSL3_RT_HANDSHAKE};
  uint8_t record[5 + sizeof plain + 16] = {0x17, 3, 3, 0, sizeof plain + 16}, *tag = record + 5 + sizeof plain;
  int length;
  for (size_t i = 0; i < sizeof secret; i++)
    secret[i] = (uint8_t)(g_ascii_xdigit_value(secret_line[2 * i]) << 4 | g_ascii_xdigit_value(secret_line[2 * i + 1]));
  expand(secret, "key", key, sizeof key);
  expand(secret, "iv", iv, sizeof iv);
  EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
  g_assert_cmpint(EVP_EncryptInit_ex(cipher, EVP_aes_128_gcm(), NULL, key, iv), ==, 1);
  g_assert_cmpint(EVP_EncryptUpdate(cipher, NULL, &length, record, 5), ==, 1);
  g_assert_cmpint(EVP_EncryptUpdate(cipher, record + 5, &length, plain, sizeof plain), ==, 1);
  g_assert_cmpint(EVP_EncryptFinal_ex(cipher, tag, &length), ==, 1);
  g_assert_cmpint(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, 16, tag), ==, 1);
  EVP_CIPHER_CTX_free(cipher);
  g_assert_cmpint(send(talk->socket, record, sizeof record, 0), ==, sizeof record);
}

/* Half a message of the handshake keeps TLS from sending until the other half is there. The socket is writable all the while, so
 * whoever waits for that turns in circles. */
static void test_sending_waits_for_half_a_renewal(void) {
  static const uint8_t payload[] = "hello";
  struct talk talk;
  uint8_t octets[64];
  talk_open(&talk);
  g_assert_cmpint(wsw_transport_send(&talk.transport, payload, sizeof payload), ==, sizeof payload);
  g_assert_false(talk.transport.wants_readable);
  put_half_a_renewal(&talk);
  g_assert_cmpint(wsw_transport_receive(&talk.transport, octets, sizeof octets), ==, WSW_TRANSPORT_AGAIN);
  g_assert_cmpint(wsw_transport_send(&talk.transport, payload, sizeof payload), ==, WSW_TRANSPORT_AGAIN);
  g_assert_true(talk.transport.wants_readable);
  talk_close(&talk);
  g_clear_pointer(&secret_line, g_free);
}

/* --- The vault --- */

static void test_a_key_is_opened_once(void) {
  const struct wsw_clock clock = {.milliseconds = read_clock};
  struct wsw_tls tls;
  struct pair pair = make_pair();
  struct wsw_secrets secrets = secrets_of(&pair), opened;
  BIO *file = BIO_new_mem_buf(secrets.key.at, (int)secrets.key.length);
  EVP_PKEY *key = PEM_read_bio_PrivateKey(file, NULL, NULL, NULL);
  BIO_free(file);
  file = BIO_new(BIO_s_mem());
  g_assert_cmpint(PEM_write_bio_PrivateKey(file, key, EVP_aes_256_cbc(), NULL, 0, NULL, (void *)"secret"), ==, 1);
  EVP_PKEY_free(key);
  g_autoptr(GBytes) encrypted = take_bytes(file);
  const struct wsw_secrets closed = {
      .certificate = secrets.certificate, .key = octets_of(encrypted), .password = {(const uint8_t *)"secret", 6}};
  g_assert_true(wsw_tls_init(&tls, WSW_TLS_1_2, &clock));
  g_assert_cmpstr(wsw_tls_load(&tls, &closed, true), ==, NULL);
  g_assert_true(wsw_tls_open_key(&tls, &opened));
  secrets.key = opened.key;
  g_assert_cmpstr(wsw_tls_load(&tls, &secrets, true), ==, NULL); /* needs no password any more */
  wsw_secrets_clear(&opened);
  wsw_tls_clear(&tls);
  pair_clear(&pair);
}

static int new_vault(void) {
  int fd = memfd_create("vault", MFD_CLOEXEC);
  g_assert_cmpint(ftruncate(fd, WSC_VAULT_SIZE), ==, 0);
  return fd;
}

static void assert_octets(struct wsw_octets octets, const uint8_t *expected, size_t length) {
  g_assert_cmpuint(octets.length, ==, length);
  g_assert_true(memcmp(octets.at, expected, length) == 0);
}

static void test_the_vault_gives_back_what_was_put_in(void) {
  static uint8_t large[3][WSC_PEM_MAX], password[WSC_KEY_PASSWORD_MAX];
  for (size_t i = 0; i < 3; i++)
    memset(large[i], 'a' + (int)i, sizeof large[i]);
  memset(password, 'p', sizeof password);
  const struct wsw_secrets in = {.certificate = {large[0], sizeof large[0]},
                                 .key = {large[1], sizeof large[1]},
                                 .client_ca = {large[2], sizeof large[2]},
                                 .password = {password, sizeof password}};
  struct wsw_secrets out;
  int vault = new_vault();
  g_assert_cmpstr(wsw_vault_read(vault, &out), ==, "the certificate's vault is not filled");
  g_assert_cmpstr(wsw_vault_write(vault, &in), ==, NULL);
  g_assert_cmpstr(wsw_vault_read(vault, &out), ==, NULL);
  assert_octets(out.certificate, large[0], sizeof large[0]);
  assert_octets(out.key, large[1], sizeof large[1]);
  assert_octets(out.client_ca, large[2], sizeof large[2]);
  assert_octets(out.password, password, sizeof password);
  wsw_secrets_clear(&out);
  close(vault);
}

/* Whatever another worker left in there, nothing is read beyond it. */
static void test_a_vault_that_lies_is_refused(void) {
  static const uint32_t lengths[][4] = {
      {0, 1, 0, 0},
      {1, 0, 0, 0},
      {WSC_PEM_MAX + 1, 1, 0, 0},
      {1, UINT32_MAX, 0, 0},
      {1, 1, 0, WSC_KEY_PASSWORD_MAX + 1},
  };
  struct wsw_secrets out;
  for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
    uint8_t header[24] = "wsvault1";
    memcpy(header + 8, lengths[i], sizeof lengths[i]); /* little-endian machines only, as a test may be */
    int vault = new_vault();
    g_assert_cmpint(pwrite(vault, header, sizeof header, 0), ==, sizeof header);
    g_assert_nonnull(wsw_vault_read(vault, &out));
    close(vault);
  }
  int small = memfd_create("vault", MFD_CLOEXEC);
  const uint8_t header[24] = "wsvault1\1\0\0\0\1\0\0\0";
  g_assert_cmpint(write(small, header, sizeof header), ==, sizeof header);
  g_assert_cmpstr(wsw_vault_read(small, &out), ==, "the certificate's vault cannot be read");
  close(small);
}

static void test_keys_lie_in_the_secure_heap(void) {
  const struct wsw_clock clock = {.milliseconds = read_clock};
  struct wsw_tls tls;
  struct pair pair = make_pair();
  const struct wsw_secrets secrets = secrets_of(&pair);
  g_assert_true(wsw_tls_prepare());
  g_assert_true(wsw_tls_init(&tls, WSW_TLS_1_2, &clock));
  g_assert_cmpint(CRYPTO_secure_allocated(tls.tickets.keys), ==, 1);
  size_t before = CRYPTO_secure_used();
  g_assert_cmpstr(wsw_tls_load(&tls, &secrets, true), ==, NULL);
  g_assert_cmpuint(CRYPTO_secure_used(), >, before);
  wsw_tls_clear(&tls);
  g_assert_cmpuint(CRYPTO_secure_used(), <, before);
  pair_clear(&pair);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/tls/ticket keys open what they should, and grow old", test_tickets);
  g_test_add_func("/tls/a new certificate does not cost peers their tickets", test_a_new_certificate_takes_old_tickets);
  g_test_add_func("/tls/a bad certificate leaves the one before", test_a_bad_certificate_leaves_the_one_before);
  g_test_add_func("/tls/what follows a broken record is never taken for the peer's",
                  test_what_follows_a_broken_record_is_never_taken_for_the_peer_s);
  g_test_add_func("/tls/more CAs of clients than may be are refused", test_too_many_clients_cas);
  g_test_add_func("/tls/a peer that renews keys without end is not listened to for long",
                  test_keys_renewed_without_end);
  g_test_add_func("/tls/a peer that sends tiny records lets others have their turn", test_tiny_records);
  g_test_add_func("/tls/half a renewal of keys does not make the worker turn in circles",
                  test_sending_waits_for_half_a_renewal);
  g_test_add_func("/tls/a key with a password is opened once", test_a_key_is_opened_once);
  g_test_add_func("/tls/the vault gives back what was put in", test_the_vault_gives_back_what_was_put_in);
  g_test_add_func("/tls/a vault that lies is refused", test_a_vault_that_lies_is_refused);
  g_test_add_func("/tls/keys lie where they are not swapped or left behind", test_keys_lie_in_the_secure_heap);
  return g_test_run();
}
