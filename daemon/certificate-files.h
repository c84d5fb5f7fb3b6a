/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a certificate as an app hands them over: descriptors that came with its call. They are never read here, nor
 * even asked what they are: a file may hang whoever touches it. A process of its own does that, see preparation.h.
 */
#pragma once

#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <stdbool.h>

struct wsd_certificate_files {
  int certificate, private_key;
  int client_ca;  /* -1: none */
  char *password; /* of the private key; NULL: none */
};

/* One option that carries a descriptor: an index into `fds`, of which the result is a duplicate. -1 with an error that names the option
 * when there is no such descriptor or it is not open for reading. */
int wsd_certificate_file(const char *option, gint32 index, GUnixFDList *fds, GError **error);

struct wsd_certificate_files *wsd_certificate_files_new(void);
/* Closes what is open and wipes the password. NULL is fine. */
void wsd_certificate_files_free(struct wsd_certificate_files *files);
