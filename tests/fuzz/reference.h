/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 6455 sections 5 to 7 a second time, as plainly as it can be said: the whole input lies there, nothing is resumed,
 * nothing is fast. Tells which events the octets that a peer sent come to. */
#pragma once

#include "tests/fuzz/inflater.h"
#include "websocket/connection.h"

/* `inflater` where compression was agreed, else NULL. False when the events are no more than the first ones: the rest depends on
 * compressed data that is damaged, not whole or too much, of which the engine may say more than is told here. */
bool fuzz_reference(const struct fuzz_input *input, enum wsp_role role, uint64_t max_message,
                    struct fuzz_inflater *inflater, struct fuzz_log *events);

/* How an event is noted; of a failure only the code is. */
void fuzz_note_event(struct fuzz_log *events, const struct wsp_event *event);
