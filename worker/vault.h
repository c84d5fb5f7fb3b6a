/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What TLS needs of an app, in one place: certificate, private key, the CA of its clients, and the key's password. The app hands
 * files over, which only this process ever reads, before it locks itself in; their octets go into the *vault*, a memfd that wsserverd
 * made, keeps sealed and never reads. Later workers of the same server take everything from there: a file that has
 * changed, hangs or is gone by then cannot stop them.
 *
 * Nothing is parsed here, so this may come before the sandbox: tls.h does that, inside.
 */
#pragma once

#include "channel/limits.h"

#include <stddef.h>
#include <stdint.h>

/* A run of octets inside the secrets; absent: length 0. */
struct wsw_octets {
  const uint8_t *at;
  size_t length;
};

struct wsw_secrets {
  struct wsw_octets certificate, key, client_ca, password;
  uint8_t *memory; /* all of it; wiped by wsw_secrets_clear() */
  size_t size;
};

void wsw_secrets_clear(struct wsw_secrets *secrets);

/* Reads what the vault holds. NULL, or a static sentence when it holds nothing that is whole. */
const char *wsw_vault_read(int vault, struct wsw_secrets *secrets);
/* Writes all of it. The vault has WSC_VAULT_SIZE octets. */
const char *wsw_vault_write(int vault, const struct wsw_secrets *secrets);

/* What an app gave. The files are regular files or sealed memfds, open for reading, of 1 to WSC_PEM_MAX octets. */
struct wsw_files {
  int certificate, key;
  int client_ca;               /* -1: none, or `former_ca` */
  struct wsw_octets former_ca; /* the one that stays */
  struct wsw_octets password;
};
#define WSW_VAULT_FAULT_MAX 256
/* Reads all of it. NULL, or a sentence that names the option, written to `fault`. */
const char *wsw_secrets_gather(struct wsw_secrets *secrets, const struct wsw_files *files,
                               char fault[WSW_VAULT_FAULT_MAX]);
