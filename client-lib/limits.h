/* SPDX-License-Identifier: Apache-2.0 */
/* Every bound of the client library, in one place. Those of the channel itself are in channel/limits.h. A test hits each of them. */
#pragma once

/* What waits in the app to be written to the channel. A worker always reads, so this is for the moment in which it does not. */
#define WS_CHANNEL_QUEUE_HIGH                                                                                          \
  (4u << 20) /* octets from which on sending is refused to everybody; one record may go beyond */
#define WS_CHANNEL_QUEUE_LOW (1u << 20) /* ... until it holds less than this */
#define WS_CHANNEL_DIRECT                                                                                              \
  (16u << 10) /* payloads from this size on are written from where they lie, if the channel takes them at once */
