/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which web pages may connect. A browser says with Origin (RFC 6455 section 10.2) whose page a connection is for, and a page cannot
 * change that; so where the app named origins, only their pages are let in. A peer that sends no Origin is no browser: it could
 * say what it likes, and this list says nothing about it.
 *
 * Origins are compared as serialised (RFC 6454 section 6): scheme and host without regard to case, the port exactly, where the
 * default port of http, https, ws and wss equals none. An entry whose host is `*.a.example` stands for every host below a.example,
 * at any depth, and not for a.example itself. `null` stands for pages without an origin of their own, such as files; for those some
 * browsers say `file://`, which is taken for the same.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct wsw_origins {
  char *list; /* entries with one space between them; NULL: any origin */
  size_t length;
};

/* Takes a copy. False without memory. */
bool wsw_origins_set(struct wsw_origins *origins, const void *list, size_t length);
void wsw_origins_clear(struct wsw_origins *origins);

/* `origin` is what the peer sent, never to be trusted in its form. */
bool wsw_origins_allow(const struct wsw_origins *origins, const char *origin, size_t length);
