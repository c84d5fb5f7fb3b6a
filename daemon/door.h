/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one door: every method call of every client, property reads and introspection too, passes here and takes the same
 * steps: who is it, which object (one that the caller may not see is one that does not exist), which method, are the arguments
 * of its signature, may this caller call it; then it is dispatched, and answered exactly once.
 */
#pragma once

#include "daemon/service.h"

struct wsd_door;

/* Calls wait before it until it is opened. */
struct wsd_door *wsd_door_new(struct wsd_service *service, GDBusConnection *connection);
void wsd_door_open(struct wsd_door *door);
void wsd_door_free(struct wsd_door *door);
