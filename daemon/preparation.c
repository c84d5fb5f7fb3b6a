/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/preparation.h"

#include "daemon/limits.h"
#include "daemon/vault.h"
#include "daemon/worker-process.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct wsd_preparation {
  struct wsd_worker *worker;
  int vault;
  guint timeout_ms;
  guint timer; /* the time it may take */
  guint end;   /* source: the outcome is about to be told */
  enum wsd_error code;
  char *text;    /* NULL: it is filled */
  bool answered; /* the process leaves by itself */
  bool told;
  wsd_prepared done;
  void *user;
};

/* The callee may free us. */
static gboolean tell(gpointer data) {
  struct wsd_preparation *preparation = data;
  g_autofree char *text = g_steal_pointer(&preparation->text);
  int vault = text ? -1 : preparation->vault;
  if (!text)
    preparation->vault = -1;
  preparation->end = 0;
  preparation->told = true;
  preparation->done(preparation->user, vault, preparation->code, text);
  return G_SOURCE_REMOVE;
}

/* The first outcome counts. It is told later: the worker is in the middle of telling us. */
static void conclude(struct wsd_preparation *preparation, enum wsd_error code, const char *text) {
  if (preparation->end || preparation->told)
    return;
  g_clear_handle_id(&preparation->timer, g_source_remove);
  preparation->code = code;
  preparation->text = g_strdup(text);
  preparation->end = g_idle_add_full(G_PRIORITY_DEFAULT, tell, preparation, NULL);
}

static void on_ready(void *user) {
  struct wsd_preparation *preparation = user;
  preparation->answered = true;
  conclude(preparation, WSD_ERROR_FAILED,
           wsd_vault_seal(preparation->vault) ? NULL : "the certificate cannot be kept; try again later");
}

static void on_failed(void *user, guint32 number, const char *text) {
  struct wsd_preparation *preparation = user;
  preparation->answered = true;
  bool is_certificate = number == wsd_error_number(WSD_ERROR_CERTIFICATE_NOT_FOUND);
  conclude(preparation, is_certificate ? WSD_ERROR_CERTIFICATE_NOT_FOUND : WSD_ERROR_FAILED, text);
}

static void on_stopped(void *user, const struct wsc_counters *counters) {
  (void)user;
  (void)counters;
}

static void on_channel_ended(void *user, const char *text) {
  (void)user;
  (void)text;
}

static void on_gone(void *user) {
  conclude(user, WSD_ERROR_CERTIFICATE_NOT_FOUND,
           "certificate: the process that checks it ended unexpectedly; see the log of wsserverd");
}

static gboolean on_timeout(gpointer data) {
  struct wsd_preparation *preparation = data;
  g_autofree char *text =
      g_strdup_printf("certificate: reading it, or the private key, took longer than %u s; pass regular files that "
                      "can be read",
                      preparation->timeout_ms / 1000);
  preparation->timer = 0;
  wsd_worker_kill(preparation->worker);
  conclude(preparation, WSD_ERROR_CERTIFICATE_NOT_FOUND, text);
  return G_SOURCE_REMOVE;
}

static const struct wsd_worker_events events = {
    .ready = on_ready,
    .failed = on_failed,
    .stopped = on_stopped,
    .channel_ended = on_channel_ended,
    .gone = on_gone,
};

static void on_exit_of_reader(void *user) {
  struct wsd_account *account = user;
  account->preparing--;
  wsd_account_unref(account);
}

static void charge(struct wsd_account *account, struct wsd_worker *worker) {
  wsd_account_ref(account)->preparing++;
  wsd_worker_on_exit(worker, on_exit_of_reader, account);
}

static bool may_prepare(const struct wsd_account *account, GError **error) {
  if (account->preparing < WSD_PREPARATIONS_PER_ACCOUNT_MAX)
    return true;
  g_set_error(error, WSD_ERROR, WSD_ERROR_LIMIT_EXCEEDED,
              "certificate: %u certificates of %s are being read, at most %u are at a time; wait, and pass regular "
              "files that can be read",
              account->preparing, account->app_id, WSD_PREPARATIONS_PER_ACCOUNT_MAX);
  return false;
}

struct wsd_preparation *wsd_preparation_new(const char *worker_path, struct wsd_account *account,
                                            const struct wsd_certificate_files *files, int former_vault,
                                            guint timeout_ms, wsd_prepared done, void *user, GError **error) {
  if (!may_prepare(account, error))
    return NULL;
  struct wsd_preparation *preparation = g_new0(struct wsd_preparation, 1);
  *preparation = (struct wsd_preparation){.timeout_ms = timeout_ms, .done = done, .user = user};
  preparation->vault = wsd_vault_new();
  if (preparation->vault < 0)
    g_set_error(error, WSD_ERROR, WSD_ERROR_FAILED, "cannot keep a certificate: %s; try again later",
                g_strerror(errno));
  else
    preparation->worker = wsd_worker_spawn(worker_path, &events, preparation, error);
  if (!preparation->worker) {
    wsd_preparation_free(preparation);
    return NULL;
  }
  charge(account, preparation->worker);
  preparation->timer = g_timeout_add(timeout_ms, on_timeout, preparation);
  wsd_worker_prepare(preparation->worker, preparation->vault, files, former_vault);
  return preparation;
}

void wsd_preparation_free(struct wsd_preparation *preparation) {
  if (!preparation)
    return;
  g_clear_handle_id(&preparation->timer, g_source_remove);
  g_clear_handle_id(&preparation->end, g_source_remove);
  if (preparation->worker && preparation->answered)
    wsd_worker_dismiss(preparation->worker);
  else if (preparation->worker)
    wsd_worker_free(preparation->worker);
  if (preparation->vault >= 0)
    close(preparation->vault);
  g_free(preparation->text);
  g_free(preparation);
}
