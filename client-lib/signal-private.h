/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the delivery by signals share: signal-delivery.c has the events and the whole, signal-sending.c what goes to the peers. */
#pragma once

#include "client-lib/server-private.h"

struct signal_delivery {
  struct ws_delivery base;
  WsServer *server;     /* NULL once it is freed; calls and peers may outlive that */
  GQueue ready;         /* peers that have a message and no call outstanding; each holds a reference */
  GQueue held_back;     /* struct signal: while the app has paused */
  guint calls;          /* outstanding calls of Send and Broadcast */
  gsize waiting_octets; /* charged for all waiting messages */
  bool crowded;         /* somebody was refused because of these */
  bool is_away;         /* the service has left the bus: nothing is called until it is back */
  gsize octets;         /* of events handled since the last acknowledgement */
  GSource *acknowledge_later, *resume_later;
};

struct signal {
  char *name;
  GVariant *arguments;
};

/* One connection; lives as long as it or a call for it. */
struct signal_peer {
  struct signal_delivery *delivery; /* a reference */
  guint64 id;
  WsConnection *connection; /* NULL once it is closed */
  GQueue waiting;           /* arguments of Send, first to last; the first stays until its call succeeded */
  guint64 charged, written;
  bool queued, sending;
  bool blocked;    /* the service said WouldBlock; Drained follows */
  bool drained;    /* Drained came while a call was outstanding */
  bool refused;    /* the app was told to wait */
  bool missed;     /* a broadcast has left out some, and this may be one of them */
  GVariant *close; /* arguments of Close, which goes behind what waits, until it was called */
  bool close_called;
  bool closing;
  bool hold;
};

/* Tells the service in time how many events were handled. */
void ws_signal_acknowledge_soon(struct signal_delivery *delivery);

/* --- signal-sending.c --- */

/* What waits for its turn gets in line: a message, or behind the last of them Close. */
void ws_signal_make_ready(struct signal_peer *peer);
/* Calls for those in line, as many as may be outstanding. */
void ws_signal_send_next(struct signal_delivery *delivery);
/* Tells the app that there is room again, if it was refused. */
void ws_signal_tell_room(struct signal_peer *peer);
void ws_signal_tell_all_room(struct signal_delivery *delivery);
void ws_signal_drop_all(struct signal_peer *peer);
void ws_signal_peer_unref(gpointer data);
/* NULL where the connection is not of this delivery. */
struct signal_peer *ws_signal_link_of(struct signal_delivery *delivery, const WsConnection *connection);

/* As struct ws_delivery_class has them. */
enum ws_channel_result ws_signal_send(WsConnection *connection, const WsMessage *message, bool notify);
enum ws_channel_result ws_signal_broadcast(struct ws_delivery *base, GPtrArray *connections, const WsMessage *message,
                                           gsize *sent);
void ws_signal_hold(WsConnection *connection, bool hold);
enum ws_channel_result ws_signal_close(WsConnection *connection, guint16 code, const char *reason);
bool ws_signal_is_closing(WsConnection *connection);
guint64 ws_signal_get_sent(WsConnection *connection);
guint64 ws_signal_get_written(WsConnection *connection);
