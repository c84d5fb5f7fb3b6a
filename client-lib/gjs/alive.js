// SPDX-License-Identifier: Apache-2.0
/*
 * What is at work: a server that runs, a client that is connected, a call without an answer. It is not collected as
 * garbage, whoever has dropped it; and a program that `gjs` runs, and that runs no main loop of its own, goes on until
 * nothing is at work any more, as the guide's programs do.
 */
import GLib from 'gi://GLib';

const atWork = new Set();
/* Before the source with which GJS goes on behind Promises (-1000): once nothing waits for one, it ends the program. */
const BEFORE_GJS_LEAVES = -2000;
const isOfGjs = isRunByGjs();
let loop = null;
let isLooking = false;

function isRunByGjs() {
  try {
    return /\/gjs(-console)?$/.test(GLib.file_read_link('/proc/self/exe'));
  } catch {
    return false; // whoever hides /proc runs a main loop
  }
}

export function hold(object) {
  atWork.add(object);
  lookSoon();
}

export function release(object) {
  if (atWork.delete(object) && loop !== null)
    leaveSoon();
}

function lookSoon() {
  if (!isOfGjs || isLooking || loop !== null)
    return;
  isLooking = true;
  GLib.idle_add(BEFORE_GJS_LEAVES, look);
}

/* Called by a main loop. If that is one of the app's own, the call that runs it stands below us on the stack, and the
 * app decides when it ends. */
function look() {
  const calls = new Error().stack.trim().split('\n');
  isLooking = false;
  if (calls.length > 1)
    return GLib.SOURCE_REMOVE;
  loop = new GLib.MainLoop(null, false);
  leaveSoon();
  loop.run();
  loop = null;
  return GLib.SOURCE_REMOVE;
}

/* Behind everything else that is to be done: it may be the beginning of more. */
function leaveSoon() {
  GLib.idle_add(GLib.PRIORITY_LOW, () => {
    if (atWork.size === 0)
      loop?.quit();
    return GLib.SOURCE_REMOVE;
  });
}

/* For what begins only once the program has run to its end, behind a Promise. */
lookSoon();
