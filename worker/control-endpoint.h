/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's end of the control socket. wsserverd asks, the worker answers, one answer to each request; while an answer does not fit
 * into the socket no further request is read. wsserverd is trusted, so a record that breaks the rules ends the process. When the
 * socket ends, nobody holds this worker any more (neither wsserverd nor systemd's store for it) and it stops by itself.
 */
#pragma once

#include "channel/control.h"
#include "worker/loop.h"

struct wsw_server;

struct wsw_control {
  struct wsw_watch watch;    /* fd -1: ended */
  const char *channel_ended; /* CHANNEL_ENDED is owed, with this sentence */
  bool stopped_owed, stopped_sent;
  uint32_t stop_tag;
  size_t answer_length; /* of an answer that did not fit; 0: none */
  uint8_t answer[WSC_CONTROL_PACKET_MAX];
};

/* Takes the socket over. False with errno when the kernel refuses. */
bool wsw_control_open(struct wsw_server *server, int fd);
void wsw_control_close(struct wsw_server *server);

void wsw_control_channel_ended(struct wsw_server *server, const char *sentence);
/* Sends STOPPED, once. True when it is in the socket, or nobody is there to get it. */
bool wsw_control_tell_stopped(struct wsw_server *server);
/* Whoever was told is gone, and its successor has asked anew. */
void wsw_control_tell_stopped_again(struct wsw_server *server);

/* Sends what is owed. */
void wsw_control_flush(struct wsw_server *server);
/* A record that nobody asked for; dropped when it does not fit now. */
void wsw_control_notify(struct wsw_server *server, const struct wsc_control_writer *writer);
