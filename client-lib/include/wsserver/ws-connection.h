/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <gio/gio.h>
#include <wsserver/ws-macros.h>
#include <wsserver/ws-message.h>

G_BEGIN_DECLS

#define WS_TYPE_CONNECTION (ws_connection_get_type())
WS_API
G_DECLARE_FINAL_TYPE(WsConnection, ws_connection, WS, CONNECTION, GObject)

/**
 * WsConnection:
 *
 * The connection of one peer to a [class@Server], from the signal [signal@Server::connect] to the end of [signal@Server::close].
 *
 * Sending never blocks and loses nothing. What is sent leaves when control returns to the main loop, everything at once. Messages to one peer leave in
 * order. A peer that reads too slowly fills its own queue (see [method@Connection.get_queued]); sending to it then fails with
 * %WS_ERROR_WOULD_BLOCK until [signal@Server::drained] is emitted for it, while all others go on. [method@Connection.send_async] waits
 * by itself.
 *
 * What came from the peer (path, query, origin, headers) is made valid UTF-8: octets that are none, and U+0000, become U+FFFD.
 *
 * Use it in the thread of its server.
 */

/**
 * ws_connection_get_id:
 * @self: a connection
 *
 * Returns: its number: never 0, and not used twice in the life of a server
 */
WS_API
guint64 ws_connection_get_id(WsConnection *self);

/**
 * ws_connection_get_client_ip:
 * @self: a connection
 *
 * Returns: (transfer full): the peer's address, such as `192.0.2.7` or `fe80::1%eth0`
 */
WS_API
char *ws_connection_get_client_ip(WsConnection *self);

/**
 * ws_connection_get_client_port:
 * @self: a connection
 *
 * Returns: the peer's port
 */
WS_API
guint16 ws_connection_get_client_port(WsConnection *self);

/**
 * ws_connection_get_path:
 * @self: a connection
 *
 * Returns: (transfer full): the path it asked for, percent-encoding kept
 */
WS_API
char *ws_connection_get_path(WsConnection *self);

/**
 * ws_connection_get_query:
 * @self: a connection
 *
 * Returns: (transfer full): what stood behind the question mark; empty without one
 */
WS_API
char *ws_connection_get_query(WsConnection *self);

/**
 * ws_connection_get_origin:
 * @self: a connection
 *
 * Returns: (transfer full): the web page's origin (RFC 6454); empty where the peer is no browser
 */
WS_API
char *ws_connection_get_origin(WsConnection *self);

/**
 * ws_connection_get_protocol:
 * @self: a connection
 *
 * Returns: (transfer full): the subprotocol agreed on, or empty
 */
WS_API
char *ws_connection_get_protocol(WsConnection *self);

/**
 * ws_connection_get_client_subject:
 * @self: a connection
 *
 * Returns: (transfer full): the subject of the certificate that the peer proved to be its own (RFC 4514), or empty
 */
WS_API
char *ws_connection_get_client_subject(WsConnection *self);

/**
 * ws_connection_is_tls:
 * @self: a connection
 *
 * Returns: whether it is encrypted
 */
WS_API
gboolean ws_connection_is_tls(WsConnection *self);

/**
 * ws_connection_get_connected_at:
 * @self: a connection
 *
 * Returns: when it was established, in microseconds since 1970-01-01 00:00 UTC
 */
WS_API
gint64 ws_connection_get_connected_at(WsConnection *self);

/**
 * ws_connection_get_headers:
 * @self: a connection
 *
 * The headers of its request, names in lower case, repeated ones joined by `, `. They are there while [signal@Server::connect] is emitted, and not kept
 * for longer, so that an idle connection costs little.
 *
 * Returns: (transfer full) (element-type utf8 utf8): name to value; empty later
 */
WS_API
GHashTable *ws_connection_get_headers(WsConnection *self);

/**
 * ws_connection_is_open:
 * @self: a connection
 *
 * Returns: whether messages can be sent: not after it was closed, by whichever side
 */
WS_API
gboolean ws_connection_is_open(WsConnection *self);

/**
 * ws_connection_get_queued:
 * @self: a connection
 *
 * How much waits for this peer: octets, and 16 more for each message. We learn that something was written with some delay, so it is less in truth.
 *
 * Returns: octets sent to it that are not known to be written to its socket
 */
WS_API
guint64 ws_connection_get_queued(WsConnection *self);

/**
 * ws_connection_send:
 * @self: a connection
 * @message: what to send
 * @error: return location for an error
 *
 * Sends a message behind everything sent before. Errors: %WS_ERROR_WOULD_BLOCK, %WS_ERROR_CONNECTION_NOT_FOUND,
 * %WS_ERROR_MESSAGE_TOO_BIG; nothing was sent then.
 *
 * Returns: whether it is on its way
 */
WS_API
gboolean ws_connection_send(WsConnection *self, WsMessage *message, GError **error);

/**
 * ws_connection_send_text:
 * @self: a connection
 * @text: UTF-8, terminated
 * @error: return location for an error
 *
 * The same for text; %WS_ERROR_INVALID_ARGUMENT when it is not UTF-8.
 *
 * Returns: whether it is on its way
 */
WS_API
gboolean ws_connection_send_text(WsConnection *self, const char *text, GError **error);

/**
 * ws_connection_send_data:
 * @self: a connection
 * @data: (array length=length) (element-type guint8) (nullable): the payload
 * @length: its octets
 * @error: return location for an error
 *
 * The same for a binary message. @data is copied, or has left, when this returns.
 *
 * Returns: whether it is on its way
 */
WS_API
gboolean ws_connection_send_data(WsConnection *self, const guint8 *data, gsize length, GError **error);

/**
 * ws_connection_send_async:
 * @self: a connection
 * @message: what to send
 * @cancellable: (nullable): cancels it while it waits for room; later it is on its way
 * @callback: called when it was written to the peer's socket, or failed
 * @user_data: for @callback
 *
 * Sends a message, waiting for room where too much waits for this peer. Several of them, and what else is sent, keep their order: while one waits,
 * [method@Connection.send] fails with %WS_ERROR_WOULD_BLOCK.
 */
WS_API
void ws_connection_send_async(WsConnection *self, WsMessage *message, GCancellable *cancellable,
                              GAsyncReadyCallback callback, gpointer user_data);

/**
 * ws_connection_send_finish:
 * @self: a connection
 * @result: what the callback got
 * @error: return location for an error
 *
 * Errors: those of [method@Connection.send] but %WS_ERROR_WOULD_BLOCK; %WS_ERROR_LIMIT_EXCEEDED when too many wait already;
 * %WS_ERROR_CONNECTION_NOT_FOUND also when it closed before the message was written; %G_IO_ERROR_CANCELLED.
 *
 * Returns: whether it was written to the peer's socket
 */
WS_API
gboolean ws_connection_send_finish(WsConnection *self, GAsyncResult *result, GError **error);

/**
 * ws_connection_close:
 * @self: a connection
 * @code: 1000-1003, 1007-1014 or 3000-4999 (RFC 6455 section 7.4); 0 means 1000
 * @reason: (nullable): UTF-8, at most 123 octets
 * @error: return location for an error
 *
 * Sends a Close frame behind everything sent before; messages of [method@Connection.send_async] that still wait for room are given up. [signal@Server::close] follows when the peer has answered, or has not for too long; messages of
 * the peer may come until then.
 *
 * Returns: whether it is on its way; %WS_ERROR_INVALID_ARGUMENT for a code or reason that is not legal
 */
WS_API
gboolean ws_connection_close(WsConnection *self, guint16 code, const char *reason, GError **error);

G_END_DECLS
