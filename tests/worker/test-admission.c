/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/address.h"
#include "worker/admission.h"
#include "worker/limits.h"

#include <arpa/inet.h>
#include <glib.h>
#include <string.h>

static const uint64_t key[2] = {0x0123456789ABCDEFu, 0xFEDCBA9876543210u};

static struct wsw_address ipv4(const char *text, uint16_t port) {
  struct sockaddr_storage storage = {0};
  struct sockaddr_in *address = (struct sockaddr_in *)&storage;
  address->sin_family = AF_INET;
  address->sin_port = htons(port);
  g_assert_cmpint(inet_pton(AF_INET, text, &address->sin_addr), ==, 1);
  struct wsw_address result;
  g_assert_true(wsw_address_from_socket(&result, &storage));
  return result;
}

static struct wsw_address ipv6(const char *text, uint16_t port, uint32_t scope) {
  struct sockaddr_storage storage = {0};
  struct sockaddr_in6 *address = (struct sockaddr_in6 *)&storage;
  address->sin6_family = AF_INET6;
  address->sin6_port = htons(port);
  address->sin6_scope_id = scope;
  g_assert_cmpint(inet_pton(AF_INET6, text, &address->sin6_addr), ==, 1);
  struct wsw_address result;
  g_assert_true(wsw_address_from_socket(&result, &storage));
  return result;
}

static bool same(struct wsw_address one, struct wsw_address other) {
  bool result = wsw_address_same_host(&one, &other);
  if (result)
    g_assert_cmpuint(wsw_address_hash(&one, key), ==, wsw_address_hash(&other, key));
  return result;
}

static void a_mapped_ipv4_peer_is_an_ipv4_peer(void) {
  struct wsw_address mapped = ipv6("::ffff:192.0.2.7", 4711, 0);
  g_assert_cmpuint(mapped.family, ==, 4);
  g_assert_cmpuint(mapped.port, ==, 4711);
  g_assert_true(same(mapped, ipv4("192.0.2.7", 1)));
  g_assert_false(same(mapped, ipv6("::192.0.2.7", 4711, 0)));
}

static void addresses_are_told_apart_by_all_of_them_but_the_port(void) {
  g_assert_true(same(ipv4("10.0.0.1", 1), ipv4("10.0.0.1", 2)));
  g_assert_false(same(ipv4("10.0.0.1", 1), ipv4("10.0.0.2", 1)));
  g_assert_true(same(ipv6("2001:db8::1", 1, 0), ipv6("2001:db8::1", 2, 0)));
  g_assert_false(same(ipv6("2001:db8::1", 1, 0), ipv6("2001:db8::2", 1, 0)));
  g_assert_false(same(ipv6("2001:db8:0:1::1", 1, 0), ipv6("2001:db8::1", 1, 0)));
}

static void a_link_local_peer_belongs_to_its_interface(void) {
  g_assert_false(same(ipv6("fe80::1", 1, 2), ipv6("fe80::1", 1, 3)));
  g_assert_true(same(ipv6("fe80::1", 1, 2), ipv6("fe80::1", 9, 2)));
  /* Elsewhere the kernel's scope says nothing. */
  g_assert_true(same(ipv6("2001:db8::1", 1, 2), ipv6("2001:db8::1", 1, 3)));
}

static void other_families_are_refused(void) {
  struct sockaddr_storage storage = {.ss_family = AF_UNIX};
  struct wsw_address address;
  g_assert_false(wsw_address_from_socket(&address, &storage));
}

static void both_limits_hold(void) {
  struct wsw_admission admission;
  wsw_admission_init(&admission, 2, 3, key);
  struct wsw_address a = ipv4("10.0.0.1", 1), b = ipv4("10.0.0.2", 1), c = ipv4("10.0.0.3", 1);
  for (unsigned i = 0; i < 3; i++)
    g_assert_cmpint(wsw_admission_enter(&admission, &a), ==, WSW_ADMITTED);
  g_assert_cmpint(wsw_admission_enter(&admission, &a), ==, WSW_TOO_MANY_OF_CLIENT);
  g_assert_cmpint(wsw_admission_enter(&admission, &b), ==, WSW_ADMITTED);
  g_assert_cmpint(wsw_admission_enter(&admission, &c), ==, WSW_TOO_MANY_CLIENTS);
  g_assert_cmpuint(wsw_admission_count(&admission, &a), ==, 3);
  g_assert_cmpuint(wsw_admission_count(&admission, &c), ==, 0);
  wsw_admission_leave(&admission, &a);
  g_assert_cmpint(wsw_admission_enter(&admission, &a), ==, WSW_ADMITTED);
  g_assert_cmpint(wsw_admission_enter(&admission, &c), ==, WSW_TOO_MANY_CLIENTS);
  wsw_admission_leave(&admission, &b);
  g_assert_cmpint(wsw_admission_enter(&admission, &c), ==, WSW_ADMITTED);
  wsw_admission_clear(&admission);
}

