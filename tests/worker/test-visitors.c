/* SPDX-License-Identifier: Apache-2.0 */
/* Who comes too often: nobody is refused below the rate, nobody gets above it, and no crowd changes that for others. */
#include "worker/limits.h"
#include "worker/visitors.h"

#include <arpa/inet.h>
#include <glib.h>
#include <string.h>

#define RATE 50
#define BAN_MS 60000
#define START 1000000

static const uint64_t key[2] = {0x0123456789ABCDEFu, 0xFEDCBA9876543210u};

static struct wsw_address numbered(unsigned number) {
  struct wsw_address address = {.family = 4, .port = (uint16_t)number};
  memcpy(address.octets, &number, sizeof number);
  return address;
}

static struct wsw_address ipv6(const char *text, uint32_t scope) {
  struct wsw_address address = {.family = 6, .scope = scope};
  g_assert_cmpint(inet_pton(AF_INET6, text, address.octets), ==, 1);
  return address;
}

static enum wsw_visit visit(struct wsw_visitors *visitors, unsigned number, uint64_t now) {
  struct wsw_address address = numbered(number);
  return wsw_visitors_arrive(visitors, &address, now);
}

/* How many of `count` connections at that time are let in. */
static unsigned crowd(struct wsw_visitors *visitors, unsigned number, unsigned count, uint64_t now) {
  unsigned welcome = 0;
  for (unsigned i = 0; i < count; i++)
    welcome += visit(visitors, number, now) == WSW_VISIT_WELCOME;
  return welcome;
}

static void earn_ban(struct wsw_visitors *visitors, unsigned number, uint64_t now) {
  crowd(visitors, number, RATE + WSW_BAN_REFUSALS, now);
  g_assert_cmpint(visit(visitors, number, now), ==, WSW_VISIT_BANNED);
}

static void a_minute_s_worth_may_come_at_once_and_then_as_the_rate_says(void) {
  struct wsw_visitors visitors;
  wsw_visitors_init(&visitors, RATE, BAN_MS, key);
  g_assert_cmpuint(crowd(&visitors, 1, RATE + 3, START), ==, RATE);
  g_assert_cmpint(visit(&visitors, 1, START + 1199), ==, WSW_VISIT_TOO_OFTEN);
  g_assert_cmpint(visit(&visitors, 1, START + 1200), ==, WSW_VISIT_WELCOME); /* 60 s / 50 */
  g_assert_cmpint(visit(&visitors, 1, START + 1200), ==, WSW_VISIT_TOO_OFTEN);
  g_assert_cmpuint(crowd(&visitors, 1, RATE + 3, START + 2 * 60000), ==, RATE);
  wsw_visitors_clear(&visitors);
}

static void an_address_that_keeps_to_the_rate_is_never_refused(void) {
  struct wsw_visitors visitors;
  wsw_visitors_init(&visitors, RATE, BAN_MS, key);
  for (uint64_t i = 0; i < 1000; i++)
    g_assert_cmpint(visit(&visitors, 1, START + i * 1200), ==, WSW_VISIT_WELCOME);
  wsw_visitors_clear(&visitors);
}

static void other_addresses_do_not_pay_for_it(void) {
  struct wsw_visitors visitors;
  wsw_visitors_init(&visitors, 1, BAN_MS, key);
  g_assert_cmpuint(crowd(&visitors, 1, 2, START), ==, 1);
  g_assert_cmpint(visit(&visitors, 2, START), ==, WSW_VISIT_WELCOME);
  wsw_visitors_clear(&visitors);
}

static void who_goes_on_past_the_rate_is_banned_for_the_time_that_was_said(void) {
  struct wsw_visitors visitors;
  wsw_visitors_init(&visitors, RATE, BAN_MS, key);
  g_assert_cmpuint(crowd(&visitors, 1, RATE, START), ==, RATE);
  for (unsigned i = 1; i < WSW_BAN_REFUSALS; i++)
    g_assert_cmpint(visit(&visitors, 1, START), ==, WSW_VISIT_TOO_OFTEN);
  g_assert_cmpint(visit(&visitors, 1, START), ==, WSW_VISIT_BANNED);
  const struct wsw_visitor *ban = wsw_visitors_bans(&visitors, START);
  g_assert_nonnull(ban);
  g_assert_cmpint(ban->reason, ==, WSW_BANNED_FOR_RATE);
  g_assert_cmpuint(wsw_visitors_seconds_left(ban, START), ==, 60);
  for (uint64_t now = START; now < START + BAN_MS; now += 999) /* and trying again does not prolong it */
    g_assert_cmpint(visit(&visitors, 1, now), ==, WSW_VISIT_BANNED);
  struct wsw_address address = numbered(1);
  g_assert_cmpuint(wsw_visitors_wait(&visitors, &address, START + BAN_MS - 1), ==, 1);
  g_assert_null(wsw_visitors_bans(&visitors, START + BAN_MS));
  g_assert_cmpint(visit(&visitors, 1, START + BAN_MS), ==, WSW_VISIT_TOO_OFTEN); /* no fresh burst */
  g_assert_cmpint(visit(&visitors, 1, START + BAN_MS + 1200), ==, WSW_VISIT_WELCOME);
  wsw_visitors_clear(&visitors);
}

