/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/policy-rule.h"

#include "daemon/address-range.h"
#include "daemon/json-lines.h"
#include "daemon/user-names.h"

#include <errno.h>
#include <string.h>

#define FIRST_ORDINARY_PORT 1024u

/* Reading */

static bool read_port_range(const char *text, struct wsd_port_range *range) {
  g_auto(GStrv) parts = g_strsplit(text, "-", 2);
  guint64 first, last;
  if (!parts[0] || !g_ascii_string_to_unsigned(parts[0], 10, 0, 65535, &first, NULL))
    return false;
  last = first;
  if (parts[1] && (!g_ascii_string_to_unsigned(parts[1], 10, 1, 65535, &last, NULL) || first == 0 || last < first))
    return false;
  *range = (struct wsd_port_range){(guint16)first, (guint16)last};
  return true;
}

static bool read_port(json_object *value, const struct wsd_place *place, struct wsd_port_range *range, GError **error) {
  guint64 number;
  if (json_object_is_type(value, json_type_int)) {
    if (!wsd_value_number(value, place, 0, 65535, &number, error))
      return false;
    *range = (struct wsd_port_range){(guint16)number, (guint16)number};
    return true;
  }
  g_autofree char *text = NULL;
  if (!json_object_is_type(value, json_type_string))
    return wsd_place_fault(place, error, "must be a port or a range of ports like \"8000-8999\"");
  if (!wsd_value_name(value, place, &text, error))
    return false;
  return read_port_range(text, range) ||
         wsd_place_fault(place, error,
                         "must be a port or a range of ports like \"8000-8999\"; 0, any free port, stands by itself");
}

static bool read_ports(struct wsd_rule *rule, json_object *value, const struct wsd_place *place, GError **error) {
  if (!wsd_value_is_list(value, place, "ports", error))
    return false;
  rule->ports = g_array_new(FALSE, FALSE, sizeof(struct wsd_port_range));
  for (size_t i = 0; i < json_object_array_length(value); i++) {
    g_autofree char *path = g_strdup_printf("%s[%zu]", place->path, i);
    const struct wsd_place entry = {place->file, place->text, path};
    struct wsd_port_range range;
    if (!read_port(json_object_array_get_idx(value, i), &entry, &range, error))
      return false;
    g_array_append_val(rule->ports, range);
  }
  return true;
}

static bool read_addresses(struct wsd_rule *rule, json_object *value, const struct wsd_place *place, GError **error) {
  if (!wsd_value_names(value, place, &rule->address_texts, error))
    return false;
  rule->addresses = g_array_new(FALSE, FALSE, sizeof(struct wsd_address_range));
  for (guint i = 0; rule->address_texts[i]; i++) {
    g_autofree char *path = g_strdup_printf("%s[%u]", place->path, i);
    const struct wsd_place entry = {place->file, place->text, path};
    const char *problem = wsd_address_ranges_add(rule->addresses, rule->address_texts[i]);
    if (problem)
      return wsd_place_fault(&entry, error, "%s %s", rule->address_texts[i], problem);
  }
  return true;
}

/* Keys of lists of names, of flags and of numbers: where each goes, and its bounds. */
#define IN_RULE(member) offsetof(struct wsd_rule, member)

static const struct {
  const char *key;
  size_t offset;
} name_lists[] = {
    {"users", IN_RULE(users)},
    {"groups", IN_RULE(groups)},
    {"labels", IN_RULE(labels)},
    {"units", IN_RULE(units)},
};

static const struct {
  const char *key;
  size_t offset;
} flags[] = {
    {"allow", IN_RULE(allow)},
    {"requireTls", IN_RULE(terms.require_tls)},
    {"requireOrigin", IN_RULE(terms.require_origin)},
};

static const struct {
  const char *key;
  size_t offset;
  bool wide; /* 64 bits */
  guint64 least, most;
} numbers[] = {
    {"maxServers", IN_RULE(terms.max_servers), false, 1, WSD_SERVERS_PER_ACCOUNT_MAX},
    {"maxConcurrentClientsNumber", IN_RULE(terms.max_clients), false, 1, WSD_CLIENTS_CEILING},
    {"maxConnectionsForOneClient", IN_RULE(terms.max_per_client), false, 1, WSD_CLIENTS_CEILING},
    {"maxConnections", IN_RULE(terms.max_connections), false, 1, WSD_CONNECTIONS_MAX},
    {"maxMessageSize", IN_RULE(terms.max_message), true, 1, WSC_MESSAGE_MAX},
    {"maxQueueBytes", IN_RULE(terms.max_queue), false, WSD_PEER_QUEUE_LEAST, WSC_PEER_QUEUE_HIGH},
    {"maxWorkerMemory", IN_RULE(terms.max_memory), true, WSD_WORKER_MEMORY_LEAST, WSD_WORKER_MEMORY_MOST},
    {"nice", IN_RULE(terms.nice), false, 0, 19},
};

