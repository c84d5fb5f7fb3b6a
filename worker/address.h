/* SPDX-License-Identifier: Apache-2.0 */
/* A peer's address in the one form that is compared, counted and reported: IPv4 peers of a dual-stack listener
 * (IPv4-mapped) are IPv4, and a link-local IPv6 address belongs to its interface. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct wsw_address {
  uint8_t octets[16]; /* IPv4 in the first four, zeros behind */
  uint32_t scope;     /* interface index of a link-local IPv6 address, else 0 */
  uint16_t port;
  uint8_t family; /* 4 or 6 */
};

/* False for any other family. */
bool wsw_address_from_socket(struct wsw_address *address, const struct sockaddr_storage *socket_address);

/* The same machine as far as addresses tell: everything but the port. */
bool wsw_address_same_host(const struct wsw_address *one, const struct wsw_address *other);

/* What one owner of addresses usually has: an IPv4 address as it is, of an IPv6 one the /64 network. All of a link share the network
 * of link-local addresses, so of those each is one. Without the port. */
struct wsw_address wsw_address_network(const struct wsw_address *address);

/* A keyed hash of the host, so that nobody can choose addresses that collide. */
uint64_t wsw_address_hash(const struct wsw_address *address, const uint64_t key[2]);
