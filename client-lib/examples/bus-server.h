/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One WebSocket server as a program gets it from wsserverd over the system bus, in plain GDBus: what the examples
 * share, and a model for programs that speak D-Bus by hand.
 *
 * It owns the server object on the bus, turns its signals into calls of struct bus_server_events, keeps the messages for
 * each connection in order, and bounds everything (limits.h): a connection whose peer reads too slowly waits alone until the
 * service reports it drained, and is closed when too much waits for it; events are acknowledged as they are handled, so
 * the service sends no more of them than this program can take.
 *
 * Everything happens in the thread-default main context of the thread that created it.
 */
#pragma once

#include <gio/gio.h>

struct bus_server;

/* Any member may be NULL. Arguments live until the callback returns. */
struct bus_server_events {
  void (*connected)(gpointer user, guint64 connection, const char *client_ip, guint16 client_port, GVariant *details);
  void (*message)(gpointer user, guint64 connection, gboolean text, GVariant *data); /* data: ay */
  void (*closed)(gpointer user, guint64 connection, guint16 code, const char *reason, gboolean clean);
  void (*problem)(gpointer user, guint32 code, const char *message); /* the server goes on if it can */
  void (*lost)(gpointer user, const char *why);                      /* the server is gone for good; comes once */
};

/* Connects to the system bus (or DBUS_SYSTEM_BUS_ADDRESS) and creates the server object. */
struct bus_server *bus_server_new(const struct bus_server_events *events, gpointer user, GError **error);
void bus_server_free(struct bus_server *server);

/* Starts with these options (a{sv}, floating is fine); when it returned TRUE, peers can connect. */
gboolean bus_server_start(struct bus_server *server, GVariant *options, GError **error);

/* Where peers find it, such as "ws://192.168.1.20:8080/". Free with g_free(). */
char *bus_server_get_url(struct bus_server *server, GError **error);

/* Sends after everything sent to that connection before. A connection that is gone is ignored: `closed` told. Takes a floating `data`. */
void bus_server_send(struct bus_server *server, guint64 connection, gboolean text, GVariant *data);

/* Sends to every peer, after everything sent to it before; one that the service finds too slow misses it. Takes a floating `data`. */
void bus_server_broadcast(struct bus_server *server, gboolean text, GVariant *data);

/* Stops the server and removes its object; `done` is called once that has happened or has failed. */
void bus_server_release(struct bus_server *server, void (*done)(gpointer user));

/* Prints "PROGRAM: DOING: NAME: MESSAGE" to standard error, and what a person can do about it where we know. */
void bus_server_print_error(const char *program, const char *doing, const GError *error);
