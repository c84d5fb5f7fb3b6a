/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scripts and transcripts of connections, so that a test of the engine is a line of a table.
 *
 * A script is a list of frames separated by blanks: the first octet in hexadecimal, a colon, the payload. "81:Hello
 * 89:" is a text message and an empty Ping. In a payload %HH is an octet, and "#N" alone stands for N octets of a
 * repeated alphabet. The frames are masked as the sending role has to; "!81:x" is masked as it must not; "=8100"
 * are raw octets.
 *
 * A transcript tells events in the same way: "text:Hello binary:x ping: pong: close:1000:bye failed:1002".
 * What the engine writes is told as "text:..." "pong:..." "close:1000:bye" too; a Close frame that belongs to a failure
 * is told without its reason.
 */
#pragma once

#include "websocket/connection.h"

#include <glib.h>

/* The octets that the peer of `role` sends. Masking keys differ from frame to frame. */
GByteArray *script_octets(const char *script, enum wsp_role receiver);

/* The transcript of what a receiver of `role` makes of the octets, fed with that cutting. `wrote` is set to the
 * transcript of its answers. Both to be freed. Checks on the way what holds for every input: all is consumed,
 * events are well-formed, gathering memory is accounted for and given back. */
struct cutting;
char *receive_transcript(const GByteArray *octets, enum wsp_role role, struct cutting cutting,
                         struct wsp_settings *settings, char **wrote);

/* As above, on a connection that compresses on these terms (NULL: it does not). Settings need a pool then. */
char *receive_transcript_on_terms(const GByteArray *octets, enum wsp_role role, struct cutting cutting,
                                  struct wsp_settings *settings, const struct wsp_deflate_terms *terms, char **wrote);

/* Frames as a connection of `writer` wrote them. */
char *frames_transcript(const uint8_t *octets, size_t length, enum wsp_role writer);

/* Settings as tests want them: 1 MiB messages, no bound on gathering, a counting mask. */
struct wsp_settings test_settings(void);

/* Feeds the script in every cutting and compares both transcripts; without compression, or on terms. */
void assert_exchange(const char *script, enum wsp_role role, const struct wsp_settings *settings, const char *events,
                     const char *wrote);
void assert_exchange_on_terms(const char *script, enum wsp_role role, const struct wsp_settings *settings,
                              const struct wsp_deflate_terms *terms, const char *events, const char *wrote);
