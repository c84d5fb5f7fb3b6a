/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the channel library asks of malloc(3): counted, and refused on demand. Works by the linker's --wrap, so GLib's
 * own allocations are not concerned.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* From now on every allocation fails, or none does. */
void allocations_refuse(bool refuse);
/* The nth from now fails, 1 being the next, and no other; 0: none. */
void allocations_refuse_nth(size_t nth);
/* Whether that one has come. */
bool allocations_refused_nth(void);
/* Octets that are allocated. */
size_t allocations_live(void);
/* Allocations asked for since the last call, and the largest of them. */
size_t allocations_taken(size_t *largest);
