/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Method calls on their way from GDBus's reading thread to the main loop, in order. Bounded: a call beyond
 * WSD_INCOMING_CALLS_MAX is answered with LimitExceeded on the spot, and so is one whose file descriptors would make more than
 * WSD_INCOMING_FDS_MAX. Descriptors are let through with the calls that take some; all others are closed at once.
 */
#pragma once

#include <gio/gio.h>

struct wsd_inbox;

/* Takes over every method call that comes in on the connection, but those of org.freedesktop.DBus.Peer; `handle` is called on the
 * main loop and owns the message. To be made before any name is owned. */
struct wsd_inbox *wsd_inbox_new(GDBusConnection *connection, void (*handle)(void *user, GDBusMessage *message),
                                void *user);
/* Calls are read but not handled, until it is continued. */
void wsd_inbox_hold(struct wsd_inbox *inbox);
void wsd_inbox_continue(struct wsd_inbox *inbox);
/* No call is handled any more; those waiting are dropped. */
void wsd_inbox_free(struct wsd_inbox *inbox);
