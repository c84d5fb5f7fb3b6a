/* SPDX-License-Identifier: Apache-2.0 */
/* The listening socket: accepts a bounded number of peers in one wake-up and judges each by its address. The socket itself is
 * wsserverd's (bound and listening before it comes here). */
#pragma once

#include "worker/loop.h"

struct wsw_server;

struct wsw_listener {
  struct wsw_watch watch; /* fd -1: none */
  struct wsw_timer rest;  /* set while the system is out of descriptors or memory */
};

/* NULL, or a static sentence when this is not a listening TCP socket. Takes the descriptor over. */
const char *wsw_listener_open(struct wsw_server *server, int fd);
void wsw_listener_close(struct wsw_server *server);

/* Accepts or not, as the server's state has it now. */
void wsw_listener_refresh(struct wsw_server *server);
