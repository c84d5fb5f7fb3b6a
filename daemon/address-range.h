/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of addresses a server may listen on: "all", "loopback", single addresses and networks in CIDR notation. An IPv4 address
 * that is mapped into IPv6 is that IPv4 address; 0.0.0.0 stands for all of IPv4, and :: for all of both, since such a server
 * is reached by both.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/socket.h>

struct wsd_address_range {
  guint8 network[16]; /* IPv4 is mapped into IPv6 */
  guint prefix;       /* bits of it, 0 to 128 */
};

/* Appends what `text` stands for to `ranges`, of struct wsd_address_range. NULL, or a sentence that says what is wrong with it. */
const char *wsd_address_ranges_add(GArray *ranges, const char *text);
/* Whether a server that listens on `address` is reached within `ranges` only. */
bool wsd_address_ranges_hold(const GArray *ranges, const struct sockaddr_storage *address);
/* Whether it is reached within them at all. */
bool wsd_address_ranges_touch(const GArray *ranges, const struct sockaddr_storage *address);
