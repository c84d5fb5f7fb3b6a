/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data channel in plain C, for apps with a loop of their own: no GLib, no threads, no allocation for each message to a peer.
 *
 * The app gets a file descriptor from the D-Bus method OpenChannel (whichever D-Bus library it uses), gives it to ws_channel_new(),
 * polls ws_channel_get_fd() for ws_channel_get_poll_events(), and calls ws_channel_dispatch() when it is ready. That reads once, calls the
 * functions in struct ws_channel_events for everything that came, and then writes what they have sent, all of it at once. Whoever sends at
 * another time calls ws_channel_flush() afterwards, once for everything. One read need not bring everything: wait by level, as poll(2) does, not by edge.
 *
 *   while (poll(&(struct pollfd){ws_channel_get_fd(c), ws_channel_get_poll_events(c), 0}, 1, -1) >= 0)
 *     if (ws_channel_dispatch(c) != WS_CHANNEL_OPEN)
 *       break;
 *
 * Flow control. An app that does not call ws_channel_dispatch() makes the server stop reading its peers: nothing is lost, nothing grows. A peer
 * that reads slowly fills its own queue only: sending to it gives WS_CHANNEL_WOULD_BLOCK until `drained` is called for it.
 *
 * Octets from peers are checked by the other side of the channel, but they are still what strangers sent: paths, headers and the like may hold any
 * octet, and are not terminated. Text messages are valid UTF-8.
 *
 * A channel belongs to one thread at a time. Functions return at once; none blocks. The records behind it are specified in docs/channel.md.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WS_CHANNEL_API __attribute__((visibility("default")))

struct ws_channel;
struct ws_channel_peer; /* one connection, from `connected` to the return of `closed` */

struct ws_channel_text {
  const char *text; /* not terminated; may be NULL when length is 0 */
  size_t length;
};

/* Who connected, and how. Everything lives until `connected` returns. */
struct ws_channel_details {
  uint8_t family; /* 4 or 6 */
  bool tls;
  uint16_t port;
  uint32_t scope;                                       /* interface of a link-local IPv6 peer, else 0 */
  uint8_t address[16];                                  /* network order; IPv4 in the first four octets */
  uint64_t connected_at;                                /* microseconds since the epoch */
  struct ws_channel_text path, query, origin, protocol; /* protocol: the subprotocol agreed on; empty where absent */
  struct ws_channel_text subject;                       /* of the peer's certificate, RFC 4514; empty without one */
  uint16_t header_count;
  const void *headers; /* walk with ws_channel_next_header() */
};

/* What ws_channel_dispatch() calls. Any may be NULL. All of them may send, close and free the channel. */
struct ws_channel_events {
  /* A new connection. `details` is NULL for one that was there before this channel was: the app knows it from the signal Connect. */
  void (*connected)(void *user, struct ws_channel_peer *peer, const struct ws_channel_details *details);
  /* A whole message. `data` lives until the function returns, and may be sent as it is. */
  void (*message)(void *user, struct ws_channel_peer *peer, bool text, const uint8_t *data, size_t length);
  /* The last one of a connection. `code` is that of the first Close frame either side sent; 1005: it had none; 1006: there was no Close frame.
   * `reason` is UTF-8, not terminated. `clean`: both sides have sent one. The peer is not found any more; those that are still open are, also when
   * the channel has ended and each gets this in turn. */
  void (*closed)(void *user, struct ws_channel_peer *peer, uint16_t code, const char *reason, size_t length,
                 bool clean);
  /* After WS_CHANNEL_WOULD_BLOCK: there is room again, so send; it may be refused again, and told again. */
  void (*drained)(void *user, struct ws_channel_peer *peer);
  /* More has been written to the peer's socket, see ws_channel_peer_get_written(): after each message sent with `notify`, else now and then. */
  void (*written)(void *user, struct ws_channel_peer *peer);
  /* Something went wrong with a connection, or (peer NULL) with the server. `code` as in the D-Bus interface; `text` is not terminated. */
  void (*error)(void *user, struct ws_channel_peer *peer, uint32_t code, const char *text, size_t length);
};

enum ws_channel_state {
  WS_CHANNEL_OPEN,
  WS_CHANNEL_ENDED,  /* the server stopped, or its process died: open another channel */
  WS_CHANNEL_BROKEN, /* the other side broke the rules, or there was no memory: free the channel; the server stops */
};

enum ws_channel_result {
  WS_CHANNEL_SENT = 0, /* it leaves with the next dispatch or flush, or has left; in vain when `closed` comes before */
  WS_CHANNEL_WOULD_BLOCK = 1, /* too much waits for this peer: `drained` will be called */
  WS_CHANNEL_GONE = 2,        /* the connection, or the channel, is closed or closing */
  WS_CHANNEL_TOO_BIG = 3,     /* above the server's maxMessageSize */
  WS_CHANNEL_INVALID = 4,     /* text that is not UTF-8; an illegal close code or reason; a peer of another channel */
  WS_CHANNEL_NO_MEMORY = 5,   /* nothing was sent; had a part left already, the channel breaks with the next dispatch */
};

/* Takes `fd` over, also when it fails: NULL without memory. `events` must outlive the channel. */
WS_CHANNEL_API struct ws_channel *ws_channel_new(int fd, const struct ws_channel_events *events, void *user);

/* The same with what the method OpenSharedChannel gives: the channel, and memory through which large messages come in and go out. Takes all three
 * descriptors over, also when it fails: NULL without memory, or where they are not what that method gives. */
WS_CHANNEL_API struct ws_channel *ws_channel_new_shared(int fd, int in, int out, const struct ws_channel_events *events,
                                                        void *user);

