/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bus of two: the daemon's end and the end of one app, joined by a socket pair. It keeps what the app gets, in order,
 * and answers the daemon's Pings as it is told to.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#define DOUBLE_APP ":1.7"

struct bus_double {
  GDBusConnection *daemon;
  GDBusConnection *app;
  GMutex lock;
  GPtrArray *received; /* of GDBusMessage: signals and answers, not Pings */
  GPtrArray *pings;    /* of GDBusMessage: Pings that were not answered */
  bool answer_pings;
  const char *ping_sender; /* who seems to answer */
};

struct bus_double *bus_double_new(void);
void bus_double_free(struct bus_double *bus);

/* Runs the main loop until that many messages have arrived; fails the test after some seconds. */
void bus_double_wait(struct bus_double *bus, guint count);
/* Runs the main loop until that many Pings wait for an answer. */
void bus_double_wait_pings(struct bus_double *bus, guint count);
/* Lets everything that is under way arrive: a message of our own goes round behind it. */
void bus_double_settle(struct bus_double *bus);
guint bus_double_count(struct bus_double *bus);
/* "Member" of a signal, or the error name or "return" of an answer. */
const char *bus_double_name(struct bus_double *bus, guint index);
GVariant *bus_double_body(struct bus_double *bus, guint index);
/* Answers the oldest Ping that waits, as `sender`. */
void bus_double_answer_ping(struct bus_double *bus, const char *sender);
