/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/address-range.h"
#include "daemon/error.h"
#include "daemon/explain.h"
#include "daemon/json-lines.h"
#include "daemon/listen-address.h"
#include "daemon/policy.h"

#include <string.h>

/* A policy whose text is a JSON array, or NULL with the message of the fault. */
static struct wsd_policy *read_policy(const char *text, char **fault) {
  g_autofree char *whole = g_strdup_printf("{\"policy\": %s}", text);
  json_object *object = json_tokener_parse(whole), *rules;
  g_assert_nonnull(object);
  g_assert_true(json_object_object_get_ex(object, "policy", &rules));
  const struct wsd_place place = {"file", whole, "policy"};
  struct wsd_policy *policy = wsd_policy_new();
  g_autoptr(GError) error = NULL;
  if (!wsd_policy_read(policy, rules, &place, &error))
    g_clear_pointer(&policy, wsd_policy_free);
  if (fault)
    *fault = g_strdup(error ? error->message : NULL);
  json_object_put(object);
  return policy;
}

static struct wsd_identity *caller(const char *credentials) {
  g_autoptr(GVariant) dictionary = g_variant_parse(G_VARIANT_TYPE_VARDICT, credentials, NULL, NULL, NULL);
  g_assert_nonnull(dictionary);
  return wsd_identity_new(dictionary, NULL, NULL);
}

#define ALICE                                                                                                          \
  "{'UnixUserID': <uint32 1000>, 'UnixGroupIDs': <[uint32 1000, 4711]>, 'LinuxSecurityLabel': <b'App::tv.remote'>}"

/* The title of the rule that decides, with '+' or '-' before it; "none" where none does. */
static char *decide(const struct wsd_policy *policy, const char *who, const char *address, guint16 port) {
  struct wsd_identity *identity = caller(who);
  struct sockaddr_storage bound;
  socklen_t length;
  g_assert_true(wsd_listen_address_read(address, &bound, &length, NULL));
  const struct wsd_rule *rule = wsd_policy_find(policy, identity, &bound, port);
  wsd_identity_free(identity);
  return rule ? g_strdup_printf("%c%s", rule->allow ? '+' : '-', rule->title) : g_strdup("none");
}

static void expect(const char *rules, const char *address, guint16 port, const char *decision) {
  struct wsd_policy *policy = read_policy(rules, NULL);
  g_assert_nonnull(policy);
  g_autofree char *decided = decide(policy, ALICE, address, port);
  g_test_message("%s: port %u of %s -> %s", rules, port, address, decided);
  g_assert_true(g_str_has_prefix(decided, decision));
  wsd_policy_free(policy);
}

static void test_nobody_by_default(void) {
  expect("[]", "127.0.0.1", 8080, "none");
  expect("[{\"users\": [\"1001\"]}]", "127.0.0.1", 8080, "none");
}

static void test_who(void) {
  static const char *const matching[] = {
      "{\"users\": [\"*\"]}",
      "{\"users\": [\"1000\"]}",
      "{\"users\": [\"no-such-user\", \"1000\"]}",
      "{\"groups\": [\"4711\"]}",
      "{\"labels\": [\"App::tv.remote\"]}",
      "{\"labels\": [\"App::*\"]}",
      "{\"users\": [\"1\"], \"groups\": [\"4711\"]}",
  };
  static const char *const others[] = {
      "{\"users\": [\"0\"]}",        "{\"groups\": [\"4712\"]}",
      "{\"labels\": [\"App::tv\"]}", "{\"labels\": [\"*::other\"]}",
      "{\"users\": [\"1000*\"]}",    "{\"units\": [\"*\"]}", /* a unit that is not certain is none */
      "{\"groups\": [\"*\"]}",
  };
  for (size_t i = 0; i < G_N_ELEMENTS(matching); i++) {
    g_autofree char *rules = g_strdup_printf("[%s]", matching[i]);
    expect(rules, "0.0.0.0", 8080, "+rule 1 (file:1)");
  }
  for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
    g_autofree char *rules = g_strdup_printf("[%s]", others[i]);
    expect(rules, "0.0.0.0", 8080, "none");
  }
}

