/* SPDX-License-Identifier: Apache-2.0 */
/* The terms on which a server may run: what a rule of the policy asks of it, and its ceilings. */
#pragma once

#include "daemon/limits.h"

#include <stdbool.h>
#include <stdint.h>

struct wsd_terms {
  const char *source; /* the rule that sets them, for messages; NULL: none does. Lives as long as the rule */
  bool require_tls;
  bool require_origin;      /* Start has to name allowedOrigins, and peers have to send one */
  uint32_t max_servers;     /* of one app, running at a time */
  uint32_t max_clients;     /* of maxConcurrentClientsNumber */
  uint32_t max_per_client;  /* of maxConnectionsForOneClient */
  uint32_t max_connections; /* of one server */
  uint64_t max_message;     /* octets, of maxMessageSize */
  uint32_t max_queue;       /* charged octets that may wait for one connection */
  uint64_t max_memory;      /* octets that a worker may hold for its peers; 0: the worker's own bound */
  uint32_t nice;            /* of the worker */
};

#define WSD_TERMS_WIDEST                                                                                               \
  ((struct wsd_terms){                                                                                                 \
      .max_servers = WSD_SERVERS_PER_ACCOUNT_MAX,                                                                      \
      .max_clients = WSD_CLIENTS_CEILING,                                                                              \
      .max_per_client = WSD_CLIENTS_CEILING,                                                                           \
      .max_connections = WSD_CONNECTIONS_MAX,                                                                          \
      .max_message = WSC_MESSAGE_MAX,                                                                                  \
      .max_queue = WSC_PEER_QUEUE_HIGH,                                                                                \
  })
