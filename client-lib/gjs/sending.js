// SPDX-License-Identifier: Apache-2.0
/*
 * What is sent over one connection, and its end. A message counts as sent when it was written to the socket; the
 * library bounds how many wait for that. Closing waits for those that were sent before, and nothing is sent behind it.
 */
import { call, run } from './calls.js';
import { BusinessError } from './errors.js';

export class Sending {
  #native;
  #whenClosing; // the number of the error
  #isClosing = false;
  #waiting = 0;
  #last = Promise.resolve(); // never fails; the library keeps the order, so with the last one all are over

  /* `native`: a connection or client of the library. */
  constructor(native, whenClosing) {
    this.#native = native;
    this.#whenClosing = whenClosing;
  }

  get native() {
    return this.#native;
  }

  send(message) {
    this.#requireOpen();
    const sent = call(done => this.#native.send_async(message, null, done), result => this.#native.send_finish(result));
    this.#waiting++;
    this.#last = sent.catch(() => {}).then(() => this.#waiting--);
    return sent;
  }

  async close(code, reason) {
    this.#requireOpen();
    if (this.#waiting === 0)
      return run(() => this.#native.close(code, reason));
    this.#isClosing = true;
    await this.#last;
    try {
      return run(() => this.#native.close(code, reason));
    } finally {
      this.#isClosing = false; // from here on the library knows
    }
  }

  #requireOpen() {
    if (this.#isClosing)
      throw new BusinessError(this.#whenClosing, 'the connection is about to be closed');
  }
}
