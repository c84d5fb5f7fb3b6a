/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a server's certificate and key lie between two of its workers: a memfd of WSC_VAULT_SIZE octets that a worker fills and that is
 * sealed then. It is kept like the sockets, and never read here.
 */
#pragma once

#include <stdbool.h>

/* An empty one, close-on-exec; -1 with errno. */
int wsd_vault_new(void);
/* From now on nobody changes it. False when somebody still could. */
bool wsd_vault_seal(int vault);
/* NULL, or what is wrong with a descriptor that should be a sealed vault. */
const char *wsd_vault_fault(int fd);
