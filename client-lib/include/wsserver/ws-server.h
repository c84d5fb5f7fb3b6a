/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <gio/gio.h>
#include <wsserver/ws-connection.h>
#include <wsserver/ws-macros.h>
#include <wsserver/ws-message.h>
#include <wsserver/ws-server-config.h>

G_BEGIN_DECLS

/**
 * WsServerState:
 * @WS_SERVER_STATE_STOPPED: peers cannot connect
 * @WS_SERVER_STATE_STARTING: about to run
 * @WS_SERVER_STATE_RUNNING: peers can connect
 * @WS_SERVER_STATE_STOPPING: about to stop
 * @WS_SERVER_STATE_FAILED: it has stopped by itself; [signal@Server::error] said why. It can be started again
 * @WS_SERVER_STATE_RETURNING: the service has left, and the server with it; [signal@Server::error] said so. It is started again when the service is
 *   there, see [method@Server.set_restart]
 *
 * What a server is about.
 */
typedef enum {
  WS_SERVER_STATE_STOPPED,
  WS_SERVER_STATE_STARTING,
  WS_SERVER_STATE_RUNNING,
  WS_SERVER_STATE_STOPPING,
  WS_SERVER_STATE_FAILED,
  WS_SERVER_STATE_RETURNING,
} WsServerState;

WS_API
GType ws_server_state_get_type(void) G_GNUC_CONST;
#define WS_TYPE_SERVER_STATE (ws_server_state_get_type())

#define WS_TYPE_SERVER (ws_server_get_type())
WS_API
G_DECLARE_FINAL_TYPE(WsServer, ws_server, WS, SERVER, GObject)

/**
 * WsServer:
 *
 * A WebSocket server, which the system service wsserverd runs for this app. Nothing listens in the app itself.
 *
 * Events and messages come over a private channel, straight from the process that serves the peers. When the environment variable
 * `WS_DELIVERY` is `signal`, or where the bus passes no file descriptors, they come as D-Bus signals instead: slower, and otherwise the same, but
 * that after a crash of the service an event may be reported, and a message sent, twice.
 *
 * Flow control: while a signal handler runs, or the main loop does, no event is lost; peers wait. See [method@Server.set_paused].
 *
 * A server belongs to the thread that created it: its signals are emitted in that thread's default main context, and its functions, and those of its
 * connections, are called there: while its main loop runs in
 * one thread, starting, stopping, connecting and closing in another do nothing but warn (g_return_if_fail()).
 */

/**
 * ws_server_new:
 *
 * A server on the system bus ([func@Gio.bus_get]). Should that go away, the app gets [signal@Server::error]; unlike GLib's default, its process goes on.
 *
 * Returns: (transfer full): the server. It talks to nobody before it is started
 */
WS_API
WsServer *ws_server_new(void);

/**
 * ws_server_new_for_bus:
 * @bus: a connection to the bus on which wsserverd is
 *
 * Returns: (transfer full): a server on that bus
 */
WS_API
WsServer *ws_server_new_for_bus(GDBusConnection *bus);

/**
 * ws_server_start_async:
 * @self: a server
 * @config: how; changes to it afterwards do not matter
 * @cancellable: (nullable): cancels it: the answer comes at once, and where the server had started it is stopped again; until that is done its state
 *   is %WS_SERVER_STATE_STOPPING
 * @callback: called when peers can connect, or it failed
 * @user_data: for @callback
 *
 * Starts the server. Fine after it was stopped or has failed.
 */
WS_API
void ws_server_start_async(WsServer *self, WsServerConfig *config, GCancellable *cancellable,
                           GAsyncReadyCallback callback, gpointer user_data);

