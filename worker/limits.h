/* SPDX-License-Identifier: Apache-2.0 */
/* Every bound of the worker, in one place. Bounds of the protocol and of the channel are in websocket/limits.h and
 * channel/limits.h. A test hits each of them. */
#pragma once

/* One wake-up: enough to be fast, little enough to be fair. */
#define WSW_READY_PER_WAKE                                                                                             \
  64 /* descriptors handled in one wake-up: what they bring is still in the processor's cache when it is sent on */
#define WSW_ACCEPTS_PER_WAKE 64 /* connections accepted in one wake-up */
#define WSW_READS_PER_WAKE 4    /* reads of one peer, or of the channel, in one wake-up */
#define WSW_RECEIVE_ROOM 65536  /* octets of one read of a peer: one buffer for the whole process */
#define WSW_COMPRESSED_ROOM                                                                                            \
  4096u /* the same of a peer that compresses: octets that may have been a thousand times as many */
#define WSW_CHANNEL_CORK (32u << 10) /* octets of events gathered before they are written within the wake-up ... */
#define WSW_SHARED_CORK (96u << 10)  /* ... or, where they are in shared memory, told */
#define WSW_CHANNEL_CREDITS                                                                                            \
  (16u                                                                                                                 \
   << 20) /* octets of CREDIT and RELEASED that wait for an app which does not read; beyond: it is not heard. More than a library causes that waits for room itself */
#define WSW_BULK_MIN (64u << 10) /* octets of a message that is worth not being copied */
#define WSW_THROUGH_MIN                                                                                                \
  (12u << 10) /* octets of a message that is written from where it lies, if nothing waits for the peer */
#define WSW_PATIENCE_MS                                                                                                \
  5u /* while events wait for the app side, so long nothing else is waited for before peers are unwatched */
#define WSW_BATCH_MS 20u          /* so long at most what is ready waits behind peers that make all others wait */
#define WSW_CORK_MAX (256u << 10) /* octets gathered for one peer before they are written within the wake-up */
#define WSW_CHANNEL_DRAIN_MAX 16u /* MiB read at most from a channel that is being replaced */
#define WSW_CONTROL_PER_WAKE 16   /* control records handled in one wake-up */
#define WSW_ACCEPT_PAUSE_MS 100   /* no accepts for so long when the system has no descriptors or memory */

/* Configuration. */
#define WSW_CLIENTS_MAX 65535u       /* distinct client addresses, and connections of one address */
#define WSW_CONNECTIONS_MAX 65535u   /* of all peers together */
#define WSW_QUEUE_LEAST (256u << 10) /* charged octets that may wait for one connection, at least */
#define WSW_MEMORY_LEAST (1u << 20)  /* octets held for peers, at least */
#define WSW_PROTOCOLS_MAX 1024u      /* octets of the list of subprotocols */
#define WSW_ORIGINS_MAX 19264u       /* octets of the list of allowed origins */
#define WSW_HANDSHAKE_SECONDS 10u    /* time for a whole request head unless configured otherwise */
#define WSW_HANDSHAKE_SECONDS_MAX 3600u
#define WSW_HEARTBEAT_SECONDS_MAX 86400u /* ping interval and pong timeout */
#define WSW_GENERATION_MAX 0xFFFFFFFFu
#define WSW_STOP_DEADLINE_MS_MAX 60000u
#define WSW_TITLE_MAX 64 /* octets of the server's name that the process title shows */

/* Who comes too often, see visitors.h. */
#define WSW_CONNECTION_RATE_MAX 1000000u /* connections of one address in a minute */
#define WSW_BAN_SECONDS_MAX 86400u
#define WSW_VISITORS_MAX 4096u /* addresses remembered that are not banned; beyond: the longest unseen is forgotten */
#define WSW_BANS_MAX 1024u     /* bans at a time; beyond: nobody else is banned until one ends */
#define WSW_VISIT_WINDOW_MS 60000u /* what leads to a ban happens within so long */
#define WSW_BAN_REFUSALS 20u       /* connections refused for coming too often that lead to a ban */
#define WSW_BAN_FAULTS 20u         /* requests, malformed or not in time, that lead to a ban */
#define WSW_TELL_MS 1000u /* an address is told over TLS that it is refused once in so long; else closed at once */

/* What the log is told, see notices.h. */
#define WSW_NOTICE_MS 10000u /* refusals for one reason are told once in so long, with their number */

/* Peers that have not asked yet, see half-open.h. */
#define WSW_HALF_OPEN_MAX 1024u /* of all; beyond: the oldest is cut off */
#define WSW_HALF_OPEN_SHARE_MIN                                                                                        \
  16u /* of one network at least, else twice its connections; beyond: its oldest is cut off */

