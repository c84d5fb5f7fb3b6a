/* SPDX-License-Identifier: Apache-2.0 */
/* The channel of an app's own: from the app straight to the worker, past the bus and past this process. */
#include "daemon/keeper.h"
#include "daemon/limits.h"
#include "daemon/server-private.h"

#include <errno.h>
#include <gio/gunixfdlist.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* What happens between the call and its answer while the server runs: everything that the worker said to us is answered for, and it
 * has taken the app's channel instead of ours. */
struct wsd_handover {
  struct wsd_server *server;  /* holds a reference */
  struct wsd_call *call;      /* NULL once it was answered */
  struct wsd_app_channel app; /* the app's side */
  int former;                 /* our old channel, kept open until the worker has let go of it; -1: there was none */
};

/* The one before is over: the app would not ask for another otherwise. */
static bool make_channel(struct wsd_server *server, struct wsd_app_channel *worker, struct wsd_app_channel *app,
                         bool shared, struct wsd_call *call) {
  wsd_lent_arenas_empty(&server->lent);
  if (wsd_app_channel_open(worker, app, shared)) {
    if (wsd_lent_arenas_note(&server->lent, worker, app))
      return true;
    int error = errno;
    wsd_app_channel_close(worker);
    wsd_app_channel_close(app);
    errno = error;
  }
  wsd_call_fail(call, WSD_ERROR_FAILED, "cannot open a channel: %s; try again later", g_strerror(errno));
  return false;
}

/* Takes the app's side. */
static void hand_out(struct wsd_call *call, struct wsd_app_channel *app) {
  bool shared = wsd_app_channel_is_shared(app);
  g_autoptr(GUnixFDList) fds = g_unix_fd_list_new_from_array(app->fds, (gint)wsd_app_channel_count(app));
  *app = WSD_NO_CHANNEL;
  wsd_call_return_with_fds(call, shared ? g_variant_new("(hhh)", 0, 1, 2) : g_variant_new("(h)", 0), fds);
}

static void keep_channel(struct wsd_server *server, const struct wsd_app_channel *channel) {
  server->app_channel = *channel;
  for (int part = 0; part < WSD_CHANNEL_PARTS; part++)
    wsd_server_keep(server, wsd_app_channel_kinds[part], channel->fds[part]);
  wsd_keeper_touch(server->service->keeper);
}

void wsd_server_drop_app_channel(struct wsd_server *server) {
  for (int part = 0; part < WSD_CHANNEL_PARTS; part++)
    if (server->app_channel.fds[part] >= 0)
      wsd_server_keep_no_longer(server, wsd_app_channel_kinds[part]);
  wsd_app_channel_close(&server->app_channel);
}

void wsd_server_forget_channel(struct wsd_server *server) {
  wsd_server_drop_app_channel(server);
  server->by_channel = server->channel_open = false;
  wsd_server_cancel_handover(server, "the server was stopped meanwhile");
}

/* The worker reads it from its beginning, so the app may write already. */
bool wsd_server_attach_app_channel(struct wsd_server *server) {
  if (!wsd_app_channel_is_there(&server->app_channel))
    return true;
  bool attached = wsd_worker_attach_app(server->worker, &server->app_channel);
  wsd_server_drop_app_channel(server);
  wsd_keeper_touch(server->service->keeper);
  return attached;
}

/* ---- The call ---- */

static void end_handover(struct wsd_handover *handover) {
  struct wsd_server *server = handover->server;
  if (server->handover == handover)
    server->handover = NULL;
  wsd_app_channel_close(&handover->app);
  if (handover->former >= 0)
    close(handover->former);
  g_free(handover);
  wsd_server_unref(server);
}

void wsd_server_cancel_handover(struct wsd_server *server, const char *text) {
  struct wsd_handover *handover = server->handover;
  if (handover && handover->call)
    wsd_call_fail(g_steal_pointer(&handover->call), WSD_ERROR_SHUTTING_DOWN, "%s", text);
  server->handover = NULL; /* somebody else is about to end it */
}

static void on_kept(void *user) {
  struct wsd_handover *handover = user;
  if (handover->call)
    hand_out(g_steal_pointer(&handover->call), &handover->app);
  end_handover(handover);
}

/* The answer to a question stands behind ATTACH: our old channel is closed on the other side. */
static void on_attached(void *user, const struct wsc_control_record *record) {
  struct wsd_handover *handover = user;
  struct wsd_server *server = handover->server;
  if (!record && handover->call) {
    wsd_call_fail(g_steal_pointer(&handover->call), WSD_ERROR_FAILED,
                  "the server's process has just ended; call again");
    server->by_channel = server->by_channel && handover->former < 0; /* as it was before */
    server->channel_open = false;
  }
  if (!handover->call) {
    end_handover(handover);
    return;
  }
  wsd_traffic_forget_connections(server->traffic);
  if (handover->former >= 0)
    close(handover->former);
  handover->former = -1;
  wsd_keeper_commit(server->service->keeper, on_kept, handover);
}

