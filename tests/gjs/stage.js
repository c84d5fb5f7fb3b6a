// SPDX-License-Identifier: Apache-2.0
/*
 * A program on webSocket.js that does what a test says: see program.py. A line of JSON on standard input is code for it
 * to run, a line on standard output is what that came to, or an event.
 *
 *   {"tag": 1, "code": "return await server.start({serverPort: 8080})"}
 *   {"tag": 1, "value": true} or {"tag": 1, "error": {"name": ..., "code": ..., "message": ...}}
 *   {"event": "open", "who": "ws", "values": [...]}
 */
import Gio from 'gi://Gio?version=2.0';
import GLib from 'gi://GLib?version=2.0';
import Ws from 'gi://Ws?version=0';
import System from 'system';

import namespace, { BusinessError, webSocket } from '../../client-lib/gjs/webSocket.js';

const AsyncFunction = (async () => {}).constructor;
const input = new Gio.DataInputStream({ base_stream: Gio.UnixInputStream.new(0, false), close_base_stream: false });
const loop = new GLib.MainLoop(null, false);

function hex(buffer) {
  return Array.from(new Uint8Array(buffer), octet => octet.toString(16).padStart(2, '0')).join('');
}

function shown(_key, value) {
  if (value instanceof ArrayBuffer)
    return { binary: hex(value) };
  if (value === undefined)
    return 'undefined';
  return value;
}

function say(line) {
  print(JSON.stringify(line, shown));
}

/* What scripts have beside the module. */
Object.assign(globalThis, {
  BusinessError, GLib, Gio, System, Ws, namespace, webSocket,
  octets: (...numbers) => new Uint8Array(numbers).buffer,
  say: (event, ...values) => say({ event, values }),
  listen(name, object, types) {
    for (const type of types)
      object.on(type, (...values) => say({ event: type, who: name, values }));
  },
  later: milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds)),
});

async function obey({ tag, code }) {
  try {
    say({ tag, value: await new AsyncFunction(code)() });
  } catch (error) {
    const { name, code, message } = error;
    say({ tag, error: { name, isError: error instanceof Error, code, message } });
  }
}

function read() {
  input.read_line_async(GLib.PRIORITY_DEFAULT, null, (_, result) => {
    const [line] = input.read_line_finish_utf8(result);
    if (line === null) {
      loop.quit();
      return;
    }
    obey(JSON.parse(line));
    read();
  });
}

say({ event: 'ready' });
read();
loop.run();
