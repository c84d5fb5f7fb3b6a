/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the traffic of one server, for the two files that make it up: traffic.c (the link and the worker's records) and
 * traffic-calls.c (the calls of the app).
 */
#pragma once

#include "daemon/channel-link.h"
#include "daemon/traffic.h"

struct connection {
  guint64 id;
  guint64 charged, released; /* octets in total, see channel/record.h */
  bool closing;              /* the app has called Close */
  bool wants_drained;        /* the worker owes DRAINED */
};

/* A call that is answered when its record is in the socket. */
struct pending {
  struct wsd_call *call;
  guint64 position;
  GVariant *values; /* of the answer, or NULL */
};

typedef void (*carry_out_call)(struct wsd_traffic *traffic, struct wsd_call *call);

/* A call that came before the connections of an adopted worker were known. */
struct early_call {
  struct wsd_call *call;
  carry_out_call carry_out;
};

struct wsd_traffic {
  struct wsd_traffic_events events;
  bool owner_has_room; /* for the call that is being looked at */
  void *user;
  struct wsd_lane *lane;
  struct wsd_channel *channel; /* NULL while there is no worker */
  GHashTable *connections;     /* by id */
  GQueue pending;              /* of struct pending, by position */
  guint64 generation, last_id, max_message;
  guint32 queue_high;
  bool welcomed, open, held;
  bool adopts, settled;  /* the worker was left behind by an earlier process */
  guint64 events_before; /* this worker's first */
  guint64 from_worker;   /* events emitted and not yet delivered */
  guint64 stale;         /* how many of those are of a worker before this one, or acknowledged already */
  guint64 acknowledged;  /* events of this worker that reached the app */
  guint acknowledge_source;
  bool catching_up; /* an adopted worker still names connections that the app knows */
  guint32 standing_left, repeats_left;
  guint catch_up_timeout;
  GQueue early;                  /* of struct early_call, oldest first */
  GQueue early_acknowledgements; /* of struct wsd_call: came before the adopted worker said where it is */
};

/* NULL where there is none. */
struct connection *wsd_traffic_find(struct wsd_traffic *traffic, guint64 id);
/* UTF-8, in which U+0000 may stand. */
bool wsd_traffic_is_text(const guint8 *data, gsize length);
/* Whether the present worker has not named that connection yet. */
bool wsd_traffic_is_new_id(const struct wsd_traffic *traffic, guint64 id);

/* traffic-calls.c: calls that came too early are carried out, as far as the connections are known by now. */
void wsd_traffic_release_early_calls(struct wsd_traffic *traffic);
void wsd_traffic_stop_catching_up(struct wsd_traffic *traffic);