static void test_ports(void) {
  static const struct {
    const char *ports;
    guint16 port;
    bool covered;
  } cases[] = {
      {"", 0, true},
      {"", 1024, true},
      {"", 65535, true},
      {"", 1023, false}, /* never by accident */
      {"", 80, false},
      {", \"ports\": []", 8080, false},
      {", \"ports\": [80]", 80, true},
      {", \"ports\": [80]", 81, false},
      {", \"ports\": [80]", 0, false},
      {", \"ports\": [0]", 0, true},
      {", \"ports\": [\"0\"]", 0, true},
      {", \"ports\": [0]", 8080, false},
      {", \"ports\": [\"8000-8999\", 1]", 8000, true},
      {", \"ports\": [\"8000-8999\", 1]", 8999, true},
      {", \"ports\": [\"8000-8999\", 1]", 9000, false},
      {", \"ports\": [\"8000-8999\", 1]", 7999, false},
      {", \"ports\": [\"1-65535\"]", 0, false},
      {", \"ports\": [\"8080-8080\"]", 8080, true},
  };
  for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autofree char *rules = g_strdup_printf("[{\"users\": [\"*\"]%s}]", cases[i].ports);
    expect(rules, "0.0.0.0", cases[i].port, cases[i].covered ? "+" : "none");
  }
  expect("[{\"users\": [\"*\"], \"allow\": false}]", "0.0.0.0", 80, "-"); /* a denial without ports is of all */
  expect("[{\"users\": [\"*\"], \"allow\": false, \"ports\": [\"1-65535\"]}]", "0.0.0.0", 0, "-");
  expect("[{\"users\": [\"*\"], \"allow\": false, \"ports\": [\"1025-65535\"]}]", "0.0.0.0", 0, "none");
}

/* What a rule that allows holds, and what one that denies touches. */
static void test_addresses(void) {
  static const struct {
    const char *range, *address;
    bool held, touched;
  } cases[] = {
      {"all", "0.0.0.0", true, true},
      {"all", "::", true, true},
      {"all", "fe80::1%lo", true, true},
      {"::/0", "0.0.0.0", true, true},
      {"loopback", "127.0.0.1", true, true},
      {"loopback", "127.1.2.3", true, true},
      {"loopback", "::1", true, true},
      {"loopback", "::ffff:127.0.0.1", true, true},
      {"loopback", "0.0.0.0", false, true}, /* reached there, and elsewhere */
      {"loopback", "::", false, true},
      {"loopback", "192.168.0.1", false, false},
      {"loopback", "128.0.0.1", false, false},
      {"loopback", "::2", false, false},
      {"192.168.0.0/16", "192.168.255.255", true, true},
      {"192.168.0.0/16", "192.169.0.0", false, false},
      {"192.168.0.0/16", "::ffff:192.168.1.1", true, true},
      {"192.168.0.0/16", "0.0.0.0", false, true},
      {"192.168.0.0/17", "192.168.128.0", false, false},
      {"192.168.1.1", "192.168.1.1", true, true},
      {"192.168.1.1", "192.168.1.2", false, false},
      {"0.0.0.0/0", "0.0.0.0", true, true},
      {"0.0.0.0/0", "10.0.0.1", true, true},
      {"0.0.0.0/0", "::", false, true},
      {"0.0.0.0/0", "2001:db8::1", false, false},
      {"2001:db8::/32", "2001:db8:ffff::1", true, true},
      {"2001:db8::/32", "2001:db9::1", false, false},
      {"2001:db8::/32", "::", false, true},
      {"2001:db8::/32", "0.0.0.0", false, false},
      {"::/8", "10.0.0.1", false, false}, /* mapped addresses are IPv4's */
      {"::/8", "::1", true, true},
      {"::ffff:0:0/96", "10.0.0.1", true, true},
      {"fe80::/10", "fe80::1%lo", true, true},
  };
  for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autofree char *allows = g_strdup_printf("[{\"users\": [\"*\"], \"addresses\": [\"%s\"]}]", cases[i].range);
    g_autofree char *denies =
        g_strdup_printf("[{\"users\": [\"*\"], \"allow\": false, \"addresses\": [\"%s\"]}]", cases[i].range);
    expect(allows, cases[i].address, 8080, cases[i].held ? "+" : "none");
    expect(denies, cases[i].address, 8080, cases[i].touched ? "-" : "none");
  }
}

