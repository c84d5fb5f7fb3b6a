/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <gio/gio.h>
#include <wsserver/ws-macros.h>

G_BEGIN_DECLS

/**
 * WsProxyMode:
 * @WS_PROXY_MODE_SYSTEM: what the system is set to (GIO's proxy resolver)
 * @WS_PROXY_MODE_NONE: connect directly
 * @WS_PROXY_MODE_CUSTOM: [property@ClientConfig:proxy-uri]
 *
 * Which way a [class@Client] takes.
 */
typedef enum {
  WS_PROXY_MODE_SYSTEM,
  WS_PROXY_MODE_NONE,
  WS_PROXY_MODE_CUSTOM,
} WsProxyMode;

WS_API
GType ws_proxy_mode_get_type(void) G_GNUC_CONST;
#define WS_TYPE_PROXY_MODE (ws_proxy_mode_get_type())

#define WS_TYPE_CLIENT_CONFIG (ws_client_config_get_type())
WS_API
G_DECLARE_FINAL_TYPE(WsClientConfig, ws_client_config, WS, CLIENT_CONFIG, GObject)

/**
 * WsClientConfig:
 *
 * How a [class@Client] connects. Each property has a default. Changes count from the next connect.
 */

/**
 * ws_client_config_new:
 *
 * Returns: (transfer full): a configuration with defaults for everything
 */
WS_API
WsClientConfig *ws_client_config_new(void);

/**
 * ws_client_config_add_header:
 * @self: a configuration
 * @name: a token (RFC 9110 section 5.1)
 * @value: without control characters
 *
 * One more header of the request. Those that the handshake itself owns (Host, Upgrade, Connection, Sec-WebSocket-*, ...) are refused when connecting.
 */
WS_API
void ws_client_config_add_header(WsClientConfig *self, const char *name, const char *value);

/**
 * ws_client_config_clear_headers:
 * @self: a configuration
 *
 * No headers but the handshake's own.
 */
WS_API
void ws_client_config_clear_headers(WsClientConfig *self);

G_END_DECLS
