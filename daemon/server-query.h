/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions that only a server's worker can answer: counters and open connections. Questions are asked of a worker
 * one at a time; the same question asked meanwhile shares the answer that comes next, so that a caller in a hurry cannot pile anything up.
 */
#pragma once

#include "daemon/server.h"

struct wsd_query;

struct wsd_query *wsd_query_new(void);
void wsd_query_free(struct wsd_query *query);

/* Calls `done` exactly once, possibly before returning; wsd_server_counters() is fresh then, as far as there is a worker. */
typedef void (*wsd_query_done)(void *user);
void wsd_query_counters(struct wsd_query *query, struct wsd_server *server, wsd_query_done done, void *user);

/* Answers ListAllConnections. Takes the call. */
void wsd_query_connections(struct wsd_query *query, struct wsd_server *server, struct wsd_call *call);
