/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How events come from the service and messages go there. There are two: over the channel (channel-delivery.c), and over signals and calls of the bus
 * (signal-delivery.c), which is slower and works where the bus passes no descriptors. A server does not know which it has.
 *
 * A delivery serves one run of a server: from Start, or from the death of a worker, to the end of that run. What it reports goes to the functions that
 * begin with ws_server_take_, see server-private.h.
 */
#pragma once

#include <wsserver/ws-channel.h>
#include <wsserver/ws-connection.h>

#include <gio/gio.h>
#include <stdbool.h>

struct ws_delivery;

struct ws_delivery_class {
  void (*free)(struct ws_delivery *delivery); /* when its connections are closed or about to be */
  void (*forget)(WsConnection *connection);   /* it is closed; may be NULL */
  enum ws_channel_result (*send)(WsConnection *connection, const WsMessage *message, bool notify);
  /* To some of them, or with NULL to all; returns how many get it. */
  enum ws_channel_result (*broadcast)(struct ws_delivery *delivery, GPtrArray *connections, const WsMessage *message,
                                      gsize *sent);
  /* While it is held, no broadcast goes to it: messages wait in front of it. */
  void (*hold)(WsConnection *connection, bool hold);
  enum ws_channel_result (*close)(WsConnection *connection, guint16 code, const char *reason);
  bool (*is_closing)(WsConnection *connection);     /* the app has closed it */
  guint64 (*get_sent)(WsConnection *connection);    /* octets, and 16 more for each message */
  guint64 (*get_written)(WsConnection *connection); /* of these, what is known to be written to the peer's socket */
};

struct ws_delivery {
  const struct ws_delivery_class *class;
  GMainContext *context; /* its server's */
};
