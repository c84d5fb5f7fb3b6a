/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <wsserver/ws-client-config.h>

/* As it was when the client began to connect. */
struct ws_client_terms {
  char **headers; /* name, value, name, value, ..., NULL */
  char *origin, *protocol;
  char *ca_path, *certificate, *private_key, *private_key_password, *tls_min_version;
  bool skip_verification, compression;
  WsProxyMode proxy_mode;
  char *proxy_uri;
  char **proxy_exclusions;
  guint ping_interval, pong_timeout, connect_timeout; /* seconds; 0: off */
  guint64 max_message_size;
};

struct ws_client_terms *ws_client_config_to_terms(WsClientConfig *self);
void ws_client_terms_free(struct ws_client_terms *terms);
