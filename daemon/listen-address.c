/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/listen-address.h"

#include "daemon/error.h"
#include "daemon/limits.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

G_GNUC_PRINTF(2, 3)
static bool fault(GError **error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *text = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  g_set_error(error, WSD_ERROR, WSD_ERROR_INVALID_ADDRESS, "serverIP: %s", text);
  return false;
}

static bool parse_ipv4(const char *text, struct sockaddr_in *address) {
  address->sin_family = AF_INET;
  return inet_pton(AF_INET, text, &address->sin_addr) == 1;
}

/* Linux lets TCP listen on these, where nobody can ever connect. */
static bool is_for_many(const struct sockaddr_in *address) {
  guint32 number = ntohl(address->sin_addr.s_addr);
  return IN_MULTICAST(number) || number == INADDR_BROADCAST;
}

/* With an optional %zone, an interface's name or index, which only link-local addresses have. */
static bool parse_ipv6(const char *text, struct sockaddr_in6 *address, GError **error) {
  const char *percent = strchr(text, '%');
  g_autofree char *number = percent ? g_strndup(text, (gsize)(percent - text)) : g_strdup(text);
  address->sin6_family = AF_INET6;
  if (inet_pton(AF_INET6, number, &address->sin6_addr) != 1)
    return fault(error, "is not a numeric IPv4 or IPv6 address");
  bool link_local = IN6_IS_ADDR_LINKLOCAL(&address->sin6_addr);
  if (!percent && link_local)
    return fault(error, "a link-local address needs its interface: fe80::1%%eth0");
  if (!percent)
    return true;
  guint64 index = if_nametoindex(percent + 1);
  if (index == 0 && !g_ascii_string_to_unsigned(percent + 1, 10, 1, G_MAXUINT32, &index, NULL))
    return fault(error, "this machine has no such interface as behind the %%");
  if (!link_local)
    return fault(error, "only link-local addresses take a %%zone; leave it out");
  address->sin6_scope_id = (guint32)index;
  return true;
}

bool wsd_listen_address_read(const char *text, struct sockaddr_storage *address, socklen_t *length, GError **error) {
  memset(address, 0, sizeof *address);
  if (strlen(text) > WSD_ADDRESS_TEXT_MAX)
    return fault(error, "is longer than %u octets", WSD_ADDRESS_TEXT_MAX);
  if (parse_ipv4(text, (struct sockaddr_in *)address)) {
    if (is_for_many((const struct sockaddr_in *)address))
      return fault(error, "is a multicast or broadcast address; use one of this machine");
    *length = sizeof(struct sockaddr_in);
    return true;
  }
  memset(address, 0, sizeof *address);
  *length = sizeof(struct sockaddr_in6);
  return parse_ipv6(text, (struct sockaddr_in6 *)address, error);
}
