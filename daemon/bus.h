/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service's place on the bus: connects, owns the name, notices who leaves, and comes back when the bus does.
 * Losing the bus ends nothing but what belonged to its clients.
 */
#pragma once

#include "daemon/service.h"

struct wsd_bus;

struct wsd_bus_events {
  /* The name is owned (again); calls are taken. */
  void (*ready)(void *user);
  /* There is no use in going on: the name belongs to somebody else, or may not be owned. */
  void (*refused)(void *user, const char *text);
};

/* Starts connecting to `address`, a D-Bus address. */
struct wsd_bus *wsd_bus_new(struct wsd_service *service, const char *address, const struct wsd_bus_events *events,
                            void *user);
/* Gives the name back, so that further calls wait for the next process; calls `done` when every call that was
 * routed to this one has arrived. At once when there is no bus. */
void wsd_bus_leave(struct wsd_bus *bus, void (*done)(void *user), void *user);
/* Gives back the name and disconnects. */
void wsd_bus_free(struct wsd_bus *bus);
