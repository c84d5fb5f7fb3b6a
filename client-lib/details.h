/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer told about itself when it connected, in one block of memory. */
#pragma once

#include <wsserver/ws-channel.h>

#include <gio/gio.h>

enum ws_details_text {
  WS_DETAILS_PATH,
  WS_DETAILS_QUERY,
  WS_DETAILS_ORIGIN,
  WS_DETAILS_PROTOCOL,
  WS_DETAILS_SUBJECT,
  WS_DETAILS_TEXTS,
};

struct ws_details; /* free with g_free() */

struct ws_details *ws_details_new(const struct ws_channel_details *details);
/* The same from the arguments of the signal Connect: clientIP, clientPort, details. */
struct ws_details *ws_details_new_from_bus(const char *client_ip, guint16 client_port, GVariant *details);

/* Valid UTF-8 without U+0000; free with g_free(). */
char *ws_details_get_text(const struct ws_details *details, enum ws_details_text which);
char *ws_details_get_client_ip(const struct ws_details *details);
guint16 ws_details_get_client_port(const struct ws_details *details);
gboolean ws_details_is_tls(const struct ws_details *details);
gint64 ws_details_get_connected_at(const struct ws_details *details);

/* Headers by name in lower case; what is added again is joined by ", ". Valid UTF-8, as above. */
GHashTable *ws_headers_new(void);
void ws_headers_add(GHashTable *headers, const char *name, gsize name_length, const char *value, gsize value_length);

/* Name to value, repeated ones joined. */
GHashTable *ws_details_collect_headers(const struct ws_channel_details *details);
GHashTable *ws_details_collect_headers_from_bus(GVariant *details);
