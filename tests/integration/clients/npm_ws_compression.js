// SPDX-License-Identifier: Apache-2.0
// npm_ws_compression.js FOLDER URL OPTIONS: messages of all sizes to a server that echoes, with the package `ws` from
// FOLDER/node_modules and its perMessageDeflate OPTIONS (JSON). Prints what was agreed and how many came back right.
const path = require('path');
const WebSocket = require(path.join(path.resolve(process.argv[2]), 'node_modules', 'ws'));

const messages = [];
for (let turn = 0; turn < 60; turn++)
  messages.push(JSON.stringify({ turn, keys: Array.from({ length: (turn * turn) % 400 }, (_, n) => `key-${n * turn}`) }));
messages.push('', 'x'.repeat(1 << 20), '', 'y'.repeat(127), 'y'.repeat(128), 'z'.repeat(3000000), 'ä😀'.repeat(20000));

const socket = new WebSocket(process.argv[3], { perMessageDeflate: JSON.parse(process.argv[4]) });
let right = 0;
let extensions = '';
socket.on('upgrade', (response) => (extensions = response.headers['sec-websocket-extensions'] ?? ''));
socket.on('open', () => socket.send(messages[0]));
socket.on('message', (data, isBinary) => {
  if (isBinary || data.toString() !== messages[right]) throw new Error(`message ${right} came back as something else`);
  right++;
  if (right < messages.length) socket.send(messages[right]);
  else socket.close(1000);
});
socket.on('close', (code) => console.log(JSON.stringify({ code, extensions, right, all: messages.length })));
