/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message that arrives is lent: it points to where it was read, and lives until its event was handled. If somebody has taken a reference by then, it is
 * made to stand on its own; if not, the same WsMessage is lent again for the next one. So the small message that is handled at once costs neither
 * memory nor a copy.
 */
#pragma once

#include <wsserver/ws-message.h>

#include <stdbool.h>

struct ws_channel;

struct _WsMessage {
  guint references;
  bool text;
  bool lent;
  const guint8 *data;
  gsize length;
  GBytes *bytes;              /* NULL: the data is lent, or nobody has asked for it yet */
  struct ws_channel *channel; /* whose memory it is while it is lent; NULL: that of the bus */
};

/* Lends `data` to *message, which is made where it is NULL. `bytes` (may be NULL) is the same data, if it has that form. */
void ws_message_lend(WsMessage **message, bool text, const guint8 *data, gsize length, GBytes *bytes,
                     struct ws_channel *channel);
/* The event was handled. *message is NULL afterwards if somebody keeps it. */
void ws_message_settle(WsMessage **message);
