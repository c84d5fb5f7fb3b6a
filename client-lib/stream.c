/* SPDX-License-Identifier: Apache-2.0 */
#include "client-lib/stream.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/socket.h>
#include <wsserver/ws-error.h>

/* --- TCP --- */

static gssize outcome(gssize result) {
  if (result >= 0)
    return result;
  return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ? WS_STREAM_AGAIN : WS_STREAM_FAILED;
}

static gssize receive_raw(int fd, void *room, gsize size) {
  gssize result;
  do
    result = recv(fd, room, size, MSG_DONTWAIT);
  while (result < 0 && errno == EINTR);
  return result;
}

static gssize send_raw(int fd, const void *octets, gsize length) {
  gssize result;
  do
    result = send(fd, octets, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (result < 0 && errno == EINTR);
  return result;
}

/* --- The socket as OpenSSL sees it: its own would raise SIGPIPE --- */

static int bio_write(BIO *bio, const char *octets, size_t length, size_t *written) {
  const struct ws_stream *stream = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  gssize result = outcome(send_raw(stream->fd, octets, length));
  if (result == WS_STREAM_AGAIN)
    BIO_set_retry_write(bio);
  *written = result > 0 ? (size_t)result : 0;
  return result > 0;
}

static int bio_read(BIO *bio, char *room, size_t size, size_t *received) {
  const struct ws_stream *stream = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  gssize result = outcome(receive_raw(stream->fd, room, size));
  if (result == WS_STREAM_AGAIN)
    BIO_set_retry_read(bio);
  if (result == WS_STREAM_ENDED)
    BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  *received = result > 0 ? (size_t)result : 0;
  return result > 0;
}

static long bio_control(BIO *bio, int command, long number, void *pointer) {
  (void)number;
  (void)pointer;
  if (command == BIO_CTRL_EOF)
    return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
  return command == BIO_CTRL_FLUSH;
}

static const BIO_METHOD *bio_method(void) {
  static gsize method = 0;
  if (g_once_init_enter(&method)) {
    BIO_METHOD *made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wsserver socket");
    BIO_meth_set_write_ex(made, bio_write);
    BIO_meth_set_read_ex(made, bio_read);
    BIO_meth_set_ctrl(made, bio_control);
    g_once_init_leave(&method, (gsize)made);
  }
  return (const BIO_METHOD *)method;
}

/* --- Terms --- */

static const char *last_reason(void) {
  const char *reason = ERR_reason_error_string(ERR_peek_last_error());
  return reason != NULL ? reason : "unknown reason";
}

static bool refuse(GError **error, WsError code, const char *what, const char *path) {
  g_set_error(error, WS_ERROR, (gint)code, "%s: %s cannot be used: %s", what, path, last_reason());
  return false;
}

static int give_password(char *room, int size, int for_writing, void *user) {
  const char *password = user;
  (void)for_writing;
  if (password == NULL || strlen(password) > (size_t)size)
    return -1;
  memcpy(room, password, strlen(password));
  return (int)strlen(password);
}

static bool trust(SSL_CTX *context, const struct ws_tls_terms *terms, GError **error) {
  if (terms->ca_path == NULL)
    return SSL_CTX_set_default_verify_paths(context) == 1;
  bool is_folder = g_file_test(terms->ca_path, G_FILE_TEST_IS_DIR);
  if (SSL_CTX_load_verify_locations(context, is_folder ? NULL : terms->ca_path, is_folder ? terms->ca_path : NULL) == 1)
    return true;
  return refuse(error, WS_ERROR_CERTIFICATE_NOT_FOUND, "ca-path", terms->ca_path);
}

static bool show(SSL_CTX *context, const struct ws_tls_terms *terms, GError **error) {
  if (terms->certificate == NULL)
    return true;
  const char *key = terms->private_key != NULL ? terms->private_key : terms->certificate;
  SSL_CTX_set_default_passwd_cb(context, give_password);
  SSL_CTX_set_default_passwd_cb_userdata(context, (void *)(guintptr)terms->password);
  if (SSL_CTX_use_certificate_chain_file(context, terms->certificate) != 1)
    return refuse(error, WS_ERROR_CERTIFICATE_NOT_FOUND, "certificate", terms->certificate);
  if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(context) != 1)
    return refuse(error, WS_ERROR_CERTIFICATE_NOT_FOUND, "private-key", key);
  SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
  return true;
}

static bool set_version(SSL_CTX *context, const char *version, GError **error) {
  int number = version == NULL || g_str_equal(version, "1.2") ? TLS1_2_VERSION : TLS1_3_VERSION;
  if (version != NULL && !g_str_equal(version, "1.2") && !g_str_equal(version, "1.3")) {
    g_set_error(error, WS_ERROR, WS_ERROR_INVALID_ARGUMENT, "tls-min-version: \"%s\" is neither 1.2 nor 1.3", version);
    return false;
  }
  return SSL_CTX_set_min_proto_version(context, number) == 1;
}

