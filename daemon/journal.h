/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What administrators read in the journal: one line for each thing that happened, with fields to search by and a message id for
 * its kind (wsserverd(8) lists both). Never payload, keys, nor the value of a header. What an app or its peers cause is limited
 * for each app id; how many lines were left out is said as soon as there is room again.
 */
#pragma once

#include "daemon/account.h"

enum wsd_event {
  WSD_EVENT_READY,        /* the service */
  WSD_EVENT_RELOADED,     /* the configuration */
  WSD_EVENT_NOT_RELOADED, /* because it is faulty */
  WSD_EVENT_RULE_IDLE,    /* a rule that this bus does not tell enough for */
  WSD_EVENT_STARTED,      /* a server */
  WSD_EVENT_STOPPED,
  WSD_EVENT_START_REFUSED,
  WSD_EVENT_FORBIDDEN, /* a server that ran, by policy or profile */
  WSD_EVENT_QUOTA,     /* a call was refused for it */
  WSD_EVENT_WORKER_DIED,
  WSD_EVENT_WORKER_FAULT, /* it broke the rules, or was too slow */
  WSD_EVENT_SERVER_FAILED,
  WSD_EVENT_BANNED, /* an address, by a server */
  WSD_EVENT_PEERS_REFUSED,
  WSD_EVENT_ADMINISTERED, /* an administrator acted on somebody's server */
  WSD_EVENT_LEFT_OUT,     /* lines of an app */
  WSD_EVENT_COUNT
};

/* What it is about; what is NULL or 0 is not known or has no part in it. */
struct wsd_scene {
  struct wsd_account *account; /* whose limit the line counts against */
  const char *sender;          /* unique bus name */
  const char *unit;            /* of the client */
  const char *server;          /* object path */
  const char *peer;            /* address */
  const char *rule;            /* its title */
  const char *error;           /* D-Bus error name that somebody got */
};

struct wsd_app;
struct wsd_server;
/* Of a bus client; of a server with its owner. They live as long as those do. */
struct wsd_scene wsd_scene_of_app(const struct wsd_app *app);
struct wsd_scene wsd_scene_of_server(const struct wsd_server *server);

/* Control characters and what is not UTF-8 are escaped in all texts. */
G_GNUC_PRINTF(3, 4)
void wsd_journal(enum wsd_event event, const struct wsd_scene *scene, const char *format, ...);

/* Says what was left out of this account's lines, of whom a client has left: now and then. */
void wsd_journal_settle_last(struct wsd_account *account);
