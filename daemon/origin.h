/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Origins as an app names them in allowedOrigins, brought into one form: `scheme://host` or `scheme://host:port` in lower case, with
 * no default port and with IPv6 addresses as short as they can be, `*.` in front of a host for those below it; or `null`. The
 * worker compares them with what browsers send.
 */
#pragma once

#include <glib.h>

/* The origin in that form; NULL, and `*fault` is what is wrong with it and what to write instead. */
char *wsd_origin_normalise(const char *text, const char **fault);
