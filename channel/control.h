/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control records between wsserverd and a worker: one record a packet on a SOCK_SEQPACKET Unix socket. A record is
 *
 *    0  u16  type
 *    2  u16  flags (0; unknown ones are a fault)
 *    4  u32  tag: chosen by the asking side, repeated in the answer; 0 where there is no answer
 *    8       fields: u16 key, u16 zero, u32 length, value, padding with zeros to a multiple of 4
 *
 * Integers are little-endian. Fields make the records extensible: a reader ignores a field it does not know unless the
 * key's top bit (WSC_CRITICAL) is set, then the record is a fault. File descriptors ride as SCM_RIGHTS, in the order
 * the record's documentation names. docs/channel.md has the table of records and fields.
 */
#pragma once

#include "channel/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WSC_CONTROL_VERSION 1
#define WSC_CONTROL_HEADER 8
#define WSC_CONTROL_FD 3 /* the worker finds its end of the control socket here */
#define WSC_CRITICAL 0x8000u

enum wsc_control_type {
  /* daemon to worker */
  WSC_CONTROL_CONFIGURE = 1,  /* first record, once; fds: listening socket, with FIELD_TLS the vault. Answered by READY
                                 or FAILED */
  WSC_CONTROL_ATTACH = 2,     /* fd 0: the worker's end of a new channel; replaces the one before */
  WSC_CONTROL_STATISTICS = 3, /* answered by COUNTERS */
  WSC_CONTROL_LIST = 4,       /* FIELD_AFTER: ids above this; answered by CONNECTIONS */
  WSC_CONTROL_CLOSE = 5,      /* FIELD_CONNECTION, FIELD_CODE, FIELD_REASON; answered by RESULT */
  WSC_CONTROL_STOP = 6,       /* FIELD_CODE, FIELD_DEADLINE; answered by STOPPED, then the worker exits    */
  WSC_CONTROL_REPLACE_CERTIFICATE = 7, /* fd 0: a filled vault; answered by REPLACED */
  WSC_CONTROL_PREPARE = 10,            /* instead of CONFIGURE; fds: an empty vault, certificate, private key, and what
                                          FIELD_CLIENT_CA says. The process checks them, fills the vault, answers READY or
                                          FAILED, and exits */
  WSC_CONTROL_LIST_BANS = 8,           /* answered by BANS */
  WSC_CONTROL_CLEAR_BAN = 9,           /* FIELD_ADDRESS; answered by RESULT */
  WSC_CONTROL_ATTACH_SHARED = 11, /* as ATTACH, for a channel without acknowledgement; FIELD_ARENA; fds behind that:
                                          the arena of events, to write to, and that of the app side, to read */
  WSC_CONTROL_ADJUST = 12,        /* limits and times as in CONFIGURE, for a server that runs; absent: as it was */
  /* worker to daemon */
  WSC_CONTROL_READY = 32,
  WSC_CONTROL_FAILED = 33,        /* FIELD_ERROR, FIELD_TEXT: could not do what was asked; the worker exits */
  WSC_CONTROL_COUNTERS = 34,      /* FIELD_COUNTERS */
  WSC_CONTROL_CONNECTIONS = 35,   /* FIELD_CONNECTION_ENTRY as often as fits; FIELD_MORE present when there are more */
  WSC_CONTROL_RESULT = 36,        /* FIELD_FOUND u32 0 or 1 */
  WSC_CONTROL_STOPPED = 37,       /* FIELD_COUNTERS: the last ones */
  WSC_CONTROL_CHANNEL_ENDED = 38, /* the app side closed the channel or broke its rules: FIELD_TEXT says which */
  WSC_CONTROL_REPLACED = 39,      /* FIELD_ERROR, FIELD_TEXT: only where the certificate could not be replaced */
  WSC_CONTROL_BANS = 40,          /* FIELD_BAN_ENTRY for each ban */
  WSC_CONTROL_NOTICE = 41,        /* for the log: a ban has begun (FIELD_BAN_ENTRY), or peers were refused (FIELD_COUNT,
                              FIELD_CODE, FIELD_ADDRESS of the last, FIELD_TEXT) */
};

