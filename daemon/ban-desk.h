/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What administrators ask about bans. Bans live in the workers, each server's own, since the worker decides when a peer arrives; so
 * every question goes to all workers, and its answer is what they said. One question is under way at a time, the others wait, so
 * that a caller in a hurry piles nothing up at the workers. A worker that is late is left out.
 */
#pragma once

#include "daemon/call.h"

struct wsd_service;
struct wsd_ban_desk;

struct wsd_ban_desk *wsd_ban_desk_new(struct wsd_service *service);
/* Callers that still wait are told that the service leaves. */
void wsd_ban_desk_free(struct wsd_ban_desk *desk);

/* Answer ListBans and ClearBan, now or later. Both take the call. */
void wsd_ban_desk_list(struct wsd_ban_desk *desk, struct wsd_call *call);
void wsd_ban_desk_clear(struct wsd_ban_desk *desk, struct wsd_call *call);
