/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/transport.h"

#include "worker/limits.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- TCP ---- */

static ssize_t outcome(ssize_t result) {
  if (result >= 0)
    return result;
  return errno == EAGAIN ? WSW_TRANSPORT_AGAIN : WSW_TRANSPORT_FAILED;
}

static ssize_t receive_raw(struct wsw_transport *transport, uint8_t *room, size_t size) {
  ssize_t result;
  do
    result = recv(transport->fd, room, size, MSG_DONTWAIT);
  while (result < 0 && errno == EINTR);
  transport->more = result > 0 && ((size_t)result == size || transport->ends);
  return outcome(result);
}

static ssize_t send_raw(struct wsw_transport *transport, const uint8_t *octets, size_t length) {
  ssize_t result;
  do
    result = send(transport->fd, octets, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (result < 0 && errno == EINTR);
  result = outcome(result);
  return result == 0 ? WSW_TRANSPORT_AGAIN : result;
}

ssize_t wsw_transport_send_parts(struct wsw_transport *transport, struct iovec *parts, size_t count) {
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
  ssize_t result;
  do
    result = sendmsg(transport->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (result < 0 && errno == EINTR);
  result = outcome(result);
  return result == 0 ? WSW_TRANSPORT_AGAIN : result;
}

/* ---- TLS ---- */

/* Behind the handshake peers send handshake messages only to renew keys (RFC 8446 section 4.6.3), and each makes us work. */
static void on_message(int writing, int version, int type, const void *octets, size_t length, SSL *ssl, void *user) {
  (void)version;
  (void)octets;
  (void)length;
  (void)ssl;
  struct wsw_transport *transport = user;
  if (!writing && type == SSL3_RT_HANDSHAKE && transport->open && transport->idle_handshakes <= WSW_IDLE_HANDSHAKES_MAX)
    transport->idle_handshakes++;
}

static uint8_t units_read(BIO *bio) {
  return (uint8_t)(BIO_number_read(bio) / WSW_TLS_READ_UNIT);
}

/* One octet counts it, since one read is far from 256 units. */
static bool has_had_its_share(const struct wsw_transport *transport, BIO *bio) {
  static_assert(2 * WSW_TLS_READ_MAX / WSW_TLS_READ_UNIT <= UINT8_MAX, "it must not come round");
  return (uint8_t)(units_read(bio) - transport->reads_from) >= WSW_TLS_READ_MAX / WSW_TLS_READ_UNIT;
}

/*
 * Asked before TLS takes octets off the socket. While a peer sends what carries no data (key updates, or attempts to renegotiate), OpenSSL
 * goes on reading by itself as long as there is something: so there is nothing any more when it has had its share.
 */
static long on_reading(BIO *bio, int operation, const char *room, size_t size, int number, long more, int result,
                       size_t *done) {
  (void)room;
  (void)size;
  (void)number;
  (void)more;
  (void)done;
  const struct wsw_transport *transport = (const void *)BIO_get_callback_arg(bio);
  if (operation != BIO_CB_READ ||
      (!has_had_its_share(transport, bio) && transport->idle_handshakes <= WSW_IDLE_HANDSHAKES_MAX))
    return result;
  BIO_clear_retry_flags(bio);
  BIO_set_retry_read(bio);
  return -1;
}

static void allow_reading(struct wsw_transport *transport) {
  transport->reads_from = units_read(SSL_get_rbio(transport->tls));
}

static ssize_t fail(struct wsw_transport *transport, int8_t verdict) {
  transport->broken = transport->broken || verdict == WSW_TRANSPORT_FAILED;
  return verdict;
}

/* What a call of TLS that gave nothing came to. */
static ssize_t tls_outcome(struct wsw_transport *transport) {
  switch (SSL_get_error(transport->tls, 0)) {
  case SSL_ERROR_WANT_READ:
    return WSW_TRANSPORT_AGAIN;
  case SSL_ERROR_WANT_WRITE:
    transport->wants_writable = true;
    return WSW_TRANSPORT_AGAIN;
  case SSL_ERROR_ZERO_RETURN:
    return WSW_TRANSPORT_ENDED;
  default:
    return WSW_TRANSPORT_FAILED;
  }
}

/* Fills the room as far as there is something, so that a peer that sends many small records costs no more wake-ups for it. */
static ssize_t receive_tls(struct wsw_transport *transport, uint8_t *room, size_t size) {
  size_t got = 0, part;
  ssize_t end = 1;
  transport->wants_writable = false;
  allow_reading(transport);
  ERR_clear_error();
  while (got < size && end > 0) {
    if (SSL_read_ex(transport->tls, room + got, size - got, &part) == 1) {
      got += part;
      transport->idle_handshakes = 0;
    } else {
      end = tls_outcome(transport);
    }
    if (transport->idle_handshakes > WSW_IDLE_HANDSHAKES_MAX)
      end = WSW_TRANSPORT_FAILED;
  }
  /* Not asked anew later: a renewal of keys that is under way looks like a handshake to OpenSSL. */
  transport->open = transport->open || SSL_is_init_finished(transport->tls);
  transport->more = end != WSW_TRANSPORT_AGAIN && got > 0;
  if (end == WSW_TRANSPORT_AGAIN || end > 0)
    return got > 0 ? (ssize_t)got : WSW_TRANSPORT_AGAIN;
  if (got == 0)
    return fail(transport, (int8_t)end);
  transport->verdict = (int8_t)end; /* first what came before */
  return (ssize_t)got;
}

ssize_t wsw_transport_receive(struct wsw_transport *transport, uint8_t *room, size_t size) {
  if (!transport->tls)
    return receive_raw(transport, room, size);
  if (transport->verdict == WSW_TRANSPORT_AGAIN && !transport->broken)
    return receive_tls(transport, room, size);
  transport->more = false;
  return fail(transport, transport->broken ? WSW_TRANSPORT_FAILED : transport->verdict);
}

ssize_t wsw_transport_discard(struct wsw_transport *transport, uint8_t *room, size_t size) {
  if (!transport->broken)
    return wsw_transport_receive(transport, room, size);
  transport->more = transport->wants_writable = false;
  return receive_raw(transport, room, size);
}

static ssize_t send_tls(struct wsw_transport *transport, const uint8_t *octets, size_t length) {
  size_t sent = 0, part;
  transport->wants_readable = false;
  allow_reading(transport);
  ERR_clear_error();
  while (sent < length) {
    if (SSL_write_ex(transport->tls, octets + sent, length - sent, &part) != 1)
      break;
    sent += part;
  }
  if (sent > 0)
    return (ssize_t)sent;
  int error = SSL_get_error(transport->tls, 0);
  transport->wants_readable = error == SSL_ERROR_WANT_READ;
  return error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? WSW_TRANSPORT_AGAIN
                                                                       : fail(transport, WSW_TRANSPORT_FAILED);
}

ssize_t wsw_transport_send(struct wsw_transport *transport, const uint8_t *octets, size_t length) {
  if (!transport->tls)
    return send_raw(transport, octets, length);
  return wsw_transport_can_send(transport) ? send_tls(transport, octets, length) : WSW_TRANSPORT_FAILED;
}

/* ---- Both ---- */

bool wsw_transport_open(struct wsw_transport *transport, int fd, struct ssl_ctx_st *context) {
  *transport = (struct wsw_transport){.fd = fd, .verdict = WSW_TRANSPORT_AGAIN};
  if (!context)
    return true;
  transport->tls = SSL_new(context);
  if (!transport->tls || SSL_set_fd(transport->tls, fd) != 1)
    return false;
  BIO_set_callback_ex(SSL_get_rbio(transport->tls), on_reading);
  BIO_set_callback_arg(SSL_get_rbio(transport->tls), (char *)transport);
  SSL_set_accept_state(transport->tls);
  SSL_set_msg_callback(transport->tls, on_message);
  SSL_set_msg_callback_arg(transport->tls, transport);
  return true;
}

bool wsw_transport_can_send(const struct wsw_transport *transport) {
  return !transport->tls || (transport->open && !transport->broken);
}

bool wsw_transport_finish(struct wsw_transport *transport) {
  if (transport->tls && wsw_transport_can_send(transport)) {
    ERR_clear_error();
    int result = SSL_shutdown(transport->tls); /* close_notify, RFC 8446 section 6.1 */
    if (result < 0 && SSL_get_error(transport->tls, result) == SSL_ERROR_WANT_WRITE)
      return false;
  }
  (void)shutdown(transport->fd, SHUT_WR);
  return true;
}

void wsw_transport_close(struct wsw_transport *transport) {
  SSL_free(transport->tls);
  transport->tls = NULL;
  if (transport->fd >= 0)
    close(transport->fd);
  transport->fd = -1;
}
