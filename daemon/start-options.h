/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of Server.Start: an a{sv} read against a typed table of known keys. Reading checks names, types and
 * each value by itself; the order in which faults are reported is the contract's: address, port, limits, certificate,
 * then everything else.
 */
#pragma once

#include <gio/gio.h>
#include <netinet/in.h>
#include <stdbool.h>

struct wsd_start_options {
  struct sockaddr_storage address; /* with the port */
  socklen_t address_length;
  char *server_ip;
  guint16 server_port;
  guint32 max_clients;
  guint32 max_per_client;
  char *protocol; /* comma list, may be empty */
  guint64 max_message;
  guint32 ping_interval, pong_timeout; /* seconds, 0: off */
  GStrv allowed_origins;               /* in their normal form, see origin.h; NULL: any */
};

/* False with an error of WSD_ERROR that names the key. The options are to be cleared in any case. */
bool wsd_start_options_read(GVariant *dictionary, struct wsd_start_options *options, GError **error);
/* Into options that hold nothing. */
void wsd_start_options_copy(struct wsd_start_options *options, const struct wsd_start_options *from);
void wsd_start_options_clear(struct wsd_start_options *options);
