/* SPDX-License-Identifier: Apache-2.0 */
/* Every bound of the examples, in one place. */
#pragma once

#include <glib.h>

#define BUS_SERVER_CALLS_MAX 64         /* calls outstanding; the bus refuses a client more than 128 */
#define BUS_SERVER_READY_MAX 32         /* messages that wait for their call; above it no event is acknowledged */
#define BUS_SERVER_ACKNOWLEDGE_STEP 16  /* events handled after which the service is told, however busy we are */
#define BUS_SERVER_PEER_MAX (32u << 20) /* octets that wait for one slow peer; above it the peer is closed */
#define BUS_SERVER_TOTAL_MAX                                                                                           \
  (64u << 20)                          /* octets that wait for all peers; above it the one that wants more is closed */
#define BUS_SERVER_MESSAGE_COST 256u   /* octets charged for a waiting message beside its data */
#define BUS_SERVER_REPLY_TIMEOUT 30000 /* milliseconds for any reply of the service */

#define SCREEN_MESSAGE_MAX 4096u /* octets of one message of a phone; the server refuses larger ones */
#define SCREEN_CHAT_MAX 500      /* characters of one chat line; the rest is cut off */
#define SCREEN_VOLUME_MAX 100
#define SCREEN_VOLUME_STEP 5
