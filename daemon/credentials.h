/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the bus says about one of its clients (the method GetConnectionCredentials of org.freedesktop.DBus), with the
 * descriptors that come along: a bus that knows pidfds hands one out. See identity.h for what is read from it.
 */
#pragma once

#include <gio/gunixfdlist.h>

/* `timeout`: milliseconds, -1 for that of the connection, G_MAXINT for none. */
void wsd_credentials_ask(GDBusConnection *connection, const char *name, int timeout, GCancellable *cancellable,
                         GAsyncReadyCallback on_answer, gpointer user);
/* In the callback: the dictionary, or NULL with an error; `fds` may be NULL then and otherwise. The caller owns both. */
GVariant *wsd_credentials_finish(GObject *source, GAsyncResult *result, GUnixFDList **fds, GError **error);