static void a_few_refusals_now_and_then_lead_to_no_ban(void) {
  struct wsw_visitors visitors;
  wsw_visitors_init(&visitors, RATE, BAN_MS, key);
  for (uint64_t minute = 0; minute < 20; minute++)
    g_assert_cmpuint(crowd(&visitors, 1, RATE + WSW_BAN_REFUSALS - 1, START + minute * 60000), ==, RATE);
  g_assert_null(wsw_visitors_bans(&visitors, START + 20 * 60000));
  wsw_visitors_clear(&visitors);
}

static void who_sends_nonsense_again_and_again_is_banned(void) {
  struct wsw_visitors visitors;
  struct wsw_address address = numbered(1);
  wsw_visitors_init(&visitors, 1000, BAN_MS, key);
  for (unsigned i = 0; i < WSW_BAN_FAULTS; i++) {
    g_assert_cmpint(visit(&visitors, 1, START), ==, WSW_VISIT_WELCOME);
    wsw_visitors_fault(&visitors, &address, START);
  }
  g_assert_cmpint(visit(&visitors, 1, START), ==, WSW_VISIT_BANNED);
  wsw_visitors_fault(&visitors, &address, START);
  g_assert_cmpint(wsw_visitors_bans(&visitors, START)->reason, ==, WSW_BANNED_FOR_REQUESTS);
  wsw_visitors_clear(&visitors);
}

static void faults_spread_over_time_lead_to_no_ban(void) {
  struct wsw_visitors visitors;
  struct wsw_address address = numbered(1);
  wsw_visitors_init(&visitors, 1000, BAN_MS, key);
  for (uint64_t i = 0; i < 10 * WSW_BAN_FAULTS; i++) {
    g_assert_cmpint(visit(&visitors, 1, START + i * 4000), ==, WSW_VISIT_WELCOME);
    wsw_visitors_fault(&visitors, &address, START + i * 4000);
  }
  wsw_visitors_clear(&visitors);
}

/* A request may take longer than anything else is remembered. */
static void faults_long_after_the_connection_count(void) {
  struct wsw_visitors visitors;
  struct wsw_address address = numbered(1);
  wsw_visitors_init(&visitors, 1000, BAN_MS, key);
  g_assert_cmpuint(crowd(&visitors, 1, WSW_BAN_FAULTS, START), ==, WSW_BAN_FAULTS);
  uint64_t late = START + 2 * WSW_VISIT_WINDOW_MS;
  g_assert_cmpint(visit(&visitors, 2, late), ==, WSW_VISIT_WELCOME);
  for (unsigned i = 0; i < WSW_BAN_FAULTS; i++)
    wsw_visitors_fault(&visitors, &address, late);
  g_assert_cmpint(visit(&visitors, 1, late), ==, WSW_VISIT_BANNED);
  wsw_visitors_clear(&visitors);
}

static void who_is_refused_is_told_so_once_in_a_while(void) {
  struct wsw_visitors visitors;
  struct wsw_address one = numbered(1), other = numbered(2);
  wsw_visitors_init(&visitors, RATE, BAN_MS, key);
  crowd(&visitors, 1, RATE + 1, START);
  g_assert_true(wsw_visitors_tell(&visitors, &one, START));
  g_assert_false(wsw_visitors_tell(&visitors, &one, START + WSW_TELL_MS - 1));
  g_assert_true(wsw_visitors_tell(&visitors, &one, START + WSW_TELL_MS));
  earn_ban(&visitors, 2, START);
  for (uint64_t i = 0; i < 10 * WSW_TELL_MS; i += 100)
    g_assert_cmpint(wsw_visitors_tell(&visitors, &other, START + i), ==, i % WSW_TELL_MS == 0);
  wsw_visitors_clear(&visitors);
}

