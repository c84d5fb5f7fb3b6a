/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a server share.
 *
 *   server.c          the object: properties, signals, connections, what a delivery reports
 *   server-run.c      starting and stopping
 *   server-return.c   coming back after the service was away
 *   server-channel.c  opening its delivery, and another when a worker has died
 *   server-bus.c      its object on the bus: calls, signals, the service that comes and goes
 *
 * A server has a delivery while it is between OpenChannel (or Start) and the end of the run. When that of a running server ends, its worker has died, and another is
 * opened for the next one.
 */
#pragma once

#include "channel/id-table.h"
#include "client-lib/connection-private.h"
#include "client-lib/context.h"
#include "client-lib/delivery.h"
#include "client-lib/details.h"
#include "client-lib/message-private.h"
#include <wsserver/ws-error.h>
#include <wsserver/ws-server.h>

#define WS_SERVICE "org.wsserver1"
#define WS_MANAGER_PATH "/org/wsserver1"
#define WS_MANAGER_INTERFACE "org.wsserver1.Manager"
#define WS_SERVER_INTERFACE "org.wsserver1.Server"

struct _WsServer {
  GObject parent;
  GMainContext *context; /* of the thread it belongs to */
  GDBusConnection *bus;
  bool bus_is_ours;    /* the system bus, and not one that the app gave */
  char *path;          /* its object on the bus; NULL before the first start, and when the service has forgotten it */
  char *service_owner; /* unique name of the service, whose signals count */
  guint subscription, watch;
  guint object;  /* counts the objects it has had: answers about an earlier one do not matter */
  bool was_away; /* the service has left the bus */
  GSource *away; /* until it counts as gone for good */

  WsServerState state;
  guint16 port;
  char *ip; /* that it listens on */
  bool tls;
  bool paused;
  struct ws_delivery *delivery;
  struct wsc_id_table connections; /* each holds a reference */
  WsMessageHandler handler;        /* instead of the signal */
  gpointer handler_data;
  GDestroyNotify handler_destroy;
  WsMessage *message; /* lent to handlers */

  guint64 max_message;         /* octets, as configured for this run */
  guint64 events_handled;      /* event signals since CreateServer ... */
  guint64 events_acknowledged; /* ... and of those: reported to the service */
  guint emitting;              /* handlers of the app are running */
  bool disposed;

  bool restarts; /* comes back by itself */
  struct {
    WsServerConfig *config; /* of the run; NULL before the first */
    guint16 port;           /* that it had */
    bool port_is_taken;     /* by somebody else: any other will do, where that was asked for */
    guint watch;            /* while the service is awaited */
    GSource *timer;         /* until the next try */
    guint tries;            /* in a row that failed */
    char *said;             /* why, as the app was told */
  } returning;

  GCancellable *calls;  /* of everything that is to end with this object */
  struct start *start;  /* while it starts, or the last steps of that are being undone */
  GQueue stops;         /* GTask of each ws_server_stop_async() that has not completed */
  bool start_called;    /* Start is under way on the bus */
  bool start_cancelled; /* and Stop behind it */
  bool start_unwanted;  /* no further step is taken */
  bool remote_stopped;  /* the service says that it has stopped */
  bool fails;           /* and that will have been a failure */
  GSource *reopening;   /* another try to open a channel, some time later */
  bool reopen_called;   /* OpenChannel is under way on the bus */
  guint reopen_tries;   /* in a row */
  bool asked_memory;    /* the channel that is being opened is to have shared memory */
  bool lends_binary;
  gint64 opened_at; /* the last channel: monotonic time */
};

/* Whether the caller may call a function of the server, which is not made for several threads at once. */
static inline bool ws_server_is_ours(const WsServer *self) {
  return ws_context_is_ours(self->context);
}

/* --- server.c: what a delivery reports --- */

/* Takes over the reference, and the headers (nullable). */
void ws_server_take_connected(WsServer *self, WsConnection *connection, GHashTable *headers);
void ws_server_take_message(WsServer *self, WsConnection *connection, bool text, const guint8 *data, gsize length,
                            GBytes *bytes, struct ws_channel *channel);
/* The connection is gone when this returns. */
void ws_server_take_closed(WsServer *self, WsConnection *connection, guint16 code, const char *reason, bool clean);
void ws_server_take_drained(WsServer *self, WsConnection *connection);
void ws_server_take_error(WsServer *self, WsError code, const char *text);

void ws_server_set_state(WsServer *self, WsServerState state);
/* `port` 0: it does not listen. */
void ws_server_set_address(WsServer *self, const char *ip, guint16 port, bool tls);
/* Closes every connection as lost. */
void ws_server_lose_connections(WsServer *self);
void ws_server_drop_delivery(WsServer *self);
WsConnection *ws_server_lookup(WsServer *self, guint64 id);

/* --- server-run.c --- */

