/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An app with a loop of its own, as libwschannel is made for: it gets the channel of its server through GDBus, and from then on there is poll(2) alone. It
 * echoes; what a peer cannot take now waits for it, up to a bound. For tests it misbehaves on demand: a message that begins with
 *
 *   broadcast TEXT   goes to everybody
 *   count            is answered with the number of connections and the octets that wait
 *   pause            makes it read nothing any more
 *   nonsense, half   it writes what is no record, or dies in the middle of one
 *   leave            it closes the channel and lives on
 *
 *   plain-echo [KEY=VALUE...]   options of Start as GVariant text; prints "port N", and at the end why it was
 */
#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wsserver/ws-channel.h>

#define NAME "org.wsserver1"
#define SERVER "org.wsserver1.Server"

enum { CALL_TIMEOUT_MS = 60000, WAITING_MAX = 16 << 20, TOO_SLOW = 4000 };

/* What an app keeps for a connection: messages that wait for it. */
struct visitor {
  GQueue waiting; /* GBytes; those of text are in `texts` too */
  GHashTable *texts;
  size_t octets;
};

static struct ws_channel *channel;
static size_t waiting;

/* --- Echo --- */

static void connected(void *user, struct ws_channel_peer *peer, const struct ws_channel_details *details) {
  struct visitor *visitor = g_new0(struct visitor, 1);
  (void)user;
  (void)details;
  visitor->texts = g_hash_table_new(NULL, NULL);
  ws_channel_peer_set_data(peer, visitor);
}

static void closed(void *user, struct ws_channel_peer *peer, uint16_t code, const char *reason, size_t length,
                   bool clean) {
  struct visitor *visitor = ws_channel_peer_get_data(peer);
  (void)user;
  (void)code;
  (void)reason;
  (void)length;
  (void)clean;
  waiting -= visitor->octets;
  g_queue_clear_full(&visitor->waiting, (GDestroyNotify)g_bytes_unref);
  g_hash_table_unref(visitor->texts);
  g_free(visitor);
}

static void keep(struct ws_channel_peer *peer, bool text, const uint8_t *data, size_t length) {
  struct visitor *visitor = ws_channel_peer_get_data(peer);
  if (visitor->octets + length > WAITING_MAX) {
    ws_channel_close(peer, TOO_SLOW, "too slow", 8);
    return;
  }
  GBytes *bytes = g_bytes_new(data, length);
  g_queue_push_tail(&visitor->waiting, bytes);
  if (text)
    g_hash_table_add(visitor->texts, bytes);
  visitor->octets += length;
  waiting += length;
}

static void drained(void *user, struct ws_channel_peer *peer) {
  struct visitor *visitor = ws_channel_peer_get_data(peer);
  (void)user;
  while (!g_queue_is_empty(&visitor->waiting)) {
    GBytes *bytes = g_queue_peek_head(&visitor->waiting);
    gsize length;
    const void *data = g_bytes_get_data(bytes, &length);
    if (ws_channel_send(peer, g_hash_table_contains(visitor->texts, bytes), data, length, false) ==
        WS_CHANNEL_WOULD_BLOCK)
      return;
    visitor->octets -= length;
    waiting -= length;
    g_hash_table_remove(visitor->texts, bytes);
    g_bytes_unref(g_queue_pop_head(&visitor->waiting));
  }
}

static void echo(struct ws_channel_peer *peer, bool text, const uint8_t *data, size_t length) {
  struct visitor *visitor = ws_channel_peer_get_data(peer);
  if (!g_queue_is_empty(&visitor->waiting) ||
      ws_channel_send(peer, text, data, length, false) == WS_CHANNEL_WOULD_BLOCK)
    keep(peer, text, data, length);
}

/* --- On demand --- */

static bool begins(const uint8_t *data, size_t length, const char *word) {
  return length >= strlen(word) && memcmp(data, word, strlen(word)) == 0;
}

static void write_past_library(const void *octets, size_t length) {
  if (send(ws_channel_get_fd(channel), octets, length, MSG_NOSIGNAL) < 0)
    perror("plain-echo");
}

