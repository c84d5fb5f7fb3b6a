/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the allocator keeps of memory that was freed. As a rule large blocks are mapped each by itself and go back at once. But to
 * get a block of 1 MiB page by page from the kernel costs more than to copy a message of that size; so while large messages pass
 * between peers and an app's own channel, blocks of that size stay in the process, and go back when no more have passed for
 * WSW_HEAP_KEEP_MS.
 */
#pragma once

struct wsw_server;

/* Once per process: from here on nothing is learnt from the sizes that occur. */
void wsw_heap_prepare(void);

void wsw_heap_init(struct wsw_server *server);

/* One passes through shared memory, which is given back in the same way. */
void wsw_heap_expect_shared(struct wsw_server *server);
/* A large message passes. */
void wsw_heap_expect_large(struct wsw_server *server);
