/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes between one server's worker and its app: records of the channel become event signals, calls become
 * records. Owns the channel link and the table of connections, which holds for each what it was charged and what was released,
 * so that a peer's queue is bounded without asking the worker.
 *
 * What the worker says is hostile input: an event about a connection that there is not, an id of another generation, a
 * credit above the charge end the link with a fault.
 */
#pragma once

#include "daemon/call.h"
#include "daemon/delivery.h"

struct wsd_traffic;

struct wsd_traffic_events {
  /* The link to the worker is at its end; `fault` is NULL when the worker closed it. */
  void (*ended)(void *user, const char *fault);
  /* Whether the owner may have more octets wait for workers; NULL: always. */
  bool (*has_room)(void *user);
};

/* `path` is the server's object path. */
struct wsd_traffic *wsd_traffic_new(struct wsd_delivery *delivery, const char *path,
                                    const struct wsd_traffic_events *events, void *user);
void wsd_traffic_free(struct wsd_traffic *traffic);
/* Octets that wait for the worker. */
gsize wsd_traffic_queued(const struct wsd_traffic *traffic);

/* A worker's channel: takes `fd`. Events wait until wsd_traffic_open(). */
void wsd_traffic_attach(struct wsd_traffic *traffic, int fd, guint64 generation, guint64 max_message);
void wsd_traffic_open(struct wsd_traffic *traffic);
/* As wsd_traffic_attach(), for a worker that an earlier process of the service left behind: `events_before` event signals were sent before
 * the worker's first. Unless `settled`, what the worker repeats is announced with Recovered. */
void wsd_traffic_adopt(struct wsd_traffic *traffic, int fd, guint64 generation, guint64 max_message,
                       guint64 events_before, bool settled);
/* How many event signals were sent in all. */
guint64 wsd_traffic_emitted(const struct wsd_traffic *traffic);
/* For a server without a worker: so many were sent by an earlier process. */
void wsd_traffic_restore(struct wsd_traffic *traffic, guint64 emitted);
/* No further events, until a later process of the service goes on. */
void wsd_traffic_hold(struct wsd_traffic *traffic);
/* Acknowledges every event that was sent, because the bus has it, and writes what is queued. False when that could not be done at
 * once: then events will be repeated. */
bool wsd_traffic_settle(struct wsd_traffic *traffic);
/* The worker is about to get another channel: everything that was sent is acknowledged, every call that is on its way answered, and what
 * the worker has said and nobody heard is left for the other channel. Returns the link's descriptor, which stays open until it is closed,
 * or -1 when the worker does not read at the moment, and nothing has changed. */
int wsd_traffic_hand_over(struct wsd_traffic *traffic);
/* Whoever has the other channel knows them now. Until then they are ours to close, should the worker die. */
void wsd_traffic_forget_connections(struct wsd_traffic *traffic);
/* Drops the link without reading it to its end: a later process gets what is left. */
void wsd_traffic_let_go(struct wsd_traffic *traffic);
/* From here on events go out whether the window has room or not: the server stops, and what is left is bounded. */
void wsd_traffic_drain(struct wsd_traffic *traffic);
/* Reads the link to its end and drops it. Connections that are left over stay until wsd_traffic_close_all(). */
void wsd_traffic_detach(struct wsd_traffic *traffic);
/* Emits Closed, not clean, for every connection that is left, and answers calls in flight with `error`. */
void wsd_traffic_close_all(struct wsd_traffic *traffic, guint16 code, const char *reason);
void wsd_traffic_fail_calls(struct wsd_traffic *traffic, enum wsd_error error, const char *text);
/* Emits Error. */
void wsd_traffic_error(struct wsd_traffic *traffic, enum wsd_error error, const char *text);

/* The calls of the contract, for a running server. Each takes the call. */
void wsd_traffic_send(struct wsd_traffic *traffic, struct wsd_call *call);
void wsd_traffic_broadcast(struct wsd_traffic *traffic, struct wsd_call *call);
void wsd_traffic_close(struct wsd_traffic *traffic, struct wsd_call *call);
/* What a call of Close asks for. False when it was answered. */
struct wsd_close_request {
  guint64 connection;
  guint16 code;
  const char *reason; /* the call's */
};
bool wsd_traffic_read_close(struct wsd_call *call, struct wsd_close_request *request);
void wsd_traffic_acknowledge(struct wsd_traffic *traffic, struct wsd_call *call);
