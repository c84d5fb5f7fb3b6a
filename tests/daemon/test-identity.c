/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/caller-unit.h"
#include "daemon/identity.h"
#include "daemon/pidfd.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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

static int open_pidfd(pid_t pid) {
  return (int)syscall(SYS_pidfd_open, pid, 0);
}

static struct wsd_identity *identity_of_pidfd(int pidfd) {
  g_autoptr(GUnixFDList) fds = g_unix_fd_list_new_from_array(&pidfd, 1);
  g_autoptr(GVariant) dictionary =
      g_variant_ref_sink(g_variant_new_parsed("{'UnixUserID': <uint32 5>, 'ProcessFD': <handle 0>}"));
  return wsd_identity_new(dictionary, fds, NULL);
}

static void test_pidfd(void) {
  pid_t child = fork();
  if (child == 0)
    _exit(0);
  int own = open_pidfd(getpid()), others = open_pidfd(child);
  if (own < 0) {
    g_test_skip("the kernel has no pidfds");
    return;
  }
  g_assert_cmpuint(wsd_pidfd_number(own), ==, (guint)getpid());
  g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
  g_assert_cmpuint(wsd_pidfd_number(others), ==, 0); /* its number may be somebody else's by now */
  g_autofree char *unit = wsd_caller_unit_by_pid((guint32)getpid());
  struct wsd_identity *present = identity_of_pidfd(own), *gone = identity_of_pidfd(others);
  g_assert_cmpstr(present->unit, ==, unit);
  g_assert_true(present->unit_is_certain == (unit != NULL));
  g_assert_null(gone->unit);
  g_assert_false(gone->unit_is_certain);
  wsd_identity_free(present);
  wsd_identity_free(gone);
}

static void test_labels(void) {
  static const struct {
    const char *credentials, *app_id;
  } cases[] = {
      {"{'UnixUserID': <uint32 5>}", "uid:5"},
      {"{'UnixUserID': <uint32 5>, 'LinuxSecurityLabel': <b''>}", "uid:5"},
      {"{'UnixUserID': <uint32 5>, 'LinuxSecurityLabel': <b'unconfined'>}", "uid:5"},
      {"{'UnixUserID': <uint32 5>, 'LinuxSecurityLabel': <b'User::App::a'>}", "uid:5,label:User::App::a"},
      {"{'UnixUserID': <uint32 5>, 'LinuxSecurityLabel': <'no octets'>}", "uid:5"},
  };
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    struct wsd_identity *caller = identity(cases[i].credentials);
    g_assert_cmpstr(caller->app_id, ==, cases[i].app_id);
    wsd_identity_free(caller);
  }
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/identity/a caller without a user is nobody", test_unknown);
  g_test_add_func("/identity/credentials are read", test_read);
  g_test_add_func("/identity/root is administrator on the system bus only", test_default_administrators);
  g_test_add_func("/identity/configured administrators are the only ones", test_configured_administrators);
  g_test_add_func("/identity/a pidfd tells the unit for certain, or nothing", test_pidfd);
  g_test_add_func("/identity/the label is part of the app id", test_labels);
  return g_test_run();
}