/* Refused peers still get their answer; they hold no place in the limits, so they have bounds of their own. */
#define WSW_REFUSED_MAX 128u    /* peers refused on arrival whose head is awaited; beyond: closed at once */
#define WSW_LINGERING_MAX 1024u /* peers whose connection is over and whose last octets are under way; beyond: closed */
#define WSW_RETRY_AFTER 5u      /* seconds, in answers 429 and 503 */
#define WSW_ENDING_MS 2000u     /* time for the last octets to leave */
#define WSW_LINGER_MS 1000u     /* time for the peer to close after our side was shut down */
#define WSW_LINGER_OCTETS (256u << 10) /* octets discarded meanwhile; beyond: closed */

/* Open connections. */
#define WSW_CLOSE_TIMEOUT_MS 2000u /* from our Close frame written to the peer's */
#define WSW_STALL_MS 30000u        /* octets wait and none leaves: dropped, where no pong timeout says otherwise */
#define WSW_SLOWEST 32u            /* octets a second, on average over that time, below which ... */
/* ... octets that wait for a peer count as standing still, and a message that arrives no longer excuses a missing Pong */
#define WSW_FAREWELL_MS 2000u           /* our Close frame waits for the app's answers to what came before the peer's */
#define WSW_CONTROL_BACKLOG (16u << 10) /* unsent Pongs of one peer from which on it is not read */
#define WSW_GATHERED_MAX (64ull << 20)  /* unfinished messages over all peers, or three of the largest messages */
#define WSW_HISTORIES_MAX (16u << 20)   /* what compressing peers remember, all together; beyond: no context takeover */

/* Sending. */
#define WSW_MARK_OCTETS (16u << 10)          /* small messages share one mark in the outbox up to this many octets */
#define WSW_PILE_KEPT 512u                   /* peers to be written in one wake-up for whom the memory stays */
#define WSW_OUTBOX_SPARES 256u               /* outboxes kept for reuse ... */
#define WSW_OUTBOX_SPARE_OCTETS (256u << 10) /* ... their buffers together ... */
#define WSW_OUTBOX_SPARE_EACH (32u << 10)    /* ... and each */

/* Events towards the app side: from HIGH on no peer is read and none accepted, until it is below LOW. */
#define WSW_EVENT_BACKLOG_HIGH (256u << 10)
#define WSW_EVENT_BACKLOG_LOW (128u << 10)

/* Stopping. */
#define WSW_ORPHAN_DEADLINE_MS 2000u /* as STOP would say it, when the control socket has ended */
#define WSW_STOP_CHANNEL_MS 1000u    /* for the last events to leave, after the deadline */
#define WSW_STOP_CONFIRM_MS 10000u   /* for the app side to confirm them, which may be another process by then */
#define WSW_STOP_LINGER_MS 250u      /* for peers to read their last octets before the process goes */

/* TLS. */
#define WSW_SECURE_HEAP (64u << 10) /* octets of memory for keys: not swapped, between guard pages */
#define WSW_CHAIN_MAX 10            /* certificates between a leaf and its CA, the server's and a peer's */
#define WSW_CLIENT_CAS_MAX 256      /* certificates in clientCa */
#define WSW_SESSION_SECONDS 7200    /* how long a peer may come back with a ticket */
#define WSW_TICKET_KEY_MS (12ull * 60 * 60 * 1000) /* a key issues tickets that long, and opens them twice that long */
#define WSW_IDLE_HANDSHAKES_MAX                                                                                        \
  32u /* handshake messages behind the handshake (key updates) with no data between them */
#define WSW_TLS_READ_MAX                                                                                               \
  (2u * WSW_RECEIVE_ROOM)       /* octets taken off the socket in one read of a peer, which may be many tiny records */
#define WSW_TLS_READ_UNIT 4096u /* in which that is counted */
#define WSW_SUBJECT_MAX 1024u   /* octets of a peer's subject; cut beyond */

/* Descriptors. */
#define WSW_DESCRIPTORS_RESERVED 32u /* of the limit, for everything that is not a peer */
#define WSW_DESCRIPTORS_MAX (1u << 20)

/* Memory, see memory.h. */
#define WSW_MEMORY_MAX                                                                                                 \
  (96ull << 20)               /* held for peers beside four of the largest messages; beyond: hoarders are cut off */
#define WSW_STANDING_MS 1000u /* who has neither given nor taken for so long is cut off before others */
#define WSW_MEMORY_SPARE (128ull << 20) /* for everything else, where the kernel stops the process */
#define WSW_KEPT_MEMORY                                                                                                \
  (256 << 10) /* octets of free memory the process keeps, and the size from which blocks are mapped */
#define WSW_HEAP_KEPT_BLOCK (2 << 20) /* the same while large messages pass, see heap.h ... */
#define WSW_HEAP_KEEP_MS 500u         /* ... and how long beyond */
