/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/connection-details.h"

#include <arpa/inet.h>
#include <net/if.h>

char *wsd_peer_text(struct wsc_text text) {
  return text.length == 0 ? g_strdup("") : g_utf8_make_valid(text.text, (gssize)text.length);
}

static char *address_text(const struct wsc_connect *connect) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(connect->family == 4 ? AF_INET : AF_INET6, connect->address, text, sizeof text);
  if (connect->scope == 0)
    return g_strdup(text);
  char name[IF_NAMESIZE];
  if (if_indextoname(connect->scope, name))
    return g_strdup_printf("%s%%%s", text, name);
  return g_strdup_printf("%s%%%u", text, connect->scope);
}

/* Repeated headers are joined in the order in which they came. */
static GVariant *headers_dictionary(const struct wsc_connect *connect) {
  g_autoptr(GHashTable) joined = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  g_autoptr(GPtrArray) order = g_ptr_array_new();
  struct wsc_connect_header header;
  size_t offset = 0;
  while (wsc_connect_next_header(connect, &offset, &header)) {
    g_autofree char *name = wsd_peer_text(header.name);
    g_autofree char *value = wsd_peer_text(header.value);
    const char *before = g_hash_table_lookup(joined, name);
    char *text = before ? g_strconcat(before, ", ", value, NULL) : g_strdup(value);
    if (!before)
      g_ptr_array_add(order, g_strdup(name));
    char *key = before ? g_strdup(name) : order->pdata[order->len - 1];
    g_hash_table_insert(joined, key, text);
  }
  GVariantBuilder builder;
  g_variant_builder_init(&builder, G_VARIANT_TYPE("a{ss}"));
  for (guint i = 0; i < order->len; i++)
    g_variant_builder_add(&builder, "{ss}", order->pdata[i], g_hash_table_lookup(joined, order->pdata[i]));
  return g_variant_builder_end(&builder);
}

static void add_text(GVariantBuilder *builder, const char *key, struct wsc_text text) {
  g_variant_builder_add(builder, "{sv}", key, g_variant_new_take_string(wsd_peer_text(text)));
}

GVariant *wsd_connection_details(guint64 id, const struct wsc_connect *connect, bool headers) {
  GVariantBuilder details;
  g_variant_builder_init(&details, G_VARIANT_TYPE_VARDICT);
  add_text(&details, "path", connect->path);
  add_text(&details, "query", connect->query);
  add_text(&details, "origin", connect->origin);
  add_text(&details, "protocol", connect->protocol);
  g_variant_builder_add(&details, "{sv}", "tls", g_variant_new_boolean(connect->tls));
  if (connect->subject.length > 0)
    add_text(&details, "clientSubject", connect->subject);
  g_variant_builder_add(&details, "{sv}", "connectedAt", g_variant_new_uint64(connect->connected_at));
  if (headers)
    g_variant_builder_add(&details, "{sv}", "headers", headers_dictionary(connect));
  g_autofree char *address = address_text(connect);
  return g_variant_new("(tsqa{sv})", id, address, connect->port, &details);
}
