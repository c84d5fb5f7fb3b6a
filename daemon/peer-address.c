/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer-address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>

static char *show(const struct wsc_address *address, const char *prefix) {
  char text[INET6_ADDRSTRLEN], name[IF_NAMESIZE];
  struct in6_addr ipv6;
  memcpy(&ipv6, address->octets, sizeof ipv6);
  inet_ntop(address->family == 4 ? AF_INET : AF_INET6, address->octets, text, sizeof text);
  if (address->family == 4)
    return g_strdup(text);
  if (!IN6_IS_ADDR_LINKLOCAL(&ipv6))
    return g_strdup_printf("%s%s", text, prefix);
  if (if_indextoname(address->scope, name))
    return g_strdup_printf("%s%%%s", text, name);
  return g_strdup_printf("%s%%%u", text, address->scope);
}

char *wsd_peer_address_show(const struct wsc_address *address) {
  return show(address, "/64");
}

char *wsd_host_address_show(const struct wsc_address *address) {
  return show(address, "");
}

static bool read_zone(const char *zone, guint32 *scope) {
  guint64 index = if_nametoindex(zone);
  bool known = index != 0 || g_ascii_string_to_unsigned(zone, 10, 1, G_MAXUINT32, &index, NULL);
  *scope = (guint32)index;
  return known;
}

bool wsd_peer_address_read(const char *text, struct wsc_address *address) {
  struct in6_addr ipv6;
  *address = (struct wsc_address){.family = 4};
  if (inet_pton(AF_INET, text, address->octets) == 1)
    return true;
  g_auto(GStrv) parts = g_strsplit(text, "%", 2);
  if (g_str_has_suffix(text, "/64"))
    parts[0][strcspn(parts[0], "/")] = '\0';
  if (!parts[0] || inet_pton(AF_INET6, parts[0], &ipv6) != 1)
    return false;
  if (IN6_IS_ADDR_V4MAPPED(&ipv6)) {
    memcpy(address->octets, ipv6.s6_addr + 12, 4);
    return !parts[1];
  }
  address->family = 6;
  memcpy(address->octets, &ipv6, sizeof address->octets);
  if (IN6_IS_ADDR_LINKLOCAL(&ipv6))
    return parts[1] && read_zone(parts[1], &address->scope);
  return !parts[1];
}

const char *wsd_ban_reason(guint8 reason) {
  return reason == WSC_BAN_RATE       ? "too many connections"
         : reason == WSC_BAN_REQUESTS ? "malformed or missing requests"
                                      : "unknown";
}
