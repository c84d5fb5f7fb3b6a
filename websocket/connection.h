/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One WebSocket connection after the opening handshake, in either role, without I/O (RFC 6455 sections 5-7).
 *
 * Octets in, events out: wsp_connection_receive() is called in a loop with what a socket gave. It consumes
 * octets up to the next event, unmasks IN PLACE, and returns the event. A message that lies whole in one frame in
 * the given octets is handed out where it lies, without a copy; anything else is gathered in memory of the
 * connection's own that grows with what really arrived (a frame header that promises 5 MB costs nothing) and is
 * freed at the next receive after the message was delivered. An idle connection holds no memory but the struct and, if
 * it compresses, its progress and what deflate.h says.
 *
 * Messages in, octets out: the send functions append whole frames to a buffer that the caller chooses on each call,
 * so a caller may gather frames of many messages in one buffer and write them at once. Replies that the protocol
 * owes (Pong, the answering Close) are appended to `out` by wsp_connection_receive() itself, one at most for each
 * event: a caller that bounds `out` between calls bounds what a flood of Pings can make it hold.
 *
 * Failing: on any violation the engine appends the Close frame it owes (1002, 1007, 1009, ...) unless it sent one
 * before (or `closes_late` is set), returns WSP_EVENT_FAILED once, and from then on consumes and ignores all input; sending is refused. A
 * fault is reported at the first octet that proves it: of a header when that octet of the header is there, a size
 * from the header alone, UTF-8 inside unfinished frames. Events that the octets before hold are given first. Want
 * of memory fails the connection with 1013, never the process.
 *
 * Compression (RFC 7692): a compressed message is inflated while it arrives, onto the gathering memory; what is limited,
 * charged and validated are the inflated octets. Damaged data fails with 1007. Messages of WSP_DEFLATE_MIN to
 * WSP_DEFLATE_MAX octets are sent compressed where that makes them smaller.
 *
 * Closing: after a Close frame was received nothing more is processed; after one was sent nothing is sent, Pongs
 * included, but messages already on the way from the peer are still delivered until its Close arrives.
 *
 * Plain C, no globals, no locks: one thread at a time per connection, and per `settings`.
 */
#pragma once

#include "websocket/buffer.h"
#include "websocket/close-code.h"
#include "websocket/deflate.h"
#include "websocket/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wsp_role { WSP_SERVER, WSP_CLIENT };

/* What all connections of one process or server share. Must outlive its connections. */
struct wsp_settings {
  /* Octets of one received message. A larger one fails with 1009 from its header; where it comes compressed, as soon as it
   * would inflate beyond. */
  uint64_t max_message_size;
  /* Gathering memory over all connections that share these settings; a connection that needs more
   * fails with 1013. The engine keeps `gathered` up to date. 0 in `max_gathered` means no bound. */
  uint64_t max_gathered;
  uint64_t gathered;
  /* Where gathering memory comes from, if not from realloc() and free(): as realloc(), of a block of `size` octets (0: there is none yet), the new size 0
   * meaning free(). With `context`. */
  uint8_t *(*gather)(void *context, uint8_t *octets, size_t size, size_t new_size);
  struct wsp_deflate_pool *deflate; /* for connections that compress; NULL: there are none */
  /* The Close frame that answers the peer's, or says why the connection failed, is not appended by the engine but sent
   * by its user, with wsp_connection_close(), once it has sent what belongs before it. Until then sending goes on. */
  bool closes_late;
  /* Client role only, and needed there: fills `key` with 4 unpredictable octets for the next frame (section 5.3). With `context`. */
  void (*fresh_mask)(void *context, uint8_t key[4]);
  void *context;
};

enum wsp_event_type {
  WSP_EVENT_NONE,    /* everything was consumed; come back with more octets */
  WSP_EVENT_MESSAGE, /* a whole one; text is valid UTF-8 */
  WSP_EVENT_PING,    /* answered already, unless a Close frame was sent */
  WSP_EVENT_PONG,
  /* The peer's Close frame, answered already unless this side had sent one or `closes_late`. code 1005: it gave none */
  WSP_EVENT_CLOSE,
  WSP_EVENT_FAILED, /* this side failed the connection with `code`; data is a static sentence, sent as reason */
};

struct wsp_event {
  enum wsp_event_type type;
  bool text;
  /* Payload of message, Ping or Pong; Close reason (valid UTF-8); sentence of FAILED. Never NULL. Lives until the next
   * receive on this connection and not longer than the octets given; it may be sent on the same connection. */
  const uint8_t *data;
  size_t length;
  uint16_t code;
};

