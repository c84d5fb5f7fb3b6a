/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locking the process in, before anything of a peer is read. Afterwards it holds no capability, cannot gain one, cannot be traced or
 * dumped, and the kernel answers only what a server of accepted sockets needs:
 *
 *   allowed         reading, writing and closing what is open, accepting, waiting, memory without the right to execute
 *   killed          what only an attacker does: exec, ptrace, connect, another process's memory, loading code into the kernel;
 *                   foreign system call tables too
 *   EPERM           all the rest: open, socket, stat, clone, kill, ...
 *
 * Builds with sanitizers use a wider filter of their own name, for their run-time library reads /proc and makes threads.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* NULL, or a static sentence that says what could not be done. There is no way back. */
const char *wsw_sandbox_enter(void);

/* Bounds the memory that the process can write to, as far as the present limit allows; builds with sanitizers, whose run-time library
 * maps far more than there is, do not. False when the kernel refuses. */
bool wsw_sandbox_limit_memory(uint64_t octets);

/* Sets the limit of descriptors to `wanted`, or as near as the hard limit allows; returns what it is now. */
uint32_t wsw_sandbox_limit_descriptors(uint32_t wanted);

/* True in builds whose filter is the wider one. */
bool wsw_sandbox_filter_is_sanitizer(void);
