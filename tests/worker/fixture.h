/* SPDX-License-Identifier: Apache-2.0 */
/* A server in the test's own process: real sockets, a clock that the test moves by hand, no sandbox. */
#pragma once

#include "worker/server.h"

#include <glib.h>

struct fixture {
  struct wsw_server *server;
  uint64_t now; /* milliseconds; the test moves it */
  int control;  /* the daemon's end */
  int channel;  /* the app side's end, or -1 */
  int port;
  struct wsc_decoder decoder;
};

/* Times in seconds. */
struct fixture_options {
  uint32_t ping_interval, pong_timeout, handshake_timeout, max_per_client;
};

struct fixture *fixture_new(const struct fixture_options *options);
void fixture_free(struct fixture *fixture);

/* A new acknowledged channel; the one before is closed. */
void fixture_attach(struct fixture *fixture);
/* One without acknowledgement, as apps have it. */
void fixture_attach_direct(struct fixture *fixture);
/* The app side goes away. */
void fixture_detach(struct fixture *fixture);

/* Wake-ups until nothing is ready any more. */
void fixture_settle(struct fixture *fixture);
/* Moves the clock and settles. */
void fixture_advance(struct fixture *fixture, uint64_t milliseconds);

/* The next event on the channel: its type (0: none), and its header. */
uint8_t fixture_event(struct fixture *fixture, struct wsc_header *header);

void fixture_stop(struct fixture *fixture, uint16_t code, uint32_t deadline);
/* Sends a record over the channel. */
void fixture_send(struct fixture *fixture, const struct wsc_header *header, const void *body, size_t length);

/* A TCP client; `receive_buffer` 0: as the system likes it. */
int client_connect(struct fixture *fixture, int receive_buffer);
/* With its opening handshake done and CONNECT taken; the id. */
int client_open(struct fixture *fixture, int receive_buffer, uint64_t *id);
void client_write(struct fixture *fixture, int client, const void *octets, size_t length);
void client_request(struct fixture *fixture, int client);
/* What there is, in a string; NULL at the end. */
GByteArray *client_read(int client);
bool client_is_closed(int client);
/* The HTTP status of what there is to read, 0 when there is nothing. */
unsigned client_status(int client);
