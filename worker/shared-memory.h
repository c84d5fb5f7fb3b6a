/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two arenas of a channel with shared memory: the worker writes messages of peers to one, and reads what the app sends in the other. The app may
 * change that while it is read. So binary messages go to the socket, or are copied, in one pass and without a look at them; text is copied
 * before it is checked.
 */
#pragma once

#include "channel/arena.h"
#include "channel/record.h"

struct wsp_event;
struct wsw_peer;
struct wsw_server;

struct wsw_shared {
  struct wsc_arena events;        /* written here */
  struct wsc_arena_view commands; /* written by the app */
  struct wsc_releases done;       /* of what the app wrote */
  size_t unsaid;                  /* octets of messages whose records have not been written yet */
  bool leaves;                    /* nothing more goes to the arena */
};

/* The descriptors stay the caller's. NULL without memory, or where they cannot be mapped. */
struct wsw_shared *wsw_shared_new(int events, int commands, size_t size);
/* Only for one that no channel has had. NULL is fine. */
void wsw_shared_free(struct wsw_shared *shared);
/* The channel is over: what peers have sent in part moves elsewhere, and the memory goes. Does nothing where there is none. */
void wsw_shared_leave(struct wsw_server *server);

/* Where unfinished messages are gathered: large ones in the arena, so that they need not be copied there. For struct wsp_settings. */
uint8_t *wsw_shared_gather(void *server, uint8_t *octets, size_t size, size_t new_size);

/* A message of a peer, if the channel has shared memory, and it is large enough, and there is room; false: send it through the stream. */
bool wsw_shared_message(struct wsw_peer *peer, const struct wsc_header *header, const struct wsp_event *event);

/* SHARED_SEND, SHARED_FORWARD and RELEASE of a channel with shared memory: NULL, or what is wrong. */
const char *wsw_shared_take_send(struct wsw_server *server, const struct wsc_record *record);
const char *wsw_shared_take_forward(struct wsw_server *server, const struct wsc_record *record);
const char *wsw_shared_take_release(struct wsw_server *server, const struct wsc_record *record);