static bool read_number(struct wsd_rule *rule, size_t at, json_object *value, const struct wsd_place *place,
                        GError **error) {
  guint64 number;
  if (!wsd_value_number(value, place, numbers[at].least, numbers[at].most, &number, error))
    return false;
  char *target = (char *)rule + numbers[at].offset;
  if (numbers[at].wide)
    *(guint64 *)(void *)target = number;
  else
    *(guint32 *)(void *)target = (guint32)number;
  return true;
}

static bool read_key(struct wsd_rule *rule, const char *key, json_object *value, const struct wsd_place *place,
                     char **name, GError **error) {
  for (size_t i = 0; i < G_N_ELEMENTS(name_lists); i++)
    if (g_str_equal(key, name_lists[i].key))
      return wsd_value_names(value, place, (GStrv *)(void *)((char *)rule + name_lists[i].offset), error);
  for (size_t i = 0; i < G_N_ELEMENTS(flags); i++)
    if (g_str_equal(key, flags[i].key))
      return wsd_value_flag(value, place, (bool *)(void *)((char *)rule + flags[i].offset), error);
  for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
    if (g_str_equal(key, numbers[i].key))
      return read_number(rule, i, value, place, error);
  if (g_str_equal(key, "name"))
    return wsd_value_name(value, place, name, error);
  if (g_str_equal(key, "ports"))
    return read_ports(rule, value, place, error);
  if (g_str_equal(key, "addresses"))
    return read_addresses(rule, value, place, error);
  return wsd_place_fault(place, error, "unknown key; see POLICY in wsserverd.json(5)");
}

static bool is_empty(GStrv list) {
  return !list || !list[0];
}

/* What would mean something else than its author thinks. */
static bool check_whole(const struct wsd_rule *rule, json_object *value, const struct wsd_place *place,
                        GError **error) {
  static const char *const terms[] = {"requireTls", "requireOrigin"};
  if (is_empty(rule->users) && is_empty(rule->groups) && is_empty(rule->labels) && is_empty(rule->units))
    return wsd_place_fault(place, error,
                           "is for nobody: name users, groups or labels; \"users\": [\"*\"] is everybody");
  if (rule->allow)
    return true;
  for (size_t i = 0; i < G_N_ELEMENTS(terms); i++)
    if (json_object_object_get_ex(value, terms[i], NULL))
      return wsd_place_fault(place, error, "denies, so %s has no meaning; leave it out", terms[i]);
  for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
    if (json_object_object_get_ex(value, numbers[i].key, NULL))
      return wsd_place_fault(place, error, "denies, so %s has no meaning; leave it out", numbers[i].key);
  /* The unit of a caller is not known on every bus: a rule that it escapes would be no denial. */
  if (!is_empty(rule->units))
    return wsd_place_fault(place, error, "denies, and may name no units: not every bus tells the unit of a caller");
  return true;
}

/* Once, so that no call has to wait for it, and so that a rule which denies does not let somebody pass because of a lookup that fails: then
 * the configuration is not taken. */
static bool look_up(GStrv names, const char *kind, enum wsd_name_result (*number_of)(const char *, guint32 *),
                    GArray *found, const struct wsd_place *place, GError **error) {
  for (guint i = 0; names && names[i]; i++) {
    guint32 number;
    g_autofree char *path = g_strdup_printf("%s.%s[%u]", place->path, kind, i);
    const struct wsd_place entry = {place->file, place->text, path};
    enum wsd_name_result result = g_str_equal(names[i], "*") ? WSD_NAME_UNKNOWN : number_of(names[i], &number);
    if (result == WSD_NAME_FAILED)
      return wsd_place_fault(&entry, error, "%s cannot be looked up: %s", names[i], g_strerror(errno));
    if (result == WSD_NAME_FOUND)
      g_array_append_val(found, number);
  }
  return true;
}

