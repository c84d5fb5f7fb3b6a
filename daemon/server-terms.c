/* SPDX-License-Identifier: Apache-2.0 */
/* On what terms a server may run: judged when it starts, and again when policy or profile may have changed. */
#include "daemon/account.h"
#include "daemon/app.h"
#include "daemon/device-profile.h"
#include "daemon/journal.h"
#include "daemon/policy.h"
#include "daemon/server-private.h"

static void take_terms(struct wsd_server *server, const struct wsd_terms *terms) {
  char *rule = g_strdup(terms->source);
  g_free(server->rule);
  server->rule = rule;
  server->terms = *terms;
  server->terms.source = rule;
}

static bool is_active(const struct wsd_server *server) {
  return server->state == WSD_SERVER_STARTING || server->state == WSD_SERVER_RUNNING ||
         server->state == WSD_SERVER_STOPPING;
}

static bool check_number(const struct wsd_server *server, const struct wsd_terms *terms, GError **error) {
  GTree *servers = server->service->servers;
  guint active = 0;
  for (GTreeNode *node = g_tree_node_first(servers); node; node = g_tree_node_next(node)) {
    const struct wsd_server *other = g_tree_node_value(node);
    active += other != server && is_active(other) && other->app->account == server->app->account;
  }
  if (active < terms->max_servers)
    return true;
  g_set_error(error, WSD_ERROR, WSD_ERROR_LIMIT_EXCEEDED,
              "%s has %u servers running, and %s allows %u at a time; Stop one", server->app->identity->app_id, active,
              terms->source, terms->max_servers);
  return false;
}

bool wsd_server_owner_has_room(void *user) {
  const struct wsd_server *server = user;
  GTree *servers = server->service->servers;
  gsize queued = 0;
  for (GTreeNode *node = g_tree_node_first(servers); node; node = g_tree_node_next(node)) {
    const struct wsd_server *other = g_tree_node_value(node);
    if (other->app->account == server->app->account)
      queued += wsd_traffic_queued(other->traffic);
  }
  return queued < WSD_ACCOUNT_QUEUE_HIGH;
}

static bool check_profile(const struct wsd_config *config, GError **error) {
  if (wsd_device_profile_allows_servers(config))
    return true;
  g_set_error(error, WSD_ERROR, WSD_ERROR_NOT_SUPPORTED,
              "this device's profile, %s, may not run servers; use a device that may", wsd_device_profile(config));
  return false;
}

bool wsd_server_admit(struct wsd_server *server, GVariant *dictionary, GUnixFDList *fds,
                      struct wsd_start_options *options, GError **error) {
  const struct wsd_config *config = server->service->config;
  const struct wsd_identity *identity = server->app->identity;
  if (!check_profile(config, error) || !wsd_policy_may_serve(config->policy, identity, error) ||
      !wsd_start_options_read_place(dictionary, options, error))
    return false;
  const struct wsd_rule *rule =
      wsd_policy_admit(config->policy, identity, &options->address, options->server_ip, options->server_port, error);
  if (!rule || !check_number(server, &rule->terms, error) ||
      !wsd_start_options_read_rest(dictionary, fds, server->by_channel, &rule->terms, options, error))
    return false;
  take_terms(server, &rule->terms);
  return true;
}

/* What is running, or about to; before a certificate is read, the Start under way. */
static const struct wsd_start_options *present_options(const struct wsd_server *server) {
  return server->wanted.server_ip ? &server->wanted : &server->options;
}

/* What was admitted once is admitted again, or not. The port is the one that was asked for: a free one is not judged as what it
 * became. */
static const struct wsd_rule *judge(const struct wsd_server *server, GError **error) {
  const struct wsd_start_options *options = present_options(server);
  const struct wsd_rule *rule = wsd_policy_admit(server->service->config->policy, server->app->identity,
                                                 &options->address, options->server_ip, options->asked_port, error);
  if (rule && rule->terms.require_tls && !options->tls)
    g_set_error(error, WSD_ERROR, WSD_ERROR_PERMISSION_DENIED, "%s now lets you serve with TLS only", rule->title);
  else if (rule && rule->terms.require_origin && !options->allowed_origins)
    g_set_error(error, WSD_ERROR, WSD_ERROR_PERMISSION_DENIED, "%s now lets you serve named origins only", rule->title);
  else
    return rule;
  return NULL;
}

static void forbid(struct wsd_server *server, enum wsd_error code, const char *text) {
  struct wsd_scene scene = wsd_scene_of_server(server);
  scene.error = wsd_error_name(code);
  wsd_journal(WSD_EVENT_FORBIDDEN, &scene, "server %" G_GUINT64_FORMAT " of %s: %s", server->number,
              server->app->account->app_id, text);
  wsd_traffic_error(server->traffic, code, text);
  wsd_server_begin_stop(server);
}

void wsd_server_reconsider(struct wsd_server *server) {
  const struct wsd_config *config = server->service->config;
  g_autoptr(GError) error = NULL;
  if (server->state != WSD_SERVER_STARTING && server->state != WSD_SERVER_RUNNING)
    return;
  if (!wsd_device_profile_allows_servers(config)) {
    g_autofree char *text = g_strdup_printf(
        "this device's profile is now %s, which may not run servers: the server stops", wsd_device_profile(config));
    forbid(server, WSD_ERROR_NOT_SUPPORTED, text);
    return;
  }
  const struct wsd_rule *rule = judge(server, &error);
  if (!rule) {
    g_autofree char *text = g_strdup_printf("%s: the server stops", error->message);
    forbid(server, WSD_ERROR_PERMISSION_DENIED, text);
    return;
  }
  take_terms(server, &rule->terms);
  wsd_server_adjust_worker(server);
}
