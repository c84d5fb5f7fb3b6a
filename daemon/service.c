/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/service.h"

#include "daemon/account.h"
#include "daemon/ban-desk.h"
#include "daemon/delivery.h"
#include "daemon/device-profile.h"
#include "daemon/journal.h"
#include "daemon/keeper.h"
#include "daemon/limits.h"
#include "daemon/names.h"
#include "daemon/policy.h"
#include "daemon/server.h"

static gint compare_numbers(gconstpointer a, gconstpointer b, gpointer unused) {
  (void)unused;
  guint64 left = *(const guint64 *)a;
  guint64 right = *(const guint64 *)b;
  return left < right ? -1 : left > right;
}

struct wsd_service *wsd_service_new(const struct wsd_config_source *config_source, struct wsd_config *config,
                                    const char *worker_path, bool system_bus, struct wsd_supervisor *supervisor) {
  struct wsd_service *service = g_new0(struct wsd_service, 1);
  service->supervisor = supervisor;
  service->keeper = wsd_keeper_new(service, supervisor);
  service->ban_desk = wsd_ban_desk_new(service);
  service->config_source = *config_source;
  service->config = config;
  service->worker_path = g_strdup(worker_path);
  service->system_bus = system_bus;
  service->timing = (struct wsd_timing){
      .ready_timeout = WSD_READY_TIMEOUT_MS,
      .prepare_timeout = WSD_PREPARE_TIMEOUT_MS,
      .stop_deadline = WSD_STOP_DEADLINE_MS,
      .stop_grace = WSD_STOP_GRACE_MS,
      .restart_delay_min = WSD_RESTART_DELAY_MIN_MS,
      .restart_delay_max = WSD_RESTART_DELAY_MAX_MS,
  };
  service->apps = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)wsd_app_unref);
  service->accounts = wsd_accounts_new();
  service->servers = g_tree_new_full(compare_numbers, NULL, g_free, NULL);
  return service;
}

/* Everything an app owns goes with it. */
static void drop_app(struct wsd_app *app) {
  wsd_app_leave(app);
  while (app->servers->len > 0)
    wsd_server_abandon(app->servers->pdata[app->servers->len - 1]);
}

static void drop_all_apps(struct wsd_service *service) {
  g_autoptr(GPtrArray) apps = g_ptr_array_new_with_free_func((GDestroyNotify)wsd_app_unref);
  GHashTableIter iterator;
  gpointer app;
  g_hash_table_iter_init(&iterator, service->apps);
  while (g_hash_table_iter_next(&iterator, NULL, &app))
    g_ptr_array_add(apps, wsd_app_ref(app));
  g_hash_table_remove_all(service->apps);
  g_ptr_array_foreach(apps, (GFunc)(void (*)(void))drop_app, NULL);
}

void wsd_service_free(struct wsd_service *service) {
  wsd_ban_desk_free(service->ban_desk);
  drop_all_apps(service);
  g_clear_object(&service->connection);
  g_clear_pointer(&service->keeper, wsd_keeper_free);
  g_free(service->bus_guid);
  g_hash_table_unref(service->apps);
  wsd_accounts_free(service->accounts);
  g_tree_unref(service->servers);
  wsd_config_free(service->config);
  g_free(service->worker_path);
  g_free(service);
}

void wsd_service_set_connection(struct wsd_service *service, GDBusConnection *connection) {
  if (!connection)
    drop_all_apps(service);
  g_set_object(&service->connection, connection);
}

struct wsd_app *wsd_service_app(struct wsd_service *service, const char *name) {
  struct wsd_app *app = g_hash_table_lookup(service->apps, name);
  if (app)
    return app;
  if (g_hash_table_size(service->apps) >= WSD_APPS_MAX)
    return NULL;
  app = wsd_app_new(name, service->connection);
  g_hash_table_insert(service->apps, app->name, app);
  return app;
}

bool wsd_service_introduce(struct wsd_service *service, struct wsd_app *app, struct wsd_identity *identity,
                           GError **error) {
  struct wsd_account *account = wsd_accounts_enter(service->accounts, identity->app_id, error);
  if (account)
    wsd_app_introduce(app, identity, account);
  else
    wsd_identity_free(identity);
  return account != NULL;
}

void wsd_service_name_vanished(struct wsd_service *service, const char *name) {
  struct wsd_app *app = g_hash_table_lookup(service->apps, name);
  if (!app)
    return;
  wsd_app_ref(app);
  if (app->account)
    wsd_journal_settle_last(app->account);
  g_hash_table_remove(service->apps, name);
  service->apps_left++;
  drop_app(app);
  wsd_app_unref(app);
}