static bool look_up_names(struct wsd_rule *rule, const struct wsd_place *place, GError **error) {
  rule->uids = g_array_new(FALSE, FALSE, sizeof(guint32));
  rule->gids = g_array_new(FALSE, FALSE, sizeof(guint32));
  rule->everybody = rule->users && g_strv_contains((const char *const *)rule->users, "*");
  return look_up(rule->users, "users", wsd_user_number, rule->uids, place, error) &&
         look_up(rule->groups, "groups", wsd_group_number, rule->gids, place, error);
}

static char *make_title(const struct wsd_place *place, guint index, const char *name) {
  guint line = place->text ? wsd_json_line(place->text, place->path) : 0;
  g_autofree char *who = name ? g_strdup_printf("\"%s\"", name) : g_strdup_printf("%u", index + 1);
  char *title = g_strdup_printf("rule %s (%s:%u)", who, place->file, line);
  for (char *at = title; *at; at++)
    if (g_ascii_iscntrl(*at))
      *at = ' ';
  return title;
}

struct wsd_rule *wsd_rule_read(json_object *value, const struct wsd_place *place, guint index, GError **error) {
  if (!json_object_is_type(value, json_type_object)) {
    wsd_place_fault(place, error, "must be a rule: an object");
    return NULL;
  }
  struct wsd_rule *rule = g_new0(struct wsd_rule, 1);
  g_autofree char *name = NULL;
  bool right = true;
  rule->allow = true;
  rule->terms = WSD_TERMS_WIDEST;
  json_object_object_foreach(value, key, entry) {
    g_autofree char *path = g_strdup_printf("%s.%s", place->path, key);
    const struct wsd_place inner = {place->file, place->text, path};
    if (right)
      right = read_key(rule, key, entry, &inner, &name, error);
  }
  if (!right || !check_whole(rule, value, place, error) || !look_up_names(rule, place, error)) {
    wsd_rule_free(rule);
    return NULL;
  }
  rule->title = make_title(place, index, name);
  rule->terms.source = rule->title;
  return rule;
}

void wsd_rule_free(struct wsd_rule *rule) {
  g_free(rule->title);
  g_strfreev(rule->users);
  g_strfreev(rule->groups);
  g_strfreev(rule->labels);
  g_strfreev(rule->units);
  g_clear_pointer(&rule->uids, g_array_unref);
  g_clear_pointer(&rule->gids, g_array_unref);
  g_clear_pointer(&rule->ports, g_array_unref);
  g_clear_pointer(&rule->addresses, g_array_unref);
  g_strfreev(rule->address_texts);
  g_free(rule);
}

/* Matching */

static bool any_pattern(GStrv patterns, const char *text) {
  for (char **pattern = patterns; text && pattern && *pattern; pattern++)
    if (g_pattern_match_simple(*pattern, text))
      return true;
  return false;
}

bool wsd_rule_is_for(const struct wsd_rule *rule, const struct wsd_identity *identity) {
  if (rule->everybody)
    return true;
  for (guint i = 0; i < rule->uids->len; i++)
    if (g_array_index(rule->uids, guint32, i) == identity->uid)
      return true;
  for (guint i = 0; i < rule->gids->len; i++)
    if (wsd_identity_has_group(identity, g_array_index(rule->gids, guint32, i)))
      return true;
  return any_pattern(rule->labels, identity->label) ||
         any_pattern(rule->units, identity->unit_is_certain ? identity->unit : NULL);
}

bool wsd_rule_covers_port(const struct wsd_rule *rule, guint16 port) {
  if (!rule->ports)
    return !rule->allow || port == 0 || port >= FIRST_ORDINARY_PORT;
  for (guint i = 0; i < rule->ports->len; i++) {
    const struct wsd_port_range *range = &g_array_index(rule->ports, struct wsd_port_range, i);
    bool is_all = range->first <= FIRST_ORDINARY_PORT && range->last == G_MAXUINT16;
    if ((port >= range->first && port <= range->last) || (port == 0 && is_all && !rule->allow))
      return true; /* where every ordinary port is denied, none of them may be had as a free one */
  }
  return false;
}

bool wsd_rule_covers_address(const struct wsd_rule *rule, const struct sockaddr_storage *address) {
  if (!rule->addresses)
    return true;
  return rule->allow ? wsd_address_ranges_hold(rule->addresses, address)
                     : wsd_address_ranges_touch(rule->addresses, address);
}
