/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <wsserver/ws-server-config.h>

#include <gio/gunixfdlist.h>

/* The arguments of Start, (a{sv}), floating, and the files it names, opened with this process's rights. NULL: one cannot be opened. */
GVariant *ws_server_config_to_arguments(WsServerConfig *self, GUnixFDList **files, GError **error);
/* Another with the same values (transfer full). */
WsServerConfig *ws_server_config_copy(WsServerConfig *self);
