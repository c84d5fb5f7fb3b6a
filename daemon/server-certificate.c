/* SPDX-License-Identifier: Apache-2.0 */
/* A server's certificate: checked before the server listens, replaced while it serves. */
#include "daemon/app.h"
#include "daemon/keeper.h"
#include "daemon/limits.h"
#include "daemon/server-private.h"
#include "daemon/vault.h"

#include <unistd.h>

/* ---- The vault ---- */

static const char *slot_kind(guint slot) {
  static const char *const kinds[WSD_VAULT_SLOTS] = {"vaultA", "vaultB"};
  return kinds[slot];
}

const char *wsd_server_vault_kind(const struct wsd_start_options *options) {
  return slot_kind(options->vault_slot);
}

/* The next vault is kept beside the one before, which goes when the state that names the next one is safe. */
static void take_vault(struct wsd_server *server, struct wsd_start_options *options, guint slot, int vault) {
  if (server->vault >= 0)
    close(server->vault);
  server->vault = vault;
  options->vault_slot = slot;
  wsd_server_keep(server, slot_kind(slot), vault);
  wsd_keeper_touch(server->service->keeper);
}

void wsd_server_drop_vault(struct wsd_server *server) {
  if (server->vault < 0)
    return;
  close(server->vault);
  server->vault = -1;
  for (guint slot = 0; slot < WSD_VAULT_SLOTS; slot++)
    wsd_server_keep_no_longer(server, slot_kind(slot));
}

/* ---- Start ---- */

static void on_prepared(void *user, int vault, enum wsd_error code, const char *text) {
  struct wsd_server *server = user;
  g_clear_pointer(&server->preparation, wsd_preparation_free);
  g_clear_pointer(&server->wanted.files, wsd_certificate_files_free);
  if (vault < 0) {
    wsd_server_refuse_start(server, g_error_new_literal(WSD_ERROR, (gint)code, text));
    return;
  }
  wsd_server_drop_vault(server);
  take_vault(server, &server->wanted, 0, vault);
  wsd_server_listen(server);
}

void wsd_server_check_certificate(struct wsd_server *server) {
  GError *error = NULL;
  server->preparation = wsd_preparation_new(server->service->worker_path, server->app->account, server->wanted.files,
                                            -1, server->service->timing.prepare_timeout, on_prepared, server, &error);
  if (!server->preparation)
    wsd_server_refuse_start(server, error);
}

/* ---- ReplaceCertificate ---- */

/* One at a time. It ends in end_replacement(). */
struct wsd_replacement {
  struct wsd_server *server; /* holds a reference */
  struct wsd_call *call;     /* NULL once it was answered */
  struct wsd_preparation *preparation;
  guint timer; /* for the worker to answer */
};

static void end_replacement(struct wsd_replacement *replacement) {
  struct wsd_server *server = replacement->server;
  if (server->replacement == replacement)
    server->replacement = NULL;
  g_clear_handle_id(&replacement->timer, g_source_remove);
  g_clear_pointer(&replacement->preparation, wsd_preparation_free);
  g_free(replacement);
  wsd_server_unref(server);
}

static void answer_replacement(struct wsd_replacement *replacement, enum wsd_error code, const char *text) {
  struct wsd_call *call = g_steal_pointer(&replacement->call);
  g_clear_handle_id(&replacement->timer, g_source_remove);
  if (replacement->server->replacement == replacement)
    replacement->server->replacement = NULL;
  if (call && text)
    wsd_call_fail(call, code, "%s", text);
  else if (call)
    wsd_call_return(call, NULL);
}

static void on_worker_replaced(void *user, const struct wsc_control_record *record) {
  struct wsd_replacement *replacement = user;
  g_autofree char *fault = record ? wsd_worker_replacement_fault(record) : NULL;
  answer_replacement(replacement, WSD_ERROR_FAILED,
                     fault); /* without a record: the next worker has it from the vault */
  end_replacement(replacement);
}

static gboolean on_worker_late(gpointer data) {
  struct wsd_replacement *replacement = data;
  replacement->timer = 0;
  answer_replacement(replacement, WSD_ERROR_FAILED, "the server's process does not answer; Stop the server");
  return G_SOURCE_REMOVE;
}

/* The worker that got the vault before this one, though it may not be ready yet; one that is not configured yet gets this one. */
static struct wsd_worker *configured_worker(const struct wsd_server *server) {
  return server->introducing ? NULL : server->worker;
}

