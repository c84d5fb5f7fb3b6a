/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets: the daemon binds exactly the address asked for; workers get a duplicate. */
#pragma once

#include "daemon/start-options.h"

/* Binds and listens. Returns the socket (close-on-exec, non-blocking) and sets options->server_port to the real port;
 * -1 with PORT_IN_USE, INVALID_ADDRESS, PERMISSION_DENIED or FAILED. "::" takes IPv4 peers too, other IPv6 addresses do not. */
int wsd_listener_open(struct wsd_start_options *options, GError **error);

/* Frees the port although others hold duplicates of the socket: shutdown(2), then close(2). */
void wsd_listener_close(int listener);
/* Closes it for everybody who holds it, and opens another one at the same address, which `options` get. -1 with an error. */
int wsd_listener_renew(int listener, struct wsd_start_options *options, GError **error);
