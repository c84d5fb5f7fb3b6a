/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every bound of the protocol engine, in one place. A test hits each of them.
 */
#pragma once

/* Opening handshake (RFC 6455 section 4). */
#define WSP_HEAD_MAX 16384         /* octets of a whole request or response head; beyond: 431 */
#define WSP_TARGET_MAX 8196        /* octets of a request-target; beyond: 431 */
#define WSP_METHOD_MAX 16          /* octets of a request's method; beyond: 400 */
#define WSP_HEADERS_MAX 64         /* header fields in one head; beyond: 431 */
#define WSP_PROTOCOL_OFFERS_MAX 32 /* subprotocols offered by one peer; beyond: 400 */
#define WSP_PROTOCOL_NAME_MAX 256  /* octets of one subprotocol's name; beyond: 400 */
#define WSP_RESPONSE_MAX 1024      /* octets of any response head plus body this engine writes as a server */

/* Framing (RFC 6455 section 5). */
#define WSP_FRAME_HEADER_MAX 14     /* 2 + 8 (length) + 4 (masking key) */
#define WSP_CONTROL_PAYLOAD_MAX 125 /* section 5.5 */
#define WSP_CLOSE_REASON_MAX 123    /* 125 less the two octets of the status code */

/* Messages. */
#define WSP_MESSAGE_MAX_DEFAULT 5242864u /* octets of one received message unless the application says otherwise */

/* Compression (RFC 7692). */
#define WSP_DEFLATE_MIN 128u       /* octets of the smallest message that is compressed */
#define WSP_DEFLATE_MAX (1u << 20) /* ... and of the largest: others wait while one is compressed */
#define WSP_DEFLATE_PROBE 16384u   /* octets of a message at least twice as long that have to become smaller first */
#define WSP_DEFLATE_CLIENT_BITS 12 /* the window a client is asked to keep to, where it lets itself be asked */
#define WSP_DEFLATE_SENT_HISTORY_MAX 4096u      /* octets remembered of what was sent to one peer */
#define WSP_DEFLATE_RECEIVED_HISTORY_MAX 32768u /* ... and of what one peer sent, as its window asks for */
#define WSP_DEFLATE_SLACK 1024u         /* octets by which a compressed message may be larger than zlib would make it */
#define WSP_DEFLATE_IDLE_INFLATERS 2u   /* inflaters kept for reuse */
#define WSP_INFLATER_COST (44u << 10)   /* what a connection is charged for the inflater it holds in mid-message */
#define WSP_DEFLATERS_COST (448u << 10) /* octets of all deflaters, one for each size of window, made on first use */
