// SPDX-License-Identifier: Apache-2.0
/*
 * The guide's API for GJS, on libwsserver (Ws-0): an app imports this file under the guide's two names, see
 * docs/javascript.md.
 *
 *   server.js   WebSocketServer         client.js   WebSocket
 *   config.js   what both are given, checked and handed to the library
 *   events.js   on and off              data.js     string | ArrayBuffer
 *   sending.js  what waits for a peer   calls.js    calls of the library
 *   errors.js   BusinessError           alive.js    what keeps the app's process alive
 *   garbage.js  what the garbage collector would not see
 */
import { WebSocket } from './client.js';
import { TlsProtocol } from './config.js';
import { BusinessError } from './errors.js';
import { WebSocketServer } from './server.js';

const webSocket = Object.freeze({
  createWebSocket: () => new WebSocket(),
  createWebSocketServer: () => new WebSocketServer(),
  TlsProtocol,
});

export { BusinessError, webSocket };
export default webSocket;
