/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel: length-prefixed records between a worker and its app side over a SOCK_STREAM Unix socket. This file
 * is the one place that knows their layout; docs/channel.md specifies it for other languages. All integers are
 * little-endian. No I/O here: octets in, records out, and the other way round.
 *
 * A record is a 16-octet header and a body:
 *
 *    0  u32  size of the body
 *    4  u8   type
 *    5  u8   flags
 *    6  u16  code
 *    8  u64  connection (0 where the record is about none)
 *   16       body
 *
 * Events (WELCOME is not one) are numbered by both sides by counting; the app side acknowledges numbers where the
 * channel was attached with acknowledgement. Credit: each SEND charges WSC_MESSAGE_COST + payload octets to its
 * connection (BROADCAST: to each target); CREDIT says how many in total have been released, that is written to the
 * peer's socket or dropped with the connection.
 */
#pragma once

#include "channel/connect.h"
#include "channel/integer.h"
#include "channel/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WSC_VERSION 1        /* of a channel without shared memory ... */
#define WSC_VERSION_SHARED 2 /* ... and of one with it: the same and the records called shared */

enum wsc_type {
  /* worker to app side */
  WSC_WELCOME = 0x01, /* first record on every channel: body wsc_welcome */
  /* right behind WELCOME, in ascending order of id, one for each connection whose CONNECT will not follow: the open
   * ones, and those that are closed while their CLOSED is still to follow. Body u64 charged, u64 released (both 0 for a
   * closed one) */
  WSC_STANDING = 0x02,
  WSC_CREDIT = 0x03, /* connection; body u64 released in total */
  WSC_ASK = 0x04,    /* body u64 number of an event: to be acknowledged once it and all before are handled. Only without
                        acknowledgement */
  WSC_RELEASED = 0x05, /* shared; body: u64 offset of each range that the app side may use again */
  /* ... events, repeated on a new channel until acknowledged */
  WSC_CONNECT = 0x10,        /* connection; body wsc_connect */
  WSC_MESSAGE = 0x11,        /* connection; flag TEXT; body payload */
  WSC_CLOSED = 0x12,         /* connection; flag CLEAN; code; body reason (UTF-8) */
  WSC_ERROR = 0x13,          /* connection or 0; body u32 error code, then sentence (UTF-8) */
  WSC_DRAINED = 0x14,        /* connection */
  WSC_SHARED_MESSAGE = 0x15, /* shared; connection; flag TEXT; body wsc_shared: where the payload lies */
  /* app side to worker */
  WSC_SEND = 0x40,      /* connection; flags TEXT, WANT_CREDIT; body payload */
  WSC_BROADCAST = 0x41, /* flag TEXT; body u32 count (not 0), u32 zero, count u64 connections, payload */
  WSC_CLOSE = 0x42,     /* connection; code (one that a Close frame may carry); body reason (UTF-8) */
  WSC_ACKNOWLEDGE =
      0x43, /* body u64: events acknowledged in total, over all channels of this worker; or what ASK asked for */
  WSC_WANT_DRAINED = 0x44, /* connection: DRAINED is owed as soon as its queue is below the low mark */
  WSC_SHARED_SEND = 0x45,  /* shared; as SEND; body wsc_shared */
  WSC_RELEASE = 0x46,      /* shared; as RELEASED, of ranges that the worker may use again */
  WSC_SHARED_FORWARD =
      0x47, /* shared; as SHARED_SEND, of a payload that lies in a range of events which was not released */
};

enum wsc_flag {
  WSC_FLAG_TEXT = 0x01,
  WSC_FLAG_CLEAN = 0x02,
  WSC_FLAG_WANT_CREDIT = 0x04, /* send CREDIT as soon as this message is written */
};

static inline bool wsc_type_is_event(uint8_t type) {
  return type >= WSC_CONNECT && type <= WSC_SHARED_MESSAGE;
}

static inline bool wsc_type_is_shared(uint8_t type) {
  return type == WSC_RELEASED || type == WSC_SHARED_MESSAGE || type == WSC_SHARED_SEND || type == WSC_RELEASE ||
         type == WSC_SHARED_FORWARD;
}

struct wsc_header {
  uint32_t size;
  uint8_t type;
  uint8_t flags;
  uint16_t code;
  uint64_t connection;
};

struct wsc_record {
  struct wsc_header header;
  const uint8_t *body; /* header.size octets; never NULL */
};

void wsc_header_encode(const struct wsc_header *header, uint8_t out[WSC_RECORD_HEADER]);
void wsc_header_decode(const uint8_t in[WSC_RECORD_HEADER], struct wsc_header *header);

/* Which way a record travels decides what is legal. */
enum wsc_direction { WSC_TO_APP, WSC_TO_WORKER };

/* NULL when the header is legal for its direction (known type, only known flags for it, body size within the type's
 * bounds and `max_message`, code and connection zero where the type has none), else a static sentence. Checked before
 * any of the body is awaited. */
const char *wsc_header_fault(const struct wsc_header *header, enum wsc_direction direction, uint64_t max_message);
/* The same for what only the whole body tells (WELCOME, STANDING, CONNECT, BROADCAST); for records whose header is
 * legal. Whether texts are UTF-8 is not looked at, nor where an arena ends. */
const char *wsc_record_fault(const struct wsc_record *record, enum wsc_direction direction, uint64_t max_message);

/*
 * Body of WELCOME. A later release may append to it (up to WSC_WELCOME_MAX); a reader takes what it knows.
 *
 *    0  u16  version
 *    2  u8   flags: 1 events are kept until acknowledged
 *    3  u8   zero
 *    4  u32  repeats
 *    8  u64  generation
 *   16  u64  first_event
 *   24  u64  max_message
 *   32  u32  queue_high
 *   36  u32  queue_low
 *   40  u32  standing; a worker of an older release ends before it
 *   44  u32  abilities, a set of enum wsc_ability; the same
 */
#define WSC_WELCOME_MIN 40
#define WSC_WELCOME_SIZE_STANDING 44 /* with `standing` and nothing behind it */
#define WSC_WELCOME_SIZE 48

/* What a worker can do beyond the version; an app side ignores those that it does not know. */
enum wsc_ability {
  WSC_CAN_FORWARD = 1, /* SHARED_FORWARD */
};

struct wsc_welcome {
  uint16_t version;     /* WSC_VERSION or WSC_VERSION_SHARED */
  bool acknowledged;    /* events are kept until acknowledged */
  uint32_t repeats;     /* how many of the events that follow were written to an earlier channel already */
  uint64_t generation;  /* of this worker; connection ids lie above generation * 2^32 */
  uint64_t first_event; /* number of the first event that follows, counted from 1 over the worker's life */
  uint64_t max_message; /* octets, both directions */
  uint32_t queue_high;  /* charged octets of one connection from which on the app side refuses to send */
  uint32_t queue_low;
  uint32_t standing; /* how many STANDINGs follow; 0 also where the worker does not say */
  uint32_t abilities;
};
void wsc_welcome_encode(const struct wsc_welcome *welcome, uint8_t out[WSC_WELCOME_SIZE]);
/* False when it is none, is of another version, or holds figures that no worker can mean (see docs/channel.md). */
bool wsc_welcome_decode(const uint8_t *body, size_t size, struct wsc_welcome *welcome);
