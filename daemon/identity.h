/* SPDX-License-Identifier: Apache-2.0 */
/* Who a bus client is, in the words of the bus itself (GetConnectionCredentials); never in its own. */
#pragma once

#include "daemon/config.h"

struct wsd_identity {
  guint32 uid;
  GArray *groups; /* of gid_t as guint32 */
  guint32 pid;    /* 0: unknown. For display only: pids are reused */
  char *label;    /* security label, or NULL */
  char *app_id;   /* see the property AppId */
};

/* Reads the dictionary of GetConnectionCredentials. NULL with an error when it has no user id. */
struct wsd_identity *wsd_identity_new(GVariant *credentials, GError **error);
void wsd_identity_free(struct wsd_identity *identity);

/* By the configuration; where it names nobody, root and the group wsserver-admin are administrators if
 * `system_bus`, else nobody is. */
bool wsd_identity_is_administrator(const struct wsd_identity *identity, const struct wsd_config *config,
                                   bool system_bus);
