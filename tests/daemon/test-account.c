/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/account.h"
#include "daemon/journal.h"
#include "daemon/limits.h"

#define APP "1000"

static struct wsd_account *enter(struct wsd_accounts *accounts, const char *app_id) {
  g_autoptr(GError) error = NULL;
  struct wsd_account *account = wsd_accounts_enter(accounts, app_id, &error);
  g_assert_no_error(error);
  return account;
}

static void leave(struct wsd_account *account) {
  wsd_account_leave(account);
  wsd_account_unref(account);
}

static void write_lines(struct wsd_account *account, guint count) {
  const struct wsd_scene scene = {.account = account};
  for (guint i = 0; i < count; i++)
    wsd_journal(WSD_EVENT_QUOTA, &scene, "line %u", i);
}

static void test_an_app_has_so_many_connections(void) {
  struct wsd_accounts *accounts = wsd_accounts_new();
  struct wsd_account *account = NULL;
  for (guint i = 0; i < WSD_APPS_PER_ACCOUNT_MAX; i++)
    account = enter(accounts, APP);
  g_autoptr(GError) error = NULL;
  g_assert_null(wsd_accounts_enter(accounts, APP, &error));
  g_assert_error(error, WSD_ERROR, WSD_ERROR_LIMIT_EXCEEDED);
  wsd_account_leave(account);
  leave(enter(accounts, APP));
  leave(enter(accounts, "1001"));
  for (guint i = 1; i < WSD_APPS_PER_ACCOUNT_MAX; i++)
    leave(account);
  wsd_account_unref(account);
  wsd_accounts_free(accounts);
}

static void test_coming_back_renews_nothing(void) {
  struct wsd_accounts *accounts = wsd_accounts_new();
  struct wsd_account *account = enter(accounts, APP);
  write_lines(account, WSD_LOG_LINES_MAX + 3);
  g_assert_cmpuint(account->log_lines, ==, WSD_LOG_LINES_MAX);
  g_assert_cmpuint(account->log_left_out, ==, 3);
  leave(account);
  account = enter(accounts, APP);
  write_lines(account, 1);
  g_assert_cmpuint(account->log_left_out, ==, 4);
  leave(account);
  wsd_accounts_free(accounts);
}

/* So that what was earned since the last line and is less than one is not lost. */
static void test_lines_are_earned_evenly(void) {
  struct wsd_accounts *accounts = wsd_accounts_new();
  struct wsd_account *account = enter(accounts, APP);
  write_lines(account, WSD_LOG_LINES_MAX);
  gint64 since = account->log_since = g_get_monotonic_time() - (gint64)WSD_LOG_LINE_MS * 1500;
  write_lines(account, 2);
  g_assert_cmpuint(account->log_left_out, ==, 1);
  g_assert_cmpint(account->log_since, ==, since + (gint64)WSD_LOG_LINE_MS * 1000);
  leave(account);
  wsd_accounts_free(accounts);
}

static void test_a_crowd_of_the_gone_is_forgotten(void) {
  struct wsd_accounts *accounts = wsd_accounts_new();
  struct wsd_account *here = enter(accounts, "here");
  struct wsd_account *gone = enter(accounts, "gone");
  write_lines(here, 5);
  write_lines(gone, 5);
  leave(gone);
  for (guint i = 2; i < WSD_ACCOUNTS_KEPT_MAX; i++) {
    g_autofree char *app_id = g_strdup_printf("crowd %u", i);
    leave(enter(accounts, app_id));
  }
  gone = enter(accounts, "gone");
  g_assert_cmpuint(gone->log_lines, ==, 5);
  leave(gone);
  leave(enter(accounts, "one more"));
  leave(enter(accounts, "and one more"));
  gone = enter(accounts, "gone");
  g_assert_cmpuint(gone->log_lines, ==, 0);
  leave(gone);
  g_assert_true(here == enter(accounts, "here"));
  g_assert_cmpuint(here->log_lines, ==, 5);
  wsd_account_leave(here);
  wsd_account_unref(here);
  leave(here);
  wsd_accounts_free(accounts);
}

/* The service ends before the last server of an app has stopped. */
static void test_references_outlive_the_table(void) {
  struct wsd_accounts *accounts = wsd_accounts_new();
  struct wsd_account *account = enter(accounts, APP);
  leave(enter(accounts, "gone"));
  wsd_account_ref(account);
  leave(account);
  wsd_accounts_free(accounts);
  g_assert_cmpstr(account->app_id, ==, APP);
  wsd_account_unref(account);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/account/an-app-has-so-many-connections", test_an_app_has_so_many_connections);
  g_test_add_func("/account/coming-back-renews-nothing", test_coming_back_renews_nothing);
  g_test_add_func("/account/lines-are-earned-evenly", test_lines_are_earned_evenly);
  g_test_add_func("/account/a-crowd-of-the-gone-is-forgotten", test_a_crowd_of_the_gone_is_forgotten);
  g_test_add_func("/account/references-outlive-the-table", test_references_outlive_the_table);
  return g_test_run();
}