static void test_first_rule_decides(void) {
  static const char rules[] =
      "[{\"name\": \"no\", \"users\": [\"1000\"], \"allow\": false, \"ports\": [\"8000-8099\"]},\n"
      " {\"name\": \"yes\", \"users\": [\"*\"]},\n"
      " {\"users\": [\"1000\"], \"ports\": [80]}]";
  expect(rules, "0.0.0.0", 8050, "-rule \"no\" (file:1)");
  expect(rules, "0.0.0.0", 8100, "+rule \"yes\" (file:2)");
  expect(rules, "0.0.0.0", 80, "+rule 3 (file:3)");
  expect(rules, "0.0.0.0", 81, "none");
}

static void test_terms(void) {
  struct wsd_policy *policy = read_policy(
      "[{\"users\": [\"*\"], \"requireTls\": true, \"requireOrigin\": true, \"maxServers\": 2, "
      "\"maxConcurrentClientsNumber\": 3,"
      " \"maxConnectionsForOneClient\": 4, \"maxConnections\": 5, \"maxMessageSize\": 6000000000, \"nice\": 7}]",
      NULL);
  g_assert_null(policy); /* larger than any message may be */
  policy = read_policy(
      "[{\"users\": [\"*\"], \"requireTls\": true, \"requireOrigin\": true, \"maxServers\": 2, "
      "\"maxConcurrentClientsNumber\": 3,"
      " \"maxConnectionsForOneClient\": 4, \"maxConnections\": 5, \"maxMessageSize\": 6, \"maxQueueBytes\": 262144,"
      " \"maxWorkerMemory\": 4194304, \"nice\": 7}]",
      NULL);
  const struct wsd_terms *terms = &wsd_policy_rule(policy, 0)->terms;
  g_assert_true(terms->require_tls && terms->require_origin);
  g_assert_cmpuint(terms->max_servers, ==, 2);
  g_assert_cmpuint(terms->max_clients, ==, 3);
  g_assert_cmpuint(terms->max_per_client, ==, 4);
  g_assert_cmpuint(terms->max_connections, ==, 5);
  g_assert_cmpuint(terms->max_message, ==, 6);
  g_assert_cmpuint(terms->max_queue, ==, 262144);
  g_assert_cmpuint(terms->max_memory, ==, 4194304);
  g_assert_cmpuint(terms->nice, ==, 7);
  wsd_policy_free(policy);
}

