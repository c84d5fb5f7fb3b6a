/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <gio/gio.h>
#include <wsserver/ws-macros.h>

G_BEGIN_DECLS

#define WS_TYPE_SERVER_CONFIG (ws_server_config_get_type())
WS_API
G_DECLARE_FINAL_TYPE(WsServerConfig, ws_server_config, WS, SERVER_CONFIG, GObject)

/**
 * WsServerConfig:
 *
 * What a [class@Server] is started with. Each property has a default but the port; the service judges the values, so an error of
 * [method@Server.start_async] names the one that is not legal. Changes count from the next start.
 */

/**
 * ws_server_config_new:
 * @port: where to listen; 0: any free port
 *
 * Returns: (transfer full): a configuration with defaults for everything else
 */
WS_API
WsServerConfig *ws_server_config_new(guint port);

G_END_DECLS
