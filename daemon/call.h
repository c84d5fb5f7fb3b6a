/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One method call on its way through the daemon: made by the door, handed to exactly one handler, and ended by exactly
 * one of the functions below, which also free it. Whoever holds the pointer owes the answer; calls may be kept and
 * answered later. The caller may be gone by then, which harms nobody.
 */
#pragma once

#include "daemon/error.h"

#include <gio/gunixfdlist.h>
#include <stdbool.h>

struct wsd_app;

struct wsd_call {
  struct wsd_app *app; /* the caller; holds a reference */
  GDBusConnection *connection;
  GDBusMessage *message;
  GVariant *arguments; /* a tuple of the method's signature; owned by `message` */
};

/* `message` is a method call whose signature was checked. */
struct wsd_call *wsd_call_new(struct wsd_app *app, GDBusConnection *connection, GDBusMessage *message);

/* As below, with descriptors, which stay the caller's. */
void wsd_call_return_with_fds(struct wsd_call *call, GVariant *values, GUnixFDList *fds);
/* Answers with `values`, a tuple (floating references are taken), or NULL for no values. */
void wsd_call_return(struct wsd_call *call, GVariant *values);
G_GNUC_PRINTF(3, 4) void wsd_call_fail(struct wsd_call *call, enum wsd_error code, const char *format, ...);
/* An error of WSD_ERROR keeps its name, others become Failed. Takes `error`. */
void wsd_call_take_error(struct wsd_call *call, GError *error);
/* An error with a name of its own, such as org.freedesktop.DBus.Error.UnknownObject. */
G_GNUC_PRINTF(3, 4) void wsd_call_fail_name(struct wsd_call *call, const char *name, const char *format, ...);