/* What the service says about its object: State of org.wsserver1.Server. */
void ws_server_on_remote_state(WsServer *self, const char *state);
/* The service knows the object no longer. */
void ws_server_on_lost(WsServer *self, const char *why);
/* The end of a run, if everything about it is over. */
void ws_server_finish_stop(WsServer *self);
/* Has the service stop it. */
void ws_server_call_stop(WsServer *self);
/* Whoever waits for a start or stop no longer does. */
void ws_server_return_all(WsServer *self);

/* Starts a server that is to come back; ws_server_try_later() or ws_server_is_back() follows, unless it is stopped. */
void ws_server_start_again(WsServer *self);

/* --- server-return.c --- */

/* What a run is configured with, to be started again. Takes a copy. */
void ws_server_remember(WsServer *self, WsServerConfig *config);
void ws_server_forget(WsServer *self);
/* As ws_server_config_to_arguments(), of what was remembered. */
GVariant *ws_server_arguments_again(WsServer *self, GUnixFDList **files, GError **unreadable, GError **error);
/* Whether a server that was lost may come back by itself. */
bool ws_server_may_return(const WsServer *self);
/* Waits for the service, if the state is RETURNING. */
void ws_server_return(WsServer *self);
/* Starting it again has failed. */
void ws_server_try_later(WsServer *self, const GError *error);
/* It runs. */
void ws_server_is_back(WsServer *self);
/* It is not wanted back. */
void ws_server_stay_away(WsServer *self);

/* --- server-channel.c --- */

/* Opens the first channel of a run, or a delivery by signals where there can be none; calls back with NULL or why not. */
typedef void (*WsServerOpened)(gpointer user, GError *error);
void ws_server_open_delivery(WsServer *self, GCancellable *cancellable, WsServerOpened opened, gpointer user);
/* The delivery has nothing more to tell. `broken`: because somebody broke the rules, which ends the server. */
void ws_server_on_delivery_ended(WsServer *self, bool broken, const char *reason);
/* Where a running server has no delivery, opens one. */
void ws_server_reopen(WsServer *self);
void ws_server_stop_reopening(WsServer *self);

/* --- server-bus.c --- */

void ws_server_call(WsServer *self, const char *method, GVariant *arguments, const char *reply, GUnixFDList *fds,
                    GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user);
/* NULL and an error of this library. *fds may be NULL. */
GVariant *ws_server_call_finish(GObject *source, GUnixFDList **fds, GAsyncResult *result, GError **error);
/* Whether the service has said that it does not know the object: to be asked of an error of the function before. */
bool ws_server_is_forgotten(const GError *error);
/* User data of a call about the object that the server has now. It holds a reference to the server. */
gpointer ws_server_asks(WsServer *self);
/* The server (transfer full), once for each of them. *matters: it still has that object. */
WsServer *ws_server_answered(gpointer asked, bool *matters);
/* Without an answer. */
void ws_server_tell(WsServer *self, const char *method, GVariant *arguments);
/* From now on `path` is its object. */
/* For callbacks of the bus that may come when the server is gone. */
GWeakRef *ws_server_new_weak(WsServer *self);
void ws_server_free_weak(gpointer weak);
void ws_server_attach_bus(WsServer *self, const char *path);
void ws_server_detach_bus(WsServer *self);
/* The service is not on the bus: if it is not back after so long, the server is lost. */
void ws_server_wait_for_service(WsServer *self, guint milliseconds);
/* Asks for the properties of the object. */
void ws_server_ask_properties(WsServer *self, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user);
/* Takes the answer, and returns the state it tells; NULL and an error. With `self` NULL it matters to nobody. */
char *ws_server_take_properties(WsServer *self, GObject *source, GAsyncResult *result, GError **error);

/* --- The two deliveries --- */

/* Take the descriptors over. */
struct ws_delivery *ws_channel_delivery_new(WsServer *server, int fd);
/* NULL where `events` and `commands` are not what OpenSharedChannel gives. */
struct ws_delivery *ws_channel_delivery_new_shared(WsServer *server, int fd, int events, int commands);
void ws_channel_delivery_set_lending(struct ws_delivery *delivery, bool lends);
void ws_channel_delivery_set_paused(struct ws_delivery *delivery, bool paused);

struct ws_delivery *ws_signal_delivery_new(WsServer *server);
void ws_signal_delivery_set_paused(struct ws_delivery *delivery, bool paused);
/* Whether events wait in it, because the app has paused. */
bool ws_signal_delivery_holds_events(const struct ws_delivery *delivery);
/* From now on the app's word counts for how much is on the way to it, and not that of its bus connection. */
void ws_signal_delivery_begin(struct ws_delivery *delivery);
/* The service is back: calls that it did not answer are made again. */
void ws_signal_delivery_call_again(struct ws_delivery *delivery);
/* A signal of the server's object. */
void ws_signal_delivery_take(struct ws_delivery *delivery, const char *name, GVariant *arguments);
bool ws_delivery_is_channel(const struct ws_delivery *delivery);