static void message(void *user, struct ws_channel_peer *peer, bool text, const uint8_t *data, size_t length) {
  static const uint8_t half[20] = {100, 0, 0, 0, 0x40, 0, 0,
                                   0,   1, 0, 0, 0,    1}; /* 100 octets for the first connection */
  (void)user;
  if (begins(data, length, "broadcast ")) {
    ws_channel_broadcast_to_all(channel, text, data, length, NULL);
  } else if (begins(data, length, "count")) {
    char line[80];
    int size = snprintf(line, sizeof line, "%zu %zu", ws_channel_get_peer_count(channel),
                        waiting + ws_channel_get_queued(channel));
    ws_channel_send(peer, true, line, (size_t)size, false);
  } else if (begins(data, length, "pause")) {
    ws_channel_set_paused(channel, true);
  } else if (begins(data, length, "nonsense")) {
    write_past_library("no record at all", 16);
  } else if (begins(data, length, "half")) {
    write_past_library(half, sizeof half);
    _exit(EXIT_SUCCESS);
  } else if (begins(data, length, "leave")) {
    for (struct ws_channel_peer *each = NULL; (each = ws_channel_next_peer(channel, each)) != NULL;)
      closed(NULL, each, 0, "", 0, false);
    ws_channel_free(channel);
    channel = NULL;
  } else {
    echo(peer, text, data, length);
  }
}

static const struct ws_channel_events events = {
    .connected = connected, .message = message, .closed = closed, .drained = drained};

/* --- The bus --- */

static GVariant *call(GDBusConnection *bus, const char *path, const char *interface, const char *method,
                      GVariant *arguments, const char *reply, GUnixFDList **fds) {
  g_autoptr(GError) error = NULL;
  GVariant *answer = g_dbus_connection_call_with_unix_fd_list_sync(bus, NAME, path, interface, method, arguments,
                                                                   G_VARIANT_TYPE(reply), G_DBUS_CALL_FLAGS_NONE,
                                                                   CALL_TIMEOUT_MS, NULL, fds, NULL, &error);
  if (answer == NULL) {
    fprintf(stderr, "plain-echo: %s: %s\n", method, error->message);
    exit(EXIT_FAILURE);
  }
  return answer;
}

static GVariant *read_options(int count, char **texts) {
  GVariantDict options;
  g_variant_dict_init(&options, NULL);
  g_variant_dict_insert(&options, "serverIP", "s", "127.0.0.1");
  g_variant_dict_insert(&options, "serverPort", "q", 0);
  for (int i = 0; i < count; i++) {
    g_auto(GStrv) parts = g_strsplit(texts[i], "=", 2);
    g_variant_dict_insert_value(&options, parts[0], g_variant_parse(NULL, parts[1], NULL, NULL, NULL));
  }
  return g_variant_dict_end(&options);
}

static void serve(GDBusConnection *bus, GVariant *options) {
  g_autoptr(GUnixFDList) fds = NULL;
  const char *path;
  gint32 index;
  guint16 port;
  g_autoptr(GVariant) created = call(bus, "/org/wsserver1", "org.wsserver1.Manager", "CreateServer", NULL, "(o)", NULL);
  g_variant_get(created, "(&o)", &path);
  g_autoptr(GVariant) opened = call(bus, path, SERVER, "OpenChannel", NULL, "(h)", &fds);
  g_variant_get(opened, "(h)", &index);
  channel = ws_channel_new(g_unix_fd_list_get(fds, index, NULL), &events, NULL);
  g_variant_unref(call(bus, path, SERVER, "Start", g_variant_new("(@a{sv})", options), "()", NULL));
  g_autoptr(GVariant) got = call(bus, path, "org.freedesktop.DBus.Properties", "Get",
                                 g_variant_new("(ss)", SERVER, "ServerPort"), "(v)", NULL);
  g_autoptr(GVariant) value = g_variant_get_child_value(got, 0);
  g_autoptr(GVariant) number = g_variant_get_variant(value);
  g_variant_get(number, "q", &port);
  printf("port %u\n", port);
}

/* An app that reads nothing and has nothing to say leaves the descriptor out: poll() would tell of a hang-up again and again. */
static bool run_once(void) {
  short wanted = ws_channel_get_poll_events(channel);
  struct pollfd poll_fd = {wanted != 0 ? ws_channel_get_fd(channel) : -1, wanted, 0};
  return poll(&poll_fd, 1, -1) >= 0 && ws_channel_dispatch(channel) == WS_CHANNEL_OPEN;
}

int main(int count, char **arguments) {
  g_autoptr(GError) error = NULL;
  g_autoptr(GDBusConnection) bus = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, &error);
  if (bus == NULL) {
    fprintf(stderr, "plain-echo: %s\n", error->message);
    return EXIT_FAILURE;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  g_dbus_connection_set_exit_on_close(bus, FALSE);
  serve(bus, read_options(count - 1, arguments + 1));
  while (run_once() && channel != NULL)
    ;
  if (channel == NULL) {
    puts("left");
    pause();
  }
  printf("%s: %s\n", ws_channel_get_state(channel) == WS_CHANNEL_ENDED ? "ended" : "broken",
         ws_channel_get_reason(channel));
  ws_channel_free(channel);
  return EXIT_SUCCESS;
}
