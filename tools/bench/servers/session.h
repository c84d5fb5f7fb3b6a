/* SPDX-License-Identifier: Apache-2.0 */
/* How an app gets its server from wsserverd, for programs that only measure: every call waits for its reply. */
#pragma once

#include <gio/gio.h>

#define BENCH_SERVER_INTERFACE "org.wsserver1.Server"

struct bench_session {
  GDBusConnection *bus;
  char *service; /* unique name of wsserverd */
  char *path;    /* of the server */
};

/* Connects to the bus and creates the server. */
gboolean bench_session_open(struct bench_session *session, GError **error);
/* What opens the channel: its descriptor, and two more where it has shared memory. */
struct bench_channel {
  int fd, events, commands; /* -1: none */
};
gboolean bench_session_open_channel(struct bench_session *session, struct bench_channel *channel, GError **error);
/* Starts on a free port of loopback, as open as it gets, and prints where. */
gboolean bench_session_start(struct bench_session *session, guint64 max_message, GError **error);

/* All three, and the end of the program where one fails. `max_message` comes from the option --max-message; `channel` may be NULL; with WS_DELIVERY=stream in the environment it has no shared memory. */
void bench_session_begin(struct bench_session *session, int argc, char **argv, struct bench_channel *channel);
