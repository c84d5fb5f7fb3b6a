/* SPDX-License-Identifier: Apache-2.0 */
/* What wsserverd told the worker in CONFIGURE, checked. */
#pragma once

#include "channel/control.h"
#include "worker/limits.h"
#include "worker/origin.h"
#include "worker/tls.h"

struct wsw_configuration {
  uint64_t generation;
  uint64_t max_message;
  uint32_t max_clients, max_per_client;
  uint32_t connection_rate;                                /* a minute, 0: any */
  uint64_t ban_time;                                       /* milliseconds, 0: nobody is banned */
  uint64_t ping_interval, pong_timeout, handshake_timeout; /* milliseconds; 0: off */
  uint32_t max_connections;                                /* of all peers together */
  uint32_t max_queue;                                      /* charged octets that may wait for one of them */
  uint64_t max_memory;                                     /* octets held for them */
  bool origin_required;
  bool compression;
  bool tls;
  uint32_t tls_min_version; /* WSW_TLS_1_2 or WSW_TLS_1_3 */
  char protocols[WSW_PROTOCOLS_MAX + 1];
  char name[WSW_TITLE_MAX + 1];
  struct wsw_origins origins;
};

/* NULL, or a static sentence that says what is wrong with the record. */
const char *wsw_configuration_read(struct wsw_configuration *configuration, const struct wsc_control_record *record);
/* ADJUST: what the record names changes. On a fault part of it may have. */
const char *wsw_configuration_adjust(struct wsw_configuration *configuration, const struct wsc_control_record *record);
void wsw_configuration_clear(struct wsw_configuration *configuration);