static void ipv6_counts_by_its_network_and_link_local_by_itself(void) {
  static const struct {
    const char *one, *other;
    uint32_t scope, other_scope;
    bool same;
  } pairs[] = {
      {"2001:db8:0:1::1", "2001:db8:0:1:ffff::2", 0, 0, true},
      {"2001:db8:0:1::1", "2001:db8:0:2::1", 0, 0, false},
      {"::1", "::2", 0, 0, true},
      {"fe80::1", "fe80::2", 3, 3, false},
      {"fe80::1", "fe80::1", 3, 4, false},
      {"fe80::1", "fe80::1", 3, 3, true},
  };
  for (gsize i = 0; i < G_N_ELEMENTS(pairs); i++) {
    struct wsw_visitors visitors;
    struct wsw_address one = ipv6(pairs[i].one, pairs[i].scope), other = ipv6(pairs[i].other, pairs[i].other_scope);
    wsw_visitors_init(&visitors, 1, BAN_MS, key);
    g_assert_cmpint(wsw_visitors_arrive(&visitors, &one, START), ==, WSW_VISIT_WELCOME);
    bool refused = wsw_visitors_arrive(&visitors, &other, START) == WSW_VISIT_TOO_OFTEN;
    g_assert_cmpint(refused, ==, pairs[i].same);
    wsw_visitors_clear(&visitors);
  }
}

static void a_crowd_of_addresses_costs_bounded_memory_and_pushes_out_no_ban(void) {
  struct wsw_visitors visitors;
  wsw_visitors_init(&visitors, RATE, BAN_MS, key);
  earn_ban(&visitors, 1, START);
  for (unsigned i = 0; i < 20 * WSW_VISITORS_MAX; i++) {
    g_assert_cmpint(visit(&visitors, 100 + i, START + i / 1000), ==, WSW_VISIT_WELCOME);
    g_assert_cmpuint(visitors.known.count, <=, WSW_VISITORS_MAX);
  }
  g_assert_cmpuint(visitors.known.count, ==, WSW_VISITORS_MAX);
  g_assert_cmpint(visit(&visitors, 1, START + 1000), ==, WSW_VISIT_BANNED);
  wsw_visitors_clear(&visitors);
}

static void when_all_bans_are_taken_nobody_else_is_banned_and_the_rate_holds(void) {
  struct wsw_visitors visitors;
  wsw_visitors_init(&visitors, RATE, BAN_MS, key);
  for (unsigned i = 0; i < WSW_BANS_MAX; i++)
    earn_ban(&visitors, i, START + i);
  unsigned late = WSW_BANS_MAX;
  g_assert_cmpuint(crowd(&visitors, late, RATE + 2 * WSW_BAN_REFUSALS, START + WSW_BANS_MAX), ==, RATE);
  g_assert_cmpuint(visitors.banned.count, ==, WSW_BANS_MAX);
  g_assert_cmpint(visit(&visitors, 0, START + WSW_BANS_MAX), ==, WSW_VISIT_BANNED); /* the first, too */
  g_assert_cmpint(visit(&visitors, late, START + WSW_BANS_MAX), ==, WSW_VISIT_TOO_OFTEN);
  g_assert_cmpint(visit(&visitors, late, START + BAN_MS), !=,
                  WSW_VISIT_BANNED); /* one place is free: it may be banned now */
  wsw_visitors_clear(&visitors);
}

static void idle_addresses_are_forgotten(void) {
  struct wsw_visitors visitors;
  wsw_visitors_init(&visitors, RATE, BAN_MS, key);
  for (unsigned i = 0; i < 1000; i++)
    visit(&visitors, i, START);
  for (unsigned i = 0; i < 1000; i++)
    visit(&visitors, 5000, START + 60000 + i * 1200);
  g_assert_cmpuint(visitors.known.count, ==, 1);
  wsw_visitors_clear(&visitors);
}

static void a_pardon_makes_a_fresh_start(void) {
  struct wsw_visitors visitors;
  struct wsw_address banned = numbered(1), unknown = numbered(2);
  wsw_visitors_init(&visitors, RATE, BAN_MS, key);
  earn_ban(&visitors, 1, START);
  g_assert_false(wsw_visitors_pardon(&visitors, &unknown, START));
  g_assert_true(wsw_visitors_pardon(&visitors, &banned, START));
  g_assert_false(wsw_visitors_pardon(&visitors, &banned, START));
  g_assert_cmpuint(crowd(&visitors, 1, RATE + 1, START), ==, RATE);
  wsw_visitors_clear(&visitors);
}

