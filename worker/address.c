/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/address.h"

#include <string.h>

static void take_ipv4(struct wsw_address *address, const uint8_t octets[4]) {
  address->family = 4;
  memcpy(address->octets, octets, 4);
}

static void take_ipv6(struct wsw_address *address, const struct sockaddr_in6 *from) {
  address->port = ntohs(from->sin6_port);
  if (IN6_IS_ADDR_V4MAPPED(&from->sin6_addr)) {
    take_ipv4(address, from->sin6_addr.s6_addr + 12);
    return;
  }
  address->family = 6;
  memcpy(address->octets, from->sin6_addr.s6_addr, 16);
  if (IN6_IS_ADDR_LINKLOCAL(&from->sin6_addr))
    address->scope = from->sin6_scope_id;
}

bool wsw_address_from_socket(struct wsw_address *address, const struct sockaddr_storage *socket_address) {
  *address = (struct wsw_address){0};
  if (socket_address->ss_family == AF_INET) {
    const struct sockaddr_in *from = (const struct sockaddr_in *)socket_address;
    address->port = ntohs(from->sin_port);
    take_ipv4(address, (const uint8_t *)&from->sin_addr);
    return true;
  }
  if (socket_address->ss_family == AF_INET6) {
    take_ipv6(address, (const struct sockaddr_in6 *)socket_address);
    return true;
  }
  return false;
}

bool wsw_address_same_host(const struct wsw_address *one, const struct wsw_address *other) {
  return one->family == other->family && one->scope == other->scope &&
         memcmp(one->octets, other->octets, sizeof one->octets) == 0;
}

struct wsw_address wsw_address_network(const struct wsw_address *address) {
  struct wsw_address network = *address;
  network.port = 0;
  bool is_link_local = address->octets[0] == 0xFE && (address->octets[1] & 0xC0) == 0x80;
  if (address->family == 6 && !is_link_local)
    memset(network.octets + 8, 0, 8);
  return network;
}

static uint64_t mix(uint64_t state, uint64_t word) {
  unsigned __int128 product = (unsigned __int128)(state ^ word) * 0x9FB21C651E98DF25u;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t wsw_address_hash(const struct wsw_address *address, const uint64_t key[2]) {
  uint64_t halves[2];
  memcpy(halves, address->octets, sizeof halves);
  uint64_t state = mix(key[0], halves[0]);
  state = mix(state + key[1], halves[1]);
  return mix(state ^ key[0], ((uint64_t)address->scope << 8) | address->family);
}