/* Large messages in shared memory are copied before `message` is called, so that whoever took over the process that serves the peers cannot change
 * them while the app looks at them. With `lends`, binary ones are handed out where they lie, without a copy: for apps that look at each octet once, or
 * only pass them on. Text is always copied, and checked again. Does nothing without shared memory. Default: false. */
WS_CHANNEL_API void ws_channel_set_lending(struct ws_channel *channel, bool lends);

/* Closes it. The server stops, unless the channel had ended before. Calls none of the events: what the app keeps for connections it frees before, see
 * ws_channel_next_peer(). Fine inside of an event; its arguments live until it returns. */
WS_CHANNEL_API void ws_channel_free(struct ws_channel *channel);

WS_CHANNEL_API int ws_channel_get_fd(const struct ws_channel *channel);
/* What to poll for: POLLIN unless reading is paused, or too much of the app's own waits, POLLOUT while octets wait to be written or there is something to be told. 0: leave the descriptor out,
 * for poll(2) tells of a hang-up whether asked or not, again and again. */
WS_CHANNEL_API short ws_channel_get_poll_events(const struct ws_channel *channel);
WS_CHANNEL_API enum ws_channel_state ws_channel_get_state(const struct ws_channel *channel);
/* Why it is no longer open, in a sentence; NULL while it is. */
WS_CHANNEL_API const char *ws_channel_get_reason(const struct ws_channel *channel);

/* Reads once, calls events, writes once. When the channel has ended, every connection that is still there gets `closed` with 1006 first. After
 * that it does nothing. */
WS_CHANNEL_API enum ws_channel_state ws_channel_dispatch(struct ws_channel *channel);

/* Writes what was sent since. Does nothing where ws_channel_dispatch() is under way. */
WS_CHANNEL_API void ws_channel_flush(struct ws_channel *channel);

/* While paused nothing is read, so no events are called but `drained`, for those who wait because of what waits for the channel itself; what was sent still
 * leaves. Do not pause until a certain peer has room: that is read, too. In the middle of a dispatch the rest of what was read comes with the first dispatch
 * after reading goes on, for which poll(2) does not wait. */
WS_CHANNEL_API void ws_channel_set_paused(struct ws_channel *channel, bool paused);

/* Gives back memory that is kept for the next messages. It is given back by itself while other messages come; this is for an app that sees that none
 * come at all. */
WS_CHANNEL_API void ws_channel_trim(struct ws_channel *channel);

/* Octets that wait to be written to the channel. */
WS_CHANNEL_API size_t ws_channel_get_queued(const struct ws_channel *channel);
/* Open connections. */
WS_CHANNEL_API size_t ws_channel_get_peer_count(const struct ws_channel *channel);
/* NULL when there is no such connection (any more). */
WS_CHANNEL_API struct ws_channel_peer *ws_channel_find_peer(const struct ws_channel *channel, uint64_t id);
/* The first after `peer`, in no particular order; NULL begins, and is the end. A walk does not outlast the event, or the time between two dispatches, in
 * which it began. */
WS_CHANNEL_API struct ws_channel_peer *ws_channel_next_peer(const struct ws_channel *channel,
                                                            const struct ws_channel_peer *peer);

/* Sends a message behind everything sent to that peer before. `data` is copied, or has left, when it returns. `notify`: call `written` once this message is
 * written to the peer's socket. */
WS_CHANNEL_API enum ws_channel_result ws_channel_send(struct ws_channel_peer *peer, bool text, const void *data,
                                                      size_t length, bool notify);

/* Sends one message to `count` of them (`peers` may be NULL where that is 0). Whoever is there twice gets it twice. It leaves in one record for 65535 of them. Whoever could not take it now, because too much waits for him, gets nothing, and
 * `drained` later. Returns how many get it in *sent (may be NULL); WS_CHANNEL_SENT also when that is nobody. */
WS_CHANNEL_API enum ws_channel_result ws_channel_broadcast(struct ws_channel *channel,
                                                           struct ws_channel_peer *const *peers, size_t count,
                                                           bool text, const void *data, size_t length, size_t *sent);
/* The same to all. */
WS_CHANNEL_API enum ws_channel_result ws_channel_broadcast_to_all(struct ws_channel *channel, bool text,
                                                                  const void *data, size_t length, size_t *sent);

/* Sends a Close frame behind everything sent before; code 0 means 1000. Messages still come until `closed`. `reason` is UTF-8, at most 123 octets. */
WS_CHANNEL_API enum ws_channel_result ws_channel_close(struct ws_channel_peer *peer, uint16_t code, const char *reason,
                                                       size_t length);

WS_CHANNEL_API uint64_t ws_channel_peer_get_id(const struct ws_channel_peer *peer);
WS_CHANNEL_API struct ws_channel *ws_channel_peer_get_channel(const struct ws_channel_peer *peer);
/* The app's own pointer, NULL at first. Whatever it points to is the app's to free, in `closed`. */
WS_CHANNEL_API void *ws_channel_peer_get_data(const struct ws_channel_peer *peer);
WS_CHANNEL_API void ws_channel_peer_set_data(struct ws_channel_peer *peer, void *data);
/* What was sent to it in total, and what of that is written to its socket as far as we were told: octets, and 16 more for each message. */
WS_CHANNEL_API uint64_t ws_channel_peer_get_sent(const struct ws_channel_peer *peer);
WS_CHANNEL_API uint64_t ws_channel_peer_get_written(const struct ws_channel_peer *peer);

/* Begin with *offset 0; false at the end. Names are in lower case; a header that came several times is there several times. */
WS_CHANNEL_API bool ws_channel_next_header(const struct ws_channel_details *details, size_t *offset,
                                           struct ws_channel_text *name, struct ws_channel_text *value);

#ifdef __cplusplus
}
#endif
