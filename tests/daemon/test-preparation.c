/* SPDX-License-Identifier: Apache-2.0 */
/* The checking of a certificate by processes that keep no rule. The program plays both: run with a name that begins with "worker-" it
 * is the process, which does what its file name says. */
#include "daemon/limits.h"
#include "daemon/preparation.h"
#include "daemon/vault.h"

#include "channel/control.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The process's part */

static void put(guint16 type, guint32 error) {
  guint8 room[128];
  struct wsc_control_writer writer;
  wsc_control_begin(&writer, room, sizeof room, type, 0);
  if (type == WSC_CONTROL_READY)
    wsc_control_add_u32(&writer, WSC_FIELD_VERSION, WSC_CONTROL_VERSION);
  if (type == WSC_CONTROL_FAILED) {
    wsc_control_add_u32(&writer, WSC_FIELD_ERROR, error);
    wsc_control_add_text(&writer, WSC_FIELD_TEXT, "certificate: no");
  }
  wsc_control_send(WSC_CONTROL_FD, room, wsc_control_finish(&writer), NULL, 0);
}

/* The vault, which PREPARE brings first of all. */
static int take_vault(void) {
  static guint8 packet[WSC_CONTROL_PACKET_MAX];
  int fds[WSC_CONTROL_FDS_MAX];
  size_t count = 0;
  ssize_t length;
  do
    length = wsc_control_receive(WSC_CONTROL_FD, packet, sizeof packet, fds, &count);
  while (length < 0);
  return count > 0 ? fds[0] : -1;
}

static int play_worker(const char *part) {
  int vault = take_vault();
  if (g_str_equal(part, "exits"))
    return 0;
  if (g_str_equal(part, "fails-otherwise"))
    put(WSC_CONTROL_FAILED, 4711);
  if (g_str_equal(part, "fails-then-is-ready"))
    put(WSC_CONTROL_FAILED, wsd_error_number(WSD_ERROR_CERTIFICATE_NOT_FOUND));
  if (g_str_equal(part, "keeps-a-hand-in") &&
      mmap(NULL, WSC_VAULT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vault, 0) == MAP_FAILED)
    return 1;
  if (g_str_equal(part, "stops"))
    put(WSC_CONTROL_STOPPED, 0);
  else if (g_str_equal(part, "answers-what-nobody-asked"))
    put(WSC_CONTROL_REPLACED, 0);
  else if (!g_str_equal(part, "hangs") && !g_str_equal(part, "fails-otherwise"))
    put(WSC_CONTROL_READY, 0);
  struct pollfd end = {.fd = WSC_CONTROL_FD}; /* it does not block, and says when the daemon lets go */
  poll(&end, 1, -1);
  return 0;
}

/* The test's part */

struct outcome {
  bool told;
  int vault;
  enum wsd_error code;
  char *text;
};

static void on_prepared(void *user, int vault, enum wsd_error code, const char *text) {
  struct outcome *outcome = user;
  g_assert_false(outcome->told);
  *outcome = (struct outcome){true, vault, code, g_strdup(text)};
}

static struct outcome prepare_with(const char *part) {
  struct outcome outcome = {.vault = -1};
  g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
  g_autofree char *folder = g_dir_make_tmp("wsserverd-preparation-XXXXXX", NULL);
  g_autofree char *name = g_strconcat("worker-", part, NULL);
  g_autofree char *path = g_build_filename(folder, name, NULL);
  struct wsd_certificate_files *files = wsd_certificate_files_new();
  g_assert_cmpint(symlink(self, path), ==, 0);
  files->certificate = open("/dev/null", O_RDONLY | O_CLOEXEC);
  files->private_key = open("/dev/null", O_RDONLY | O_CLOEXEC);
  guint timeout_ms = g_str_equal(part, "hangs") ? 1000 : 60000;
  struct wsd_accounts *accounts = wsd_accounts_new();
  struct wsd_account *account = wsd_accounts_enter(accounts, "uid:1000", NULL);
  g_autoptr(GError) error = NULL;
  account->preparing = WSD_PREPARATIONS_PER_ACCOUNT_MAX;
  g_assert_null(wsd_preparation_new(path, account, files, -1, timeout_ms, on_prepared, &outcome, &error));
  g_assert_error(error, WSD_ERROR, WSD_ERROR_LIMIT_EXCEEDED);
  account->preparing = 0;
  struct wsd_preparation *preparation =
      wsd_preparation_new(path, account, files, -1, timeout_ms, on_prepared, &outcome, NULL);
  g_assert_nonnull(preparation);
  wsd_certificate_files_free(files);
  while (!outcome.told)
    g_main_context_iteration(NULL, TRUE);
  for (int i = 0; i < 10; i++) /* whatever else it says changes nothing */
    g_main_context_iteration(NULL, FALSE);
  wsd_preparation_free(preparation);
  while (account->preparing > 0) /* until the process is no more */
    g_main_context_iteration(NULL, TRUE);
  wsd_account_leave(account);
  wsd_account_unref(account);
  wsd_accounts_free(accounts);
  g_unlink(path);
  g_rmdir(folder);
  return outcome;
}

static void test_refused(gconstpointer data) {
  const char *part = data;
  bool failed = g_str_equal(part, "keeps-a-hand-in") || g_str_equal(part, "fails-otherwise");
  struct outcome outcome = prepare_with(part);
  g_assert_cmpint(outcome.vault, ==, -1);
  g_assert_cmpint(outcome.code, ==, failed ? WSD_ERROR_FAILED : WSD_ERROR_CERTIFICATE_NOT_FOUND);
  g_assert_nonnull(outcome.text);
  g_free(outcome.text);
}

/* Whether there is anything in it the worker that gets it looks for itself. */
static void test_sealed(void) {
  struct outcome outcome = prepare_with("is-ready");
  g_assert_null(outcome.text);
  g_assert_null(wsd_vault_fault(outcome.vault));
  g_assert_true(mmap(NULL, WSC_VAULT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, outcome.vault, 0) == MAP_FAILED);
  close(outcome.vault);
}

int main(int argc, char **argv) {
  g_autofree char *name = g_path_get_basename(argv[0]);
  if (g_str_has_prefix(name, "worker-"))
    return play_worker(name + strlen("worker-"));
  g_test_init(&argc, &argv, NULL);
  g_log_set_always_fatal(G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL); /* warnings are what the daemon owes here */
  static const char *const parts[] = {
      "exits",          "hangs", "stops", "answers-what-nobody-asked", "fails-otherwise", "fails-then-is-ready",
      "keeps-a-hand-in"};
  for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
    g_autofree char *path = g_strconcat("/preparation/nothing comes of a process that ", parts[i], NULL);
    g_test_add_data_func(path, parts[i], test_refused);
  }
  g_test_add_func("/preparation/nobody changes a vault any more", test_sealed);
  return g_test_run();
}
