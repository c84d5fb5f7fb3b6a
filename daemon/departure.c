/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/departure.h"

#include "daemon/job.h"
#include "daemon/limits.h"
#include "daemon/supervisor.h"

/* How often it is looked whether all calls are answered. */
#define LOOK_MS 2u

struct wsd_departure {
  struct wsd_service *service;
  struct wsd_bus *bus;
  struct wsd_job *job;
  void (*done)(void *user);
  void *user;
  guint source;
  gint64 deadline;
};

static void on_let_go(void *user) {
  struct wsd_departure *departure = user;
  departure->done(departure->user);
}

static gboolean look(gpointer data) {
  struct wsd_departure *departure = data;
  if (wsd_service_calls(departure->service) > 0 && g_get_monotonic_time() < departure->deadline)
    return G_SOURCE_CONTINUE;
  departure->source = 0;
  wsd_service_let_go(departure->service, on_let_go, departure);
  return G_SOURCE_REMOVE;
}

/* The name is given back. What came before that is in the inbox, which runs at a higher priority than this idle source. */
static void on_left(void *user) {
  struct wsd_departure *departure = user;
  departure->source = g_timeout_add_full(G_PRIORITY_LOW, LOOK_MS, look, departure, NULL);
}

/* A server that is stopping says so to its app first: an app's library drops signals of a sender that has given up the name. */
static gboolean look_at_changes(gpointer data) {
  struct wsd_departure *departure = data;
  if (wsd_service_is_changing(departure->service) && g_get_monotonic_time() < departure->deadline)
    return G_SOURCE_CONTINUE;
  departure->source = 0;
  wsd_bus_leave(departure->bus, on_left, departure);
  return G_SOURCE_REMOVE;
}

/* When the service is stopped, it keeps its name: a call of an app that waits for the next process would make the bus start one, and that
 * start would cancel the stop. */
static void on_job(void *user, bool stopping) {
  struct wsd_departure *departure = user;
  wsd_service_hold(departure->service);
  if (stopping)
    on_left(departure);
  else
    departure->source = g_timeout_add_full(G_PRIORITY_LOW, LOOK_MS, look_at_changes, departure, NULL);
}

struct wsd_departure *wsd_departure_begin(struct wsd_service *service, struct wsd_bus *bus, void (*done)(void *user),
                                          void *user) {
  struct wsd_departure *departure = g_new0(struct wsd_departure, 1);
  *departure = (struct wsd_departure){.service = service, .bus = bus, .done = done, .user = user};
  departure->deadline = g_get_monotonic_time() + WSD_HAND_OVER_MS * G_TIME_SPAN_MILLISECOND;
  wsd_supervisor_stopping(service->supervisor);
  if (service->connection && wsd_supervisor_keeps(service->supervisor))
    departure->job = wsd_job_ask(service->connection, on_job, departure);
  else
    on_job(departure, false);
  return departure;
}

void wsd_departure_free(struct wsd_departure *departure) {
  if (!departure)
    return;
  g_clear_handle_id(&departure->source, g_source_remove);
  wsd_job_free(departure->job);
  g_free(departure);
}
