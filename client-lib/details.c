/* SPDX-License-Identifier: Apache-2.0 */
#include "client-lib/details.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>

struct ws_details {
  gint64 connected_at;
  guint32 scope;
  guint16 port;
  guint8 family;
  bool tls;
  guint8 address[16];
  guint32 lengths[WS_DETAILS_TEXTS];
  char texts[]; /* one behind the other */
};

static struct ws_details *new_with_texts(const struct ws_channel_text texts[WS_DETAILS_TEXTS]) {
  gsize length = 0;
  for (int i = 0; i < WS_DETAILS_TEXTS; i++)
    length += texts[i].length;
  struct ws_details *details = g_malloc0(sizeof *details + length);
  char *end = details->texts;
  for (int i = 0; i < WS_DETAILS_TEXTS; i++) {
    details->lengths[i] = (guint32)texts[i].length;
    if (texts[i].length > 0)
      memcpy(end, texts[i].text, texts[i].length);
    end += texts[i].length;
  }
  return details;
}

struct ws_details *ws_details_new(const struct ws_channel_details *from) {
  const struct ws_channel_text texts[WS_DETAILS_TEXTS] = {from->path, from->query, from->origin, from->protocol,
                                                          from->subject};
  struct ws_details *details = new_with_texts(texts);
  details->family = from->family;
  details->tls = from->tls;
  details->port = from->port;
  details->scope = from->scope;
  details->connected_at = (gint64)from->connected_at;
  memcpy(details->address, from->address, sizeof details->address);
  return details;
}

/* "fe80::1%eth0", and forms without a zone. */
static void parse_address(struct ws_details *details, const char *text) {
  g_auto(GStrv) parts = g_strsplit(text, "%", 2);
  details->family = strchr(text, ':') != NULL ? 6 : 4;
  if (parts[0] != NULL)
    (void)inet_pton(details->family == 6 ? AF_INET6 : AF_INET, parts[0], details->address);
  if (parts[0] != NULL && parts[1] != NULL)
    details->scope = if_nametoindex(parts[1]);
}

struct ws_details *ws_details_new_from_bus(const char *client_ip, guint16 client_port, GVariant *from) {
  static const char *const keys[WS_DETAILS_TEXTS] = {"path", "query", "origin", "protocol", "clientSubject"};
  struct ws_channel_text texts[WS_DETAILS_TEXTS] = {0};
  guint64 connected_at = 0;
  gboolean tls = FALSE;
  for (int i = 0; i < WS_DETAILS_TEXTS; i++)
    if (g_variant_lookup(from, keys[i], "&s", &texts[i].text))
      texts[i].length = strlen(texts[i].text);
  struct ws_details *details = new_with_texts(texts);
  g_variant_lookup(from, "connectedAt", "t", &connected_at);
  g_variant_lookup(from, "tls", "b", &tls);
  details->connected_at = (gint64)connected_at;
  details->tls = tls;
  details->port = client_port;
  parse_address(details, client_ip);
  return details;
}

/* Octets of strangers as text that can be shown: what is no UTF-8, and U+0000, becomes U+FFFD. */
static char *make_text(const char *octets, gsize length) {
  GString *text = g_string_sized_new(length);
  while (length > 0) {
    const char *end;
    (void)g_utf8_validate(octets, (gssize)length, &end);
    g_string_append_len(text, octets, end - octets);
    length -= (gsize)(end - octets);
    octets = end;
    if (length > 0) {
      g_string_append(text, "\357\277\275");
      octets++;
      length--;
    }
  }
  return g_string_free(text, FALSE);
}

char *ws_details_get_text(const struct ws_details *details, enum ws_details_text which) {
  const char *text = details->texts;
  for (int i = 0; i < (int)which; i++)
    text += details->lengths[i];
  return make_text(text, details->lengths[which]);
}

char *ws_details_get_client_ip(const struct ws_details *details) {
  char text[INET6_ADDRSTRLEN], zone[IF_NAMESIZE];
  if (inet_ntop(details->family == 6 ? AF_INET6 : AF_INET, details->address, text, sizeof text) == NULL)
    return g_strdup("");
  if (details->scope == 0)
    return g_strdup(text);
  if (if_indextoname(details->scope, zone) != NULL)
    return g_strconcat(text, "%", zone, NULL);
  return g_strdup_printf("%s%%%u", text, details->scope);
}

guint16 ws_details_get_client_port(const struct ws_details *details) {
  return details->port;
}

gboolean ws_details_is_tls(const struct ws_details *details) {
  return details->tls;
}

gint64 ws_details_get_connected_at(const struct ws_details *details) {
  return details->connected_at;
}

GHashTable *ws_headers_new(void) {
  return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

void ws_headers_add(GHashTable *headers, const char *name, gsize name_length, const char *value, gsize value_length) {
  g_autofree char *as_sent = make_text(name, name_length);
  g_autofree char *key = g_ascii_strdown(as_sent, -1);
  g_autofree char *text = make_text(value, value_length);
  const char *before = g_hash_table_lookup(headers, key);
  char *all = before != NULL ? g_strconcat(before, ", ", text, NULL) : g_steal_pointer(&text);
  g_hash_table_replace(headers, g_steal_pointer(&key), all);
}

GHashTable *ws_details_collect_headers(const struct ws_channel_details *details) {
  GHashTable *headers = ws_headers_new();
  struct ws_channel_text name, value;
  for (gsize offset = 0; ws_channel_next_header(details, &offset, &name, &value);)
    ws_headers_add(headers, name.text, name.length, value.text, value.length);
  return headers;
}

GHashTable *ws_details_collect_headers_from_bus(GVariant *details) {
  GHashTable *headers = ws_headers_new();
  g_autoptr(GVariantIter) iterator = NULL;
  char *name, *value;
  if (g_variant_lookup(details, "headers", "a{ss}", &iterator))
    while (g_variant_iter_next(iterator, "{ss}", &name, &value))
      g_hash_table_replace(headers, name, value);
  return headers;
}
