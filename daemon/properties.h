/* SPDX-License-Identifier: Apache-2.0 */
/* org.freedesktop.DBus.Properties of every object. */
#pragma once

#include "daemon/face.h"

/* A call of that interface on an object with an interface of its own. Takes the call. */
void wsd_properties_handle(struct wsd_service *service, const struct wsd_object *object, struct wsd_call *call,
                           const char *member);
