// SPDX-License-Identifier: Apache-2.0
/* A client of the guide. Calls with a callback return nothing, those without one a Promise. */
import Ws from 'gi://Ws?version=0';

import { hold, release } from './alive.js';
import { call, run } from './calls.js';
import { toClientConfig, toCloseOptions } from './config.js';
import { fromMessage, toMessage } from './data.js';
import { BusinessError, INVALID_URL, OTHER, invalid } from './errors.js';
import { Listeners } from './events.js';
import { countEnd } from './garbage.js';
import { Sending } from './sending.js';

/* The last argument, if it is a callback; taken off the list. */
function takeCallback(values) {
  return typeof values.at(-1) === 'function' ? values.pop() : null;
}

function answer(callback, promise) {
  if (callback === null)
    return promise;
  promise.then(value => tell(callback, undefined, value), error => tell(callback, error, undefined));
  return undefined;
}

function tell(callback, error, value) {
  try {
    callback(error, value);
  } catch (thrown) {
    logError(thrown, 'a callback');
  }
}

export class WebSocket {
  #listeners = new Listeners(['open', 'message', 'close', 'error', 'headerReceive', 'dataEnd']);
  #native = this.#newNative();
  #sending = new Sending(this.#native, OTHER);
  #headersAreNews = false;

  connect(url, ...rest) {
    const callback = takeCallback(rest);
    return answer(callback, this.#connect(url, rest[0]));
  }

  send(data, ...rest) {
    const callback = takeCallback(rest);
    return answer(callback, this.#send(data));
  }

  close(...rest) {
    const callback = takeCallback(rest);
    return answer(callback, this.#close(rest[0]));
  }

  on(type, callback) {
    this.#listeners.on(type, callback);
  }

  off(type, callback) {
    this.#listeners.off(type, callback);
  }

  async #connect(url, options) {
    if (typeof url !== 'string')
      throw invalid('url: give a string');
    if (url.includes('\0'))
      throw new BusinessError(INVALID_URL, 'url: it holds U+0000');
    const config = toClientConfig(options);
    const native = this.#native;
    return call(done => native.connect_async(url, config, null, done), result => native.connect_finish(result));
  }

  async #send(data) {
    const message = run(() => toMessage(data));
    return this.#sending.send(message);
  }

  async #close(options) {
    const { code, reason } = toCloseOptions(options);
    return this.#sending.close(code, reason);
  }

  #newNative() {
    const native = new Ws.Client();
    native.connect('open', (_, status, message) => this.#onOpen(status, message));
    native.connect('message', (_, message) => this.#onMessage(message));
    native.connect('data-end', () => this.#listeners.emit('dataEnd'));
    native.connect('close', (_, code, reason) => this.#listeners.emit('close', undefined, { code, reason }));
    native.connect('error', (_, error) => this.#onError(error));
    native.connect('notify::state', () => this.#onState(native));
    return native;
  }

  #onState(native) {
    const state = native.get_state();
    if (state === Ws.ClientState.CONNECTING) {
      this.#headersAreNews = true;
      this.#sending = new Sending(native, OTHER);
    }
    if (state === Ws.ClientState.CLOSED) {
      release(this);
      countEnd();
    } else {
      hold(this);
    }
  }

  /* GJS takes no table from a signal, so this is told in front of what comes of the answer. */
  #tellHeaders() {
    const headers = this.#headersAreNews ? this.#native.get_headers() : {};
    this.#headersAreNews = false;
    if (Object.keys(headers).length > 0)
      this.#listeners.emit('headerReceive', headers);
  }

  #onOpen(status, message) {
    this.#tellHeaders();
    this.#listeners.emit('open', undefined, { status, message });
  }

  #onError(error) {
    this.#tellHeaders();
    this.#listeners.emit('error', BusinessError.from(error));
  }

  #onMessage(message) {
    if (this.#listeners.has('message'))
      this.#listeners.emit('message', undefined, fromMessage(message));
  }
}
