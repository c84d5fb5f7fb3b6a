/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may come in: counts connections by client address and holds both client limits. A peer takes its place when its
 * request has arrived and was right, and gives it back when its WebSocket connection is over. Until then it is half open
 * (half-open.h), where the same counting keeps count of networks.
 */
#pragma once

#include "worker/address.h"

#include <stddef.h>

enum wsw_admission_result {
  WSW_ADMITTED,
  WSW_TOO_MANY_OF_CLIENT, /* this address has as many connections as one may have */
  WSW_TOO_MANY_CLIENTS,   /* a new address, and there are as many as there may be */
  WSW_ADMISSION_NO_MEMORY,
};

struct wsw_client;

struct wsw_admission {
  uint32_t max_clients, max_per_client;
  uint64_t hash_key[2];
  struct wsw_client *table; /* open addressing; a power of two */
  uint32_t clients, capacity;
};

/* `hash_key`: unpredictable. */
void wsw_admission_init(struct wsw_admission *admission, uint32_t max_clients, uint32_t max_per_client,
                        const uint64_t hash_key[2]);
void wsw_admission_clear(struct wsw_admission *admission);

enum wsw_admission_result wsw_admission_enter(struct wsw_admission *admission, const struct wsw_address *address);
void wsw_admission_leave(struct wsw_admission *admission, const struct wsw_address *address);

/* Connections of this address now. */
uint32_t wsw_admission_count(const struct wsw_admission *admission, const struct wsw_address *address);
