/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages whose sender wants to know when they are written. Each waits for room where there is none, behind those that wait already; then it is on its way, until so
 * much was written that it is among it.
 *
 * The owner is a connection or a client: the source object of each task, which keeps it alive. It holds a pointer, NULL while there are none, so that they cost nothing
 * then. Callbacks may do anything, also end the owner.
 */
#pragma once

#include "client-lib/message-private.h"

#include <gio/gio.h>
#include <stdbool.h>
#include <wsserver/ws-channel.h>

struct ws_sends;

struct ws_sends_class {
  enum ws_channel_result (*send)(GObject *owner, const WsMessage *message);
  guint64 (*get_sent)(GObject *owner);    /* in total, in whichever unit */
  guint64 (*get_written)(GObject *owner); /* of that */
  /* One came, went, or got on its way; whether any waits for room. */
  void (*changed)(GObject *owner, bool is_waiting);
  void (*set_error)(GError **error, enum ws_channel_result result);
};

/* Takes the task, whose source object is the owner. */
void ws_sends_begin(struct ws_sends **sends, const struct ws_sends_class *class, GTask *task, WsMessage *message);
/* Nothing may overtake those that wait. NULL is fine. */
bool ws_sends_have_waiting(const struct ws_sends *sends);

/* More was written. */
void ws_sends_take_written(struct ws_sends **sends);
/* There is room. False when it was not enough for all that wait. */
bool ws_sends_take_room(struct ws_sends **sends);
/* What is on its way will never be written, but the owner goes on. */
void ws_sends_lose(struct ws_sends **sends, const GError *error);
/* Nothing will be written any more. */
void ws_sends_end(struct ws_sends **sends);
