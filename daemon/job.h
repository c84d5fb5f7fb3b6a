/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why the service manager ends this process: to start another one right away, or to stop the service. systemd knows it as the job of
 * the unit, and tells it over the bus.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

struct wsd_job;

/* Asks, and calls `done` from the main loop: at the latest after WSD_JOB_MS, with false when there was no answer. */
struct wsd_job *wsd_job_ask(GDBusConnection *connection, void (*done)(void *user, bool stopping), void *user);
/* `done` is not called any more. */
void wsd_job_free(struct wsd_job *job);
