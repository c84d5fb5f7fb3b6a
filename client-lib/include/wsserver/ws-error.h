/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <gio/gio.h>
#include <wsserver/ws-macros.h>

G_BEGIN_DECLS

/**
 * WS_ERROR:
 *
 * The domain of all errors of this library but those of GIO itself, such as %G_IO_ERROR_CANCELLED.
 */
#define WS_ERROR (ws_error_quark())

/**
 * WsError:
 * @WS_ERROR_FAILED: what the message says
 * @WS_ERROR_PERMISSION_DENIED: the policy refuses this app, port or address
 * @WS_ERROR_INVALID_ARGUMENT: an argument is not legal; the message names it
 * @WS_ERROR_MESSAGE_TOO_BIG: the data is above the server's max-message-size
 * @WS_ERROR_NOT_SUPPORTED: this device profile may not run servers
 * @WS_ERROR_INVALID_URL: not a ws or wss URL
 * @WS_ERROR_CERTIFICATE_NOT_FOUND: a certificate or key is missing or cannot be used
 * @WS_ERROR_ALREADY_CONNECTED: connected already
 * @WS_ERROR_INVALID_ADDRESS: not an address, or not one of this machine
 * @WS_ERROR_INVALID_PORT: a port out of range
 * @WS_ERROR_CONNECTION_NOT_FOUND: there is no such connection (any more)
 * @WS_ERROR_PORT_IN_USE: somebody else listens on the port
 * @WS_ERROR_DOMAIN_NOT_ALLOWED: the policy of the proxy refuses the host
 * @WS_ERROR_ALREADY_RUNNING: the server runs already, or is about to
 * @WS_ERROR_NOT_RUNNING: the server does not run
 * @WS_ERROR_LIMIT_EXCEEDED: more than the service allows
 * @WS_ERROR_WOULD_BLOCK: too much waits for this peer; the signal [signal@Server::drained] tells when there is room
 * @WS_ERROR_CHANNEL_IN_USE: the server's channel is open already
 * @WS_ERROR_SHUTTING_DOWN: the server was stopped or released meanwhile
 *
 * What went wrong. The names are those of the D-Bus interface org.wsserver1; [func@error_get_number] gives the number that the
 * guide has for it.
 */
typedef enum {
  WS_ERROR_FAILED,
  WS_ERROR_PERMISSION_DENIED,
  WS_ERROR_INVALID_ARGUMENT,
  WS_ERROR_MESSAGE_TOO_BIG,
  WS_ERROR_NOT_SUPPORTED,
  WS_ERROR_INVALID_URL,
  WS_ERROR_CERTIFICATE_NOT_FOUND,
  WS_ERROR_ALREADY_CONNECTED,
  WS_ERROR_INVALID_ADDRESS,
  WS_ERROR_INVALID_PORT,
  WS_ERROR_CONNECTION_NOT_FOUND,
  WS_ERROR_PORT_IN_USE,
  WS_ERROR_DOMAIN_NOT_ALLOWED,
  WS_ERROR_ALREADY_RUNNING,
  WS_ERROR_NOT_RUNNING,
  WS_ERROR_LIMIT_EXCEEDED,
  WS_ERROR_WOULD_BLOCK,
  WS_ERROR_CHANNEL_IN_USE,
  WS_ERROR_SHUTTING_DOWN,
} WsError;

WS_API
GQuark ws_error_quark(void);

/**
 * ws_error_get_number:
 * @error: an error
 *
 * The guide's number for an error of the domain %WS_ERROR, such as 2302006 for %WS_ERROR_CONNECTION_NOT_FOUND.
 *
 * Returns: the number; 2302999 for an error of another domain
 */
WS_API
guint ws_error_get_number(const GError *error);

G_END_DECLS
