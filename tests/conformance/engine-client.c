/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's role of websocket/ on real TCP connections, for tests that play the server with exact octets.
 *
 * Each line on standard input is one visit: "PORT KEY=VALUE ...", to a server on 127.0.0.1. Each message is echoed,
 * and the visit ends as the protocol says: after the server's Close the server closes TCP first; after a failure our
 * side is shut first. On standard output: "open PROTOCOL" after the opening handshake, and at the end of the visit
 * exactly one of
 *   refused STATUS SENTENCE    the opening handshake failed (status 0: no status line was read)
 *   closed CODE REASON         the closing handshake was completed
 *   failed CODE SENTENCE       this side failed the connection
 *   lost                       the server hung up without a Close frame
 */
#include "websocket/client-handshake.h"
#include "websocket/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_ROOM 65536
#define LINE_ROOM 4096
#define NAME_ROOM 256
#define MESSAGE_MAX_DEFAULT (32u << 20)
#define HISTORIES_MAX (1u << 20)

struct visit {
  int port;
  uint64_t max_message;
  char protocols[NAME_ROOM];
  bool compression;
  char close_with[NAME_ROOM]; /* a message that is answered by a Close frame of ours instead of an echo */
};

struct session {
  int fd;
  struct wsp_settings settings;
  struct wsp_connection connection;
  struct wsp_buffer out;
  const struct visit *visit;
  uint8_t received[RECEIVE_ROOM];
};

static void fill_random(uint8_t *octets, size_t length) {
  if (getrandom(octets, length, 0) != (ssize_t)length)
    abort();
}

static void fresh_mask(void *context, uint8_t key[4]) {
  (void)context;
  fill_random(key, 4);
}

static bool read_visit(char *line, struct visit *visit) {
  char *rest = NULL;
  char *word = strtok_r(line, " \n", &rest);
  *visit = (struct visit){.max_message = MESSAGE_MAX_DEFAULT};
  if (!word)
    return false;
  visit->port = atoi(word);
  while ((word = strtok_r(NULL, " \n", &rest))) {
    if (sscanf(word, "protocols=%255s", visit->protocols) == 1 || sscanf(word, "close=%255s", visit->close_with) == 1)
      continue;
    if (strcmp(word, "compression=1") == 0)
      visit->compression = true;
    else if (sscanf(word, "max=%" SCNu64, &visit->max_message) != 1)
      return false;
  }
  return true;
}

static int connect_to(int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
    perror("engine-client: connect");
    exit(EXIT_FAILURE);
  }
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

/* 0 at the end of the stream, in order or by a reset. */
static size_t read_some(struct session *session) {
  ssize_t length;
  do
    length = recv(session->fd, session->received, sizeof session->received, 0);
  while (length < 0 && errno == EINTR);
  return length < 0 ? 0 : (size_t)length;
}

/* False when nobody listens any more. */
static bool write_out(struct session *session) {
  while (wsp_buffer_length(&session->out)) {
    ssize_t written =
        send(session->fd, wsp_buffer_front(&session->out), wsp_buffer_length(&session->out), MSG_NOSIGNAL);
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return false;
    wsp_buffer_consume(&session->out, (size_t)written);
  }
  return true;
}

static void finish_sending(struct session *session) {
  (void)write_out(session);
  (void)shutdown(session->fd, SHUT_WR);
}

static void wait_for_end(struct session *session) {
  while (read_some(session))
    continue;
}

/* Sends `data` back, or a Close frame where the visit asked for one. */
static void answer(struct session *session, const struct wsp_event *event) {
  const char *word = session->visit->close_with;
  bool closes = word[0] && event->length >= strlen(word) && memcmp(event->data, word, strlen(word)) == 0;
  enum wsp_send_result result;
  if (closes)
    result = wsp_connection_close(&session->connection, WSP_CLOSE_NORMAL, event->data, strlen(word), &session->out);
  else
    result = wsp_connection_send(&session->connection, event->text, event->data, event->length, &session->out);
  if (result == WSP_SEND_NO_MEMORY || result == WSP_SEND_INVALID)
    abort();
}

static void print_end(const char *how, const struct wsp_event *event) {
  printf("%s %u %.*s\n", how, event->code, (int)event->length, (const char *)event->data);
}

