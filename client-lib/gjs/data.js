// SPDX-License-Identifier: Apache-2.0
/* Text is a string, binary data an ArrayBuffer, in both directions. */
import GLib from 'gi://GLib';
import Ws from 'gi://Ws?version=0';

import { invalid } from './errors.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/* Text may hold U+0000, so it travels as octets. */
export function toMessage(data) {
  if (typeof data === 'string')
    return Ws.Message.new_text_from_bytes(new GLib.Bytes(encoder.encode(data)));
  if (data instanceof ArrayBuffer)
    return Ws.Message.new_binary(new GLib.Bytes(new Uint8Array(data)));
  if (ArrayBuffer.isView(data))
    return Ws.Message.new_binary(new GLib.Bytes(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)));
  throw invalid('data: give a string or an ArrayBuffer');
}

/* Of a message that has just arrived, and is the library's again when this returns. */
export function fromMessage(message) {
  const octets = message.get_bytes().toArray();
  return message.is_text() ? decoder.decode(octets) : octets.buffer;
}
