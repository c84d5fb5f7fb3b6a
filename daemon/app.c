/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/app.h"

#include "daemon/account.h"
#include "daemon/delivery.h"
#include "daemon/fair-queue.h"
#include "daemon/limits.h"
#include "daemon/server.h"

struct wsd_app *wsd_app_new(const char *name, GDBusConnection *connection) {
  struct wsd_app *app = g_new0(struct wsd_app, 1);
  g_atomic_ref_count_init(&app->references);
  app->name = g_strdup(name);
  g_queue_init(&app->waiting);
  app->servers = g_ptr_array_new_with_free_func((GDestroyNotify)wsd_server_unref);
  app->delivery = wsd_delivery_new(connection, name);
  return app;
}

struct wsd_app *wsd_app_ref(struct wsd_app *app) {
  g_atomic_ref_count_inc(&app->references);
  return app;
}

void wsd_app_unref(struct wsd_app *app) {
  if (!g_atomic_ref_count_dec(&app->references))
    return;
  g_queue_clear_full(&app->waiting, g_object_unref);
  g_ptr_array_unref(app->servers);
  wsd_delivery_free(app->delivery);
  wsd_identity_free(app->identity);
  g_clear_pointer(&app->account, wsd_account_unref);
  g_free(app->name);
  g_free(app);
}

void wsd_app_introduce(struct wsd_app *app, struct wsd_identity *identity, struct wsd_account *account) {
  app->identity = identity;
  app->account = account;
  account->waiting += g_queue_get_length(&app->waiting);
  account->waiting_octets += app->waiting_octets;
}

static void charge_waiting(struct wsd_app *app, gint calls, gssize octets) {
  app->waiting_octets += (gsize)octets;
  if (!app->account)
    return;
  app->account->waiting += (guint)calls;
  app->account->waiting_octets += (gsize)octets;
}

void wsd_app_leave(struct wsd_app *app) {
  if (app->account && !app->gone)
    wsd_account_leave(app->account);
  app->gone = true;
  wsd_delivery_abandon(app->delivery);
  GDBusMessage *message;
  while ((message = wsd_app_take_call(app)))
    g_object_unref(message);
}

bool wsd_app_hold_call(struct wsd_app *app, GDBusMessage *message) {
  gsize octets = wsd_message_octets(message);
  bool alone = g_queue_is_empty(&app->waiting);
  if (g_queue_get_length(&app->waiting) >= WSD_CALLS_PER_APP_MAX ||
      (!alone && app->waiting_octets + octets > WSD_WAITING_OCTETS_MAX))
    return false;
  if (app->account && app->account->waiting > 0 &&
      (app->account->waiting >= WSD_CALLS_PER_ACCOUNT_MAX ||
       app->account->waiting_octets + octets > WSD_ACCOUNT_WAITING_OCTETS_MAX))
    return false;
  charge_waiting(app, 1, octets);
  g_queue_push_tail(&app->waiting, g_object_ref(message));
  return true;
}

GDBusMessage *wsd_app_take_call(struct wsd_app *app) {
  GDBusMessage *message = g_queue_pop_head(&app->waiting);
  if (message)
    charge_waiting(app, -1, -(gssize)wsd_message_octets(message));
  return message;
}
