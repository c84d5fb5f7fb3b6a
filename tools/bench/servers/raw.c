/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The physical limit: what one process can do at best between one recv() and one send(). It believes what it reads, keeps no
 * message, and knows no frames but whole binary and text ones; each read is answered with one write, whatever number of
 * frames it held, and a large payload leaves piece by piece as it comes.
 */
#include "tools/bench/servers/reaction.h"
#include "websocket/frame.h"
#include "websocket/handshake-key.h"
#include "websocket/mask.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM (256u << 10) /* octets of one read */
#define READY_PER_TURN 256
#define REQUEST_MAX 4096
#define CONNECTIONS_MAX 65536

struct connection {
  int fd;
  bool upgraded;
  bool waits_for_room; /* and is not read meanwhile */
  uint64_t left;       /* of the payload that is passing through */
  uint8_t key[4], phase;
  size_t begun_length; /* of `begun`: a request, or the beginning of a frame that goes on in the next read */
  uint8_t *begun;
  uint8_t *out; /* what the socket did not take */
  size_t out_at, out_end;
};

struct server {
  int epoll, listener;
  struct connection *connections[CONNECTIONS_MAX]; /* by descriptor */
  int end;                                         /* above the highest */
  uint8_t in[REQUEST_MAX + ROOM], out[REQUEST_MAX + ROOM];
};

