/* SPDX-License-Identifier: Apache-2.0 */
/* What the examples share: to start a server, say where it listens, and serve until somebody ends the program or the server fails. */
#pragma once

#include <wsserver/wsserver.h>

/* A server on the system bus (or DBUS_SYSTEM_BUS_ADDRESS), or NULL after having said why not. */
WsServer *example_new_server(const char *program);

/* Runs the default main context. Returns the program's exit status. */
int example_serve(const char *program, WsServer *server, WsServerConfig *config);
