/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and networks of peers as administrators write and read them. */
#pragma once

#include "channel/control.h"

#include <glib.h>

/* "192.0.2.7", "2001:db8:0:1::/64" or "fe80::1%eth0". Free with g_free(). */
char *wsd_peer_address_show(const struct wsc_address *address);
/* A single address: without the prefix. */
char *wsd_host_address_show(const struct wsc_address *address);
/* The same, or any address of a network. */
bool wsd_peer_address_read(const char *text, struct wsc_address *address);
/* Why it is banned. */
const char *wsd_ban_reason(guint8 reason);