static _Noreturn void fail(const char *what) {
  fprintf(stderr, "raw: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void drop(struct server *server, struct connection *connection) {
  server->connections[connection->fd] = NULL;
  close(connection->fd);
  free(connection->begun);
  free(connection->out);
  free(connection);
}

static void watch(const struct server *server, struct connection *connection) {
  struct epoll_event event = {.events = connection->waits_for_room ? EPOLLOUT : EPOLLIN, .data.ptr = connection};
  epoll_ctl(server->epoll, EPOLL_CTL_MOD, connection->fd, &event);
}

/* False when the connection is broken. */
static bool send_octets(const struct server *server, struct connection *connection, const uint8_t *octets,
                        size_t length) {
  ssize_t written = 0;
  if (!connection->waits_for_room)
    written = send(connection->fd, octets, length, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (written < 0 && errno != EAGAIN)
    return false;
  const size_t gone = written > 0 ? (size_t)written : 0;
  if (gone == length)
    return true;
  const size_t waiting = connection->out_end - connection->out_at;
  uint8_t *out = malloc(waiting + length - gone);
  if (!out)
    return false;
  if (waiting)
    memcpy(out, connection->out + connection->out_at, waiting);
  memcpy(out + waiting, octets + gone, length - gone);
  free(connection->out);
  connection->out = out;
  connection->out_at = 0;
  connection->out_end = waiting + length - gone;
  connection->waits_for_room = true;
  watch(server, connection);
  return true;
}

static bool send_rest(const struct server *server, struct connection *connection) {
  const ssize_t written = send(connection->fd, connection->out + connection->out_at,
                               connection->out_end - connection->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (written < 0)
    return errno == EAGAIN;
  connection->out_at += (size_t)written;
  if (connection->out_at == connection->out_end) {
    free(connection->out);
    connection->out = NULL;
    connection->out_at = connection->out_end = 0;
    connection->waits_for_room = false;
    watch(server, connection);
  }
  return true;
}

/* The octets of a request, or of a frame's beginning, until there are more. */
static bool keep(struct connection *connection, const uint8_t *octets, size_t length) {
  if (length > REQUEST_MAX)
    return false;
  if (!connection->begun && length)
    connection->begun = malloc(REQUEST_MAX);
  if (length && !connection->begun)
    return false;
  if (length)
    memcpy(connection->begun, octets, length);
  connection->begun_length = length;
  return true;
}

static bool upgrade(const struct server *server, struct connection *connection, uint8_t *octets, size_t length) {
  static const char name[] = "\r\nSec-WebSocket-Key: ";
  char accept[WSP_ACCEPT_LENGTH + 1], response[256];
  if (!memmem(octets, length, "\r\n\r\n", 4))
    return keep(connection, octets, length);
  const char *key = memmem(octets, length, name, sizeof name - 1);
  if (!key || !wsp_handshake_accept_for(key + sizeof name - 1, accept))
    return false;
  const int written = snprintf(response, sizeof response,
                               "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                               "Sec-WebSocket-Accept: %s\r\n\r\n",
                               accept);
  connection->upgraded = true;
  connection->begun_length = 0;
  free(connection->begun);
  connection->begun = NULL;
  return send_octets(server, connection, (const uint8_t *)response, (size_t)written);
}

static void broadcast(struct server *server, const uint8_t *frame, size_t length) {
  for (int fd = 0; fd < server->end; fd++) {
    struct connection *connection = server->connections[fd];
    if (connection && connection->upgraded && !send_octets(server, connection, frame, length))
      shutdown(fd, SHUT_RDWR); /* whoever reads it next drops it */
  }
}

/* The answer to one frame, of whose payload `there` octets are there, to `to`; how long it is. */
static size_t answer(struct server *server, struct connection *connection, const struct wsp_frame_header *header,
                     const uint8_t *payload, size_t there, uint8_t *to) {
  struct wsp_frame_header plain = *header;
  plain.masked = false;
  const size_t length = wsp_frame_header_encode(&plain, to);
  connection->phase = wsp_mask_copy(to + length, payload, there, header->mask_key, 0);
  connection->left = header->payload_length - there;
  memcpy(connection->key, header->mask_key, sizeof connection->key);
  switch (connection->left ? BENCH_ECHO : bench_reaction_to(to + length, there)) {
  case BENCH_BROADCAST:
    broadcast(server, to, length + there);
    return 0;
  case BENCH_SINK:
    return 0;
  case BENCH_ECHO:
  default:
    return length + there;
  }
}

static bool handle_frames(struct server *server, struct connection *connection, const uint8_t *in, size_t length) {
  size_t out = 0, at = 0;
  if (connection->left) {
    at = length < connection->left ? length : (size_t)connection->left;
    connection->phase = wsp_mask_copy(server->out, in, at, connection->key, connection->phase);
    connection->left -= at;
    out = at;
  }
  while (at < length) {
    struct wsp_frame_header header;
    size_t header_length;
    const enum wsp_frame_result result = wsp_frame_header_decode(in + at, length - at, &header, &header_length);
    if (result == WSP_FRAME_FAULT || (result == WSP_FRAME_DONE && header.opcode == WSP_OPCODE_CLOSE))
      return false;
    size_t there = result == WSP_FRAME_DONE ? length - at - header_length : 0;
    if (result == WSP_FRAME_DONE && there > header.payload_length)
      there = (size_t)header.payload_length;
    /* What fits is not cut, so that "cast" and "sink" are seen whole. */
    if (result == WSP_FRAME_MORE || (there < header.payload_length && header.payload_length <= REQUEST_MAX / 2))
      break;
    out += answer(server, connection, &header, in + at + header_length, there, server->out + out);
    at += header_length + there;
  }
  return keep(connection, in + at, length - at) && (out == 0 || send_octets(server, connection, server->out, out));
}

static bool receive(struct server *server, struct connection *connection) {
  const size_t begun = connection->begun_length;
  if (begun)
    memcpy(server->in, connection->begun, begun);
  const ssize_t count = recv(connection->fd, server->in + begun, ROOM, MSG_DONTWAIT);
  if (count <= 0)
    return count < 0 && errno == EAGAIN;
  if (!connection->upgraded)
    return upgrade(server, connection, server->in, begun + (size_t)count);
  return handle_frames(server, connection, server->in, begun + (size_t)count);
}

static void accept_all(struct server *server) {
  const int on = 1;
  int fd;
  while ((fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
    struct connection *connection = fd < CONNECTIONS_MAX ? calloc(1, sizeof *connection) : NULL;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (!connection) {
      close(fd);
      continue;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connection->fd = fd;
    server->connections[fd] = connection;
    if (fd >= server->end)
      server->end = fd + 1;
    epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event);
  }
}

static void start(struct server *server) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t length = sizeof address;
  struct epoll_event event = {.events = EPOLLIN};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  server->epoll = epoll_create1(EPOLL_CLOEXEC);
  server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (server->epoll < 0 || server->listener < 0 ||
      bind(server->listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(server->listener, 511) != 0 ||
      getsockname(server->listener, (struct sockaddr *)&address, &length) != 0 ||
      epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->listener, &event) != 0)
    fail("cannot listen");
  printf("listening on ws://127.0.0.1:%u/\n", (unsigned)ntohs(address.sin_port));
  fflush(stdout);
}

int main(void) {
  static struct server server;
  struct rlimit descriptors;
  struct epoll_event events[READY_PER_TURN];
  signal(SIGPIPE, SIG_IGN);
  if (getrlimit(RLIMIT_NOFILE, &descriptors) == 0) {
    descriptors.rlim_cur = descriptors.rlim_max;
    setrlimit(RLIMIT_NOFILE, &descriptors);
  }
  start(&server);
  for (;;) {
    const int count = epoll_wait(server.epoll, events, READY_PER_TURN, -1);
    if (count < 0 && errno != EINTR)
      fail("cannot wait for events");
    for (int i = 0; i < count; i++) {
      struct connection *connection = events[i].data.ptr;
      if (!connection)
        accept_all(&server);
      else if (connection->waits_for_room ? !send_rest(&server, connection) : !receive(&server, connection))
        drop(&server, connection);
    }
  }
}
