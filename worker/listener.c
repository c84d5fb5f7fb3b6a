/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/listener.h"

#include "worker/memory.h"
#include "worker/peer.h"
#include "worker/server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <unistd.h>

static struct wsw_server *server_of(struct wsw_listener *listener) {
  return (struct wsw_server *)(void *)((char *)listener - offsetof(struct wsw_server, listener));
}

static void rest(struct wsw_server *server) {
  wsw_timers_set(&server->loop.timers, &server->listener.rest, server->loop.now + WSW_ACCEPT_PAUSE_MS);
  wsw_listener_refresh(server);
}

static void rested(struct wsw_timer *timer) {
  struct wsw_listener *listener = (struct wsw_listener *)(void *)((char *)timer - offsetof(struct wsw_listener, rest));
  wsw_listener_refresh(server_of(listener));
}

/* 0 to hear what it asks for, else the HTTP status it gets. */
static uint16_t judge(struct wsw_server *server, const struct wsw_address *address) {
  if (wsw_visitors_arrive(&server->visitors, address, server->loop.now) != WSW_VISIT_WELCOME)
    return 429;
  return wsw_memory_is_short(server) ? 503 : 0;
}

/* Before a peer can be told anything over TLS, it has made us sign: that is more than refusing it should cost. */
static bool is_worth_a_word(struct wsw_server *server, const struct wsw_address *address, uint16_t refusal) {
  if (server->refused >= WSW_REFUSED_MAX)
    return false;
  bool is_dear = refusal == 429 && server->tls.context;
  return !is_dear || wsw_visitors_tell(&server->visitors, address, server->loop.now);
}

static void turn_away(struct wsw_server *server, int fd) {
  close(fd);
  server->counters.refused++;
}

static void welcome(struct wsw_server *server, int fd, const struct sockaddr_storage *from) {
  struct wsw_address address;
  if (!wsw_address_from_socket(&address, from)) {
    turn_away(server, fd);
    return;
  }
  uint16_t refusal = judge(server, &address);
  if (refusal && !is_worth_a_word(server, &address, refusal))
    turn_away(server, fd);
  else if (server->peers.total >= server->peers_max && (refusal || !wsw_half_open_drop(server)))
    turn_away(server, fd);
  else
    (void)wsw_peer_new(server, fd, &address, refusal);
}

static void ready(struct wsw_watch *watch, uint32_t events) {
  (void)events;
  struct wsw_listener *listener = (struct wsw_listener *)(void *)((char *)watch - offsetof(struct wsw_listener, watch));
  struct wsw_server *server = server_of(listener);
  for (int i = 0; i < WSW_ACCEPTS_PER_WAKE; i++) {
    if (!wsw_server_reads(server)) {
      wsw_listener_refresh(server);
      return;
    }
    struct sockaddr_storage from = {0};
    socklen_t length = sizeof from;
    int fd = accept4(watch->fd, (struct sockaddr *)&from, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      welcome(server, fd, &from);
    } else if (errno == EAGAIN) {
      return;
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM || errno == EINVAL) {
      rest(server); /* EINVAL: somebody shut the socket down, STOP is on its way */
      return;
    } /* all others are about that one connection: it is gone already */
  }
}

static int option(int fd, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  return getsockopt(fd, SOL_SOCKET, name, &value, &length) < 0 ? -1 : value;
}

const char *wsw_listener_open(struct wsw_server *server, int fd) {
  struct wsw_listener *listener = &server->listener;
  listener->watch = (struct wsw_watch){.fd = fd, .kind = WSW_WATCH_OF_LISTENER};
  listener->rest.kind = WSW_TIMER_OF_LISTENER;
  server->loop.ready[WSW_WATCH_OF_LISTENER] = ready;
  server->loop.timers.expired[WSW_TIMER_OF_LISTENER] = rested;
  int domain = option(fd, SO_DOMAIN);
  if (domain != AF_INET && domain != AF_INET6)
    return "CONFIGURE: the descriptor is no socket of the internet";
  if (option(fd, SO_TYPE) != SOCK_STREAM || option(fd, SO_ACCEPTCONN) != 1)
    return "CONFIGURE: the descriptor is no listening stream socket";
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
    return "CONFIGURE: the listening socket cannot be made non-blocking";
  /* Accepted sockets inherit this, which saves a call for each. */
  int on = 1;
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
    return "CONFIGURE: the listening socket is not TCP";
  return NULL;
}

void wsw_listener_close(struct wsw_server *server) {
  struct wsw_listener *listener = &server->listener;
  wsw_timers_cancel(&server->loop.timers, &listener->rest);
  if (listener->watch.fd < 0)
    return;
  wsw_loop_watch(&server->loop, &listener->watch, 0);
  /* Others hold duplicates: only this frees the port. */
  (void)shutdown(listener->watch.fd, SHUT_RDWR);
  close(listener->watch.fd);
  listener->watch.fd = -1;
}

void wsw_listener_refresh(struct wsw_server *server) {
  struct wsw_listener *listener = &server->listener;
  if (listener->watch.fd < 0)
    return;
  bool accepts = server->phase == WSW_PHASE_SERVING && wsw_server_reads(server) && !listener->rest.place;
  if (!wsw_loop_watch(&server->loop, &listener->watch, accepts ? WSW_READABLE : 0))
    wsw_timers_set(&server->loop.timers, &listener->rest, server->loop.now + WSW_ACCEPT_PAUSE_MS);
}