/* The new vault is safe. */
static void on_replacement_kept(void *user) {
  struct wsd_replacement *replacement = user;
  struct wsd_server *server = replacement->server;
  struct wsd_worker *worker = configured_worker(server);
  if (server->vault >= 0)
    wsd_server_keep_no_longer(server, slot_kind(1 - server->options.vault_slot));
  if (!worker || !replacement->call) {
    answer_replacement(replacement, WSD_ERROR_FAILED, NULL);
    end_replacement(replacement);
    return;
  }
  replacement->timer = g_timeout_add(WSD_ANSWER_TIMEOUT_MS, on_worker_late, replacement);
  wsd_worker_replace_certificate(worker, server->vault, on_worker_replaced, replacement);
}

static void on_replacement_prepared(void *user, int vault, enum wsd_error code, const char *text) {
  struct wsd_replacement *replacement = user;
  struct wsd_server *server = replacement->server;
  g_clear_pointer(&replacement->preparation, wsd_preparation_free);
  if (vault < 0) {
    answer_replacement(replacement, code, text);
    end_replacement(replacement);
    return;
  }
  take_vault(server, &server->options, 1 - server->options.vault_slot, vault);
  wsd_keeper_commit(server->service->keeper, on_replacement_kept, replacement);
}

void wsd_server_cancel_replacement(struct wsd_server *server, const char *text) {
  struct wsd_replacement *replacement = server->replacement;
  if (!replacement)
    return;
  bool preparing = replacement->preparation != NULL;
  answer_replacement(replacement, WSD_ERROR_SHUTTING_DOWN, text);
  if (preparing)
    end_replacement(replacement); /* else somebody else is about to do that */
}

static struct wsd_certificate_files *read_files(struct wsd_call *call, GError **error) {
  GUnixFDList *fds = g_dbus_message_get_unix_fd_list(call->message);
  struct wsd_certificate_files *files = wsd_certificate_files_new();
  gint32 certificate, key;
  const char *password;
  g_variant_get(call->arguments, "(hh&s)", &certificate, &key, &password);
  if (strlen(password) > WSC_KEY_PASSWORD_MAX)
    g_set_error(error, WSD_ERROR, WSD_ERROR_INVALID_ARGUMENT, "password: is longer than %u octets",
                WSC_KEY_PASSWORD_MAX);
  else if ((files->certificate = wsd_certificate_file("certificate", certificate, fds, error)) >= 0 &&
           (files->private_key = wsd_certificate_file("privateKey", key, fds, error)) >= 0) {
    files->password = *password ? g_strdup(password) : NULL;
    return files;
  }
  wsd_certificate_files_free(files);
  return NULL;
}

static void begin_replacement(struct wsd_server *server, struct wsd_call *call,
                              const struct wsd_certificate_files *files) {
  GError *error = NULL;
  struct wsd_replacement *replacement = g_new0(struct wsd_replacement, 1);
  *replacement = (struct wsd_replacement){.server = wsd_server_ref(server), .call = call};
  replacement->preparation =
      wsd_preparation_new(server->service->worker_path, server->app->account, files, server->vault,
                          server->service->timing.prepare_timeout, on_replacement_prepared, replacement, &error);
  if (replacement->preparation) {
    server->replacement = replacement;
    return;
  }
  replacement->call = NULL;
  end_replacement(replacement);
  wsd_call_take_error(call, error);
}

void wsd_server_replace_certificate(struct wsd_server *server, struct wsd_call *call) {
  GError *error = NULL;
  if (server->state != WSD_SERVER_RUNNING) {
    wsd_call_fail(call, WSD_ERROR_NOT_RUNNING, "the server is %s; call Start first",
                  wsd_server_state_name(server->state));
  } else if (!server->options.tls || server->vault < 0) {
    wsd_call_fail(call, WSD_ERROR_FAILED, "the server has no certificate to replace; Stop it and Start it with one");
  } else if (server->replacement) {
    wsd_call_fail(call, WSD_ERROR_LIMIT_EXCEEDED,
                  "another ReplaceCertificate of this server is under way; call again when it has returned");
  } else {
    struct wsd_certificate_files *files = read_files(call, &error);
    if (files)
      begin_replacement(server, call, files);
    else
      wsd_call_take_error(call, error);
    wsd_certificate_files_free(files);
  }
}