/**
 * ws_server_start_finish:
 * @self: a server
 * @result: what the callback got
 * @error: return location for an error
 *
 * Errors: %WS_ERROR_ALREADY_RUNNING, %WS_ERROR_NOT_SUPPORTED, %WS_ERROR_PERMISSION_DENIED, %WS_ERROR_INVALID_ARGUMENT,
 * %WS_ERROR_INVALID_ADDRESS, %WS_ERROR_INVALID_PORT, %WS_ERROR_LIMIT_EXCEEDED, %WS_ERROR_CERTIFICATE_NOT_FOUND,
 * %WS_ERROR_PORT_IN_USE, %WS_ERROR_SHUTTING_DOWN (stopped meanwhile), %WS_ERROR_FAILED, those of the bus, %G_IO_ERROR_CANCELLED.
 *
 * Returns: whether peers can connect
 */
WS_API
gboolean ws_server_start_finish(WsServer *self, GAsyncResult *result, GError **error);

/**
 * ws_server_start:
 * @self: a server
 * @config: how
 * @cancellable: (nullable): cancels it
 * @error: return location for an error
 *
 * The same, waiting for it. No signal is emitted meanwhile.
 *
 * Returns: whether peers can connect
 */
WS_API
gboolean ws_server_start(WsServer *self, WsServerConfig *config, GCancellable *cancellable, GError **error);

/**
 * ws_server_stop_async:
 * @self: a server
 * @cancellable: (nullable): ends the waiting, not the stopping
 * @callback: called when the server is stopped: the port can be bound again, and [signal@Server::close] was emitted for every connection
 * @user_data: for @callback
 *
 * Stops the server. Peers get a Close frame with 1001. It ends a pause (see [method@Server.set_paused]): what peers had sent before is emitted first.
 */
WS_API
void ws_server_stop_async(WsServer *self, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);

/**
 * ws_server_stop_finish:
 * @self: a server
 * @result: what the callback got
 * @error: return location for an error
 *
 * Errors: %WS_ERROR_NOT_RUNNING, those of the bus, %G_IO_ERROR_CANCELLED.
 *
 * Returns: whether it is stopped
 */
WS_API
gboolean ws_server_stop_finish(WsServer *self, GAsyncResult *result, GError **error);

/**
 * ws_server_stop:
 * @self: a server
 * @cancellable: (nullable): ends the waiting, not the stopping
 * @error: return location for an error
 *
 * The same, waiting for it; [signal@Server::close] and the events before it are emitted meanwhile. Not inside a handler of the server's own
 * signals, and not in the callback of [method@Connection.send_async] (%WS_ERROR_FAILED): there, [method@Server.stop_async] does it.
 *
 * Returns: whether it is stopped
 */
WS_API
gboolean ws_server_stop(WsServer *self, GCancellable *cancellable, GError **error);

/**
 * ws_server_get_state:
 * @self: a server
 *
 * Returns: what it is about
 */
WS_API
WsServerState ws_server_get_state(WsServer *self);

/**
 * ws_server_get_port:
 * @self: a server
 *
 * Returns: the port it listens on, also where 0 was asked for; 0 while it does not run
 */
WS_API
guint16 ws_server_get_port(WsServer *self);

/**
 * ws_server_get_uri:
 * @self: a server
 *
 * Returns: (transfer full) (nullable): where peers find it, such as `ws://0.0.0.0:8080/`; %NULL while it does not run
 */
WS_API
char *ws_server_get_uri(WsServer *self);

/**
 * ws_server_get_object_path:
 * @self: a server
 *
 * Returns: (nullable): its object on the bus, for calls that this library does not have
 */
WS_API
const char *ws_server_get_object_path(WsServer *self);

/**
 * ws_server_list_connections:
 * @self: a server
 *
 * Returns: (transfer container) (element-type WsConnection): all open connections, in the order of their numbers
 */
WS_API
GPtrArray *ws_server_list_connections(WsServer *self);

/**
 * ws_server_get_connection_count:
 * @self: a server
 *
 * Returns: how many connections are open
 */
WS_API
guint ws_server_get_connection_count(WsServer *self);

/**
 * ws_server_find_connection:
 * @self: a server
 * @id: a number
 *
 * Returns: (transfer none) (nullable): the open connection with that number
 */
WS_API
WsConnection *ws_server_find_connection(WsServer *self, guint64 id);

