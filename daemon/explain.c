/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/explain.h"

#include "daemon/device-profile.h"
#include "daemon/error.h"
#include "daemon/listen-address.h"
#include "daemon/policy.h"

#include <string.h>

struct place_asked {
  const char *who;
  struct sockaddr_storage address;
  const char *address_text;
  guint16 port;
};

static enum wsd_verdict fault(GError **error, const char *what, const char *text) {
  g_set_error(error, WSD_ERROR, WSD_ERROR_FAILED, "%s: %s", text, what);
  return WSD_VERDICT_FAULT;
}

static void append_list(GString *words, const char *what, GStrv list) {
  if (!list || !list[0])
    return;
  g_autofree char *joined = g_strjoinv(", ", list);
  g_string_append_printf(words, "%s %s; ", what, joined);
}

static void append_addressees(GString *words, const struct wsd_rule *rule) {
  append_list(words, "users", rule->users);
  append_list(words, "groups", rule->groups);
  append_list(words, "labels", rule->labels);
  append_list(words, "units", rule->units);
  g_string_truncate(words, words->len - 2);
}

static void append_ports(GString *words, const struct wsd_rule *rule) {
  if (!rule->ports) {
    g_string_append(words, rule->allow ? "any port from 1024 on, and a free one (0)" : "any port");
    return;
  }
  g_string_append(words, rule->ports->len > 0 ? "port " : "no port");
  for (guint i = 0; i < rule->ports->len; i++) {
    const struct wsd_port_range *range = &g_array_index(rule->ports, struct wsd_port_range, i);
    g_string_append_printf(words, i > 0 ? ", %u" : "%u", range->first);
    if (range->last != range->first)
      g_string_append_printf(words, "-%u", range->last);
  }
}

static void append_addresses(GString *words, const struct wsd_rule *rule) {
  g_autofree char *list = rule->address_texts ? g_strjoinv(", ", rule->address_texts) : g_strdup("any address");
  g_string_append_printf(words, " of %s\n", *list ? list : "no address");
}

static void append_terms(GString *words, const struct wsd_terms *terms) {
  const struct wsd_terms wide = WSD_TERMS_WIDEST;
  if (terms->require_tls)
    g_string_append(words, "    with TLS only\n");
  if (terms->require_origin)
    g_string_append(words, "    with allowedOrigins, and to peers that send an Origin only\n");
  if (terms->max_servers < wide.max_servers)
    g_string_append_printf(words, "    at most %u servers at a time\n", terms->max_servers);
  if (terms->max_clients < wide.max_clients)
    g_string_append_printf(words, "    at most %u clients of a server\n", terms->max_clients);
  if (terms->max_per_client < wide.max_per_client)
    g_string_append_printf(words, "    at most %u connections of one client\n", terms->max_per_client);
  if (terms->max_connections < wide.max_connections)
    g_string_append_printf(words, "    at most %u connections of a server\n", terms->max_connections);
  if (terms->max_message < wide.max_message)
    g_string_append_printf(words, "    messages of at most %" G_GUINT64_FORMAT " octets\n", terms->max_message);
  if (terms->max_queue < wide.max_queue)
    g_string_append_printf(words, "    at most %u octets waiting for one connection\n", terms->max_queue);
  if (terms->max_memory > 0)
    g_string_append_printf(words, "    at most %" G_GUINT64_FORMAT " octets held for the peers of a server\n",
                           terms->max_memory);
  if (terms->nice > 0)
    g_string_append_printf(words, "    at nice value %u\n", terms->nice);
}

/* Why the first rule that is for the user and yet does not decide was passed over. */
static void append_passed_over(GString *words, const struct wsd_rule *rule, const struct place_asked *asked) {
  g_string_append_printf(words, "  passed over: %s ", rule->title);
  if (wsd_rule_covers_port(rule, asked->port))
    g_string_append_printf(words, "is not about %s\n", asked->address_text);
  else
    g_string_append_printf(words, "is not about port %u\n", asked->port);
}

