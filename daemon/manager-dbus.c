/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/face.h"

#include "daemon/account.h"
#include "daemon/ban-desk.h"
#include "daemon/device-profile.h"
#include "daemon/journal.h"
#include "daemon/keeper.h"
#include "daemon/server-query.h"

/* An object that was promised is there after a crash too. */
struct creation {
  struct wsd_call *call;
  char *path;
};

static void on_created(void *user) {
  struct creation *creation = user;
  wsd_call_return(creation->call, g_variant_new("(o)", creation->path));
  g_free(creation->path);
  g_free(creation);
}

static void create_server(struct wsd_service *service, const struct wsd_object *object, struct wsd_call *call) {
  (void)object;
  GError *error = NULL;
  struct wsd_server *server = wsd_service_create_server(service, call->app, &error);
  if (!server) {
    struct wsd_scene scene = wsd_scene_of_app(call->app);
    scene.error = wsd_error_name(wsd_error_code(error));
    wsd_journal(WSD_EVENT_QUOTA, &scene, "%s gets no server: %s", call->app->account->app_id, error->message);
    wsd_call_take_error(call, error);
    return;
  }
  struct creation *creation = g_new(struct creation, 1);
  *creation = (struct creation){call, g_strdup(wsd_server_path(server))};
  wsd_keeper_commit(service->keeper, on_created, creation);
}

/* ListServers waits until every worker has told its counters. */
struct listing {
  struct wsd_call *call;
  GPtrArray *servers; /* holds references */
  guint left;
};

static void on_listed(void *user) {
  struct listing *listing = user;
  if (--listing->left > 0)
    return;
  GVariantBuilder builder;
  g_variant_builder_init(&builder, G_VARIANT_TYPE("a(oa{sv})"));
  for (guint i = 0; i < listing->servers->len; i++) {
    const struct wsd_server *server = listing->servers->pdata[i];
    g_variant_builder_add(&builder, "(o@a{sv})", wsd_server_path(server), wsd_server_properties(server));
  }
  wsd_call_return(listing->call, g_variant_new("(a(oa{sv}))", &builder));
  g_ptr_array_unref(listing->servers);
  g_free(listing);
}

static void list_servers(struct wsd_service *service, const struct wsd_object *object, struct wsd_call *call) {
  (void)object;
  struct listing *listing = g_new0(struct listing, 1);
  listing->call = call;
  listing->servers = wsd_service_visible_servers(service, call->app);
  listing->left = listing->servers->len + 1; /* one is ours, so that it does not end inside the loop */
  for (guint i = 0; i < listing->servers->len; i++) {
    struct wsd_server *server = listing->servers->pdata[i];
    wsd_query_counters(wsd_server_query(server), server, on_listed, listing);
  }
  on_listed(listing);
}

static void list_bans(struct wsd_service *service, const struct wsd_object *object, struct wsd_call *call) {
  (void)object;
  wsd_ban_desk_list(service->ban_desk, call);
}

static void clear_ban(struct wsd_service *service, const struct wsd_object *object, struct wsd_call *call) {
  (void)object;
  wsd_ban_desk_clear(service->ban_desk, call);
}

static void reload(struct wsd_service *service, const struct wsd_object *object, struct wsd_call *call) {
  (void)object;
  GError *error = NULL;
  if (wsd_service_reload(service, &error))
    wsd_call_return(call, NULL);
  else
    wsd_call_take_error(call, error);
}

const struct wsd_method wsd_manager_methods[] = {
    {"CreateServer", WSD_FOR_OWNER, create_server},  {"ListServers", WSD_FOR_OWNER, list_servers},
    {"ListBans", WSD_FOR_ADMINISTRATORS, list_bans}, {"ClearBan", WSD_FOR_ADMINISTRATORS, clear_ban},
    {"Reload", WSD_FOR_ADMINISTRATORS, reload},      {NULL, WSD_FOR_OWNER, NULL},
};

GVariant *wsd_manager_property(struct wsd_service *service, const char *name) {
  if (g_str_equal(name, "DeviceProfile"))
    return g_variant_new_string(wsd_device_profile(service->config));
  if (g_str_equal(name, "ServerAllowed"))
    return g_variant_new_boolean(wsd_device_profile_allows_servers(service->config));
  return g_variant_new_string(WSSERVERD_VERSION);
}