enum wsc_field {
  WSC_FIELD_VERSION = 1,           /* u32, WSC_CONTROL_VERSION: CONFIGURE, READY */
  WSC_FIELD_GENERATION = 2,        /* u64 */
  WSC_FIELD_MAX_CLIENTS = 3,       /* u32 distinct client addresses */
  WSC_FIELD_MAX_PER_CLIENT = 4,    /* u32 connections of one address */
  WSC_FIELD_PROTOCOL = 5,          /* text: comma list of subprotocols, may be empty */
  WSC_FIELD_MAX_MESSAGE = 6,       /* u64 octets */
  WSC_FIELD_PING_INTERVAL = 7,     /* u32 seconds, 0: off */
  WSC_FIELD_PONG_TIMEOUT = 8,      /* u32 seconds, 0: off */
  WSC_FIELD_HANDSHAKE_TIMEOUT = 9, /* u32 seconds */
  WSC_FIELD_ACKNOWLEDGED = 10,     /* u32 0 or 1: ATTACH, events are kept until acknowledged */
  WSC_FIELD_WINDOW_EVENTS = 11,    /* u32: ATTACH */
  WSC_FIELD_WINDOW_OCTETS = 12,    /* u64: ATTACH */
  WSC_FIELD_AFTER = 13,            /* u64 connection id */
  WSC_FIELD_CONNECTION = 14,       /* u64 */
  WSC_FIELD_CODE = 15,             /* u32 close code */
  WSC_FIELD_REASON = 16,           /* text */
  WSC_FIELD_DEADLINE = 17,         /* u32 milliseconds */
  WSC_FIELD_ERROR = 18,            /* u32 the guide's numeric code */
  WSC_FIELD_TEXT = 19,             /* text for people */
  WSC_FIELD_COUNTERS = 20, /* u64 each: see struct wsc_counters, in that order; a reader takes the prefix it knows */
  WSC_FIELD_CONNECTION_ENTRY = 21, /* u64 id, then a wsc_connect body without headers */
  WSC_FIELD_MORE = 22,             /* empty */
  WSC_FIELD_FOUND = 23,            /* u32 0 or 1 */
  WSC_FIELD_NAME = 24,             /* text: the server's name for log lines and the process title */
  WSC_FIELD_COMPRESSION = 25,      /* u32 0 or 1: whether permessage-deflate is agreed on; absent: 0 */
  WSC_FIELD_ALLOWED_ORIGINS = 26,  /* text: origins with one space between them; absent: any */
  WSC_FIELD_CONNECTION_RATE = 27,  /* u32 connections of one address in a minute; 0 or absent: any number */
  WSC_FIELD_BAN_SECONDS = 28,      /* u32; 0 or absent: nobody is banned */
  WSC_FIELD_BAN_ENTRY = 29,        /* struct wsc_ban */
  WSC_FIELD_ADDRESS = 30,          /* struct wsc_address */
  WSC_FIELD_TLS = 31,              /* u32 0 or 1: CONFIGURE, the vault comes with it and peers have to use TLS */
  WSC_FIELD_TLS_MIN_VERSION = 32,  /* u32: 0x0303 (TLS 1.2) or 0x0304 (TLS 1.3) */
  WSC_FIELD_KEY_PASSWORD = 33,     /* text: PREPARE, of the private key; absent: none */
  WSC_FIELD_CLIENT_CA = 34,        /* u32, an enum wsc_client_ca: PREPARE, where the CA of the peers comes from */
  WSC_FIELD_LAST_REQUEST = 35,     /* u32: READY, the highest type of request that this worker knows; absent: STOP */
  WSC_FIELD_ARENA = 36,            /* u64 octets of each of the two arenas: ATTACH_SHARED */
  WSC_FIELD_MAX_CONNECTIONS = 37,  /* u32 of all peers together; absent: as many as there are descriptors */
  WSC_FIELD_MAX_QUEUE = 38,       /* u32 charged octets that may wait for one connection; absent: WSC_PEER_QUEUE_HIGH */
  WSC_FIELD_MAX_MEMORY = 39,      /* u64 octets held for peers; absent or 0: the worker's own bound */
  WSC_FIELD_ORIGIN_REQUIRED = 40, /* u32 0 or 1: peers without an Origin are refused; absent: 0 */
  WSC_FIELD_COUNT = 41,           /* u32: NOTICE */
};

enum wsc_client_ca {
  WSC_CLIENT_CA_NONE = 0,
  WSC_CLIENT_CA_FILE = 1,  /* the last descriptor is its file */
  WSC_CLIENT_CA_VAULT = 2, /* the last descriptor is a filled vault: the same as there */
};

struct wsc_counters {
  uint64_t connections;
  uint64_t messages_received, messages_sent; /* whole data messages */
  uint64_t bytes_received, bytes_sent;       /* payload octets of those */
  uint64_t refused;                          /* peers refused before or in the opening handshake */
  uint64_t queued_bytes;                     /* charged octets that wait for peers' sockets */
};
#define WSC_COUNTERS_SIZE 56

/* An address, in a field of its own or at the front of a ban. */
struct wsc_address {
  uint8_t family;     /* 4 or 6 */
  uint32_t scope;     /* interface of a link-local address, else 0 */
  uint8_t octets[16]; /* IPv4 in the first four, zeros behind */
};
#define WSC_ADDRESS_SIZE 24

