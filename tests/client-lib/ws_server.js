// SPDX-License-Identifier: Apache-2.0
// An echo server on npm's ws. Prints its port. Says goodbye with 4321 when it hears "bye", drops the connection when it hears "drop".
//   ws_server.js [{"compression": bool, "protocol": what it agrees on}]
const { WebSocketServer } = require('ws');

const options = JSON.parse(process.argv[2] ?? '{}');
const server = new WebSocketServer({
  host: '127.0.0.1',
  port: 0,
  perMessageDeflate: options.compression ?? false,
  maxPayload: 64 << 20,
  handleProtocols: (offered) => options.protocol ?? [...offered][0] ?? false,
});
server.on('listening', () => console.log(server.address().port));
server.on('connection', (peer) => {
  peer.on('error', () => {});
  peer.on('message', (data, isBinary) => {
    if (!isBinary && data.toString() === 'bye') peer.close(4321, 'auf Wiedersehen 👋');
    else if (!isBinary && data.toString() === 'drop') peer.terminate();
    else peer.send(data, { binary: isBinary });
  });
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