bool wsd_service_is_administrator(const struct wsd_service *service, const struct wsd_app *app) {
  return app->identity && wsd_identity_is_administrator(app->identity, service->config, service->system_bus);
}

struct wsd_server *wsd_service_create_server(struct wsd_service *service, struct wsd_app *app, GError **error) {
  if (app->server_count >= WSD_SERVERS_PER_APP_MAX) {
    g_set_error(error, WSD_ERROR, WSD_ERROR_LIMIT_EXCEEDED,
                "you have %u servers already, at most %u are allowed; Release one", app->server_count,
                WSD_SERVERS_PER_APP_MAX);
    return NULL;
  }
  if (!wsd_account_has_room(app->account, error))
    return NULL;
  if (service->server_count >= WSD_SERVERS_MAX) {
    g_set_error(error, WSD_ERROR, WSD_ERROR_LIMIT_EXCEEDED,
                "all %u servers of this device are taken; try again when another app has released one",
                WSD_SERVERS_MAX);
    return NULL;
  }
  guint needed = WSD_FDS_BESIDES + WSD_FDS_PER_SERVER * ((guint)g_tree_nnodes(service->servers) + 1);
  if (wsd_supervisor_room(service->supervisor) < needed) {
    g_set_error(error, WSD_ERROR, WSD_ERROR_LIMIT_EXCEEDED,
                "the service manager keeps no more descriptors for this service; try again when another app has "
                "released a server");
    return NULL;
  }
  return wsd_service_restore_server(service, app, ++service->last_number);
}

struct wsd_server *wsd_service_restore_server(struct wsd_service *service, struct wsd_app *app, guint64 number) {
  struct wsd_server *server = wsd_server_new(service, app, number);
  g_ptr_array_add(app->servers, server);
  g_tree_insert(service->servers, g_memdup2(&number, sizeof number), server);
  return server;
}

static bool sees(const struct wsd_service *service, const struct wsd_app *app, const struct wsd_server *server) {
  return wsd_server_app(server) == app || wsd_service_is_administrator(service, app);
}

struct wsd_server *wsd_service_find_server(struct wsd_service *service, const struct wsd_app *app, guint64 number) {
  struct wsd_server *server = g_tree_lookup(service->servers, &number);
  return server && sees(service, app, server) ? server : NULL;
}

GPtrArray *wsd_service_visible_servers(struct wsd_service *service, const struct wsd_app *app) {
  GPtrArray *servers = g_ptr_array_new_with_free_func((GDestroyNotify)wsd_server_unref);
  bool administrator = wsd_service_is_administrator(service, app);
  for (GTreeNode *node = g_tree_node_first(service->servers); node; node = g_tree_node_next(node)) {
    struct wsd_server *server = g_tree_node_value(node);
    if (administrator || wsd_server_app(server) == app)
      g_ptr_array_add(servers, wsd_server_ref(server));
  }
  return servers;
}

void wsd_service_forget_server(struct wsd_service *service, struct wsd_server *server) {
  guint64 number = wsd_server_number(server);
  g_tree_remove(service->servers, &number);
  wsd_keeper_touch(service->keeper);
  g_ptr_array_remove(wsd_server_app(server)->servers, server);
}

bool wsd_service_is_changing(const struct wsd_service *service) {
  for (GTreeNode *node = g_tree_node_first(service->servers); node; node = g_tree_node_next(node)) {
    enum wsd_server_state state = wsd_server_state(g_tree_node_value(node));
    if (state == WSD_SERVER_STARTING || state == WSD_SERVER_STOPPING)
      return true;
  }
  return false;
}

guint wsd_service_calls(const struct wsd_service *service) {
  guint calls = 0;
  GHashTableIter iterator;
  gpointer app;
  g_hash_table_iter_init(&iterator, service->apps);
  while (g_hash_table_iter_next(&iterator, NULL, &app))
    calls += ((struct wsd_app *)app)->calls + g_queue_get_length(&((struct wsd_app *)app)->waiting);
  return calls;
}

static void each_server(struct wsd_service *service, void (*act)(struct wsd_server *server)) {
  for (GTreeNode *node = g_tree_node_first(service->servers); node; node = g_tree_node_next(node))
    act(g_tree_node_value(node));
}

void wsd_service_hold(struct wsd_service *service) {
  each_server(service, wsd_server_hold);
}

/* What remains of this process must not touch what is kept for the next. */
struct leaving {
  struct wsd_service *service;
  void (*done)(void *user);
  void *user;
};

