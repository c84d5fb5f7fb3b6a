/* SPDX-License-Identifier: Apache-2.0 */
/* A client as its own files see it: client.c has its life, client-sending.c how messages leave. */
#pragma once

#include "client-lib/client-link.h"
#include "client-lib/context.h"
#include "client-lib/sends.h"

#include <stdbool.h>
#include <wsserver/ws-client.h>

struct _WsClient {
  GObject parent;
  GMainContext *context;
  WsClientState state;
  bool paused;
  struct ws_link *link; /* from the connected socket to `closed` */
  struct ws_url *url;
  struct ws_client_terms *terms;
  char *protocol;
  GHashTable *headers;    /* of the answer to the last request; NULL before it */
  struct ws_sends *sends; /* while any has not completed */
  WsMessage *message;     /* lent to handlers */

  GTask *connecting;         /* until it is open */
  GCancellable *cancellable; /* of what connecting is about: ours, for the caller's and for time */
  gulong cancelled;          /* handler of the caller's */
  GSource *timeout;
  bool is_late, is_closed; /* why connecting was cancelled, if not by the caller */
};

/* Whether the calling thread is the one that the client belongs to. */
static inline bool ws_client_is_ours(const WsClient *self) {
  return ws_context_is_ours(self->context);
}

/* What sending or closing came to, for the caller. */
void ws_client_set_send_error(GError **error, enum ws_channel_result result);