static void test_faults(void) {
  static const struct {
    const char *rules, *message;
  } cases[] = {
      {"[7]", "file:1: policy[0]: must be a rule"},
      {"[{\"users\": [\"*\"]},\n{}]", "file:2: policy[1]: is for nobody"},
      {"[{\"users\": []}]", "file:1: policy[0]: is for nobody"},
      {"[{\"users\": [\"*\"],\n\"port\": [1]}]", "file:2: policy[0].port: unknown key"},
      {"[{\"users\": \"*\"}]", "policy[0].users: must be an array"},
      {"[{\"users\": [\"*\",\n2]}]", "file:2: policy[0].users[1]: must be a string"},
      {"[{\"users\": [\"*\"], \"allow\": 1}]", "policy[0].allow: must be true or false"},
      {"[{\"users\": [\"*\"], \"ports\": 80}]", "policy[0].ports: must be an array"},
      {"[{\"users\": [\"*\"], \"ports\": [65536]}]", "policy[0].ports[0]: must be from 0 to 65535"},
      {"[{\"users\": [\"*\"], \"ports\": [-1]}]", "policy[0].ports[0]: must be from 0 to 65535"},
      {"[{\"users\": [\"*\"], \"ports\": [\"9-8\"]}]", "policy[0].ports[0]: must be a port or a range"},
      {"[{\"users\": [\"*\"], \"ports\": [\"0-9\"]}]", "0, any free port, stands by itself"},
      {"[{\"users\": [\"*\"], \"ports\": [\"8000-\"]}]", "policy[0].ports[0]: must be a port or a range"},
      {"[{\"users\": [\"*\"], \"ports\": [1.5]}]", "policy[0].ports[0]: must be a port or a range"},
      {"[{\"users\": [\"*\"], \"addresses\": [\"localhost\"]}]", "policy[0].addresses[0]: localhost is neither"},
      {"[{\"users\": [\"*\"], \"addresses\": [\"10.0.0.0/33\"]}]", "the prefix behind the / must be from 0 to 32"},
      {"[{\"users\": [\"*\"], \"addresses\": [\"::/129\"]}]", "the prefix behind the / must be from 0 to 128"},
      {"[{\"users\": [\"*\"], \"addresses\": [\"10.0.0.1/8\"]}]", "has bits behind the prefix"},
      {"[{\"users\": [\"*\"], \"addresses\": [\"10.0.0.0/\"]}]", "the prefix behind the /"},
      {"[{\"users\": [\"*\"], \"maxServers\": 0}]", "policy[0].maxServers: must be from 1 to 64"},
      {"[{\"users\": [\"*\"], \"maxQueueBytes\": 1}]", "policy[0].maxQueueBytes: must be from"},
      {"[{\"users\": [\"*\"], \"nice\": -1}]", "policy[0].nice: must be from 0 to 19"},
      {"[{\"users\": [\"*\"], \"nice\": \"low\"}]", "policy[0].nice: must be a whole number"},
      {"[{\"users\": [\"*\"], \"allow\": false, \"nice\": 1}]", "denies, so nice has no meaning"},
      {"[{\"users\": [\"*\"], \"allow\": false, \"requireTls\": true}]", "denies, so requireTls has no meaning"},
      {"[{\"units\": [\"a.service\"], \"allow\": false}]", "denies, and may name no units"},
      {"[{\"users\": [\"*\"], \"name\": \"\"}]", "policy[0].name: must have 1 to"},
  };
  for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autofree char *fault = NULL;
    g_assert_null(read_policy(cases[i].rules, &fault));
    g_test_message("%s -> %s", cases[i].rules, fault);
    g_assert_nonnull(strstr(fault, cases[i].message));
  }
}

static void test_number_of_rules(void) {
  GString *text = g_string_new("[");
  for (guint i = 0; i < WSD_POLICY_RULES_MAX; i++)
    g_string_append(text, "{\"users\": [\"*\"]},");
  g_string_truncate(text, text->len - 1);
  g_string_append_c(text, ']');
  struct wsd_policy *policy = read_policy(text->str, NULL);
  g_assert_cmpuint(wsd_policy_size(policy), ==, WSD_POLICY_RULES_MAX);
  wsd_policy_free(policy);
  g_string_insert(text, 1, "{\"users\": [\"*\"]},");
  g_autofree char *fault = NULL;
  g_assert_null(read_policy(text->str, &fault));
  g_assert_nonnull(strstr(fault, "at most 512 are allowed"));
  g_string_free(text, TRUE);
}