static void hand_over(struct wsd_server *server, struct wsd_call *call, bool shared) {
  struct wsd_app_channel worker, app;
  int former = -1;
  if (!make_channel(server, &worker, &app, shared, call))
    return;
  if (!server->by_channel && (former = wsd_traffic_hand_over(server->traffic)) < 0) {
    wsd_app_channel_close(&worker);
    wsd_app_channel_close(&app);
    wsd_call_fail(call, WSD_ERROR_FAILED, "the server's process is too busy to change over; call again");
    return;
  }
  struct wsd_handover *handover = g_new(struct wsd_handover, 1);
  *handover = (struct wsd_handover){wsd_server_ref(server), call, app, former};
  server->handover = handover;
  server->by_channel = server->channel_open = true;
  server->app_channel = worker;
  wsd_server_attach_app_channel(server);
  wsd_worker_ask_counters(server->worker, on_attached, handover);
}

/* For the next worker that starts. */
static void wait_for_worker(struct wsd_server *server, struct wsd_call *call, bool shared) {
  struct wsd_app_channel worker, app;
  if (!make_channel(server, &worker, &app, shared, call))
    return;
  server->by_channel = server->channel_open = true;
  keep_channel(server, &worker);
  struct wsd_handover *handover = g_new(struct wsd_handover, 1);
  *handover = (struct wsd_handover){wsd_server_ref(server), call, app, -1};
  server->handover = handover;
  wsd_keeper_commit(server->service->keeper, on_kept, handover);
}

/* An app that cannot use the channel it got, for want of room to map the arenas, asks for another before any worker has seen that it closed the first. */
static void drop_closed_channel(struct wsd_server *server) {
  struct pollfd end = {.fd = server->app_channel.fds[WSD_CHANNEL_SOCKET]};
  if (end.fd < 0 || server->handover || poll(&end, 1, 0) != 1 || !(end.revents & POLLHUP))
    return;
  wsd_server_drop_app_channel(server);
  server->channel_open = false;
}

static void open_channel(struct wsd_server *server, struct wsd_call *call, bool shared) {
  drop_closed_channel(server);
  const struct wsd_worker *worker = server->state == WSD_SERVER_RUNNING ? wsd_server_worker(server) : NULL;
  if (server->state == WSD_SERVER_STARTING || server->state == WSD_SERVER_STOPPING)
    wsd_call_fail(call, WSD_ERROR_NOT_RUNNING, "the server is %s; call again when it is not",
                  wsd_server_state_name(server->state));
  else if (server->channel_open || server->handover)
    wsd_call_fail(call, WSD_ERROR_CHANNEL_IN_USE, "the channel is open already; close that one first");
  else if (worker && shared && wsd_worker_last_request(worker) < WSC_CONTROL_ATTACH_SHARED)
    wsd_call_fail(call, WSD_ERROR_FAILED, "the server's process is of an earlier release; call OpenChannel");
  else if (worker)
    hand_over(server, call, shared);
  else
    wait_for_worker(server, call, shared);
}

void wsd_server_open_channel(struct wsd_server *server, struct wsd_call *call) {
  open_channel(server, call, false);
}

void wsd_server_open_shared_channel(struct wsd_server *server, struct wsd_call *call) {
  open_channel(server, call, true);
}

bool wsd_server_uses_channel(struct wsd_server *server, struct wsd_call *call) {
  if (!server->by_channel)
    return false;
  wsd_call_fail(call, WSD_ERROR_CHANNEL_IN_USE, "the server has a channel: say it there");
  return true;
}

/* ---- Close, which goes past the app's own channel ---- */

static void on_closed(void *user, const struct wsc_control_record *record) {
  struct wsd_call *call = user;
  guint32 found = 0;
  if (record)
    (void)wsc_control_get_u32(record, WSC_FIELD_FOUND, &found);
  if (found)
    wsd_call_return(call, NULL);
  else
    wsd_call_fail(call, WSD_ERROR_CONNECTION_NOT_FOUND,
                  "connection: there is no such connection (any more); ListAllConnections names the open ones");
}

void wsd_server_close_past_channel(struct wsd_server *server, struct wsd_call *call) {
  struct wsd_worker *worker = wsd_server_worker(server);
  struct wsd_close_request request;
  if (!wsd_traffic_read_close(call, &request))
    return;
  if (worker)
    wsd_worker_ask_to_close(worker, request.connection, request.code, request.reason, on_closed, call);
  else
    on_closed(call, NULL);
}

/* ---- The end of the channel ---- */

void wsd_server_on_app_channel_ended(struct wsd_server *server, const char *text) {
  server->channel_open = false;
  if (server->state != WSD_SERVER_RUNNING)
    return;
  g_autofree char *sentence = g_strdup_printf("the channel has ended (%s): the server stops", text);
  wsd_traffic_error(server->traffic, WSD_ERROR_FAILED, sentence);
  wsd_server_begin_stop(server);
}
