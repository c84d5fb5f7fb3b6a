/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that wait to be looked at, of many senders: each sender's in their order, the senders in turn. It is bounded in number and in
 * octets; what is too much is taken back from whoever has most there, the newest first, so a sender who floods it stands in
 * nobody's way but its own. One call alone is never too much. Not locked.
 */
#pragma once

#include <gio/gio.h>

struct wsd_fair_queue;

struct wsd_fair_queue *wsd_fair_queue_new(guint most, gsize most_octets);
/* What is still there is let go. */
void wsd_fair_queue_free(struct wsd_fair_queue *queue);
guint wsd_fair_queue_length(const struct wsd_fair_queue *queue);

/* Takes the message. */
void wsd_fair_queue_push(struct wsd_fair_queue *queue, GDBusMessage *message);
/* One that is too much, which is the caller's then; NULL: none is any more. */
GDBusMessage *wsd_fair_queue_take_surplus(struct wsd_fair_queue *queue);
/* The next one, or NULL. */
GDBusMessage *wsd_fair_queue_pop(struct wsd_fair_queue *queue);

/* What a message is counted with. */
gsize wsd_message_octets(GDBusMessage *message);
