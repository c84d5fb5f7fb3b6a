/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/worker/fixture.h"

#include "channel/control.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SETTLED 4 /* wake-ups in a row without work that are taken for the end of it */

static uint64_t read_clock(void *context) {
  return ((struct fixture *)context)->now;
}

static const char *no_sandbox(struct wsw_server *server) {
  (void)server;
  return NULL;
}

static int listen_anywhere(int *port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof address;
  int send_buffer = 65536; /* inherited by the peers: so it is soon seen who does not read */
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
  g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
  g_assert_cmpint(listen(fd, 64), ==, 0);
  g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &length), ==, 0);
  *port = ntohs(address.sin_port);
  return fd;
}

static void send_control(struct fixture *fixture, const struct wsc_control_writer *writer, int fd) {
  size_t length = wsc_control_finish(writer);
  g_assert_cmpuint(length, >, 0);
  g_assert_cmpint(wsc_control_send(fixture->control, writer->octets, length, &fd, fd >= 0), ==, (ssize_t)length);
}

static void configure(struct fixture *fixture, const struct fixture_options *options) {
  uint8_t room[512];
  struct wsc_control_writer writer;
  int listener = listen_anywhere(&fixture->port);
  wsc_control_begin(&writer, room, sizeof room, WSC_CONTROL_CONFIGURE, 0);
  wsc_control_add_u32(&writer, WSC_FIELD_VERSION, WSC_CONTROL_VERSION);
  wsc_control_add_u64(&writer, WSC_FIELD_GENERATION, 1);
  wsc_control_add_u32(&writer, WSC_FIELD_MAX_CLIENTS, 10);
  wsc_control_add_u32(&writer, WSC_FIELD_MAX_PER_CLIENT, options->max_per_client ? options->max_per_client : 10);
  wsc_control_add_text(&writer, WSC_FIELD_PROTOCOL, "");
  wsc_control_add_u64(&writer, WSC_FIELD_MAX_MESSAGE, 1 << 20);
  wsc_control_add_u32(&writer, WSC_FIELD_PING_INTERVAL, options->ping_interval);
  wsc_control_add_u32(&writer, WSC_FIELD_PONG_TIMEOUT, options->pong_timeout);
  if (options->handshake_timeout)
    wsc_control_add_u32(&writer, WSC_FIELD_HANDSHAKE_TIMEOUT, options->handshake_timeout);
  send_control(fixture, &writer, listener);
  close(listener);
}

struct fixture *fixture_new(const struct fixture_options *options) {
  struct fixture *fixture = g_new0(struct fixture, 1);
  int pair[2];
  g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), ==, 0);
  fixture->server = g_new0(struct wsw_server, 1);
  fixture->now = 1000000;
  fixture->control = pair[0];
  fixture->channel = -1;
  struct wsw_clock clock = {.milliseconds = read_clock, .context = fixture};
  g_assert_true(wsw_server_open(fixture->server, pair[1], clock));
  fixture->server->lock_in = no_sandbox;
  configure(fixture, options);
  fixture_attach(fixture);
  return fixture;
}

void fixture_free(struct fixture *fixture) {
  wsw_server_close(fixture->server);
  wsc_decoder_clear(&fixture->decoder);
  close(fixture->control);
  if (fixture->channel >= 0)
    close(fixture->channel);
  g_free(fixture->server);
  g_free(fixture);
}

void fixture_detach(struct fixture *fixture) {
  wsc_decoder_clear(&fixture->decoder);
  close(fixture->channel);
  fixture->channel = -1;
  fixture_settle(fixture);
}

static void attach(struct fixture *fixture, uint32_t acknowledged) {
  if (fixture->channel >= 0)
    fixture_detach(fixture);
  int pair[2];
  g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
  fixture->channel = pair[0];
  wsc_decoder_init(&fixture->decoder, WSC_TO_APP, WSC_MESSAGE_MAX);
  uint8_t room[64];
  struct wsc_control_writer writer;
  wsc_control_begin(&writer, room, sizeof room, WSC_CONTROL_ATTACH, 0);
  wsc_control_add_u32(&writer, WSC_FIELD_ACKNOWLEDGED, acknowledged);
  send_control(fixture, &writer, pair[1]);
  close(pair[1]);
  fixture_settle(fixture);
}

void fixture_attach(struct fixture *fixture) {
  attach(fixture, 1);
}

void fixture_attach_direct(struct fixture *fixture) {
  attach(fixture, 0);
}

