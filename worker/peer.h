/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One peer: a TCP connection, from its arrival to the last octet.
 *
 *   HANDSHAKE  the request head is being read. A peer that was refused on arrival is here too: a browser that gets an answer before
 *              its request was read sees a reset connection, so the head is read before the refusal is written.
 *   OPEN       CONNECT was reported. Includes the closing handshake; how far it went is the engine's knowledge.
 *   ENDING     the connection is over for the app side (CLOSED was reported, or there never was one) and holds no place any
 *              more; what is still queued (a Close frame, an HTTP answer) leaves.
 *   LINGERING  our side is shut down; what the peer still sends is discarded until it closes too, or a
 *              RST would take the last octets from under its nose.
 *   GONE       closed; freed when the wake-up is over.
 *
 * handshake.h has the way from HANDSHAKE to OPEN, sending.h what goes to an open peer, deadlines.h what has to happen in time; here is
 * the rest: reading, writing, the end.
 */
#pragma once

#include "channel/id-table.h"
#include "channel/record.h"
#include "websocket/connection.h"
#include "websocket/server-handshake.h"
#include "worker/loop.h"
#include "worker/outbox.h"
#include "worker/transport.h"

struct wsw_server;
struct wsw_address;
struct wsw_details;

enum wsw_peer_state {
  WSW_PEER_HANDSHAKE,
  WSW_PEER_OPEN,
  WSW_PEER_ENDING,
  WSW_PEER_LINGERING,
  WSW_PEER_GONE,
};

/* The first Close frame, whoever sent it; farewell.h has its way out. */
struct wsw_farewell {
  uint64_t awaited;                 /* number of the event to be acknowledged before it is said */
  struct wsw_peer *previous, *next; /* in the list of those that wait */
  uint16_t code;
  uint8_t length;
  uint8_t reason[];
};

/* Kept small: there is one for each connection, and most of them are idle. In front is what each message needs. Its server is found by
 * wsw_server_of(). */
struct wsw_peer {
  struct wsw_watch watch;
  struct wsw_timer timer;
  union {
    uint64_t id; /* 0 before CONNECT */
    struct wsc_identified identity;
  };
  struct wsp_connection connection;
  struct wsw_outbox *outbox; /* while something waits to be written */
  uint64_t charged;          /* in total, as the app side counts it */
  struct wsw_transport transport;
  uint32_t untold;       /* of what was charged: not told by CREDIT, never more than one queue and WSC_CREDIT_STEP */
  uint32_t last_message; /* number of its last MESSAGE among the events, modulo 2^32: see farewell.c */
  wsw_moment ping_at;    /* when the next Ping is due */
  wsw_moment deadline;   /* for what is awaited: head, Pong, the peer's Close, the end */
  wsw_moment heard_at;   /* when enough octets had last come, see WSW_SLOWEST ... */
  uint32_t heard;        /* ... and how many since; when no more is to come, how many were discarded */
  uint8_t state;
  bool paused : 1;     /* waits to be read when reading begins again */
  bool dirty : 1;      /* to be written in this wake-up */
  bool eager : 1;      /* waits to be read on: there is more than it had a turn for */
  bool blocked : 1;    /* the socket took less than there was: waits to become writable */
  bool unwritable : 1; /* writing failed; what still arrives is read */
  bool ended : 1;      /* the peer closed its side */
  bool buried : 1;     /* gone and only waiting in a queue to be freed */
  bool half_open : 1;  /* stands among those that have not asked yet */
  bool apart : 1;      /* stands among those that are refused or over */
  bool placed : 1;     /* holds a place in the limits */
  bool refused : 1;    /* counted among the refused whose head is awaited */
  bool lingering : 1;  /* counted among the lingering */
  bool awaits_pong : 1;
  bool awaits_close : 1; /* our Close frame was written */
  bool parting : 1;      /* the peer's Close or a fault was read, and our Close frame waits */
  bool wants_drained : 1;
  uint16_t refusal; /* HTTP status decided on when it arrived, else 0 */
  /* Not needed for each message. */
  struct wsw_details *details;
  union {
    struct wsp_server_handshake *handshake; /* in state HANDSHAKE, once its head is under way */
    struct wsw_farewell *farewell;          /* in all others, once the first Close frame is known */
  };
  struct wsw_peer *older, *younger; /* in the line it stands in, see peers.h */
  struct wsw_peer *next_queued;     /* among the paused or the eager */
};

/* Who is called when a peer's socket is ready or its time is up. */
void wsw_peer_attend(struct wsw_loop *loop);

/* Takes the socket over. `refusal` is 0 or the status that was decided on. NULL without memory: the socket is closed. */
struct wsw_peer *wsw_peer_new(struct wsw_server *server, int fd, const struct wsw_address *address, uint16_t refusal);
void wsw_peer_free(struct wsw_peer *peer);

/* The peer as CONNECT and the list of connections tell it, without headers. Only while open. */
void wsw_peer_describe(const struct wsw_peer *peer, struct wsc_connect *connect);

/* Writes what is queued, once, and does what follows from that. */
void wsw_peer_flush(struct wsw_peer *peer);
/* Asks for wsw_peer_flush() at the end of this wake-up. */
void wsw_peer_mark_dirty(struct wsw_peer *peer);

/* Reads on where TLS holds octets that the socket will not wake anybody for. */
void wsw_peer_read_on(struct wsw_peer *peer);

/* Writes a message for which there is no outbox yet, and puts the rest of it into one. False when the peer takes nothing any more: nothing
 * is charged then. */
bool wsw_peer_write_through(struct wsw_peer *peer, struct iovec parts[2], uint32_t charge);

/* The outbox, taken from the pool when there is none; NULL without memory. */
struct wsw_outbox *wsw_peer_outbox(struct wsw_peer *peer);
/* Moves what the protocol owes (server->replies) behind everything queued. `control` counts as replies the peer provoked. False without memory. */
bool wsw_peer_take_replies(struct wsw_peer *peer, bool control);

/* Remembers the first Close frame. */
void wsw_peer_remember_close(struct wsw_peer *peer, uint16_t code, const uint8_t *reason, size_t length);
/* Reports CLOSED and gives back the place; the TCP connection is still there. */
void wsw_peer_report_closed(struct wsw_peer *peer, bool clean);
/* The connection is over: let what is queued leave, then linger. */
void wsw_peer_end(struct wsw_peer *peer);
/* Over at once: reported where it was open, socket closed. */
void wsw_peer_drop(struct wsw_peer *peer);

/* The server stops: Close frame or 503. */
void wsw_peer_stop(struct wsw_peer *peer, uint16_t code);

/* Goes on with what was read of a peer before reading was paused. */
void wsw_peer_take_held(struct wsw_server *server);

/* Sets watch and timer anew after anything they depend on has changed. */
void wsw_peer_refresh(struct wsw_peer *peer);

/* Waits in a queue: if it goes, it is not freed before it was taken out there. */
static inline bool wsw_peer_is_queued(const struct wsw_peer *peer) {
  return peer->paused || peer->eager;
}

static inline bool wsw_peer_is_closing(const struct wsw_peer *peer) {
  return wsp_connection_close_sent(&peer->connection) || wsp_connection_close_received(&peer->connection) ||
         wsp_connection_failed(&peer->connection);
}
