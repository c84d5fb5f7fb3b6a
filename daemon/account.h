/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom quotas are charged to: all bus clients with one app id, see identity.h. A client alone has bounds too (limits.h); these
 * are for whoever connects often to have them often. Reference-counted by the apps and their servers. Remembered for
 * WSD_ACCOUNT_KEPT_MS after the last of them, so that what was charged is still charged to who comes back.
 */
#pragma once

#include "daemon/error.h"

#include <stdbool.h>

struct wsd_accounts;

struct wsd_account {
  struct wsd_accounts *all;
  char *app_id;
  guint references;
  guint apps;      /* bus clients */
  guint servers;   /* of theirs, and released ones that have not stopped yet */
  guint preparing; /* processes that read certificates for them, and have not exited */
  guint waiting;   /* calls that wait for their client to read, or to be known */
  gsize waiting_octets;
  guint calls; /* in flight */
  /* The journal's, see there. */
  guint log_lines, log_left_out;
  gint64 log_since;  /* monotonic microseconds */
  gint64 log_told;   /* when lines that were left out were told of a client that left; the same */
  gint64 idle_since; /* without a reference */
};

struct wsd_accounts *wsd_accounts_new(void);
/* When no account is left, now or later, nothing is. */
void wsd_accounts_free(struct wsd_accounts *accounts);

/* A reference for one more bus client; NULL with LIMIT_EXCEEDED where there are as many as may be. */
struct wsd_account *wsd_accounts_enter(struct wsd_accounts *accounts, const char *app_id, GError **error);
/* For what outlives the client. */
struct wsd_account *wsd_account_ref(struct wsd_account *account);
/* The client has left the bus. The reference stays. */
void wsd_account_leave(struct wsd_account *account);
void wsd_account_unref(struct wsd_account *account);

/* Whether it may have one more server. False with LIMIT_EXCEEDED. */
bool wsd_account_has_room(const struct wsd_account *account, GError **error);
