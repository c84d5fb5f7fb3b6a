// SPDX-License-Identifier: Apache-2.0
// A client that notices within seconds when its server is gone, and connects anew. Run it with: gjs -m heartbeat.js ws://...
import { webSocket } from 'file:///usr/share/wsserver-0/gjs/webSocket.js';

const [url, pingInterval = '30', pongTimeout = '30'] = ARGV;
const pause = seconds => new Promise(done => setTimeout(done, seconds * 1000));

async function visit() {
  const client = webSocket.createWebSocket();
  const over = new Promise(done => client.on('close', (_error, { code, reason }) => done(`${code} ${reason}`)));
  client.on('message', (_error, message) => console.log(`heard ${message}`));
  client.on('error', error => console.log(error.message));
  await client.connect(url, { pingInterval: Number(pingInterval), pongTimeout: Number(pongTimeout) });
  console.log('connected');
  await client.send('hello');
  console.log(`closed: ${await over}`);
}

for (;;) {
  await visit().catch(error => console.log(error.message));
  await pause(1);
}
