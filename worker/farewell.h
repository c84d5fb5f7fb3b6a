/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Close frame that this side owes a peer: the answer to the peer's own, or the one that says why the connection failed. It cuts
 * off everything the app sends later, and the app hears of messages later than the worker does: a peer that sends a message and a Close
 * frame in one go would never get an answer to the message. So the frame waits until the app side has acknowledged the peer's messages
 * (an app's answers arrive before that; on its own channel it is asked to), for WSW_FAREWELL_MS at most; RFC 6455 section 5.5.1 allows it. Meanwhile nothing is read from
 * the peer, and the app can send to it. A peer without such messages gets the frame at once.
 *
 * Peers wait in the order in which they came, each for all events there were: only the first has to be looked at.
 */
#pragma once

struct wsw_peer;
struct wsw_server;

/* After the peer's Close frame, or a fault in what it sent. */
void wsw_farewell_begin(struct wsw_peer *peer);

/* Says it now and goes on to the end of the connection. Of a peer that is `parting`. */
void wsw_farewell_say(struct wsw_peer *peer);

/* The timer of a peer that is `parting`. */
void wsw_farewell_expired(struct wsw_peer *peer);

/* The peer goes; nothing is said. */
void wsw_farewell_forget(struct wsw_peer *peer);

/* Says it to all whose messages have been acknowledged. */
void wsw_farewell_say_due(struct wsw_server *server);
