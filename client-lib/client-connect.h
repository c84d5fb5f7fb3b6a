/* SPDX-License-Identifier: Apache-2.0 */
/* The way to a connected socket: name, addresses, proxy. */
#pragma once

#include "client-lib/client-config-private.h"
#include "client-lib/url.h"

/* Calls back with what ws_client_connect_socket_finish() takes. */
void ws_client_connect_socket(const struct ws_url *url, const struct ws_client_terms *terms, GCancellable *cancellable,
                              GAsyncReadyCallback callback, gpointer user);
GSocketConnection *ws_client_connect_socket_finish(GObject *source, GAsyncResult *result, GError **error);
