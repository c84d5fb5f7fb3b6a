/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the channel asks of its socket: counted, cut short, and made to fail on demand, which a socket pair does not do when a test needs it. Works by
 * the linker's --wrap; the other side of a test uses recvfrom(2) and sendto(2), which are as they always are.
 */
#pragma once

#include <stddef.h>

/* Everything as it is without this file. */
void calls_reset(void);
/* The next `times` calls fail with `error`. */
void calls_fail_sending(int error, unsigned times);
void calls_fail_receiving(int error, unsigned times);
/* No call carries more than so many octets. */
void calls_limit_sending(size_t octets);
void calls_limit_receiving(size_t octets);
/* Calls since they were counted last. */
unsigned calls_sending(void);
unsigned calls_receiving(void);
