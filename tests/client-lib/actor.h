/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One server of the driver, by name: it prints every event, and does in handlers what it was told to. It lives in the main thread, or in a
 * thread and main context of its own; everything about it happens there. See driver.c for the commands.
 */
#pragma once

#include "tests/client-lib/line.h"

struct actor {
  char *name;
  GMainContext *context;
  GThread *thread; /* NULL: the main one */
  GMainLoop *loop; /* of the thread */
  WsServer *server;
  struct json_object *plans; /* event to an array of commands, which its handlers carry out */
  gboolean is_quiet;         /* messages are counted and not printed */
  guint64 quiet_count, quiet_octets;
  GPtrArray *kept;          /* messages */
  GHashTable *held;         /* id to a connection that is kept beyond its end */
  GSList *nested;           /* main loops inside of handlers */
  WsConnection *connection; /* of the handler that runs */
  WsMessage *message;       /* in it */
};

/* `bus` NULL: the system bus, by ws_server_new(). */
struct actor *actor_new(const char *name, GDBusConnection *bus, gboolean has_thread);
/* Lets go of everything it has, and ends its thread. */
void actor_free(struct actor *actor);
/* Messages come by a handler of their own, and no longer by the signal; or by the signal again. */
void actor_use_handler(struct actor *actor, gboolean use);
/* Lets go of the server. */
void actor_drop_server(struct actor *actor);
/* Calls the function in the actor's thread, some time later. */
void actor_post(struct actor *actor, GSourceFunc function, gpointer data);

/* Carries out one command in the thread of the actor: commands.c. */
void command_run(struct actor *actor, struct json_object *command);
/* A named GCancellable, for all threads: driver.c. */
GCancellable *driver_get_cancellable(const char *name);
/* NULL without one of that name. */
struct actor *driver_find_actor(const char *name);
