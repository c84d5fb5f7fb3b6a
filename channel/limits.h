/* SPDX-License-Identifier: Apache-2.0 */
/* Every bound of the channel and of the control records, in one place. docs/channel.md lists them too. */
#pragma once

#define WSC_RECORD_HEADER 16             /* octets of a channel record's header */
#define WSC_MESSAGE_MAX (256u << 20)     /* octets of one message, whatever was configured */
#define WSC_BROADCAST_TARGETS_MAX 65535u /* connections in one BROADCAST record */
#define WSC_BODY_MAX (WSC_MESSAGE_MAX + 8u * WSC_BROADCAST_TARGETS_MAX + 8u) /* octets of a record's body */
#define WSC_WELCOME_MAX 4096u   /* octets of WELCOME's body in whatever later release */
#define WSC_CONNECT_FIXED 52u   /* octets of a CONNECT body before its texts */
#define WSC_CONNECT_MAX 65536u  /* octets of a CONNECT body, headers included */
#define WSC_MESSAGE_COST 16u    /* octets charged for a message beside its payload */
#define WSC_REASON_MAX 123u     /* octets of a Close reason */
#define WSC_ERROR_TEXT_MAX 512u /* octets of the sentence in ERROR and FAILED */

#define WSC_ARENA_SIZE (8u << 20)     /* octets of an arena, of which a channel with shared memory has one each way */
#define WSC_ARENA_SIZE_MAX (1u << 30) /* octets of one in whatever later release */
#define WSC_ARENA_UNIT 64u            /* ranges in it begin at a multiple of so many octets */
#define WSC_ARENA_RANGES_MAX 256u     /* ranges taken at a time; beyond: messages go through the stream */
#define WSC_SHARED_MIN (8u << 10)     /* octets of a message that is worth a range */
#define WSC_SHARED_SIZE 16            /* octets of the body that says where it lies */
#define WSC_RELEASES_MAX 64u          /* ranges released in one record */

#define WSC_DECODER_ROOM 65536u /* octets offered for one read while no large record is under way */
#define WSC_QUEUE_KEEP 16384u   /* octets of memory a queue that ran empty holds on to */

#define WSC_PEER_QUEUE_HIGH (1u << 20)  /* charged octets queued for one peer from which on sending is refused */
#define WSC_PEER_QUEUE_LOW (256u << 10) /* DRAINED is sent when the queue falls below this */
#define WSC_CREDIT_STEP (128u << 10)    /* a CREDIT record is owed at the latest when this much was released */

#define WSC_WINDOW_EVENTS 64u        /* default window of unacknowledged events ... */
#define WSC_WINDOW_OCTETS (1u << 20) /* ... and of their octets; one larger event alone is fine */

#define WSC_CONTROL_PACKET_MAX 65536u /* octets of one control record */
#define WSC_CONTROL_FDS_MAX 4u        /* file descriptors with one control record */

#define WSC_PEM_MAX 65536u                        /* octets of a certificate, key or CA file */
#define WSC_KEY_PASSWORD_MAX 1024u                /* octets of a private key's password */
#define WSC_VAULT_SIZE (3u * WSC_PEM_MAX + 4096u) /* octets of the memfd that holds them */
