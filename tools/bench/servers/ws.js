// SPDX-License-Identifier: Apache-2.0
// npm's "ws" with what makes it fast: no compression, no check of text, one handler for each message.
'use strict';
const { WebSocketServer } = require('ws');

const maxMessage = Number(process.argv[2] ?? 1 << 20);
const server = new WebSocketServer({
  host: '127.0.0.1',
  port: 0,
  backlog: 511,
  perMessageDeflate: false,
  skipUTF8Validation: true,
  maxPayload: maxMessage,
});

// The first four octets of a message, see reaction.h.
const CAST = Buffer.from('cast').readUInt32BE();
const SINK = Buffer.from('sink').readUInt32BE();

server.on('connection', (socket) => {
  socket.on('error', () => {});
  socket.on('message', (data, binary) => {
    const kind = data.length >= 4 ? data.readUInt32BE(0) : 0;
    if (kind === CAST) for (const other of server.clients) other.send(data, { binary });
    else if (kind !== SINK) socket.send(data, { binary });
  });
});
server.on('listening', () => console.log(`listening on ws://127.0.0.1:${server.address().port}/`));
