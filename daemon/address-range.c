/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/address-range.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define MAPPED_BITS 96u /* of an IPv4 address that is mapped into IPv6, before the address itself */

static const guint8 mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
static const struct wsd_address_range all_of_ipv4 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, MAPPED_BITS};
static const struct wsd_address_range everything = {{0}, 0};

static bool same_bits(const guint8 *a, const guint8 *b, guint bits) {
  if (memcmp(a, b, bits / 8) != 0)
    return false;
  guint rest = bits % 8;
  return rest == 0 || (a[bits / 8] ^ b[bits / 8]) >> (8 - rest) == 0;
}

static void set_ipv4(struct wsd_address_range *range, const struct in_addr *address) {
  memcpy(range->network, mapped_prefix, sizeof mapped_prefix);
  memcpy(range->network + sizeof mapped_prefix, address, sizeof *address);
}

static const char *read_prefix(const char *text, guint most, guint *prefix) {
  guint64 number;
  if (!text) {
    *prefix = most;
    return NULL;
  }
  if (!g_ascii_string_to_unsigned(text, 10, 0, most, &number, NULL))
    return most == 32 ? "the prefix behind the / must be from 0 to 32"
                      : "the prefix behind the / must be from 0 to 128";
  *prefix = (guint)number;
  return NULL;
}

/* 10.1.2.3/8 is more likely a mistake than a network. */
static bool has_host_bits(const struct wsd_address_range *range) {
  for (guint bit = range->prefix; bit < 128; bit++)
    if (range->network[bit / 8] & (0x80u >> bit % 8))
      return true;
  return false;
}

static const char *read_range(const char *text, struct wsd_address_range *range) {
  g_auto(GStrv) parts = g_strsplit(text, "/", 2);
  struct in_addr ipv4;
  const char *fault;
  if (!parts[0])
    return "is empty";
  if (inet_pton(AF_INET, parts[0], &ipv4) == 1) {
    set_ipv4(range, &ipv4);
    fault = read_prefix(parts[1], 32, &range->prefix);
    range->prefix += MAPPED_BITS;
  } else if (inet_pton(AF_INET6, parts[0], range->network) == 1) {
    fault = read_prefix(parts[1], 128, &range->prefix);
  } else {
    return "is neither \"all\", \"loopback\", a numeric address nor a network like 192.168.0.0/16";
  }
  if (!fault && has_host_bits(range))
    return "has bits behind the prefix; a network ends in zeros";
  return fault;
}

const char *wsd_address_ranges_add(GArray *ranges, const char *text) {
  struct wsd_address_range range = {0};
  if (g_str_equal(text, "all")) {
    g_array_append_val(ranges, everything);
    return NULL;
  }
  if (g_str_equal(text, "loopback")) {
    const char *fault = wsd_address_ranges_add(ranges, "127.0.0.0/8");
    return fault ? fault : wsd_address_ranges_add(ranges, "::1");
  }
  const char *fault = read_range(text, &range);
  if (!fault)
    g_array_append_val(ranges, range);
  return fault;
}

/* Where a server on this address is reached. */
static struct wsd_address_range reach_of(const struct sockaddr_storage *address) {
  struct wsd_address_range reach = {.prefix = 128};
  if (address->ss_family == AF_INET) {
    set_ipv4(&reach, &((const struct sockaddr_in *)address)->sin_addr);
  } else {
    const struct in6_addr *ipv6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
    if (IN6_IS_ADDR_UNSPECIFIED(ipv6))
      return everything;
    memcpy(reach.network, ipv6, sizeof *ipv6);
  }
  return same_bits(reach.network, all_of_ipv4.network, 128) ? all_of_ipv4 : reach;
}

static bool holds(const struct wsd_address_range *outer, const struct wsd_address_range *inner) {
  bool mapped = inner->prefix >= MAPPED_BITS && same_bits(inner->network, mapped_prefix, MAPPED_BITS);
  if (mapped && outer->prefix > 0 && outer->prefix < MAPPED_BITS) /* ::/8 says nothing about IPv4 */
    return false;
  return outer->prefix <= inner->prefix && same_bits(outer->network, inner->network, outer->prefix);
}

bool wsd_address_ranges_hold(const GArray *ranges, const struct sockaddr_storage *address) {
  const struct wsd_address_range reach = reach_of(address);
  for (guint i = 0; i < ranges->len; i++)
    if (holds(&g_array_index(ranges, struct wsd_address_range, i), &reach))
      return true;
  return false;
}

bool wsd_address_ranges_touch(const GArray *ranges, const struct sockaddr_storage *address) {
  const struct wsd_address_range reach = reach_of(address);
  for (guint i = 0; i < ranges->len; i++) {
    const struct wsd_address_range *range = &g_array_index(ranges, struct wsd_address_range, i);
    if (holds(range, &reach) || holds(&reach, range))
      return true;
  }
  return false;
}
