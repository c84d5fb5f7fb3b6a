/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of session tickets (RFC 5077, RFC 8446 section 4.6.1), so that a peer that comes back needs no full handshake. They belong
 * to this process alone and end with it. A key issues tickets for WSW_TICKET_KEY_MS and is good for as long again, so what a peer recorded
 * cannot be opened by what the process holds much later.
 */
#pragma once

#include "worker/clock.h"

#include <stdbool.h>
#include <stdint.h>

struct ssl_ctx_st;

struct wsw_ticket_key {
  uint8_t name[16];
  uint8_t encryption[32];
  uint8_t authentication[32];
};

struct wsw_tickets {
  const struct wsw_clock *clock;
  struct wsw_ticket_key *keys; /* the issuing one, and the one before; in OpenSSL's secure heap where there is one */
  uint64_t issuing_since;
  bool has_former;
};

/* False without memory or randomness. `clock` must outlive the tickets. */
bool wsw_tickets_init(struct wsw_tickets *tickets, const struct wsw_clock *clock);
void wsw_tickets_clear(struct wsw_tickets *tickets);

/* From now on that context issues and takes tickets with these keys, which must outlive it. */
void wsw_tickets_serve(struct wsw_tickets *tickets, struct ssl_ctx_st *context);
