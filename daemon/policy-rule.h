/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One rule of the policy: whom it is for, which ports and addresses it speaks of, whether those may be served, and on what
 * terms. wsserverd.json(5) describes it.
 */
#pragma once

#include "daemon/config-value.h"
#include "daemon/identity.h"
#include "daemon/terms.h"

#include <sys/socket.h>

struct wsd_rule {
  char *title;                        /* as in messages: rule "games" (/etc/wsserverd/wsserverd.json:12) */
  GStrv users, groups, labels, units; /* one match is enough; a user "*" is everybody */
  GArray *uids, *gids;                /* of guint32: the users and groups, looked up when the rule was read */
  bool everybody;                     /* a user "*" */
  bool allow;
  GArray *ports;     /* of struct wsd_port_range; NULL: see wsd_rule_covers_port() */
  GArray *addresses; /* of struct wsd_address_range; NULL: all */
  GStrv address_texts;
  struct wsd_terms terms;
};

struct wsd_port_range {
  guint16 first, last;
};

/* `index`: its number in the file, from 0. NULL with an error that names the place. */
struct wsd_rule *wsd_rule_read(json_object *value, const struct wsd_place *place, guint index, GError **error);
void wsd_rule_free(struct wsd_rule *rule);

bool wsd_rule_is_for(const struct wsd_rule *rule, const struct wsd_identity *identity);
/* Without ports, a rule that allows covers 0 and 1024 to 65535, and one that denies covers all. */
bool wsd_rule_covers_port(const struct wsd_rule *rule, guint16 port);
/* One that allows covers an address when it covers all places where such a server is reached, one that denies when it covers any. */
bool wsd_rule_covers_address(const struct wsd_rule *rule, const struct sockaddr_storage *address);