static void leaving_without_having_entered_harms_nobody(void) {
  struct wsw_admission admission;
  wsw_admission_init(&admission, 2, 2, key);
  struct wsw_address a = ipv4("10.0.0.1", 1), b = ipv4("10.0.0.2", 1);
  wsw_admission_leave(&admission, &a);
  wsw_admission_enter(&admission, &a);
  wsw_admission_leave(&admission, &b);
  wsw_admission_leave(&admission, &a);
  wsw_admission_leave(&admission, &a);
  g_assert_cmpuint(admission.clients, ==, 0);
  wsw_admission_clear(&admission);
}

static struct wsw_address numbered(unsigned number) {
  struct wsw_address address = {.family = 4};
  memcpy(address.octets, &number, sizeof number);
  return address;
}

/* As many addresses as there may ever be, and the table neither loses nor invents one. */
static void the_largest_number_of_clients_fits(void) {
  struct wsw_admission admission;
  wsw_admission_init(&admission, WSW_CLIENTS_MAX, 1, key);
  for (unsigned i = 0; i < WSW_CLIENTS_MAX; i++) {
    struct wsw_address address = numbered(i);
    g_assert_cmpint(wsw_admission_enter(&admission, &address), ==, WSW_ADMITTED);
  }
  struct wsw_address one_more = numbered(WSW_CLIENTS_MAX), first = numbered(0);
  g_assert_cmpint(wsw_admission_enter(&admission, &one_more), ==, WSW_TOO_MANY_CLIENTS);
  g_assert_cmpint(wsw_admission_enter(&admission, &first), ==, WSW_TOO_MANY_OF_CLIENT);
  for (unsigned i = 0; i < WSW_CLIENTS_MAX; i++) {
    struct wsw_address address = numbered(i);
    wsw_admission_leave(&admission, &address);
  }
  g_assert_cmpuint(admission.clients, ==, 0);
  g_assert_cmpuint(admission.capacity, <=, 16); /* and the memory is given back */
  wsw_admission_clear(&admission);
}

#define FEW 64

/* Compared with plain counting, over any order of coming and going. */
static void coming_and_going_in_any_order_is_counted_right(void) {
  struct wsw_admission admission;
  wsw_admission_init(&admission, FEW / 2, 4, key);
  uint32_t counts[FEW] = {0}, clients = 0;
  GRand *random = g_rand_new_with_seed(2);
  for (unsigned step = 0; step < 50000; step++) {
    unsigned who = (unsigned)g_rand_int_range(random, 0, FEW);
    struct wsw_address address = numbered(who * 7919);
    if (g_rand_boolean(random)) {
      enum wsw_admission_result expected = WSW_ADMITTED;
      if (counts[who] >= 4)
        expected = WSW_TOO_MANY_OF_CLIENT;
      else if (!counts[who] && clients >= FEW / 2)
        expected = WSW_TOO_MANY_CLIENTS;
      g_assert_cmpint(wsw_admission_enter(&admission, &address), ==, expected);
      if (expected == WSW_ADMITTED)
        clients += counts[who]++ == 0;
    } else {
      wsw_admission_leave(&admission, &address);
      if (counts[who])
        clients -= --counts[who] == 0;
    }
    g_assert_cmpuint(wsw_admission_count(&admission, &address), ==, counts[who]);
    g_assert_cmpuint(admission.clients, ==, clients);
  }
  g_rand_free(random);
  wsw_admission_clear(&admission);
}

int main(int count, char **arguments) {
  g_test_init(&count, &arguments, NULL);
  g_test_add_func("/address/a-mapped-ipv4-peer-is-an-ipv4-peer", a_mapped_ipv4_peer_is_an_ipv4_peer);
  g_test_add_func("/address/told-apart-by-all-but-the-port", addresses_are_told_apart_by_all_of_them_but_the_port);
  g_test_add_func("/address/a-link-local-peer-belongs-to-its-interface", a_link_local_peer_belongs_to_its_interface);
  g_test_add_func("/address/other-families-are-refused", other_families_are_refused);
  g_test_add_func("/admission/both-limits-hold", both_limits_hold);
  g_test_add_func("/admission/leaving-without-having-entered-harms-nobody",
                  leaving_without_having_entered_harms_nobody);
  g_test_add_func("/admission/the-largest-number-of-clients-fits", the_largest_number_of_clients_fits);
  g_test_add_func("/admission/coming-and-going-in-any-order-is-counted-right",
                  coming_and_going_in_any_order_is_counted_right);
  return g_test_run();
}
