// SPDX-License-Identifier: Apache-2.0
/* Text is a string, binary data an ArrayBuffer, in both directions. */
import GLib from 'gi://GLib';
import Ws from 'gi://Ws?version=0';

import { invalid } from './errors.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const MARK = '\ufeff';
/* A decoder takes U+FEFF in front for a byte order mark, and drops it, in all versions of GJS but some. */
const dropsMark = decoder.decode(encoder.encode(MARK)) === '';

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

function toText(octets) {
  const beginsWithMark = octets[0] === 0xef && octets[1] === 0xbb && octets[2] === 0xbf;
  return dropsMark && beginsWithMark ? MARK + decoder.decode(octets) : decoder.decode(octets);
}

/* Of a message that has just arrived, and is the library's again when this returns. */
export function fromMessage(message) {
  const octets = message.get_bytes().toArray();
  return message.is_text() ? toText(octets) : octets.buffer;
}
