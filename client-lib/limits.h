/* SPDX-License-Identifier: Apache-2.0 */
/* Every bound of the client library, in one place. Those of the channel itself are in channel/limits.h. A test hits each of them. */
#pragma once

/* What waits in the app to be written to the channel. A worker always reads, so this is for the moment in which it does not. */
#define WS_CHANNEL_QUEUE_HIGH                                                                                          \
  (4u << 20) /* octets from which on sending is refused to everybody; one record may go beyond */
#define WS_CHANNEL_QUEUE_LOW (1u << 20) /* ... until it holds less than this */
#define WS_CHANNEL_DIRECT                                                                                              \
  (16u                                                                                                                 \
   << 10) /* payloads from this size on are large: they are written from where they lie, if the channel takes them at once */
#define WS_CHANNEL_KEEP (2u << 20) /* octets of memory, each way, kept from one large message to the next ... */
#define WS_CHANNEL_PATIENCE 200u   /* ... until so many dispatches in a row brought none ... */
#define WS_CHANNEL_IDLE_MS 1000    /* ... or, with GLib, none came for so long */

/* Open connections: more than any server has. The daemon and the worker are bounded the same way. */
#define WS_CHANNEL_PEERS_MAX 65535u

/* Messages that somebody keeps beyond their event. */
#define WS_MESSAGE_KEPT_IN_PLACE                                                                                       \
  (32u << 10)              /* octets from which on they keep the memory they were read to; else they are copied */
#define WS_SENDS_MAX 1024u /* calls of ws_connection_send_async() for one connection that have not completed */
#define WS_SENDS_OCTETS (32u << 20) /* octets of those that wait for room; one larger message alone is fine */

/* The service. */
#define WS_CALL_TIMEOUT_MS                                                                                             \
  60000                 /* for an answer of the service: Stop waits for peers, Start for a certificate to be read */
#define WS_UNDO_MS 1000 /* that ws_server_start() waits for the service after it was cancelled, to undo what was done */
#define WS_REOPEN_FIRST_MS                                                                                             \
  20u /* after the death of a worker, until the channel for the next one is asked for again ... */
#define WS_REOPEN_LAST_MS 1000u  /* ... doubling up to this ... */
#define WS_REOPEN_TRIES 12u      /* ... and so often */
#define WS_REOPEN_STEADY_MS 1000 /* a channel that was open for so long counts as a success */
#define WS_AWAY_MS 30000u        /* the service is not on the bus: then it counts as gone for good */
#define WS_AWAY_ENDED_MS 5000u   /* the same where the channel has ended too: a service that is restarted takes less */
#define WS_RETURN_FIRST_MS 500u  /* a server that could not be started again is tried again after so long ... */
#define WS_RETURN_LAST_MS 30000u /* ... doubling up to this, for as long as it takes */

/* Over signals and calls of the bus. */
#define WS_SIGNALS_CALLS_MAX 64u        /* calls outstanding; the bus refuses a client more than 128 */
#define WS_SIGNALS_ACKNOWLEDGE_STEP 32u /* events handled after which the service is told: half of its window ... */
#define WS_SIGNALS_ACKNOWLEDGE_OCTETS (256u << 10) /* ... or octets of them ... */
#define WS_SIGNALS_ACKNOWLEDGE_MS 5u               /* ... or so long after the first */
#define WS_SIGNALS_PEER_HIGH (1u << 20)   /* octets that wait for one peer from which on sending to it is refused ... */
#define WS_SIGNALS_PEER_LOW (256u << 10)  /* ... until it has less */
#define WS_SIGNALS_TOTAL_HIGH (64u << 20) /* the same of all peers together ... */
#define WS_SIGNALS_TOTAL_LOW (48u << 20)  /* ... until they have less */

/* The WebSocket client. */
#define WS_URL_MAX 8196u                   /* octets of a URL */
#define WS_CLIENT_MESSAGE_MAX (256u << 20) /* octets of one message, whatever was configured */
#define WS_CLIENT_ROOM 65536u              /* octets of one read */
#define WS_CLIENT_QUEUE_HIGH (1u << 20)    /* octets that wait for the server from which on sending is refused ... */
#define WS_CLIENT_QUEUE_LOW (256u << 10)   /* ... until there are less */
#define WS_CLIENT_HISTORIES (256u << 10)   /* octets that compression may remember of one connection */
#define WS_CLIENT_REPLIES_MAX (64u << 10)  /* octets of unsent Pongs from which on the server is not read */
#define WS_CLIENT_CLOSE_MS 2000            /* from our Close frame to the server's */
#define WS_CLIENT_LINGER_MS 1000           /* for the last octets, once the closing handshake is over */
#define WS_HEARTBEAT_MAX 86400u            /* seconds of any interval or timeout */
