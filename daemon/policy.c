/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/policy.h"

#include "daemon/error.h"

struct wsd_policy {
  GPtrArray *rules; /* of struct wsd_rule */
};

struct wsd_policy *wsd_policy_new(void) {
  struct wsd_policy *policy = g_new(struct wsd_policy, 1);
  policy->rules = g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))wsd_rule_free);
  return policy;
}

void wsd_policy_free(struct wsd_policy *policy) {
  if (!policy)
    return;
  g_ptr_array_unref(policy->rules);
  g_free(policy);
}

bool wsd_policy_read(struct wsd_policy *policy, json_object *value, const struct wsd_place *place, GError **error) {
  if (!json_object_is_type(value, json_type_array))
    return wsd_place_fault(place, error, "must be an array of rules");
  size_t length = json_object_array_length(value);
  if (policy->rules->len + length > WSD_POLICY_RULES_MAX)
    return wsd_place_fault(place, error, "makes it %zu rules in all, at most %u are allowed",
                           policy->rules->len + length, WSD_POLICY_RULES_MAX);
  for (size_t i = 0; i < length; i++) {
    g_autofree char *path = g_strdup_printf("%s[%zu]", place->path, i);
    const struct wsd_place entry = {place->file, place->text, path};
    struct wsd_rule *rule = wsd_rule_read(json_object_array_get_idx(value, i), &entry, (guint)i, error);
    if (!rule)
      return false;
    g_ptr_array_insert(policy->rules, (gint)i, rule);
  }
  return true;
}

guint wsd_policy_size(const struct wsd_policy *policy) {
  return policy->rules->len;
}

const struct wsd_rule *wsd_policy_rule(const struct wsd_policy *policy, guint index) {
  return policy->rules->pdata[index];
}

const struct wsd_rule *wsd_policy_about_units(const struct wsd_policy *policy) {
  for (guint i = 0; i < policy->rules->len; i++) {
    const struct wsd_rule *rule = policy->rules->pdata[i];
    if (rule->units && rule->units[0])
      return rule;
  }
  return NULL;
}

bool wsd_policy_may_serve(const struct wsd_policy *policy, const struct wsd_identity *identity, GError **error) {
  const struct wsd_rule *denies = NULL;
  for (guint i = 0; i < policy->rules->len && !denies; i++) {
    const struct wsd_rule *rule = policy->rules->pdata[i];
    if (!wsd_rule_is_for(rule, identity))
      continue;
    if (rule->allow)
      return true;
    if (!rule->ports && !rule->addresses)
      denies = rule;
  }
  if (denies)
    g_set_error(error, WSD_ERROR, WSD_ERROR_PERMISSION_DENIED, "%s denies %s to serve; the administrator can change it",
                denies->title, identity->app_id);
  else
    g_set_error(error, WSD_ERROR, WSD_ERROR_PERMISSION_DENIED,
                "no rule of the policy lets %s serve; the administrator can add one, see POLICY in wsserverd.json(5)",
                identity->app_id);
  return false;
}

const struct wsd_rule *wsd_policy_find(const struct wsd_policy *policy, const struct wsd_identity *identity,
                                       const struct sockaddr_storage *address, guint16 port) {
  for (guint i = 0; i < policy->rules->len; i++) {
    const struct wsd_rule *rule = policy->rules->pdata[i];
    if (wsd_rule_is_for(rule, identity) && wsd_rule_covers_port(rule, port) && wsd_rule_covers_address(rule, address))
      return rule;
  }
  return NULL;
}

/* The option that is to blame where no rule covers both: the address, if the port is allowed on another one. */
static const char *blame(const struct wsd_policy *policy, const struct wsd_identity *identity, guint16 port) {
  for (guint i = 0; i < policy->rules->len; i++) {
    const struct wsd_rule *rule = policy->rules->pdata[i];
    if (rule->allow && wsd_rule_is_for(rule, identity) && wsd_rule_covers_port(rule, port))
      return "serverIP";
  }
  return "serverPort";
}

const struct wsd_rule *wsd_policy_admit(const struct wsd_policy *policy, const struct wsd_identity *identity,
                                        const struct sockaddr_storage *address, const char *address_text, guint16 port,
                                        GError **error) {
  const struct wsd_rule *rule = wsd_policy_find(policy, identity, address, port);
  if (rule && rule->allow)
    return rule;
  if (rule)
    g_set_error(error, WSD_ERROR, WSD_ERROR_PERMISSION_DENIED,
                "%s denies %s to serve port %u of %s; choose another, or ask the administrator", rule->title,
                identity->app_id, port, address_text);
  else
    g_set_error(error, WSD_ERROR, WSD_ERROR_PERMISSION_DENIED,
                "%s: no rule of the policy lets %s serve port %u of %s; choose another (wsserverd --explain shows "
                "which), or ask the administrator",
                blame(policy, identity, port), identity->app_id, port, address_text);
  return NULL;
}