static void what_is_off_refuses_nobody(void) {
  struct wsw_visitors visitors;
  struct wsw_address address = numbered(1);
  wsw_visitors_init(&visitors, 0, BAN_MS, key);
  g_assert_cmpuint(crowd(&visitors, 1, 10000, START), ==, 10000);
  for (unsigned i = 0; i < 10 * WSW_BAN_FAULTS; i++)
    wsw_visitors_fault(&visitors, &address, START);
  g_assert_cmpint(visit(&visitors, 1, START), ==, WSW_VISIT_WELCOME);
  g_assert_false(wsw_visitors_pardon(&visitors, &address, START));
  wsw_visitors_clear(&visitors);
  wsw_visitors_init(&visitors, RATE, 0, key);
  g_assert_cmpuint(crowd(&visitors, 1, 10000, START), ==, RATE);
  g_assert_null(wsw_visitors_bans(&visitors, START));
  wsw_visitors_clear(&visitors);
}

static void who_is_refused_is_told_when_to_come_again(void) {
  struct wsw_visitors visitors;
  struct wsw_address address = numbered(1), unknown = numbered(2);
  wsw_visitors_init(&visitors, 2, BAN_MS, key);
  crowd(&visitors, 1, 3, START);
  uint32_t wait = wsw_visitors_wait(&visitors, &address, START);
  g_assert_cmpuint(wait, >=, 30);
  g_assert_cmpuint(wait, <=, 31);
  g_assert_cmpint(visit(&visitors, 1, START + wait * 1000), ==, WSW_VISIT_WELCOME);
  g_assert_cmpuint(wsw_visitors_wait(&visitors, &unknown, START), ==, 1);
  wsw_visitors_clear(&visitors);
}

int main(int count, char **arguments) {
  g_test_init(&count, &arguments, NULL);
  g_test_add_func("/visitors/a-minute-s-worth-may-come-at-once",
                  a_minute_s_worth_may_come_at_once_and_then_as_the_rate_says);
  g_test_add_func("/visitors/who-keeps-to-the-rate-is-never-refused",
                  an_address_that_keeps_to_the_rate_is_never_refused);
  g_test_add_func("/visitors/other-addresses-do-not-pay-for-it", other_addresses_do_not_pay_for_it);
  g_test_add_func("/visitors/who-goes-on-past-the-rate-is-banned",
                  who_goes_on_past_the_rate_is_banned_for_the_time_that_was_said);
  g_test_add_func("/visitors/a-few-refusals-lead-to-no-ban", a_few_refusals_now_and_then_lead_to_no_ban);
  g_test_add_func("/visitors/who-sends-nonsense-again-and-again-is-banned",
                  who_sends_nonsense_again_and_again_is_banned);
  g_test_add_func("/visitors/faults-spread-over-time-lead-to-no-ban", faults_spread_over_time_lead_to_no_ban);
  g_test_add_func("/visitors/faults-long-after-the-connection-count", faults_long_after_the_connection_count);
  g_test_add_func("/visitors/who-is-refused-is-told-so-once-in-a-while", who_is_refused_is_told_so_once_in_a_while);
  g_test_add_func("/visitors/ipv6-counts-by-its-network", ipv6_counts_by_its_network_and_link_local_by_itself);
  g_test_add_func("/visitors/a-crowd-costs-bounded-memory",
                  a_crowd_of_addresses_costs_bounded_memory_and_pushes_out_no_ban);
  g_test_add_func("/visitors/when-all-bans-are-taken-the-rate-holds",
                  when_all_bans_are_taken_nobody_else_is_banned_and_the_rate_holds);
  g_test_add_func("/visitors/idle-addresses-are-forgotten", idle_addresses_are_forgotten);
  g_test_add_func("/visitors/a-pardon-makes-a-fresh-start", a_pardon_makes_a_fresh_start);
  g_test_add_func("/visitors/what-is-off-refuses-nobody", what_is_off_refuses_nobody);
  g_test_add_func("/visitors/who-is-refused-is-told-when-to-come-again", who_is_refused_is_told_when_to_come_again);
  return g_test_run();
}