/**
 * ws_server_broadcast:
 * @self: a server
 * @connections: (nullable) (element-type WsConnection): to whom; %NULL: to all
 * @message: what
 * @error: return location for an error
 *
 * Sends one message to many. It leaves the app once, and is made a frame once. Whoever too much waits for misses it, and [signal@Server::drained] is emitted for
 * him later; closed connections are left out.
 *
 * Returns: how many get it; -1 with %WS_ERROR_NOT_RUNNING, %WS_ERROR_MESSAGE_TOO_BIG
 */
WS_API
gint ws_server_broadcast(WsServer *self, GPtrArray *connections, WsMessage *message, GError **error);

/**
 * WsMessageHandler:
 * @server: the server
 * @connection: from whom
 * @message: what; who wants to keep it takes a reference
 * @user_data: what was given with the handler
 *
 * See [method@Server.set_message_handler].
 */
typedef void (*WsMessageHandler)(WsServer *server, WsConnection *connection, WsMessage *message, gpointer user_data);

/**
 * ws_server_set_message_handler:
 * @self: a server
 * @handler: (nullable) (scope notified) (closure user_data) (destroy destroy): is called for every message; %NULL: none
 * @user_data: for @handler
 * @destroy: (nullable): frees @user_data
 *
 * Takes the place of [signal@Server::message-receive], which is not emitted while there is a handler. To emit a signal costs as much as everything else that happens to a
 * small message in the app; servers of a million messages a second do without.
 */
WS_API
void ws_server_set_message_handler(WsServer *self, WsMessageHandler handler, gpointer user_data,
                                   GDestroyNotify destroy);

/**
 * ws_server_set_paused:
 * @self: a server
 * @paused: whether to read no further
 *
 * While it is paused, no events are emitted and nothing grows: what is on its way fills the channel, then peers are no longer read, and what they send waits with
 * them. For apps that cannot take more at the moment. What they send still leaves.
 */
WS_API
void ws_server_set_paused(WsServer *self, gboolean paused);

/**
 * ws_server_get_paused:
 * @self: a server
 *
 * Returns: whether it is paused
 */
WS_API
gboolean ws_server_get_paused(WsServer *self);

/**
 * ws_server_set_lend_binary:
 * @self: a server
 * @lend: whether to lend binary messages where the server's process wrote them
 *
 * Large messages come in memory that the app shares with the process that serves the peers. Before a message is emitted it is copied from there, so that
 * somebody who took over that process (which handles everything that strangers send) cannot change it while the app looks at it. An app that
 * looks at each octet of a binary message once, or only passes messages on, can do without that copy. Text is always copied, and checked. Default: %FALSE.
 */
WS_API
void ws_server_set_lend_binary(WsServer *self, gboolean lend);

/**
 * ws_server_get_lend_binary:
 * @self: a server
 *
 * Returns: see [method@Server.set_lend_binary]
 */
WS_API
gboolean ws_server_get_lend_binary(WsServer *self);

/**
 * ws_server_set_restart:
 * @self: a server
 * @restart: whether it comes back by itself
 *
 * The service, wsserverd, may be stopped while a server runs, and started again later. (Where it is only restarted, or crashes, servers do not notice.) Then each connection is
 * closed, [signal@Server::error] tells what happened, and the state is %WS_SERVER_STATE_RETURNING until the service is there again: the server is
 * started anew with the configuration it had, certificates being read again, and on the port it had. If that fails, [signal@Server::error] tells why, and it is tried again after a
 * while, until it works or the server is stopped. Sending fails meanwhile with %WS_ERROR_CONNECTION_NOT_FOUND or %WS_ERROR_NOT_RUNNING.
 *
 * Without, the state is %WS_SERVER_STATE_FAILED then, and the app has to start it. Default: %TRUE.
 */
WS_API
void ws_server_set_restart(WsServer *self, gboolean restart);

/**
 * ws_server_get_restart:
 * @self: a server
 *
 * Returns: see [method@Server.set_restart]
 */
WS_API
gboolean ws_server_get_restart(WsServer *self);

G_END_DECLS
