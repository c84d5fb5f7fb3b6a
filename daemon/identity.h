/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a bus client is, in the words of the bus itself (GetConnectionCredentials); never in its own. Asked once for each unique
 * name, and dropped when that leaves the bus.
 *
 * What policy and quotas are charged to is the app id: the user, and the security label where the system tells apps apart by
 * one. That is where the boundary is: processes with the same user and label can trace each other, so nothing that
 * wsserverd did could keep them apart.
 */
#pragma once

#include "daemon/config.h"

#include <gio/gunixfdlist.h>

struct wsd_identity {
  guint32 uid;
  GArray *groups;       /* of gid_t as guint32 */
  guint32 pid;          /* 0: unknown. For display only: pids are reused */
  char *label;          /* security label, or NULL where there is none or it confines nobody */
  char *unit;           /* systemd unit, or app's scope of a user's manager; or NULL */
  bool unit_is_certain; /* by a pidfd of the bus. Else the unit is for display only, as `pid` is */
  char *app_id;         /* see the property AppId */
};

/* Reads the dictionary of GetConnectionCredentials, and the descriptors that came with it, or NULL. NULL with an error when it has
 * no user id. */
struct wsd_identity *wsd_identity_new(GVariant *credentials, GUnixFDList *fds, GError **error);
/* Of a user by name or number as the system's user database knows it, with `label` or NULL; for explanations. */
struct wsd_identity *wsd_identity_of_user(const char *user, const char *label, GError **error);
void wsd_identity_free(struct wsd_identity *identity);

bool wsd_identity_has_group(const struct wsd_identity *identity, guint32 number);
/* By the configuration; where it names nobody, root and the group wsserver-admin are administrators if
 * `system_bus`, else nobody is. */
bool wsd_identity_is_administrator(const struct wsd_identity *identity, const struct wsd_config *config,
                                   bool system_bus);