enum wsc_ban_reason {
  WSC_BAN_RATE = 1,     /* came too often, and went on */
  WSC_BAN_REQUESTS = 2, /* malformed requests, or none */
};
struct wsc_ban {
  struct wsc_address address; /* of IPv6 the /64 network, but a link-local address is one by itself */
  uint32_t seconds;           /* left, rounded up */
  uint8_t reason;
};
#define WSC_BAN_SIZE 32

/* Building: one record at a time in a caller's array. Overflow (of the array, or of
 * WSC_CONTROL_PACKET_MAX) is remembered and makes wsc_control_finish() return 0. */
struct wsc_control_writer {
  uint8_t *octets;
  size_t length, capacity;
  bool overflow;
};
void wsc_control_begin(struct wsc_control_writer *writer, uint8_t *octets, size_t capacity, uint16_t type,
                       uint32_t tag);
void wsc_control_add(struct wsc_control_writer *writer, uint16_t key, const void *value, size_t length);
void wsc_control_add_u32(struct wsc_control_writer *writer, uint16_t key, uint32_t value);
void wsc_control_add_u64(struct wsc_control_writer *writer, uint16_t key, uint64_t value);
void wsc_control_add_text(struct wsc_control_writer *writer, uint16_t key, const char *text);
void wsc_control_add_counters(struct wsc_control_writer *writer, const struct wsc_counters *counters);
void wsc_control_add_address(struct wsc_control_writer *writer, const struct wsc_address *address);
void wsc_control_add_ban(struct wsc_control_writer *writer, const struct wsc_ban *ban);
/* Octets that a field with `length` octets of value will take; to know beforehand whether it fits. */
size_t wsc_control_field_size(size_t length);
size_t wsc_control_finish(const struct wsc_control_writer *writer); /* length of the record, or 0 */

/* Reading. */
struct wsc_control_record {
  uint16_t type;
  uint32_t tag;
  const uint8_t *fields;
  size_t fields_length;
};
struct wsc_control_field {
  uint16_t key; /* without WSC_CRITICAL */
  bool critical;
  const uint8_t *value;
  size_t length;
};
/* NULL when well-formed (every field within the packet, padding zero), else a static sentence. Types and keys are the
 * reader's to know; integers lie at multiples of 4, not of 8. */
const char *wsc_control_decode(const uint8_t *octets, size_t length, struct wsc_control_record *record);
/* Start with *offset = 0; false at the end. Only for records that wsc_control_decode() accepted. */
bool wsc_control_next_field(const struct wsc_control_record *record, size_t *offset, struct wsc_control_field *field);
/* First field with that key; false when absent or (for the typed ones) of another length. */
bool wsc_control_find(const struct wsc_control_record *record, uint16_t key, struct wsc_control_field *field);
bool wsc_control_get_u32(const struct wsc_control_record *record, uint16_t key, uint32_t *value);
bool wsc_control_get_u64(const struct wsc_control_record *record, uint16_t key, uint64_t *value);
/* Longer than known is fine: a later release may append counters. */
bool wsc_control_get_counters(const struct wsc_control_record *record, struct wsc_counters *counters);

/* False for a field of another length, an unknown family, or octets that should be zero and are not. */
bool wsc_control_read_address(const struct wsc_control_field *field, struct wsc_address *address);
/* The same; an unknown reason is the reader's to show. */
bool wsc_control_read_ban(const struct wsc_control_field *field, struct wsc_ban *ban);

/* For readers, who know which keys a record of that type may carry: true, and *key, when it has a critical field with
 * another key. */
bool wsc_control_unknown_critical(const struct wsc_control_record *record, const uint16_t *known, size_t known_count,
                                  uint16_t *key);

/*
 * One packet over the socket, close-on-exec and MSG_NOSIGNAL. Return value and errno as sendmsg(2) / recvmsg(2); EINTR
 * is retried. Sending nothing, or more descriptors than WSC_CONTROL_FDS_MAX, fails with EINVAL; more than
 * WSC_CONTROL_PACKET_MAX octets, with EMSGSIZE.
 */
ssize_t wsc_control_send(int fd, const uint8_t *octets, size_t length, const int *fds, size_t fd_count);
/*
 * `fds` holds WSC_CONTROL_FDS_MAX; *fd_count is set. All received fds are the caller's to close. A truncated packet or
 * truncated descriptors (too many, or this process has no number left for one) fail with EMSGSIZE, and nothing is
 * leaked. 0 is the end; an empty packet, against the rules, looks the same.
 */
ssize_t wsc_control_receive(int fd, uint8_t *octets, size_t capacity, int *fds, size_t *fd_count);
