// SPDX-License-Identifier: Apache-2.0
/*
 * A server of the guide. Each of its runs has a server of the library, which is given back when the run has ended;
 * nothing is left in the service then.
 *
 * start() and stop() take their turns: each begins when the one before has ended.
 */
import Ws from 'gi://Ws?version=0';

import { hold, release } from './alive.js';
import { call, run } from './calls.js';
import { toCloseOptions, toServerConfig } from './config.js';
import { fromMessage, toMessage } from './data.js';
import { BusinessError, invalid } from './errors.js';
import { CONNECTION_NOT_FOUND, NOT_SUPPORTED, OTHER, PERMISSION_DENIED } from './errors.js';
import { Listeners } from './events.js';
import { countEnd } from './garbage.js';
import { Sending } from './sending.js';

/* One peer: the same object in every event and list. It has the guide's two fields; which connection it is, we see. */
class WebSocketConnection {
  #sending;

  constructor(native) {
    this.clientIP = native.get_client_ip();
    this.clientPort = native.get_client_port();
    this.#sending = new Sending(native, CONNECTION_NOT_FOUND);
  }

  toString() {
    const host = this.clientIP.includes(':') ? `[${this.clientIP}]` : this.clientIP;
    return `${host}:${this.clientPort}`;
  }

  /* Null of an object that the app has made. */
  static sendingOf(connection) {
    return #sending in connection ? connection.#sending : null;
  }
}

const REMEMBERED = [PERMISSION_DENIED, NOT_SUPPORTED];

export class WebSocketServer {
  #listeners = new Listeners(['connect', 'messageReceive', 'close', 'error']);
  #connections = new Map(); // open ones, by their numbers
  #native = null;
  #turn = Promise.resolve();
  #refusal = null; // why this app may have no server, if that is what the last start came to

  async start(config) {
    const native = toServerConfig(config);
    return this.#takeTurn(() => this.#start(native));
  }

  async stop() {
    return this.#takeTurn(() => this.#stop());
  }

  async send(data, connection) {
    const message = run(() => toMessage(data));
    return this.#find(connection).send(message);
  }

  async close(connection, options) {
    const { code, reason } = toCloseOptions(options);
    return this.#find(connection).close(code, reason);
  }

  async listAllConnections() {
    this.#requireRunning();
    return this.#native.list_connections().map(peer => this.#connections.get(peer.get_id()));
  }

  on(type, callback) {
    this.#listeners.on(type, callback);
  }

  off(type, callback) {
    this.#listeners.off(type, callback);
  }

  #takeTurn(step) {
    const turn = this.#turn.then(step);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #start(config) {
    this.#native ??= this.#newNative();
    const native = this.#native;
    try {
      await call(done => native.start_async(config, null, done), result => native.start_finish(result));
      this.#refusal = null;
      return true;
    } catch (error) {
      this.#refusal = REMEMBERED.includes(error.code) ? error : null;
      throw error;
    } finally {
      this.#giveBackIfStopped();
    }
  }

  async #stop() {
    if (this.#native === null)
      throw this.#whyNotRunning();
    const native = this.#native;
    try {
      return await call(done => native.stop_async(null, done), result => native.stop_finish(result));
    } finally {
      this.#giveBackIfStopped();
    }
  }

  #newNative() {
    const native = new Ws.Server();
    native.connect('connect', (_, peer) => this.#onConnect(peer));
    native.connect('message-receive', (_, peer, message) => this.#onMessage(peer, message));
    native.connect('close', (_, peer, code, reason) => this.#onClose(peer, code, reason));
    native.connect('error', (_, error) => this.#listeners.emit('error', BusinessError.from(error)));
    native.connect('notify::state', () => this.#onState(native));
    return native;
  }

  #giveBackIfStopped() {
    if (this.#native?.get_state() !== Ws.ServerState.STOPPED)
      return;
    const native = this.#native;
    this.#native = null;
    this.#connections.clear();
    native.run_dispose();
    countEnd();
  }

  #onState(native) {
    const state = native.get_state();
    if (state === Ws.ServerState.STOPPED || state === Ws.ServerState.FAILED)
      release(this);
    else
      hold(this);
  }

  #onConnect(peer) {
    const connection = new WebSocketConnection(peer);
    this.#connections.set(peer.get_id(), connection);
    this.#listeners.emit('connect', connection);
  }

  #onMessage(peer, message) {
    if (!this.#listeners.has('messageReceive'))
      return;
    const clientConnection = this.#connections.get(peer.get_id());
    this.#listeners.emit('messageReceive', { clientConnection, data: fromMessage(message) });
  }

  #onClose(peer, code, reason) {
    const connection = this.#connections.get(peer.get_id());
    this.#connections.delete(peer.get_id());
    this.#listeners.emit('close', connection, { code, reason });
  }

  #whyNotRunning() {
    return this.#refusal ?? new BusinessError(OTHER, 'the server does not run: start it first');
  }

  #requireRunning() {
    if (this.#native?.get_state() !== Ws.ServerState.RUNNING)
      throw this.#whyNotRunning();
  }

  /* What we have given to the app is one connection, also when its address and port are used again; what the app has
   * made is whoever has that address and port. */
  #find(connection) {
    if (typeof connection?.clientIP !== 'string' || !Number.isInteger(connection.clientPort))
      throw invalid('connection: give a clientIP and a clientPort');
    this.#requireRunning();
    let sending = WebSocketConnection.sendingOf(connection);
    if (sending === null)
      sending = this.#findByAddress(connection);
    else if (this.#connections.get(sending.native.get_id()) !== connection)
      sending = null;
    if (sending === null) {
      const { clientIP, clientPort } = connection;
      throw new BusinessError(CONNECTION_NOT_FOUND, `nobody is connected from ${clientIP} port ${clientPort}`);
    }
    return sending;
  }

  #findByAddress({ clientIP, clientPort }) {
    for (const connection of this.#connections.values()) {
      if (connection.clientIP === clientIP && connection.clientPort === clientPort)
        return WebSocketConnection.sendingOf(connection);
    }
    return null;
  }
}
