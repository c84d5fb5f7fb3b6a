/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <wsserver/ws-server-config.h>

#include <gio/gunixfdlist.h>

/* The arguments of Start, (a{sv}), floating, and the files it names, opened with this process's rights. *unreadable, which is NULL before: why one of them cannot be
 * opened, for when the service has nothing to say against what it judges before. */
GVariant *ws_server_config_to_arguments(WsServerConfig *self, GUnixFDList **files, GError **unreadable, GError **error);
/* Another with the same values (transfer full). */
WsServerConfig *ws_server_config_copy(WsServerConfig *self);
