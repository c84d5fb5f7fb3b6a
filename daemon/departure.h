/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the service leaves without anybody losing anything: it gives its name back, so that new calls wait for the next process, unless
 * the service is stopped; answers every call that it had already; tells each worker how far it got; has the state kept; and only then ends.
 */
#pragma once

#include "daemon/bus.h"

struct wsd_departure;

/* Begins, and calls `done` when it is over, at the latest after WSD_HAND_OVER_MS and what the service manager takes. */
struct wsd_departure *wsd_departure_begin(struct wsd_service *service, struct wsd_bus *bus, void (*done)(void *user),
                                          void *user);
void wsd_departure_free(struct wsd_departure *departure);