/* True while the session goes on. */
static bool take_event(struct session *session, const struct wsp_event *event) {
  switch (event->type) {
  case WSP_EVENT_MESSAGE:
    answer(session, event);
    return true;
  case WSP_EVENT_CLOSE:
    (void)write_out(session);
    wait_for_end(session); /* section 7.1.1: the server closes first */
    print_end("closed", event);
    return false;
  case WSP_EVENT_FAILED:
    finish_sending(session);
    wait_for_end(session);
    print_end("failed", event);
    return false;
  default:
    return true;
  }
}

static bool take_octets(struct session *session, uint8_t *octets, size_t length) {
  struct wsp_event event;
  do {
    size_t consumed = 0;
    wsp_connection_receive(&session->connection, octets, length, &consumed, &session->out, &event);
    octets += consumed;
    length -= consumed;
    if (!take_event(session, &event))
      return false;
    if (!write_out(session)) {
      printf("lost\n");
      return false;
    }
  } while (event.type != WSP_EVENT_NONE);
  return true;
}

static void talk(struct session *session, const struct wsp_deflate_terms *terms, uint8_t *octets, size_t length) {
  wsp_connection_init(&session->connection, WSP_CLIENT, &session->settings);
  if (terms->agreed && !wsp_connection_compress(&session->connection, terms))
    abort();
  while (take_octets(session, octets, length)) {
    octets = session->received;
    length = read_some(session);
    if (!length) {
      printf("lost\n");
      break;
    }
  }
  wsp_connection_clear(&session->connection);
}

static void refused(struct session *session, const struct wsp_client_handshake *handshake) {
  printf("refused %u %s\n", wsp_client_handshake_status(handshake), wsp_client_handshake_fault(handshake));
  finish_sending(session);
  wait_for_end(session);
}

static void shake_hands(struct session *session, struct wsp_client_handshake *handshake) {
  enum wsp_handshake_result result = WSP_HANDSHAKE_MORE;
  size_t length = 0, consumed = 0;
  while (result == WSP_HANDSHAKE_MORE) {
    length = read_some(session);
    if (!length) {
      printf("lost\n");
      return;
    }
    result = wsp_client_handshake_feed(handshake, session->received, length, &consumed);
  }
  if (result == WSP_HANDSHAKE_REFUSED) {
    refused(session, handshake);
    return;
  }
  struct wsp_slice protocol = wsp_client_handshake_protocol(handshake);
  printf("open %.*s\n", (int)protocol.length, protocol.text ? protocol.text : "");
  struct wsp_deflate_terms terms = wsp_client_handshake_deflate(handshake);
  talk(session, &terms, session->received + consumed, length - consumed);
}

static void make_visit(const struct visit *visit) {
  static struct session session; /* its room for reading is large */
  char host[32];
  uint8_t key[16];
  const char *fault = NULL;
  (void)snprintf(host, sizeof host, "127.0.0.1:%d", visit->port);
  struct wsp_client_request request = {
      .host = host, .target = "/", .protocols = visit->protocols, .compression = visit->compression};
  session = (struct session){
      .fd = connect_to(visit->port),
      .settings = {.max_message_size = visit->max_message,
                   .fresh_mask = fresh_mask,
                   .deflate = wsp_deflate_pool_new(HISTORIES_MAX)},
      .visit = visit,
  };
  if (!session.settings.deflate)
    abort();
  fill_random(key, sizeof key);
  struct wsp_client_handshake *handshake = wsp_client_handshake_new(&request, key, &session.out, &fault);
  if (!handshake) {
    (void)fprintf(stderr, "engine-client: %s\n", fault);
    exit(EXIT_FAILURE);
  }
  if (write_out(&session))
    shake_hands(&session, handshake);
  else
    printf("lost\n");
  wsp_client_handshake_free(handshake);
  wsp_buffer_clear(&session.out);
  wsp_deflate_pool_free(session.settings.deflate);
  close(session.fd);
}

int main(void) {
  char line[LINE_ROOM];
  setvbuf(stdout, NULL, _IOLBF, 0);
  while (fgets(line, sizeof line, stdin)) {
    struct visit visit;
    if (!read_visit(line, &visit)) {
      (void)fprintf(stderr, "engine-client: a visit is \"PORT KEY=VALUE ...\"\n");
      return EXIT_FAILURE;
    }
    make_visit(&visit);
  }
  return EXIT_SUCCESS;
}
