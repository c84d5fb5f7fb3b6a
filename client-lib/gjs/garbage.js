// SPDX-License-Identifier: Apache-2.0
/*
 * The garbage collector sees a few small objects, and not what hangs on them in the library: an app that starts servers
 * or connects clients again and again would grow for a long time before it looks. So it is told to, when no message
 * waits for it.
 */
import GLib from 'gi://GLib';

/* Not imported: bundlers know no module of that name. */
const { gc } = imports.system;
const COLLECT_AFTER = 100; // runs of servers and connections of clients that have ended

let ended = 0;

export function countEnd() {
  ended++;
  if (ended < COLLECT_AFTER)
    return;
  ended = 0;
  GLib.idle_add(GLib.PRIORITY_LOW, () => {
    gc();
    return GLib.SOURCE_REMOVE;
  });
}
