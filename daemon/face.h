/* SPDX-License-Identifier: Apache-2.0 */
/* What an object's bus face (manager-dbus, server-dbus) gives to the door: its methods and its properties. */
#pragma once

#include "daemon/object.h"

struct wsd_method {
  const char *name;
  /* Who may call it: the object's owner (everybody, on the Manager), and whether administrators may, or they alone. */
  enum { WSD_FOR_OWNER, WSD_FOR_OWNER_AND_ADMINISTRATORS, WSD_FOR_ADMINISTRATORS } who;
  /* Takes the call, whose arguments are of the method's signature. */
  void (*handle)(struct wsd_service *service, const struct wsd_object *object, struct wsd_call *call);
};

/* Ends with a NULL name. */
extern const struct wsd_method wsd_manager_methods[];
extern const struct wsd_method wsd_server_methods[];

/* Value of a property that the interface has; floating. */
GVariant *wsd_manager_property(struct wsd_service *service, const char *name);
GVariant *wsd_server_property(const struct wsd_server *server, const char *name);
/* Whether the worker has to be asked first, see server-query.h. */
bool wsd_server_property_is_counter(const char *name);
/* All properties of a server, a{sv}; floating. */
GVariant *wsd_server_properties(const struct wsd_server *server);