/* How far reading has got inside a frame or a message. Fields are the engine's own. */
struct wsp_progress {
  uint8_t *gather; /* octets of an unfinished message, or NULL */
  size_t gather_length;
  size_t gather_capacity;
  uint64_t payload_left;                /* of the frame being read */
  uint8_t header[WSP_FRAME_HEADER_MAX]; /* of a frame whose header came in parts; control payloads gather apart */
  uint8_t header_length;
  uint8_t mask_offset;
  uint8_t utf8_state;
  uint8_t opcode;         /* of the frame being read */
  uint8_t message_opcode; /* of the message being gathered, 0: none */
  uint8_t mask_key[4];
  uint8_t control_length;
  uint8_t *control;            /* payload of a control frame that came in parts, allocated only then */
  struct wsp_deflate *deflate; /* NULL: nothing is compressed */
};

/* Kept small: a server may hold tens of thousands. Fields are the engine's own; use the functions. */
struct wsp_connection {
  struct wsp_settings *settings;
  struct wsp_progress *progress; /* NULL between frames, unless the connection compresses */
  uint8_t flags;                 /* see connection-internal.h */
};

void wsp_connection_init(struct wsp_connection *connection, enum wsp_role role, struct wsp_settings *settings);
/* Compresses from here on, both ways, on the agreed terms. False without memory; the settings must have a pool. */
bool wsp_connection_compress(struct wsp_connection *connection, const struct wsp_deflate_terms *terms);
bool wsp_connection_compresses(const struct wsp_connection *connection);
/* Frees what the connection holds; a zeroed one, or one cleared before, holds nothing. */
void wsp_connection_clear(struct wsp_connection *connection);

/* Consumes octets up to and including the next event and says how many. Returns the event type, also in
 * event->type. Call again with the rest until WSP_EVENT_NONE. `octets` is changed (unmasked in place). */
enum wsp_event_type wsp_connection_receive(struct wsp_connection *connection, uint8_t *octets, size_t length,
                                           size_t *consumed, struct wsp_buffer *out, struct wsp_event *event);

enum wsp_send_result {
  WSP_SENT,
  WSP_SEND_CLOSED,    /* a Close frame was sent or received, or the connection failed */
  WSP_SEND_NO_MEMORY, /* nothing was appended */
  WSP_SEND_INVALID,   /* text that is not UTF-8; control payload or reason too long; illegal close code */
};

/* Appends one whole message as one frame, compressed where that was agreed and is worth it. */
enum wsp_send_result wsp_connection_send(struct wsp_connection *connection, bool text, const uint8_t *data,
                                         size_t length, struct wsp_buffer *out);

/* As above for text that the caller has already checked to be UTF-8. */
enum wsp_send_result wsp_connection_send_checked(struct wsp_connection *connection, bool text, const uint8_t *data,
                                                 size_t length, struct wsp_buffer *out);

/* As above, never compressed: for a message that holds a secret beside what a peer may choose. */
enum wsp_send_result wsp_connection_send_plain(struct wsp_connection *connection, bool text, const uint8_t *data,
                                               size_t length, struct wsp_buffer *out);

enum wsp_send_result wsp_connection_ping(struct wsp_connection *connection, const uint8_t *data, size_t length,
                                         struct wsp_buffer *out);

/* Starts the closing handshake. code WSP_CLOSE_NO_STATUS sends a Close frame without a code (and reason). */
enum wsp_send_result wsp_connection_close(struct wsp_connection *connection, uint16_t code, const uint8_t *reason,
                                          size_t length, struct wsp_buffer *out);

/* For a caller that writes a large message itself, without copying it behind its header: that header, for the role of a server and for
 * text that was checked. As if the message was sent, uncompressed. */
enum wsp_send_result wsp_connection_send_header(struct wsp_connection *connection, bool text, size_t length,
                                                uint8_t header[WSP_FRAME_HEADER_MAX], size_t *header_length);

/* Hands over the memory in which the message of the last event lies, to be freed as it was made, so that it need not be copied; NULL where
 * it is not the connection's own (the message lies in the octets given), or much larger than the message. */
uint8_t *wsp_connection_take_message(struct wsp_connection *connection, const struct wsp_event *event);

/* Octets of memory that an unfinished message takes; also part of settings->gathered. */
size_t wsp_connection_gathered(const struct wsp_connection *connection);

/* Asks for other memory of the same size for what is gathered, where there is any. False when there is none: nothing has changed. */
bool wsp_connection_gather_anew(struct wsp_connection *connection);

bool wsp_connection_close_sent(const struct wsp_connection *connection);
bool wsp_connection_close_received(const struct wsp_connection *connection);
bool wsp_connection_failed(const struct wsp_connection *connection);
/* True in the middle of a frame or a fragmented message (for idle rules). */
bool wsp_connection_in_message(const struct wsp_connection *connection);
