/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/job.h"

#include "daemon/limits.h"

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define PROPERTIES "org.freedesktop.DBus.Properties"

struct wsd_job {
  GDBusConnection *connection;
  GCancellable *cancellable;
  void (*done)(void *user, bool stopping);
  void *user;
};

static void ask(struct wsd_job *job, const char *path, const char *interface, const char *method, GVariant *arguments,
                const char *reply_type, GAsyncReadyCallback callback) {
  g_dbus_connection_call(job->connection, SYSTEMD_NAME, path, interface, method, arguments, G_VARIANT_TYPE(reply_type),
                         G_DBUS_CALL_FLAGS_NO_AUTO_START, WSD_JOB_MS, job->cancellable, callback, job);
}

/* The reply, or NULL: then either the job was freed, or its `done` was called. */
static GVariant *take_reply(GObject *source, GAsyncResult *result, gpointer data) {
  g_autoptr(GError) error = NULL;
  GVariant *reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
  if (!reply && !g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    struct wsd_job *job = data;
    job->done(job->user, false);
  }
  return reply;
}

static void on_type(GObject *source, GAsyncResult *result, gpointer data) {
  g_autoptr(GVariant) reply = take_reply(source, result, data);
  if (!reply)
    return;
  struct wsd_job *job = data;
  g_autoptr(GVariant) value = NULL;
  g_variant_get(reply, "(v)", &value);
  job->done(job->user, g_variant_is_of_type(value, G_VARIANT_TYPE_STRING) &&
                           g_str_equal(g_variant_get_string(value, NULL), "stop"));
}

static void on_job(GObject *source, GAsyncResult *result, gpointer data) {
  g_autoptr(GVariant) reply = take_reply(source, result, data);
  if (!reply)
    return;
  struct wsd_job *job = data;
  g_autoptr(GVariant) value = NULL;
  g_variant_get(reply, "(v)", &value);
  guint32 number = 0;
  const char *path = NULL;
  if (g_variant_is_of_type(value, G_VARIANT_TYPE("(uo)")))
    g_variant_get(value, "(u&o)", &number, &path);
  if (number == 0)
    job->done(job->user, false); /* somebody else sent the signal */
  else
    ask(job, path, PROPERTIES, "Get", g_variant_new("(ss)", SYSTEMD_NAME ".Job", "JobType"), "(v)", on_type);
}

static void on_unit(GObject *source, GAsyncResult *result, gpointer data) {
  g_autoptr(GVariant) reply = take_reply(source, result, data);
  if (!reply)
    return;
  const char *path;
  g_variant_get(reply, "(&o)", &path);
  ask(data, path, PROPERTIES, "Get", g_variant_new("(ss)", SYSTEMD_NAME ".Unit", "Job"), "(v)", on_job);
}

struct wsd_job *wsd_job_ask(GDBusConnection *connection, void (*done)(void *user, bool stopping), void *user) {
  struct wsd_job *job = g_new0(struct wsd_job, 1);
  job->connection = g_object_ref(connection);
  job->cancellable = g_cancellable_new();
  job->done = done;
  job->user = user;
  /* Process 0 is the one that asks. */
  ask(job, SYSTEMD_PATH, SYSTEMD_NAME ".Manager", "GetUnitByPID", g_variant_new("(u)", 0), "(o)", on_unit);
  return job;
}

void wsd_job_free(struct wsd_job *job) {
  if (!job)
    return;
  g_cancellable_cancel(job->cancellable);
  g_object_unref(job->cancellable);
  g_object_unref(job->connection);
  g_free(job);
}
