/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that make up the channel in plain C share, and what only the rest of the library may use of it. */
#pragma once

#include "channel/arena.h"
#include "channel/decoder.h"
#include "channel/id-table.h"
#include "channel/queue.h"
#include <wsserver/ws-channel.h>

/* The rest of a large message that is sent as it came: it stays in the block that it was read to. */
struct ws_channel_tail {
  const uint8_t *octets;
  size_t length;
  uint8_t *block; /* NULL: there is none. To be given back to the decoder */
  size_t capacity;
};

/* Large messages by shared memory, see channel/arena.h. */
struct ws_channel_memory {
  struct wsc_arena_view in; /* written by the worker */
  struct wsc_arena out;     /* written here */
  struct wsc_releases done; /* of `in` */
  uint8_t *copy;            /* of the last message: what the app looks at cannot change. NULL: none */
  size_t capacity;
  size_t taken;           /* octets of messages in this dispatch */
  bool lends;             /* binary messages go to the app from where they lie */
  bool forwards;          /* the worker takes them back from there */
  struct wsc_shared lent; /* the message that the app looks at now; its length is 0 where that is none */
};

struct ws_channel {
  int fd;
  struct ws_channel_memory *memory; /* NULL: the channel has none */
  const struct ws_channel_events *events;
  void *user;
  struct wsc_decoder decoder;
  struct ws_channel_tail tail; /* leaves before what is queued */
  struct wsc_queue out;
  struct wsc_id_table peers;
  uint64_t last_id;     /* of CONNECT or STANDING */
  uint64_t generation;  /* of the worker; 0 until WELCOME came */
  uint64_t max_message; /* until WELCOME came, that of the protocol */
  uint32_t queue_high;
  uint64_t last_told; /* of these: with the one behind it goes on, so that nobody is told last every time */
  uint32_t waiting;   /* peers that were refused because of what waits for the channel itself */
  const char *reason;
  uint8_t state;
  uint8_t quiet; /* dispatches since the last large message */
  bool paused;
  bool half_read;  /* paused in the middle of what was read */
  bool unwritable; /* the other end is gone; what it wrote before is still read */
  bool failed;     /* it cannot go on, for want of memory */
  bool dispatching;
  bool freed; /* in the middle of a dispatch, which will do it */
};

/* One for each connection, and most are idle: 40 octets. */
struct ws_channel_peer {
  struct wsc_identified identified;
  struct ws_channel *channel;
  void *data;
  uint64_t charged; /* in total */
  uint32_t held;    /* of that, what is not released; below queue_high and one message */
  bool closing : 1; /* takes no more messages */
  bool waits : 1;   /* was refused because of the channel's own queue */
  bool wants : 1;   /* WANT_DRAINED is under way */
  bool hold : 1;    /* something waits in front of it: no broadcast may overtake that */
};

/* A large message came or went: memory for the next is kept. */
static inline void ws_channel_expect_large(struct ws_channel *channel) {
  channel->quiet = 0;
}

/* Writes what is queued, as far as the socket takes it. Not while a message is lent to the app. */
void ws_channel_write(struct ws_channel *channel);
void ws_channel_clear_tail(struct ws_channel *channel);

/* In the event `message` only: the block that holds its payload becomes the caller's, to free with free(). NULL without memory, or where more
 * would be kept than is worth it: then copy. */
void *ws_channel_take_block(struct ws_channel *channel, const uint8_t *data, size_t length);
/* Whether this is a message in the decoder's block, and most of what is in there. */
bool ws_channel_fills_block(const struct ws_channel *channel, const uint8_t *data, size_t length);

/* Whether ws_channel_trim() may have something to give back. */
bool ws_channel_has_spare_memory(const struct ws_channel *channel);

/* True when there are records to be handled that no descriptor will wake anybody for. */
bool ws_channel_is_half_read(const struct ws_channel *channel);

/* As ws_channel_send() and ws_channel_broadcast(), for text that is known to be UTF-8. */
enum ws_channel_result ws_channel_send_checked(struct ws_channel_peer *peer, bool text, const void *data, size_t length,
                                               bool notify);
enum ws_channel_result ws_channel_broadcast_checked(struct ws_channel *channel, struct ws_channel_peer *const *peers,
                                                    size_t count, bool text, const void *data, size_t length,
                                                    size_t *sent);

/* Where channel-memory.c and the rest of the channel meet. `memory` is there in all of these but the first. */

/* NULL where that cannot be had: the descriptors are no arenas, or there is no memory. They stay the caller's. */
struct ws_channel_memory *ws_channel_memory_new(int in, int out);
void ws_channel_memory_free(struct ws_channel_memory *memory);
/* Handles SHARED_MESSAGE: NULL, or what is wrong. */
const char *ws_channel_take_shared(struct ws_channel *channel, struct ws_channel_peer *peer,
                                   const struct wsc_record *record);
/* Whether the rest waits for the next dispatch: a few octets of the stream can name much of the memory, and the same again and again. An honest
 * worker hardly gets there, since nothing is given back within a dispatch. Also for a channel without memory. */
bool ws_channel_has_taken_enough(const struct ws_channel *channel);
const char *ws_channel_take_released(struct ws_channel *channel, const struct wsc_record *record);
/* Sends a message through the memory; false where it has no room: it goes through the stream. */
bool ws_channel_put_shared(struct ws_channel *channel, const struct wsc_header *header, const void *payload);
/* Queues RELEASE for what was handled. False without memory for it. */
bool ws_channel_tell_done(struct ws_channel *channel);
/* The copy becomes the caller's if that is where `data` lies and it fills most of it; else NULL. */
void *ws_channel_take_copy(struct ws_channel *channel, const uint8_t *data, size_t length);
void ws_channel_memory_trim(struct ws_channel_memory *memory);
