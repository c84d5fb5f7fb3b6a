/* SPDX-License-Identifier: Apache-2.0 */
/* The option serverIP: a numeric address, of link-local ones with the %zone of their interface. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/socket.h>

/* Without a port. False with an error of WSD_ERROR, INVALID_ADDRESS, that names the option. */
bool wsd_listen_address_read(const char *text, struct sockaddr_storage *address, socklen_t *length, GError **error);
