/* SPDX-License-Identifier: Apache-2.0 */
/* The process title, so that ps(1) tells an administrator which server a worker serves. */
#pragma once

/* Remembers where the arguments lie; their memory (and the environment's behind it) becomes the title's. */
void wsw_title_prepare(int count, char **arguments);

/* "wsserver-worker: NAME", cut to what fits, with anything but printable ASCII replaced. Does nothing when not prepared. */
void wsw_title_set(const char *name);