SSL_CTX *ws_tls_context_new(const struct ws_tls_terms *terms, GError **error) {
  ERR_clear_error();
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  GError *problem = NULL;
  if (context != NULL && set_version(context, terms->min_version, &problem) &&
      (terms->skip_verification || trust(context, terms, &problem)) && show(context, terms, &problem)) {
    SSL_CTX_set_verify(context, terms->skip_verification ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    return context;
  }
  if (problem == NULL)
    problem = g_error_new(WS_ERROR, WS_ERROR_FAILED, "TLS cannot be set up: %s", last_reason());
  g_propagate_error(error, problem);
  SSL_CTX_free(context);
  return NULL;
}

/* --- The stream --- */

void ws_stream_init(struct ws_stream *stream, int fd) {
  *stream = (struct ws_stream){.fd = fd};
}

/* RFC 6066 section 3: an address is no server name. */
static bool name_host(SSL *tls, const char *host, bool skip_verification) {
  g_autofree char *literal = g_strndup(host, strcspn(host, "%"));
  X509_VERIFY_PARAM *verify = SSL_get0_param(tls);
  if (g_hostname_is_ip_address(literal))
    return skip_verification || X509_VERIFY_PARAM_set1_ip_asc(verify, literal) == 1;
  X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return SSL_set_tlsext_host_name(tls, host) == 1 && (skip_verification || SSL_set1_host(tls, host) == 1);
}

bool ws_stream_begin_tls(struct ws_stream *stream, SSL_CTX *context, const char *host, bool skip_verification) {
  static const unsigned char protocols[] = "\x08http/1.1";
  stream->tls = SSL_new(context);
  BIO *bio = stream->tls != NULL ? BIO_new(bio_method()) : NULL;
  if (bio == NULL)
    return false;
  BIO_set_data(bio, stream);
  BIO_set_init(bio, 1);
  SSL_set_bio(stream->tls, bio, bio);
  SSL_set_connect_state(stream->tls);
  stream->reads_on_write = true; /* the first word is ours */
  return SSL_set_alpn_protos(stream->tls, protocols, sizeof protocols - 1) == 0 &&
         name_host(stream->tls, host, skip_verification);
}

void ws_stream_clear(struct ws_stream *stream) {
  SSL_free(stream->tls);
  stream->tls = NULL;
}

static void explain_handshake(const struct ws_stream *stream, GError **error) {
  long verdict = SSL_get_verify_result(stream->tls);
  if (verdict != X509_V_OK)
    g_set_error(error, WS_ERROR, WS_ERROR_FAILED, "the server's certificate is not accepted: %s",
                X509_verify_cert_error_string(verdict));
  else
    g_set_error(error, WS_ERROR, WS_ERROR_FAILED, "TLS with the server failed: %s",
                ERR_peek_last_error() != 0 ? last_reason() : "it closed the connection");
}

int ws_stream_shake_hands(struct ws_stream *stream, GError **error) {
  ERR_clear_error();
  int result = SSL_do_handshake(stream->tls);
  if (result == 1) {
    stream->is_shaken = true;
    return 1;
  }
  int reason = SSL_get_error(stream->tls, result);
  stream->reads_on_write = reason == SSL_ERROR_WANT_WRITE;
  if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE)
    return WS_STREAM_AGAIN;
  stream->broken = true;
  explain_handshake(stream, error);
  return WS_STREAM_FAILED;
}

static gssize receive_tls(struct ws_stream *stream, guint8 *room, gsize size) {
  size_t received;
  ERR_clear_error();
  stream->reads_on_write = false;
  if (SSL_read_ex(stream->tls, room, size, &received) == 1)
    return (gssize)received;
  switch (SSL_get_error(stream->tls, 0)) {
  case SSL_ERROR_WANT_READ:
    return WS_STREAM_AGAIN;
  case SSL_ERROR_WANT_WRITE:
    stream->reads_on_write = true;
    return WS_STREAM_AGAIN;
  case SSL_ERROR_ZERO_RETURN:
    return WS_STREAM_ENDED;
  default:
    stream->broken = true;
    return WS_STREAM_FAILED;
  }
}

static gssize send_tls(struct ws_stream *stream, const guint8 *octets, gsize length) {
  size_t sent;
  ERR_clear_error();
  stream->writes_on_read = false;
  if (SSL_write_ex(stream->tls, octets, length, &sent) == 1)
    return (gssize)sent;
  int reason = SSL_get_error(stream->tls, 0);
  stream->writes_on_read = reason == SSL_ERROR_WANT_READ;
  if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE)
    return WS_STREAM_AGAIN;
  stream->broken = true;
  return WS_STREAM_FAILED;
}

gssize ws_stream_receive(struct ws_stream *stream, guint8 *room, gsize size) {
  if (stream->broken)
    return WS_STREAM_FAILED;
  return stream->tls != NULL ? receive_tls(stream, room, size) : outcome(receive_raw(stream->fd, room, size));
}

gssize ws_stream_send(struct ws_stream *stream, const guint8 *octets, gsize length) {
  if (stream->broken)
    return WS_STREAM_FAILED;
  return stream->tls != NULL ? send_tls(stream, octets, length) : outcome(send_raw(stream->fd, octets, length));
}

bool ws_stream_has_pending(const struct ws_stream *stream) {
  return stream->tls != NULL && SSL_pending(stream->tls) > 0;
}

void ws_stream_finish(struct ws_stream *stream) {
  if (stream->tls != NULL && stream->is_shaken && !stream->broken)
    (void)SSL_shutdown(stream->tls); /* close_notify; if there is no room for it, the end of the socket has to do */
  (void)shutdown(stream->fd, SHUT_WR);
}

GIOCondition ws_stream_wants(const struct ws_stream *stream, bool to_receive, bool to_send) {
  GIOCondition receiving = stream->reads_on_write ? G_IO_OUT : G_IO_IN;
  GIOCondition sending = stream->writes_on_read ? G_IO_IN : G_IO_OUT;
  return (to_receive ? receiving : 0) | (to_send ? sending : 0);
}
