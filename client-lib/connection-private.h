/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection as an app sees it. Kept small, since most are idle: what only exists while it sends with a completion (connection-sending.c) is apart, and
 * of what the peer told about itself only what is asked for later.
 */
#pragma once

#include "channel/id-table.h"
#include "client-lib/context.h"
#include "client-lib/delivery.h"
#include <wsserver/ws-connection.h>

#include <stdbool.h>

struct ws_sends;

struct _WsConnection {
  GObject parent;
  union {
    guint64 id;
    struct wsc_identified identified;
  };
  struct ws_delivery *delivery; /* NULL once it is closed */
  void *link;                   /* the delivery's own of this connection */
  struct ws_details *details;
  struct ws_sends *sends; /* while any has not completed */
};

static inline WsConnection *ws_connection_of_entry(struct wsc_identified *entry) {
  return (WsConnection *)(void *)((char *)entry - offsetof(WsConnection, identified));
}

/* Whether the caller may use it: it belongs to the thread of its server. What is called for each message does not ask, since that costs as much as sending. */
static inline bool ws_connection_is_ours(const WsConnection *self) {
  return self->delivery == NULL || ws_context_is_ours(self->delivery->context);
}

/* A connection of which nothing is known yet but its number. */
WsConnection *ws_connection_new(guint64 id, struct ws_delivery *delivery, void *link);

/* Takes over what is known about the peer. */
void ws_connection_take_details(WsConnection *self, struct ws_details *details);
/* While this is set, headers are to be had. NULL: no longer. */
void ws_connection_lend_headers(WsConnection *self, GHashTable *headers);

/* So much of what was sent has been written to the peer's socket: messages that waited for that are done. */
void ws_connection_take_written(WsConnection *self);
/* There is room: what waited is sent. False when it still does not all fit. */
bool ws_connection_take_drained(WsConnection *self);
/* Nothing can be sent any more, and what was not written never will be. */
void ws_connection_take_closed(WsConnection *self);

/* What is on its way will never be written, but the connection goes on. */
void ws_connection_take_lost(WsConnection *self, const GError *error);

/* Of connection-sending.c: whether messages wait for room, which nothing may overtake. */
bool ws_connection_has_waiting(const WsConnection *self);
