/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of Server.Start: an a{sv} read against a typed table of known keys. Reading checks names, types and
 * each value by itself; the order in which faults are reported is the contract's: address, port, limits, certificate,
 * then everything else.
 */
#pragma once

#include "daemon/certificate-files.h"
#include "daemon/terms.h"

#include <netinet/in.h>
#include <stdbool.h>

#define WSD_VAULT_SLOTS 2u

struct wsd_start_options {
  struct sockaddr_storage address; /* with the port */
  socklen_t address_length;
  char *server_ip;
  guint16 server_port;
  guint16 asked_port; /* 0: any free one, which server_port becomes once it listens */
  guint32 max_clients;
  guint32 max_per_client;
  char *protocol; /* comma list, may be empty */
  guint64 max_message;
  guint32 ping_interval, pong_timeout; /* seconds, 0: off */
  bool tls;                            /* peers have to use it */
  guint32 tls_min_version;             /* 0x0303 or 0x0304, where there is TLS */
  guint vault_slot;                    /* under which of two names the vault is kept */
  struct wsd_certificate_files *files; /* owned; NULL without TLS, and once they have been read */
  bool compression;
  GStrv allowed_origins; /* in their normal form, see origin.h; NULL: any */
};

/* In two steps, between which the policy is asked what the terms are for that place. First names and types of all keys, address and port. Both:
 * false with an error of WSD_ERROR that names the key; the options are to be cleared in any case. */
bool wsd_start_options_read_place(GVariant *dictionary, struct wsd_start_options *options, GError **error);
/* `fds`: the descriptors that came with the dictionary, or NULL. `by_channel`: messages do not go over the bus, so they may be
 * larger. */
bool wsd_start_options_read_rest(GVariant *dictionary, GUnixFDList *fds, bool by_channel, const struct wsd_terms *terms,
                                 struct wsd_start_options *options, GError **error);
/* Into options that hold nothing; without the files. */
void wsd_start_options_copy(struct wsd_start_options *options, const struct wsd_start_options *from);
void wsd_start_options_clear(struct wsd_start_options *options);
