/* SPDX-License-Identifier: Apache-2.0 */
/* An app of wsserverd on the channel in plain C. GLib gets it its server and has nothing to do afterwards. */
#include "tools/bench/servers/reaction.h"
#include "tools/bench/servers/session.h"
#include <wsserver/ws-channel.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

static void on_message(void *user, struct ws_channel_peer *peer, bool text, const uint8_t *data, size_t length) {
  enum ws_channel_result result = WS_CHANNEL_SENT;
  (void)user;
  switch (bench_reaction_to(data, length)) {
  case BENCH_BROADCAST:
    result = ws_channel_broadcast_to_all(ws_channel_peer_get_channel(peer), text, data, length, NULL);
    break;
  case BENCH_ECHO:
    result = ws_channel_send(peer, text, data, length, false);
    break;
  case BENCH_SINK:
    break;
  }
  /* Whoever measures bounds what is on its way, so nobody has to wait for room. */
  if (result != WS_CHANNEL_SENT && result != WS_CHANNEL_GONE) {
    g_printerr("app-channel: a message cannot be sent: %d\n", (int)result);
    exit(EXIT_FAILURE);
  }
}

static void on_error(void *user, struct ws_channel_peer *peer, uint32_t code, const char *text, size_t length) {
  (void)user;
  (void)peer;
  g_printerr("app-channel: error %u: %.*s\n", code, (int)length, text);
}

int main(int argc, char **argv) {
  static const struct ws_channel_events events = {.message = on_message, .error = on_error};
  struct bench_session session;
  struct bench_channel ends;
  bench_session_begin(&session, argc, argv, &ends);
  struct ws_channel *channel = ends.events >= 0
                                   ? ws_channel_new_shared(ends.fd, ends.events, ends.commands, &events, NULL)
                                   : ws_channel_new(ends.fd, &events, NULL);
  if (channel != NULL)
    ws_channel_set_lending(channel, true); /* what it gets it passes on, and looks at four octets of it */
  while (channel != NULL) {
    struct pollfd ready = {ws_channel_get_fd(channel), ws_channel_get_poll_events(channel), 0};
    if (poll(&ready, 1, -1) < 0 && errno != EINTR)
      break;
    if (ws_channel_dispatch(channel) != WS_CHANNEL_OPEN) {
      g_printerr("app-channel: %s\n", ws_channel_get_reason(channel));
      break;
    }
  }
  return EXIT_FAILURE;
}