static void test_lines(void) {
  static const char text[] = "\n{ \"a\": [1,\n2, {\"b\":\n \"]}\\\"\"}],\n\"c\\n\": {}, \"a\": 3}";
  guint line = 0;
  g_assert_cmpuint(wsd_json_line(text, ""), ==, 2);
  g_assert_cmpuint(wsd_json_line(text, "a[0]"), ==, 2);
  g_assert_cmpuint(wsd_json_line(text, "a[1]"), ==, 3);
  g_assert_cmpuint(wsd_json_line(text, "a[2].b"), ==, 3);
  g_assert_cmpuint(wsd_json_line(text, "c\n"), ==, 5);
  g_assert_cmpuint(wsd_json_line(text, "a"), ==, 5); /* the one that counts */
  g_assert_cmpuint(wsd_json_line(text, "d"), ==, 0);
  g_autofree char *twin = wsd_json_find_twin(text, &line);
  g_assert_cmpstr(twin, ==, "a");
  g_assert_cmpuint(line, ==, 5);
  g_assert_null(wsd_json_find_twin("{\"a\": {\"b\": 1}, \"b\": [{\"b\": 1}, {\"b\": 1}]}", &line));
}

static void test_refusals_say_what_to_do(void) {
  static const struct {
    const char *rules, *address;
    guint16 port;
    const char *message;
  } cases[] = {
      {"[]", "127.0.0.1", 8080, "no rule of the policy lets uid:1000"},
      {"[{\"users\": [\"1000\"], \"ports\": [1]}]", "127.0.0.1", 8080, "serverPort: no rule"},
      {"[{\"users\": [\"1000\"], \"addresses\": [\"loopback\"]}]", "0.0.0.0", 8080, "serverIP: no rule"},
      {"[{\"name\": \"no\", \"users\": [\"*\"], \"allow\": false, \"ports\": [8080]}, {\"users\": [\"*\"]}]", "0.0.0.0",
       8080, "rule \"no\" (file:1) denies uid:1000"},
  };
  for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
    struct wsd_policy *policy = read_policy(cases[i].rules, NULL);
    struct wsd_identity *identity = caller("{'UnixUserID': <uint32 1000>, 'UnixGroupIDs': <[uint32 1000]>}");
    struct sockaddr_storage address;
    socklen_t length;
    g_autoptr(GError) error = NULL;
    g_assert_true(wsd_listen_address_read(cases[i].address, &address, &length, NULL));
    bool may = wsd_policy_may_serve(policy, identity, &error) &&
               wsd_policy_admit(policy, identity, &address, cases[i].address, cases[i].port, &error);
    g_assert_false(may);
    g_assert_error(error, WSD_ERROR, WSD_ERROR_PERMISSION_DENIED);
    g_assert_nonnull(strstr(error->message, cases[i].message));
    g_assert_nonnull(strstr(error->message, "administrator"));
    wsd_identity_free(identity);
    wsd_policy_free(policy);
  }
}

/* Who is denied everything before any rule allows something may not serve at all. */
static void test_denied_as_a_whole(void) {
  struct wsd_policy *policy = read_policy("[{\"users\": [\"1000\"], \"allow\": false}, {\"users\": [\"*\"]}]", NULL);
  struct wsd_identity *denied = caller("{'UnixUserID': <uint32 1000>}"), *other = caller("{'UnixUserID': <uint32 1>}");
  g_assert_false(wsd_policy_may_serve(policy, denied, NULL));
  g_assert_true(wsd_policy_may_serve(policy, other, NULL));
  wsd_identity_free(denied);
  wsd_identity_free(other);
  wsd_policy_free(policy);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/policy/without a rule nobody serves", test_nobody_by_default);
  g_test_add_func("/policy/a rule is for users, groups and labels", test_who);
  g_test_add_func("/policy/a rule covers its ports", test_ports);
  g_test_add_func("/policy/a rule covers its addresses", test_addresses);
  g_test_add_func("/policy/the first rule that fits decides", test_first_rule_decides);
  g_test_add_func("/policy/a rule sets terms", test_terms);
  g_test_add_func("/policy/every fault names file, line and key", test_faults);
  g_test_add_func("/policy/the number of rules is bounded", test_number_of_rules);
  g_test_add_func("/policy/lines of a text are found", test_lines);
  g_test_add_func("/policy/a refusal says what to do", test_refusals_say_what_to_do);
  g_test_add_func("/policy/who is denied everything may not serve at all", test_denied_as_a_whole);
  return g_test_run();
}
