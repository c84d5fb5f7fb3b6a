/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of a client, from the connected socket to its last octet: TLS, opening handshake, frames, heartbeat, closing handshake.
 *
 * Driven by a main context. What is sent leaves when control returns to that, everything at once. Its user is told what happens by struct ws_link_events, and may drop the
 * link in any of them. After `closed` or `failed`, which come once, it has nothing more to tell: what is still to be written gets a moment, then the socket is closed.
 */
#pragma once

#include "client-lib/client-config-private.h"
#include "client-lib/url.h"
#include "websocket/client-handshake.h"

#include <stdbool.h>
#include <wsserver/ws-channel.h>

struct ws_link;

struct ws_link_events {
  void (*opened)(void *user, const struct wsp_client_handshake *handshake);
  /* Instead of `opened`. Takes the error; `handshake` may be NULL. */
  void (*failed)(void *user, const struct wsp_client_handshake *handshake, GError *error);
  void (*message)(void *user, bool text, const guint8 *data, gsize length);
  /* The server will send nothing more. */
  void (*data_ended)(void *user);
  /* `error` (nullable, the callee's to look at) says what this side found wrong. */
  void (*closed)(void *user, guint16 code, const char *reason, bool clean, const GError *error);
  void (*drained)(void *user);
  void (*written)(void *user); /* more of what was sent has left */
};

/* NULL and an error. Keeps `connection`; `url` and `terms` must outlive the link. */
struct ws_link *ws_link_new(GSocketConnection *connection, const struct ws_url *url,
                            const struct ws_client_terms *terms, GMainContext *context,
                            const struct ws_link_events *events, void *user, GError **error);
/* Nobody is told anything any more, and the socket is closed; what was not written is lost. */
void ws_link_drop(struct ws_link *link);
/* The user lets go after `closed`: the last octets leave by themselves. */
void ws_link_release(struct ws_link *link);

enum ws_channel_result ws_link_send(struct ws_link *link, bool text, const guint8 *data, gsize length);
enum ws_channel_result ws_link_close(struct ws_link *link, guint16 code, const char *reason);
void ws_link_set_paused(struct ws_link *link, bool paused);

/* Whether `written` is called when more has left. */
void ws_link_want_written(struct ws_link *link, bool wants);

/* Octets over the wire: sent in total, and written to the socket. */
guint64 ws_link_get_sent(const struct ws_link *link);
guint64 ws_link_get_written(const struct ws_link *link);
