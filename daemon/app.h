/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bus client and all it owns. An app is known from its first call until its unique name leaves the bus, and
 * is looked up by that name alone. Reference-counted, because calls and servers may outlive the name for a moment.
 */
#pragma once

#include "daemon/identity.h"

struct wsd_account;
struct wsd_delivery;
struct wsd_door;

struct wsd_app {
  gatomicrefcount references;
  char *name;                    /* unique bus name */
  struct wsd_identity *identity; /* NULL until the bus has told */
  struct wsd_account *account;   /* with its identity */
  GQueue waiting;                /* of GDBusMessage: calls that came before that, or while it was behind with reading */
  gsize waiting_octets;          /* of these */
  struct wsd_door *door;         /* where they go then */
  GPtrArray *servers;            /* of struct wsd_server; each holds a reference of this array */
  guint server_count;            /* these, and released ones that have not stopped yet */
  struct wsd_delivery *delivery; /* the window of event signals */
  guint calls;                   /* in flight */
  bool gone;                     /* the name has left the bus */
};

struct wsd_app *wsd_app_new(const char *name, GDBusConnection *connection);
struct wsd_app *wsd_app_ref(struct wsd_app *app);
void wsd_app_unref(struct wsd_app *app);

/* The bus has told who it is. Takes `identity`. `account` has been entered for it, and is its from here on. */
void wsd_app_introduce(struct wsd_app *app, struct wsd_identity *identity, struct wsd_account *account);
/* Keeps a call for later; false when too many wait, or too large ones. The message stays the caller's either way. */
bool wsd_app_hold_call(struct wsd_app *app, GDBusMessage *message);
/* The next one that waits, which is the caller's then; NULL: none. */
GDBusMessage *wsd_app_take_call(struct wsd_app *app);
/* The name has left the bus. */
void wsd_app_leave(struct wsd_app *app);
