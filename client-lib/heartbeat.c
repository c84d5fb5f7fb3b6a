/* SPDX-License-Identifier: Apache-2.0 */
#include "client-lib/heartbeat.h"

#define NEVER G_MAXINT64

static gint64 after(gint64 now, gint64 time) {
  return time > 0 ? now + time : NEVER;
}

void ws_heartbeat_begin(struct ws_heartbeat *heartbeat, guint interval, guint timeout, gint64 now) {
  heartbeat->interval = (gint64)interval * G_TIME_SPAN_SECOND;
  heartbeat->timeout = (gint64)timeout * G_TIME_SPAN_SECOND;
  heartbeat->ping_at = after(now, heartbeat->interval);
  heartbeat->pong_by = NEVER;
}

void ws_heartbeat_take_pong(struct ws_heartbeat *heartbeat, gint64 now) {
  heartbeat->ping_at = after(now, heartbeat->interval);
  heartbeat->pong_by = NEVER;
}

enum ws_heartbeat_action ws_heartbeat_act(struct ws_heartbeat *heartbeat, gint64 now) {
  if (now >= heartbeat->pong_by)
    return WS_HEARTBEAT_GONE;
  if (now < heartbeat->ping_at)
    return WS_HEARTBEAT_NOTHING;
  heartbeat->ping_at = after(now, heartbeat->interval);
  if (heartbeat->pong_by == NEVER)
    heartbeat->pong_by = after(now, heartbeat->timeout);
  return WS_HEARTBEAT_PING;
}

gint64 ws_heartbeat_next(const struct ws_heartbeat *heartbeat) {
  return MIN(heartbeat->ping_at, heartbeat->pong_by);
}