static enum wsd_verdict explain_place(const struct wsd_config *config, const struct wsd_identity *identity,
                                      const struct place_asked *asked, GString *words) {
  const struct wsd_rule *rule = wsd_policy_find(config->policy, identity, &asked->address, asked->port);
  g_string_append_printf(words, "%s on port %u of %s: %s\n", asked->who, asked->port, asked->address_text,
                         rule && rule->allow ? "may serve" : "may not serve");
  for (guint i = 0; i < wsd_policy_size(config->policy) && wsd_policy_rule(config->policy, i) != rule; i++)
    if (wsd_rule_is_for(wsd_policy_rule(config->policy, i), identity))
      append_passed_over(words, wsd_policy_rule(config->policy, i), asked);
  if (!rule) {
    g_string_append(words, "  because no rule for that user covers it\n");
    return WSD_VERDICT_MAY_NOT;
  }
  g_string_append_printf(words, "  because %s %s it to ", rule->title, rule->allow ? "allows" : "denies");
  append_addressees(words, rule);
  g_string_append_c(words, '\n');
  if (!rule->allow)
    return WSD_VERDICT_MAY_NOT;
  append_terms(words, &rule->terms);
  return WSD_VERDICT_MAY;
}

static enum wsd_verdict explain_user(const struct wsd_config *config, const struct wsd_identity *identity,
                                     const char *who, GString *words) {
  g_autoptr(GError) denial = NULL;
  bool may = wsd_policy_may_serve(config->policy, identity, &denial);
  g_string_append_printf(words, "%s: %s\n", who, may ? "may serve" : "may not serve");
  for (guint i = 0; i < wsd_policy_size(config->policy); i++) {
    const struct wsd_rule *rule = wsd_policy_rule(config->policy, i);
    if (!wsd_rule_is_for(rule, identity))
      continue;
    g_string_append_printf(words, "  %s %s ", rule->title, rule->allow ? "allows" : "denies");
    append_ports(words, rule);
    append_addresses(words, rule);
    if (rule->allow)
      append_terms(words, &rule->terms);
  }
  if (!may)
    g_string_append_printf(words, "  because %s\n", denial->message);
  return may ? WSD_VERDICT_MAY : WSD_VERDICT_MAY_NOT;
}

/* Rules by label or unit say nothing of a user alone. */
static void append_doubts(const struct wsd_config *config, const struct wsd_question *question, GString *words) {
  for (guint i = 0; i < wsd_policy_size(config->policy); i++) {
    const struct wsd_rule *rule = wsd_policy_rule(config->policy, i);
    bool by_label = rule->labels && rule->labels[0] && !question->label;
    if (by_label || (rule->units && rule->units[0]))
      g_string_append_printf(words, "  %s is by %s too, which is not known here%s\n", rule->title,
                             by_label ? "label" : "unit", by_label ? "; see --label" : "");
  }
}

enum wsd_verdict wsd_explain(const struct wsd_config *config, const struct wsd_question *question, GString *words,
                             GError **error) {
  struct place_asked asked = {.address_text = question->address ? question->address : "0.0.0.0"};
  guint64 port = 0;
  socklen_t length;
  enum wsd_verdict verdict;
  struct wsd_identity *identity = wsd_identity_of_user(question->user, question->label, error);
  if (!identity)
    return WSD_VERDICT_FAULT;
  bool by_number = g_ascii_isdigit(question->user[0]);
  g_autofree char *who =
      by_number ? g_strdup(identity->app_id) : g_strdup_printf("%s (%s)", question->user, identity->app_id);
  asked.who = who;
  bool right = !question->port || g_ascii_string_to_unsigned(question->port, 10, 0, 65535, &port, NULL);
  asked.port = (guint16)port;
  if (!right)
    verdict = fault(error, "is no port: 0 to 65535", question->port);
  else if (question->port && !wsd_listen_address_read(asked.address_text, &asked.address, &length, error))
    verdict = WSD_VERDICT_FAULT;
  else if (question->port)
    verdict = explain_place(config, identity, &asked, words);
  else
    verdict = explain_user(config, identity, who, words);
  if (verdict != WSD_VERDICT_FAULT)
    append_doubts(config, question, words);
  if (verdict == WSD_VERDICT_MAY && !wsd_device_profile_allows_servers(config)) {
    g_string_append_printf(words, "  but this device's profile, %s, may run no servers at all\n",
                           wsd_device_profile(config));
    verdict = WSD_VERDICT_MAY_NOT;
  }
  wsd_identity_free(identity);
  return verdict;
}
