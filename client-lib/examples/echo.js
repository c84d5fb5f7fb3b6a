// SPDX-License-Identifier: Apache-2.0
// A WebSocket server that sends every message back. Run it with: gjs -m echo.js
import { webSocket } from 'file:///usr/share/wsserver-0/gjs/webSocket.js';

const server = webSocket.createWebSocketServer();

server.on('connect', peer => console.log(`${peer} is here`));
server.on('close', (peer, { code, reason }) => console.log(`${peer} has left: ${code} ${reason}`));
server.on('messageReceive', async ({ clientConnection, data }) => {
  try {
    await server.send(data, clientConnection);
  } catch (error) {
    console.warn(`${clientConnection}: ${error.message}`);
  }
});

await server.start({ serverPort: 8080 });
console.log('ws://0.0.0.0:8080/');
