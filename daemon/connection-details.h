/* SPDX-License-Identifier: Apache-2.0 */
/* A peer, as the D-Bus contract shows it. Everything in it comes from outside and is made valid D-Bus text. */
#pragma once

#include "channel/record.h"

#include <gio/gio.h>
#include <stdbool.h>

/* U+0000 and octets that are no UTF-8 become U+FFFD. */
char *wsd_peer_text(struct wsc_text text);

/* (tsqa{sv}): id, clientIP, clientPort, details; with `headers` those too. Floating. */
GVariant *wsd_connection_details(guint64 id, const struct wsc_connect *connect, bool headers);