static void on_kept(void *user) {
  g_autofree struct leaving *leaving = user;
  each_server(leaving->service, wsd_server_let_go);
  g_clear_pointer(&leaving->service->keeper, wsd_keeper_free);
  leaving->done(leaving->user);
}

static void settle_and_keep(struct leaving *leaving) {
  struct wsd_service *service = leaving->service;
  each_server(service, wsd_server_settle);
  if (wsd_keeper_is_held(service->keeper))
    on_kept(leaving); /* the bus never came: what is kept stays as it was found */
  else
    wsd_keeper_commit(service->keeper, on_kept, leaving);
}

static void on_flushed(GObject *source, GAsyncResult *result, gpointer data) {
  g_dbus_connection_flush_finish(G_DBUS_CONNECTION(source), result, NULL);
  settle_and_keep(data);
}

/* What was sent has to be with the bus before a worker is told so. */
void wsd_service_let_go(struct wsd_service *service, void (*done)(void *user), void *user) {
  struct leaving *leaving = g_new(struct leaving, 1);
  *leaving = (struct leaving){service, done, user};
  if (service->connection)
    g_dbus_connection_flush(service->connection, NULL, on_flushed, leaving);
  else
    settle_and_keep(leaving);
}

/* The Manager's properties concern every client that has a server. */
static void announce_profile(struct wsd_service *service) {
  GHashTableIter iterator;
  gpointer value;
  g_hash_table_iter_init(&iterator, service->apps);
  while (g_hash_table_iter_next(&iterator, NULL, &value)) {
    struct wsd_app *app = value;
    GVariantBuilder changed;
    if (app->servers->len == 0)
      continue;
    g_variant_builder_init(&changed, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&changed, "{sv}", "DeviceProfile", g_variant_new_string(wsd_device_profile(service->config)));
    g_variant_builder_add(&changed, "{sv}", "ServerAllowed",
                          g_variant_new_boolean(wsd_device_profile_allows_servers(service->config)));
    wsd_delivery_send(app->delivery, WSD_ROOT_PATH, DBUS_PROPERTIES_INTERFACE, "PropertiesChanged",
                      g_variant_new("(sa{sv}as)", WSD_MANAGER_INTERFACE, &changed, NULL));
  }
}

void wsd_service_reconsider(struct wsd_service *service) {
  g_autoptr(GPtrArray) servers = g_ptr_array_new_with_free_func((GDestroyNotify)wsd_server_unref);
  for (GTreeNode *node = g_tree_node_first(service->servers); node; node = g_tree_node_next(node))
    g_ptr_array_add(servers, wsd_server_ref(g_tree_node_value(node)));
  for (guint i = 0; i < servers->len; i++)
    wsd_server_reconsider(servers->pdata[i]);
}

/* On the bus that is there; before there is one, nobody knows. */
void wsd_service_report_idle_rules(struct wsd_service *service) {
  const struct wsd_rule *rule = wsd_policy_about_units(service->config->policy);
  const struct wsd_scene scene = {.rule = rule ? rule->title : NULL};
  if (rule && service->connection && !service->units_are_certain)
    wsd_journal(WSD_EVENT_RULE_IDLE, &scene,
                "%s is by units, which cannot be told here: the bus has to hand out pidfds (ProcessFD in "
                "GetConnectionCredentials), and this service to see other processes (unit-rules.conf); until then it "
                "lets nobody serve by them",
                rule->title);
}

bool wsd_service_reload(struct wsd_service *service, GError **error) {
  GError *fault = NULL;
  struct wsd_config *config = wsd_config_load(&service->config_source, &fault);
  if (!config) {
    wsd_journal(WSD_EVENT_NOT_RELOADED, NULL, "configuration not changed: %s", fault->message);
    g_propagate_error(error, fault);
    return false;
  }
  struct wsd_config *before = service->config;
  bool allowed_before = wsd_device_profile_allows_servers(before);
  bool allowed = wsd_device_profile_allows_servers(config);
  bool changed = g_strcmp0(wsd_device_profile(before), wsd_device_profile(config)) != 0 || allowed != allowed_before;
  service->config = config;
  wsd_config_free(before);
  if (changed)
    announce_profile(service);
  wsd_journal(WSD_EVENT_RELOADED, NULL, "configuration read again: device profile %s, %u rules",
              wsd_device_profile(config), wsd_policy_size(config->policy));
  wsd_service_report_idle_rules(service);
  wsd_service_reconsider(service);
  return true;
}
