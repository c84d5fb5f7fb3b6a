/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A channel between the library and a worker that is the test: the test says records as a worker does, and hears what the library writes. Both become lines
 * of text to compare: of an event "message 1 text hello", of a record "SEND 1 text hello". Connections are called by their number within the
 * worker's generation, which is 1; long payloads by their length and a digest.
 */
#pragma once

#include "channel/arena.h"
#include "channel/decoder.h"
#include "channel/queue.h"
#include <wsserver/ws-channel.h>

#include <glib.h>

/* What the test's worker tells in WELCOME. */
enum { STAGE_MAX_MESSAGE = 100000, STAGE_HIGH = 1000, STAGE_LOW = 100 };

enum stage_kind { STAGE_CONNECTED, STAGE_MESSAGE, STAGE_CLOSED, STAGE_DRAINED, STAGE_WRITTEN, STAGE_ERROR };

/* An event that has just come. */
struct stage_event {
  enum stage_kind kind;
  struct ws_channel_peer *peer; /* NULL: an error of the server */
  const struct ws_channel_details *details;
  const uint8_t *data;
  size_t length;
  bool text;
};

struct stage {
  struct ws_channel *channel;           /* NULL once it was freed */
  int worker;                           /* its end; -1 once it was closed */
  struct wsc_arena events_arena;        /* all zero without shared memory, as is the next */
  struct wsc_arena_view commands_arena; /* what the app writes */
  struct wsc_queue saying;
  struct wsc_decoder hearing;
  GString *events; /* that were not yet compared */
  GString *heard;
  /* Called after each event was noted; may do whatever an app may. */
  void (*hook)(struct stage *stage, const struct stage_event *event);
  void *user;
  guint left; /* for the hook to count down */
};

/* A channel on which nothing was said. */
void stage_open(struct stage *stage);
/* ... on which WELCOME and the CONNECTs of connections 1 to `count` were. */
void stage_begin(struct stage *stage, guint count);
/* The same with shared memory of `size` octets each way. */
void stage_begin_shared(struct stage *stage, guint count, size_t size);
/* By a worker that can do those alone. */
void stage_begin_shared_by(struct stage *stage, guint count, size_t size, uint32_t abilities);
/* Frees everything; nothing may be left that was not compared. */
void stage_end(struct stage *stage);
void stage_free_channel(struct stage *stage);

uint64_t stage_id(uint64_t number);
uint64_t stage_number(const struct ws_channel_peer *peer);
struct ws_channel_peer *stage_peer(struct stage *stage, uint64_t number);

/* Records to be said with the next stage_dispatch(). */
struct wsc_welcome stage_welcome(void);
void stage_say(struct stage *stage, struct wsc_header header, const void *body, size_t length);
void stage_say_welcome(struct stage *stage, const struct wsc_welcome *welcome);
void stage_say_connect(struct stage *stage, uint64_t number);
void stage_say_standing(struct stage *stage, uint64_t number, uint64_t charged, uint64_t released);
void stage_say_credit(struct stage *stage, uint64_t number, uint64_t released);
void stage_say_message(struct stage *stage, uint64_t number, const char *text);
void stage_say_closed(struct stage *stage, uint64_t number, uint16_t code);
void stage_say_drained(struct stage *stage, uint64_t number);
void stage_say_error(struct stage *stage, uint64_t number, const char *text);

/* A message that lies in the arena; returns where. */
uint64_t stage_say_shared(struct stage *stage, uint64_t number, bool text, const void *data, size_t length);
/* Ranges of the app that it may use again. */
void stage_say_released(struct stage *stage, uint64_t offset);

/* What was said to the socket, as much as it takes. */
void stage_deliver(struct stage *stage);
/* The same, and dispatch, until nothing is left to read. Returns the channel's state; that of one that was freed is ENDED. */
enum ws_channel_state stage_dispatch(struct stage *stage);
/* Reads what the library has written; a worker that reads slowly does it seldom. It must be legal. */
void stage_hear(struct stage *stage);
/* The worker is gone. */
void stage_hang_up(struct stage *stage);

/* Compares what has come since, and forgets it. */
void stage_assert_events(struct stage *stage, const char *lines);
void stage_assert_heard(struct stage *stage, const char *lines);
void stage_forget(struct stage *stage);
void stage_assert_broken(struct stage *stage, const char *reason);

/* As it stands in the lines. Free with g_free(). */
char *stage_show(const void *data, size_t length);
/* `length` octets that are no text, other ones for each `seed`. Free with g_free(). */
uint8_t *stage_octets(size_t length, guint seed);
