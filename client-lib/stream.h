/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a client's octets go and come from: a TCP socket, or TLS on it (RFC 8446, OpenSSL). Nothing blocks and nothing raises SIGPIPE, which is the app's and not ours.
 *
 * TLS may have to read before it can write and the other way round: ws_stream_wants() tells what to wait for.
 */
#pragma once

#include <gio/gio.h>
#include <openssl/ssl.h>
#include <stdbool.h>

struct ws_stream {
  int fd;              /* the caller's */
  SSL *tls;            /* NULL: without */
  bool is_shaken;      /* TLS is established */
  bool reads_on_write; /* what TLS waits for to go on reading is a writable socket ... */
  bool writes_on_read; /* ... and to go on writing, a readable one */
  bool broken;
};

enum { WS_STREAM_ENDED = 0, WS_STREAM_AGAIN = -1, WS_STREAM_FAILED = -2 };

/* How the other side is verified, and what we show it. */
struct ws_tls_terms {
  const char *ca_path;                              /* file or folder; NULL: what the system trusts */
  const char *certificate, *private_key, *password; /* NULL: none */
  const char *min_version;                          /* "1.2" (where NULL) or "1.3" */
  bool skip_verification;
};

/* A context for these terms; NULL and an error that names what is wrong. Free with SSL_CTX_free(). */
SSL_CTX *ws_tls_context_new(const struct ws_tls_terms *terms, GError **error);

void ws_stream_init(struct ws_stream *stream, int fd);
/* Speaks TLS from here on, to that host (a name or an address). False without memory. */
bool ws_stream_begin_tls(struct ws_stream *stream, SSL_CTX *context, const char *host, bool skip_verification);
void ws_stream_clear(struct ws_stream *stream);

/* Goes on with the handshake of TLS: 1 done, AGAIN, or FAILED and an error. */
int ws_stream_shake_hands(struct ws_stream *stream, GError **error);

/* Octets (above 0), or one of the above. */
gssize ws_stream_receive(struct ws_stream *stream, guint8 *room, gsize size);
gssize ws_stream_send(struct ws_stream *stream, const guint8 *octets, gsize length);
/* Whether octets are there that the socket will not wake anybody for. */
bool ws_stream_has_pending(const struct ws_stream *stream);
/* Says that nothing more will be sent. */
void ws_stream_finish(struct ws_stream *stream);

/* What to wait for: to receive, and (where something waits) to send. */
GIOCondition ws_stream_wants(const struct ws_stream *stream, bool to_receive, bool to_send);
