/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/account.h"

#include "daemon/limits.h"

struct wsd_accounts {
  GHashTable *table; /* by app id; without references */
  bool closed;
};

struct wsd_accounts *wsd_accounts_new(void) {
  struct wsd_accounts *accounts = g_new0(struct wsd_accounts, 1);
  accounts->table = g_hash_table_new(g_str_hash, g_str_equal);
  return accounts;
}

static void forget(struct wsd_account *account) {
  g_free(account->app_id);
  g_free(account);
}

/* Those that nobody needs: when they have been idle for long, or are too many; all of them in the end. */
static void sweep(struct wsd_accounts *accounts) {
  bool all = accounts->closed || g_hash_table_size(accounts->table) > WSD_ACCOUNTS_KEPT_MAX;
  gint64 now = g_get_monotonic_time();
  GHashTableIter iterator;
  gpointer value;
  g_hash_table_iter_init(&iterator, accounts->table);
  while (g_hash_table_iter_next(&iterator, NULL, &value)) {
    struct wsd_account *account = value;
    if (account->references > 0 || (!all && now - account->idle_since < WSD_ACCOUNT_KEPT_MS * 1000))
      continue;
    g_hash_table_iter_remove(&iterator);
    forget(account);
  }
}

static void free_if_done(struct wsd_accounts *accounts) {
  if (accounts->closed)
    sweep(accounts);
  if (!accounts->closed || g_hash_table_size(accounts->table) > 0)
    return;
  g_hash_table_unref(accounts->table);
  g_free(accounts);
}

void wsd_accounts_free(struct wsd_accounts *accounts) {
  accounts->closed = true;
  free_if_done(accounts);
}

static struct wsd_account *account_new(struct wsd_accounts *accounts, const char *app_id) {
  struct wsd_account *account = g_new0(struct wsd_account, 1);
  account->all = accounts;
  account->app_id = g_strdup(app_id);
  g_hash_table_insert(accounts->table, account->app_id, account);
  return account;
}

struct wsd_account *wsd_accounts_enter(struct wsd_accounts *accounts, const char *app_id, GError **error) {
  struct wsd_account *account = g_hash_table_lookup(accounts->table, app_id);
  if (account && account->apps >= WSD_APPS_PER_ACCOUNT_MAX) {
    g_set_error(error, WSD_ERROR, WSD_ERROR_LIMIT_EXCEEDED,
                "%s uses this service from %u bus connections already, at most %u are allowed; close some", app_id,
                account->apps, WSD_APPS_PER_ACCOUNT_MAX);
    return NULL;
  }
  if (!account) {
    sweep(accounts);
    account = account_new(accounts, app_id);
  }
  account->references++;
  account->apps++;
  return account;
}

struct wsd_account *wsd_account_ref(struct wsd_account *account) {
  account->references++;
  return account;
}

void wsd_account_leave(struct wsd_account *account) {
  account->apps--;
}

void wsd_account_unref(struct wsd_account *account) {
  if (--account->references > 0)
    return;
  struct wsd_accounts *accounts = account->all;
  g_assert(account->apps == 0 && account->servers == 0 && account->calls == 0);
  account->idle_since = g_get_monotonic_time();
  free_if_done(accounts);
}

bool wsd_account_has_room(const struct wsd_account *account, GError **error) {
  if (account->servers < WSD_SERVERS_PER_ACCOUNT_MAX)
    return true;
  g_set_error(error, WSD_ERROR, WSD_ERROR_LIMIT_EXCEEDED,
              "%s has %u servers already, counting all its bus connections, at most %u are allowed; Release one",
              account->app_id, account->servers, WSD_SERVERS_PER_ACCOUNT_MAX);
  return false;
}
