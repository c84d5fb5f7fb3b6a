/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a path means to one caller. The tree below /org/wsserver1 holds the Manager and the servers that the caller
 * sees; everything else does not exist.
 */
#pragma once

#include "daemon/service.h"

enum wsd_object_kind {
  WSD_OBJECT_NONE,
  WSD_OBJECT_FOLDER, /* a path that only has children: /, /org, /org/wsserver1/server */
  WSD_OBJECT_MANAGER,
  WSD_OBJECT_SERVER,
};

struct wsd_object {
  enum wsd_object_kind kind;
  struct wsd_server *server;           /* of SERVER; borrowed */
  const GDBusInterfaceInfo *interface; /* of MANAGER and SERVER */
};

struct wsd_object wsd_object_find(struct wsd_service *service, const struct wsd_app *app, const char *path);
/* Whether the caller owns the object; everybody owns the Manager. */
bool wsd_object_is_own(const struct wsd_object *object, const struct wsd_app *app);
/* The XML of Introspect. */
char *wsd_object_introspect(struct wsd_service *service, const struct wsd_app *app, const struct wsd_object *object,
                            const char *path);
