/* SPDX-License-Identifier: Apache-2.0 */
/* A ws or wss URL (RFC 6455 section 3), taken apart into what is needed to connect. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

struct ws_url {
  bool tls;
  char *host;      /* ASCII (RFC 5891 where it was not), without brackets */
  guint16 port;    /* given or the scheme's */
  char *authority; /* value of the header Host */
  char *target;    /* path and query, percent-encoded */
};

/* NULL: not a URL that can be connected to; the error says what is wrong. Free with ws_url_free(). */
struct ws_url *ws_url_parse(const char *text, GError **error);
void ws_url_free(struct ws_url *url);
