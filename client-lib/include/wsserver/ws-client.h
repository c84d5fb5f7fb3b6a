/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <gio/gio.h>
#include <wsserver/ws-client-config.h>
#include <wsserver/ws-macros.h>
#include <wsserver/ws-message.h>

G_BEGIN_DECLS

/**
 * WsClientState:
 * @WS_CLIENT_STATE_CLOSED: not connected
 * @WS_CLIENT_STATE_CONNECTING: on the way
 * @WS_CLIENT_STATE_OPEN: messages go both ways
 * @WS_CLIENT_STATE_CLOSING: our Close frame is on its way; messages of the server may still come
 *
 * What a client is about.
 */
typedef enum {
  WS_CLIENT_STATE_CLOSED,
  WS_CLIENT_STATE_CONNECTING,
  WS_CLIENT_STATE_OPEN,
  WS_CLIENT_STATE_CLOSING,
} WsClientState;

WS_API
GType ws_client_state_get_type(void) G_GNUC_CONST;
#define WS_TYPE_CLIENT_STATE (ws_client_state_get_type())

#define WS_TYPE_CLIENT (ws_client_get_type())
WS_API
G_DECLARE_FINAL_TYPE(WsClient, ws_client, WS, CLIENT, GObject)

/**
 * WsClient:
 *
 * A WebSocket client (RFC 6455), in the app's own process and on every device.
 *
 * It connects once, talks, closes, and may connect again. Sending never blocks and loses nothing: what is sent leaves when control returns to the main loop; when
 * too much waits for the server, sending fails with %WS_ERROR_WOULD_BLOCK until [signal@Client::drained].
 *
 * A client belongs to the thread that created it: its signals are emitted in that thread's default main context, and its functions are called there:
 * while its main loop runs in
 * one thread, starting, stopping, connecting and closing in another do nothing but warn (g_return_if_fail()).
 */

/**
 * ws_client_new:
 *
 * Returns: (transfer full): a client that is not connected
 */
WS_API
WsClient *ws_client_new(void);

/**
 * ws_client_connect_async:
 * @self: a client
 * @url: where to, `ws://` or `wss://`
 * @config: (nullable): how; %NULL: with all defaults
 * @cancellable: (nullable): cancels it
 * @callback: called when it is open, or failed
 * @user_data: for @callback
 *
 * Connects: name, proxy, TLS, opening handshake. Of several addresses the first that answers is taken (RFC 8305). Redirects are not followed.
 */
WS_API
void ws_client_connect_async(WsClient *self, const char *url, WsClientConfig *config, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer user_data);

/**
 * ws_client_connect_finish:
 * @self: a client
 * @result: what the callback got
 * @error: return location for an error
 *
 * Errors: %WS_ERROR_INVALID_URL, %WS_ERROR_ALREADY_CONNECTED, %WS_ERROR_INVALID_ARGUMENT (a header, a subprotocol), %WS_ERROR_CERTIFICATE_NOT_FOUND,
 * %WS_ERROR_FAILED (the server's certificate, its answer, time is over), %WS_ERROR_SHUTTING_DOWN (closed meanwhile), those of GIO.
 *
 * Returns: whether it is open
 */
WS_API
gboolean ws_client_connect_finish(WsClient *self, GAsyncResult *result, GError **error);

/**
 * ws_client_send:
 * @self: a client
 * @message: what to send
 * @error: return location for an error
 *
 * Errors: %WS_ERROR_WOULD_BLOCK, %WS_ERROR_NOT_RUNNING (not open), %WS_ERROR_MESSAGE_TOO_BIG; nothing was sent then.
 *
 * Returns: whether it is on its way
 */
WS_API
gboolean ws_client_send(WsClient *self, WsMessage *message, GError **error);

/**
 * ws_client_send_text:
 * @self: a client
 * @text: UTF-8, terminated
 * @error: return location for an error
 *
 * Returns: whether it is on its way
 */
WS_API
gboolean ws_client_send_text(WsClient *self, const char *text, GError **error);

/**
 * ws_client_send_data:
 * @self: a client
 * @data: (array length=length) (element-type guint8) (nullable): the payload
 * @length: its octets
 * @error: return location for an error
 *
 * Returns: whether it is on its way
 */
WS_API
gboolean ws_client_send_data(WsClient *self, const guint8 *data, gsize length, GError **error);

/**
 * ws_client_send_async:
 * @self: a client
 * @message: what to send
 * @cancellable: (nullable): cancels it while it waits for room; later it is on its way
 * @callback: called when it was written to the socket, or failed
 * @user_data: for @callback
 *
 * Sends a message, waiting for room where too much waits for the server. All keep their order.
 */
WS_API
void ws_client_send_async(WsClient *self, WsMessage *message, GCancellable *cancellable, GAsyncReadyCallback callback,
                          gpointer user_data);

/**
 * ws_client_send_finish:
 * @self: a client
 * @result: what the callback got
 * @error: return location for an error
 *
 * Returns: whether it was written to the socket
 */
WS_API
gboolean ws_client_send_finish(WsClient *self, GAsyncResult *result, GError **error);

/**
 * ws_client_close:
 * @self: a client
 * @code: 1000-1003, 1007-1014 or 3000-4999; 0 means 1000
 * @reason: (nullable): UTF-8, at most 123 octets
 * @error: return location for an error
 *
 * Sends a Close frame behind everything sent before; [signal@Client::close] follows when the server has answered, or has not for two seconds. While it
 * connects, it is cancelled.
 *
 * Returns: whether it is on its way; %WS_ERROR_NOT_RUNNING when it is not open, or closing already; %WS_ERROR_INVALID_ARGUMENT
 */
WS_API
gboolean ws_client_close(WsClient *self, guint16 code, const char *reason, GError **error);

/**
 * ws_client_get_state:
 * @self: a client
 *
 * Returns: what it is about
 */
WS_API
WsClientState ws_client_get_state(WsClient *self);

/**
 * ws_client_get_protocol:
 * @self: a client
 *
 * Returns: (nullable): the subprotocol that the server chose; %NULL: none
 */
WS_API
const char *ws_client_get_protocol(WsClient *self);

/**
 * ws_client_get_headers:
 * @self: a client
 *
 * The headers of the server's answer to the last request, names in lower case, repeated ones joined by `, `. They are there from [signal@Client::header-receive] to
 * the next connect, also where the server has refused. For languages to which that signal cannot give a table, such as JavaScript.
 *
 * Returns: (transfer full) (element-type utf8 utf8): name to value; empty before there was an answer
 */
WS_API
GHashTable *ws_client_get_headers(WsClient *self);

/**
 * ws_client_get_queued:
 * @self: a client
 *
 * Returns: octets that wait to be written to the socket
 */
WS_API
guint64 ws_client_get_queued(WsClient *self);

/**
 * ws_client_set_paused:
 * @self: a client
 * @paused: whether to read no further
 *
 * While it is paused, no message is emitted and nothing grows: the server waits.
 */
WS_API
void ws_client_set_paused(WsClient *self, gboolean paused);

/**
 * ws_client_get_paused:
 * @self: a client
 *
 * Returns: whether it is paused
 */
WS_API
gboolean ws_client_get_paused(WsClient *self);

G_END_DECLS
