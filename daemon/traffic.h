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
};

/* `path` is the server's object path. */
struct wsd_traffic *wsd_traffic_new(struct wsd_delivery *delivery, const char *path,
                                    const struct wsd_traffic_events *events, void *user);
void wsd_traffic_free(struct wsd_traffic *traffic);

/* A worker's channel: takes `fd`. Events wait until wsd_traffic_open(). */
void wsd_traffic_attach(struct wsd_traffic *traffic, int fd, guint64 generation, guint64 max_message);
void wsd_traffic_open(struct wsd_traffic *traffic);
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
void wsd_traffic_acknowledge(struct wsd_traffic *traffic, struct wsd_call *call);
