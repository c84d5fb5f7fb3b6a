/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's heartbeat (RFC 6455 section 5.5.2): when to send a Ping, and when the other side counts as gone. Counted from the connection's beginning or the last Pong:
 * every `interval` a Ping is sent; no Pong within `timeout` of a Ping that was sent, and the connection is over. Without I/O or a clock: times are microseconds of whichever clock the user has.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

struct ws_heartbeat {
  gint64 interval, timeout; /* microseconds; 0: off */
  gint64 ping_at;           /* when the next Ping is due; G_MAXINT64: never */
  gint64 pong_by;           /* when the Pong that is awaited is too late; G_MAXINT64: none is awaited */
};

enum ws_heartbeat_action { WS_HEARTBEAT_NOTHING, WS_HEARTBEAT_PING, WS_HEARTBEAT_GONE };

/* In seconds. */
void ws_heartbeat_begin(struct ws_heartbeat *heartbeat, guint interval, guint timeout, gint64 now);
void ws_heartbeat_take_pong(struct ws_heartbeat *heartbeat, gint64 now);
/* What is to be done now. After PING, the Ping has been sent. */
enum ws_heartbeat_action ws_heartbeat_act(struct ws_heartbeat *heartbeat, gint64 now);
/* When to ask again; G_MAXINT64: never. */
gint64 ws_heartbeat_next(const struct ws_heartbeat *heartbeat);
