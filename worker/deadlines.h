/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to happen to a peer in time: its request head, the Pong, its Close frame, octets that leave, the end; and what is done when it
 * has not. Each peer has one timer, set to the next of these. A peer has its time only while it is read: what we did not let it say is
 * not held against it.
 */
#pragma once

#include "worker/peer.h"

/* What is awaited has so many milliseconds from now. Then call wsw_deadlines_refresh(). */
void wsw_deadline_set(struct wsw_peer *peer, uint64_t milliseconds);
uint64_t wsw_deadline_of(const struct wsw_peer *peer);

/* The peer opens: from now on it is pinged. */
void wsw_deadlines_begin(struct wsw_peer *peer);
/* Sets the timer after anything it depends on has changed. */
void wsw_deadlines_refresh(struct wsw_peer *peer);
/* The timer's function. */
void wsw_deadlines_expired(struct wsw_timer *timer);

/* So many octets came from the peer, or left for it (of its outbox; before it is said that it is blocked). */
void wsw_deadlines_hear(struct wsw_peer *peer, size_t octets);
void wsw_deadlines_written(struct wsw_peer *peer, size_t octets);
void wsw_deadlines_take_pong(struct wsw_peer *peer);