/* Loopback delivers at once, so a few empty wake-ups in a row mean that there is nothing left to do. */
void fixture_settle(struct fixture *fixture) {
  for (unsigned turn = 0; turn < SETTLED * 4; turn++)
    if (!wsw_server_turn(fixture->server, turn < 2 ? 1 : 0))
      return;
}

void fixture_advance(struct fixture *fixture, uint64_t milliseconds) {
  fixture->now += milliseconds;
  fixture_settle(fixture);
}

static uint8_t next_event(struct fixture *fixture, struct wsc_header *header) {
  struct wsc_record record;
  enum wsc_decode_result result;
  while ((result = wsc_decoder_next(&fixture->decoder, &record)) == WSC_DECODED) {
    if (!wsc_type_is_event(record.header.type))
      continue;
    *header = record.header;
    return record.header.type;
  }
  g_assert_cmpint(result, ==, WSC_DECODE_MORE);
  return 0;
}

uint8_t fixture_event(struct fixture *fixture, struct wsc_header *header) {
  fixture_settle(fixture);
  uint8_t type = next_event(fixture, header);
  if (type)
    return type;
  size_t size;
  uint8_t *room = wsc_decoder_room(&fixture->decoder, &size);
  ssize_t length = recv(fixture->channel, room, size, MSG_DONTWAIT);
  if (length <= 0)
    return 0;
  wsc_decoder_filled(&fixture->decoder, (size_t)length);
  return next_event(fixture, header);
}

void fixture_stop(struct fixture *fixture, uint16_t code, uint32_t deadline) {
  uint8_t room[64];
  struct wsc_control_writer writer;
  wsc_control_begin(&writer, room, sizeof room, WSC_CONTROL_STOP, 1);
  wsc_control_add_u32(&writer, WSC_FIELD_CODE, code);
  wsc_control_add_u32(&writer, WSC_FIELD_DEADLINE, deadline);
  send_control(fixture, &writer, -1);
  fixture_settle(fixture);
}

void fixture_send(struct fixture *fixture, const struct wsc_header *header, const void *body, size_t length) {
  struct wsc_queue queue = {0};
  g_assert_true(wsc_queue_append_record(&queue, header, body, length));
  while (wsc_queue_length(&queue)) {
    ssize_t sent = send(fixture->channel, wsc_queue_front(&queue), wsc_queue_length(&queue), MSG_DONTWAIT);
    if (sent > 0)
      wsc_queue_consume(&queue, (size_t)sent);
    fixture_settle(fixture);
  }
  wsc_queue_clear(&queue);
}

int client_connect(struct fixture *fixture, int receive_buffer) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* what a client writes arrives now */
  if (receive_buffer)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)fixture->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
  fixture_settle(fixture);
  return fd;
}

void client_write(struct fixture *fixture, int client, const void *octets, size_t length) {
  g_assert_cmpint(send(client, octets, length, MSG_NOSIGNAL), ==, (ssize_t)length);
  fixture_settle(fixture);
}

void client_request(struct fixture *fixture, int client) {
  static const char request[] = "GET / HTTP/1.1\r\nHost: tv\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n";
  client_write(fixture, client, request, sizeof request - 1);
}

int client_open(struct fixture *fixture, int receive_buffer, uint64_t *id) {
  int client = client_connect(fixture, receive_buffer);
  client_request(fixture, client);
  struct wsc_header header;
  g_assert_cmpint(fixture_event(fixture, &header), ==, WSC_CONNECT);
  if (id)
    *id = header.connection;
  g_assert_cmpuint(client_status(client), ==, 101);
  return client;
}

GByteArray *client_read(int client) {
  GByteArray *octets = g_byte_array_new();
  uint8_t room[65536];
  ssize_t length;
  while ((length = recv(client, room, sizeof room, MSG_DONTWAIT)) > 0)
    g_byte_array_append(octets, room, (guint)length);
  if (octets->len || (length < 0 && errno == EAGAIN))
    return octets;
  g_byte_array_unref(octets);
  return NULL;
}

bool client_is_closed(int client) {
  char octet;
  ssize_t length = recv(client, &octet, 1, MSG_DONTWAIT | MSG_PEEK);
  return length == 0 || (length < 0 && errno != EAGAIN);
}

unsigned client_status(int client) {
  g_autoptr(GByteArray) octets = client_read(client);
  unsigned status = 0;
  if (octets && octets->len > 12 && memcmp(octets->data, "HTTP/1.1 ", 9) == 0)
    status = (unsigned)g_ascii_strtoull((const char *)octets->data + 9, NULL, 10);
  return status;
}
