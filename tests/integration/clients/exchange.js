// SPDX-License-Identifier: Apache-2.0
// One script for every JavaScript client: has messages echoed by the server at `url` and closes connections in each way.
// Defines exchange(connect, url), where connect(url) makes a WebSocket; it resolves to what every program in this folder
// prints (see ../blackbox/exchange.py) or rejects with the first fault.

function payloads() {
  const largest = new Uint8Array(5242864);
  for (let i = 0; i < largest.length; i++) largest[i] = (i * 31) & 0xff;
  const octets = Uint8Array.from({ length: 256 }, (_, i) => i);
  return [
    ['text', 'hello'],
    ['text with U+0000', 'a\u0000b\u0000'],
    ['4-octet UTF-8', '\u{1F600} \u{10FFFF}'],
    ['empty text', ''],
    ['1-octet text', 'x'],
    ['text worth compressing', 'hello '.repeat(100)],
    ['the same again', 'hello '.repeat(100)],
    ['large text', 'hello '.repeat(87381)],
    ['largest text', 'y'.repeat(5242864)],
    ['binary', octets],
    ['empty binary', new Uint8Array(0)],
    ['1-octet binary', new Uint8Array([0])],
    ['largest binary', largest],
  ];
}

function open(connect, url) {
  return new Promise((resolve, reject) => {
    const socket = connect(url);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => resolve(socket);
    socket.onerror = () => reject(new Error('cannot connect to ' + url));
  });
}

function echoOf(socket, data) {
  return new Promise((resolve, reject) => {
    socket.onmessage = (event) => resolve(event.data);
    socket.onclose = (event) => reject(new Error('closed with ' + event.code));
    socket.send(data);
  });
}

function same(data, answer) {
  if (typeof data === 'string' || typeof answer === 'string') return data === answer;
  const octets = new Uint8Array(answer);
  return octets.length === data.length && octets.every((octet, i) => octet === data[i]);
}

function pong(socket) {
  if (!socket.ping) return null; // a browser's WebSocket has none
  return new Promise((resolve, reject) => {
    socket.once('pong', (data) => resolve(data.toString() === 'mark'));
    socket.onclose = (event) => reject(new Error('closed with ' + event.code));
    socket.ping('mark');
  });
}

function close(socket, ...how) {
  return new Promise((resolve) => {
    socket.onclose = (event) => resolve([event.code, event.reason]);
    socket.close(...how);
  });
}

async function exchange(connect, url) {
  const echoed = [];
  const socket = await open(connect, url + '/echo');
  const extensions = socket.extensions;
  for (const [name, data] of payloads()) {
    if (!same(data, await echoOf(socket, data))) throw new Error(name + ' came back changed');
    echoed.push(name);
  }
  const ponged = await pong(socket);
  const closed = { echo: await close(socket, 1000) };
  closed['4321'] = await close(await open(connect, url + '/4321'), 4321, 'own code');
  closed['none'] = await close(await open(connect, url + '/none'));
  return { echoed, extensions, ponged, closed };
}

if (typeof module !== 'undefined') module.exports = { exchange };
