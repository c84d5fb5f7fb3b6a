/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/identity.h"

static struct wsd_identity *identity(const char *credentials) {
  g_autoptr(GVariant) dictionary = g_variant_parse(G_VARIANT_TYPE_VARDICT, credentials, NULL, NULL, NULL);
  g_assert_nonnull(dictionary);
  return wsd_identity_new(dictionary, NULL, NULL);
}

static bool is_administrator(const char *credentials, const struct wsd_config *config, bool system_bus) {
  struct wsd_identity *caller = identity(credentials);
  bool result = wsd_identity_is_administrator(caller, config, system_bus);
  wsd_identity_free(caller);
  return result;
}

#define ROOT "{'UnixUserID': <uint32 0>, 'ProcessID': <uint32 9>}"
#define USER "{'UnixUserID': <uint32 1000>, 'UnixGroupIDs': <[uint32 1000, 4711]>}"

static void test_unknown(void) {
  g_assert_null(identity("@a{sv} {}"));
  g_assert_null(identity("{'UnixUserID': <'root'>}"));
}

static void test_read(void) {
  struct wsd_identity *caller =
      identity("{'UnixUserID': <uint32 5>, 'ProcessID': <uint32 9>, 'UnixGroupIDs': <[uint32 6]>, "
               "'LinuxSecurityLabel': <b'label'>}");
  g_assert_cmpuint(caller->uid, ==, 5);
  g_assert_cmpuint(caller->pid, ==, 9);
  g_assert_cmpuint(caller->groups->len, ==, 1);
  g_assert_cmpstr(caller->label, ==, "label");
  g_assert_cmpstr(caller->app_id, ==, "uid:5,label:label");
  wsd_identity_free(caller);
}

static void test_default_administrators(void) {
  const struct wsd_config config = {0};
  g_assert_true(is_administrator(ROOT, &config, true));
  g_assert_false(is_administrator(USER, &config, true));
  g_assert_false(is_administrator(ROOT, &config, false)); /* nobody on another bus */
}

static void test_configured_administrators(void) {
  g_auto(GStrv) users = g_strsplit("1000", " ", -1);
  g_auto(GStrv) none = g_strsplit("", " ", -1);
  g_auto(GStrv) groups = g_strsplit("4711 no-such-group", " ", -1);
  const struct wsd_config by_user = {
      .administrators_configured = true, .administrator_users = users, .administrator_groups = none};
  const struct wsd_config by_group = {
      .administrators_configured = true, .administrator_users = none, .administrator_groups = groups};
  const struct wsd_config nobody = {
      .administrators_configured = true, .administrator_users = none, .administrator_groups = none};
  g_assert_true(is_administrator(USER, &by_user, false));
  g_assert_false(is_administrator(ROOT, &by_user, true)); /* who is configured, and nobody else */
  g_assert_true(is_administrator(USER, &by_group, false));
  g_assert_false(is_administrator(ROOT, &by_group, true));
  g_assert_false(is_administrator(ROOT, &nobody, true));
  g_auto(GStrv) root = g_strsplit("root no-such-user", " ", -1);
  const struct wsd_config by_name = {
      .administrators_configured = true, .administrator_users = root, .administrator_groups = none};
  g_assert_true(is_administrator(ROOT, &by_name, false));
  g_assert_false(is_administrator(USER, &by_name, false));
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/identity/a caller without a user is nobody", test_unknown);
  g_test_add_func("/identity/credentials are read", test_read);
  g_test_add_func("/identity/root is administrator on the system bus only", test_default_administrators);
  g_test_add_func("/identity/configured administrators are the only ones", test_configured_administrators);
  return g_test_run();
}
