/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libwebsockets as an app would use it at its fastest: the message is written back inside of the callback that brings it, where it
 * lies, the library's buffers are as large as the messages, and there are no extensions and no log.
 */
#include "tools/bench/servers/reaction.h"

#include <getopt.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

struct connection {
  struct lws *wsi;
  struct connection *next, *previous;
};

/* A protocol's one state: everybody who is connected. */
static struct connection everybody = {NULL, &everybody, &everybody};

static int echo(struct lws *wsi, void *in, size_t length) {
  const enum lws_write_protocol kind = lws_frame_is_binary(wsi) ? LWS_WRITE_BINARY : LWS_WRITE_TEXT;
  const int flags = lws_write_ws_flags((int)kind, lws_is_first_fragment(wsi), lws_is_final_fragment(wsi));
  return lws_write(wsi, in, length, (enum lws_write_protocol)flags) < (int)length ? -1 : 0;
}

/* The message has LWS_PRE octets before it, and each write leaves it as it was. */
static void broadcast(struct lws *wsi, void *in, size_t length) {
  const enum lws_write_protocol kind = lws_frame_is_binary(wsi) ? LWS_WRITE_BINARY : LWS_WRITE_TEXT;
  for (struct connection *one = everybody.next; one != &everybody; one = one->next)
    lws_write(one->wsi, in, length, kind);
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length) {
  struct connection *connection = user;
  switch (reason) {
  case LWS_CALLBACK_ESTABLISHED:
    connection->wsi = wsi;
    connection->next = everybody.next;
    connection->previous = &everybody;
    connection->next->previous = connection->previous->next = connection;
    return 0;
  case LWS_CALLBACK_CLOSED:
    connection->next->previous = connection->previous;
    connection->previous->next = connection->next;
    return 0;
  case LWS_CALLBACK_RECEIVE:
    switch (lws_is_first_fragment(wsi) ? bench_reaction_to(in, length) : BENCH_ECHO) {
    case BENCH_BROADCAST:
      broadcast(wsi, in, length);
      return 0;
    case BENCH_SINK:
      return 0;
    case BENCH_ECHO:
      return echo(wsi, in, length);
    }
    return 0;
  default:
    return 0;
  }
}

static void raise_limits(void) {
  struct rlimit descriptors;
  if (getrlimit(RLIMIT_NOFILE, &descriptors) != 0)
    return;
  /* The library's tables are as large as this says. */
  descriptors.rlim_cur = descriptors.rlim_max < 66000 ? descriptors.rlim_max : 66000;
  setrlimit(RLIMIT_NOFILE, &descriptors);
}

static uint64_t loop_of(const char *name) {
  if (strcmp(name, "poll") == 0)
    return 0;
  if (strcmp(name, "ev") == 0)
    return LWS_SERVER_OPTION_LIBEV;
  if (strcmp(name, "uv") == 0)
    return LWS_SERVER_OPTION_LIBUV;
  fprintf(stderr, "libwebsockets: the loop is poll, ev or uv, not %s\n", name);
  exit(1);
}

int main(int argc, char **argv) {
  static const struct option known[] = {
      {"max-message", 1, NULL, 'm'}, {"loop", 1, NULL, 'l'}, {"buffer", 1, NULL, 'b'}, {NULL, 0, NULL, 0}};
  struct lws_protocols protocols[] = {
      {.name = "echo", .callback = on_event, .per_session_data_size = sizeof(struct connection)}, {0}};
  struct lws_context_creation_info info = {
      .iface = "127.0.0.1",
      .protocols = protocols,
      .gid = (gid_t)-1,
      .uid = (uid_t)-1,
      .pt_serv_buf_size = 256 << 10, /* large messages came fastest with it */
  };
  const char *loop = "poll";
  size_t message = 65536;
  for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
    if (option == 'm')
      message = strtoul(optarg, NULL, 10);
    else if (option == 'b')
      info.pt_serv_buf_size = (unsigned)strtoul(optarg, NULL, 10);
    else if (option == 'l')
      loop = optarg;
    else
      return 1;
  }
  protocols[0].rx_buffer_size = message < 4096 ? 4096 : message;
  info.options = loop_of(loop);
  lws_set_log_level(0, NULL);
  raise_limits();
  struct lws_context *context = lws_create_context(&info);
  if (!context) {
    fputs("libwebsockets: cannot listen\n", stderr);
    return 1;
  }
  const int port = lws_get_vhost_listen_port(lws_get_vhost_by_name(context, "default"));
  printf("listening on ws://127.0.0.1:%d/\n", port);
  fflush(stdout);
  while (lws_service(context, 0) >= 0)
    ;
  lws_context_destroy(context);
  return 0;
}
