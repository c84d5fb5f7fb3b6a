/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What wsserverd is told for its log: that an address is banned, and that peers are refused. Refusals are told by their status, the
 * first at once and then at most once in WSW_NOTICE_MS with the number of those in between; a notice that the control
 * socket has no room for is not told.
 */
#pragma once

#include "worker/address.h"

#include <stdint.h>

#define WSW_NOTICE_KINDS 8

struct wsc_control_writer;
struct wsw_server;
struct wsw_visitor;

struct wsw_notices {
  struct {
    unsigned status; /* 0: free */
    uint32_t count;  /* refused and not told */
    uint64_t told_at;
  } refused[WSW_NOTICE_KINDS];
};

/* A ban as records tell it. */
void wsw_notices_add_ban(struct wsc_control_writer *writer, const struct wsw_visitor *visitor, uint64_t now);
void wsw_notices_banned(struct wsw_server *server, const struct wsw_visitor *visitor);
/* `sentence`: what the peer is answered. */
void wsw_notices_refused(struct wsw_server *server, const struct wsw_address *address, unsigned status,
                         const char *sentence);
