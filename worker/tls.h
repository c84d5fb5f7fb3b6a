/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS of one server: the context from which every new connection is made. Everything an app gave is parsed here, behind the
 * sandbox, so before that OpenSSL gets to load what it would otherwise load at first use.
 *
 * Spoken are TLS 1.2 (with forward secrecy and authenticated encryption only, RFC 9325) and TLS 1.3. No compression, no renegotiation,
 * no early data, no session cache: who comes back brings a ticket. A context that was replaced serves its
 * connections to their end.
 */
#pragma once

#include "worker/tickets.h"
#include "worker/vault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ssl_st;
struct ssl_ctx_st;

#define WSW_TLS_1_2 0x0303u
#define WSW_TLS_1_3 0x0304u
#define WSW_TLS_FAULT_MAX WSW_VAULT_FAULT_MAX

struct wsw_tls {
  struct ssl_ctx_st *context; /* NULL: not loaded */
  struct wsw_tickets tickets;
  uint32_t min_version;
  char fault[WSW_TLS_FAULT_MAX]; /* the sentence that was returned last */
};

/* Once per process, before it is locked in. False when OpenSSL lacks something. */
bool wsw_tls_prepare(void);

bool wsw_tls_init(struct wsw_tls *tls, uint32_t min_version, const struct wsw_clock *clock);
void wsw_tls_clear(struct wsw_tls *tls);

/* Makes the context for new connections. NULL, or a sentence that names the option at fault and says what to do, and the
 * context is the one before. `fresh`: given by the app just now, so it must not have expired; one that ages while its server runs
 * is its peers' to judge. */
const char *wsw_tls_load(struct wsw_tls *tls, const struct wsw_secrets *secrets, bool fresh);

/* The private key that was loaded, as a PEM file without password, which is the caller's to clear. False without memory, and for a
 * key that does not fit a vault. */
bool wsw_tls_open_key(const struct wsw_tls *tls, struct wsw_secrets *key);

/* The subject of the certificate that the peer proved to be its own (RFC 4514 form), cut to `size` octets; 0 without one. */
size_t wsw_tls_subject(const struct ssl_st *connection, char *text, size_t size);
