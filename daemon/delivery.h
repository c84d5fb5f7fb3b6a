/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event signals to one app, unicast, with a window: at most WSD_WINDOW_EVENTS signals and WSD_WINDOW_OCTETS octets are
 * on the way at a time, one larger event alone is fine. A bus that queues for a stalled receiver ends up stalling
 * everybody; the window is what keeps one app's silence its own.
 *
 * Each server has a lane. The window moves when the app acknowledges a lane's events, or, for lanes never acknowledged, when the app replies to an
 * org.freedesktop.DBus.Peer.Ping sent behind them: messages to one receiver stay in order, so its reply proves that it has
 * read all before. Only the app's own reply counts, an error of the bus does not. One Ping is in flight per app.
 *
 * Replies and other signals are counted too, apart and in octets: an app that makes calls and never reads would fill the
 * bus with them just as well. When it has left too much unread it is behind, and its calls wait.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

struct wsd_delivery;

struct wsd_lane_events {
  /* `count` more events that came from the worker have reached the app. */
  void (*delivered)(void *user, guint count);
  /* The window has room again, asked for by wsd_lane_want_room(). */
  void (*room)(void *user);
};

struct wsd_lane;

struct wsd_delivery *wsd_delivery_new(GDBusConnection *connection, const char *name);
/* All lanes have to be gone. */
void wsd_delivery_free(struct wsd_delivery *delivery);
/* The app has left the bus: from here on signals are dropped, and there is always room. */
void wsd_delivery_abandon(struct wsd_delivery *delivery);

/* A signal that is no event: State changes and the like. Takes floating `values`. */
void wsd_delivery_send(struct wsd_delivery *delivery, const char *path, const char *interface, const char *signal,
                       GVariant *values);

/* Counts a message that somebody else sends to the app: the reply to a call. */
void wsd_delivery_charge(struct wsd_delivery *delivery, GDBusMessage *message);
/* Whether the app has left so much unread that nothing more may be said to it before it has read some. */
bool wsd_delivery_is_behind(const struct wsd_delivery *delivery);
/* Calls `caught_up` once when that is over, unless the app leaves before. */
void wsd_delivery_on_caught_up(struct wsd_delivery *delivery, void (*caught_up)(void *user), void *user);

struct wsd_lane *wsd_lane_new(struct wsd_delivery *delivery, const char *path, const struct wsd_lane_events *events,
                              void *user);
void wsd_lane_free(struct wsd_lane *lane);

/* Whether an event of that many payload octets fits into the window now. */
bool wsd_lane_has_room(const struct wsd_lane *lane, gsize octets);
void wsd_lane_want_room(struct wsd_lane *lane);

/* Sends an event signal of org.wsserver1.Server, whether it fits or not. Takes floating `values`. `from_worker`: counted in `delivered`. */
void wsd_lane_emit(struct wsd_lane *lane, const char *signal, GVariant *values, gsize octets, bool from_worker);

/* A signal of the server that is no event. Takes floating `values`. */
void wsd_lane_notify(struct wsd_lane *lane, const char *signal, GVariant *values);

/* The app says how many events of this lane it has handled in total. False when that many were never sent. */
bool wsd_lane_acknowledge(struct wsd_lane *lane, guint64 events);
guint64 wsd_lane_emitted(const struct wsd_lane *lane);
/* The lane goes on where an earlier process of the service ended: `emitted` events were sent and delivered. Of those that follow the first
 * `repeats` may have reached the app before, so its count may be ahead of ours by as many. */
void wsd_lane_restore(struct wsd_lane *lane, guint64 emitted, guint64 repeats);
