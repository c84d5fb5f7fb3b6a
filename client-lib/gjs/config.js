// SPDX-License-Identifier: Apache-2.0
/*
 * What an app asks for, in the guide's words, made into what the library is given. Types are judged here; values are
 * the service's or the library's to judge, so a number that the library could not even hold is given to it as its
 * largest one.
 */
import GLib from 'gi://GLib';
import Ws from 'gi://Ws?version=0';

import { invalid } from './errors.js';

const UINT_MAX = 0xffffffff;
const PORT_MAX = 65535;
const CODE_MAX = 65535;
const HEARTBEAT_MAX = 30000; // seconds
const HEARTBEAT_DEFAULT = 30;

export const TlsProtocol = Object.freeze({
  TLS_V_1_0: 'TLSv1.0',
  TLS_V_1_1: 'TLSv1.1',
  TLS_V_1_2: 'TLSv1.2',
  TLS_V_1_3: 'TLSv1.3',
});

/* The library speaks nothing older than 1.2. */
const TLS_VERSIONS = new Map([
  [TlsProtocol.TLS_V_1_0, '1.2'],
  [TlsProtocol.TLS_V_1_1, '1.2'],
  [TlsProtocol.TLS_V_1_2, '1.2'],
  [TlsProtocol.TLS_V_1_3, '1.3'],
]);

const isAbsent = value => value === undefined || value === null;

function objectOf(value, name) {
  if (typeof value !== 'object' || value === null)
    throw invalid(`${name}: give an object`);
  return value;
}

/* C ends a string at U+0000. */
function textOf(value, name) {
  if (typeof value !== 'string' || value.includes('\0'))
    throw invalid(`${name}: give a string without U+0000`);
  return value;
}

/* Absent where it is empty. */
function optionalText(value, name) {
  return isAbsent(value) || value === '' ? null : textOf(value, name);
}

function textsOf(values, name) {
  if (!Array.isArray(values))
    throw invalid(`${name}: give an array of strings`);
  return values.map(value => textOf(value, name));
}

function numberOf(value, name) {
  if (typeof value !== 'number' || !Number.isInteger(value))
    throw invalid(`${name}: give a whole number`);
  return value >= 0 && value <= UINT_MAX ? value : UINT_MAX;
}

function secondsOf(value, name, largest) {
  if (numberOf(value, name) > largest)
    throw invalid(`${name}: give 0 to ${largest} seconds`);
  return value;
}

/* --- Of a server --- */

const LIMITS = [
  ['maxConcurrentClientsNumber', 'max_concurrent_clients_number'],
  ['maxConnectionsForOneClient', 'max_connections_for_one_client'],
];

export function toServerConfig(config) {
  objectOf(config, 'config');
  const native = new Ws.ServerConfig();
  native.server_port = numberOf(config.serverPort, 'serverPort');
  native.server_ip = optionalText(config.serverIP, 'serverIP');
  native.protocol = optionalText(config.protocol, 'protocol');
  for (const [name, property] of LIMITS) {
    if (!isAbsent(config[name]))
      native[property] = numberOf(config[name], name);
  }
  if (!isAbsent(config.serverCert)) {
    const { certPath, keyPath } = objectOf(config.serverCert, 'serverCert');
    native.certificate = optionalText(certPath, 'certPath');
    native.private_key = optionalText(keyPath, 'keyPath');
  }
  if (!isAbsent(config.allowedOrigins))
    native.allowed_origins = textsOf(config.allowedOrigins, 'allowedOrigins');
  if (!isAbsent(config.maxMessageSize))
    native.max_message_size = numberOf(config.maxMessageSize, 'maxMessageSize');
  return native;
}

/* --- Of a client --- */

/* Whatever a value is, it is sent: 42 and true as their digits and letters, an array as a header for each. */
function setHeaders(native, headers) {
  for (const [name, value] of Object.entries(objectOf(headers, 'header'))) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (!isAbsent(one))
        native.add_header(textOf(name, 'header'), textOf(String(one), `header ${name}`));
    }
  }
}

function setClientCertificate(native, certificate) {
  const { certPath, keyPath, keyPassword } = objectOf(certificate, 'clientCert');
  native.certificate = optionalText(certPath, 'certPath');
  native.private_key = optionalText(keyPath, 'keyPath');
  native.private_key_password = optionalText(keyPassword, 'keyPassword');
}

function credentialsOf(proxy) {
  const user = optionalText(proxy.username, 'proxy.username');
  const password = optionalText(proxy.password, 'proxy.password');
  const escape = text => GLib.uri_escape_string(text, null, false);
  if (user === null)
    return '';
  return password === null ? `${escape(user)}@` : `${escape(user)}:${escape(password)}@`;
}

function proxyUriOf(proxy) {
  const host = textOf(proxy.host, 'proxy.host');
  const port = numberOf(proxy.port, 'proxy.port');
  if (!/^[^\s/?#@[\]]+$/.test(host) || port < 1 || port > PORT_MAX)
    throw invalid(`proxy: give a host, and a port from 1 to ${PORT_MAX}`);
  return `http://${credentialsOf(proxy)}${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function setProxy(native, proxy) {
  if (proxy === 'system') {
    native.proxy_mode = Ws.ProxyMode.SYSTEM;
  } else if (proxy === 'no-proxy') {
    native.proxy_mode = Ws.ProxyMode.NONE;
  } else {
    objectOf(proxy, 'proxy');
    native.proxy_mode = Ws.ProxyMode.CUSTOM;
    native.proxy_uri = proxyUriOf(proxy);
    native.proxy_exclusions = textsOf(proxy.exclusionList ?? [], 'proxy.exclusionList');
  }
}

function setHeartbeat(native, options) {
  const interval = secondsOf(options.pingInterval ?? HEARTBEAT_DEFAULT, 'pingInterval', HEARTBEAT_MAX);
  const timeoutMax = interval > 0 ? interval : HEARTBEAT_MAX;
  const timeout = options.pongTimeout ?? Math.min(HEARTBEAT_DEFAULT, timeoutMax);
  native.ping_interval = interval;
  native.pong_timeout = secondsOf(timeout, 'pongTimeout', timeoutMax);
}

function setTlsVersion(native, protocol) {
  if (!TLS_VERSIONS.has(protocol))
    throw invalid('minSupportTlsProtocol: give one of webSocket.TlsProtocol');
  native.tls_min_version = TLS_VERSIONS.get(protocol);
}

export function toClientConfig(options) {
  const native = new Ws.ClientConfig();
  const given = isAbsent(options) ? {} : objectOf(options, 'options');
  if (!isAbsent(given.header))
    setHeaders(native, given.header);
  if (!isAbsent(given.clientCert))
    setClientCertificate(native, given.clientCert);
  if (!isAbsent(given.proxy))
    setProxy(native, given.proxy);
  if (!isAbsent(given.minSupportTlsProtocol))
    setTlsVersion(native, given.minSupportTlsProtocol);
  setHeartbeat(native, given);
  native.ca_path = optionalText(given.caPath, 'caPath');
  native.protocol = optionalText(given.protocol, 'protocol');
  native.skip_server_cert_verification = given.skipServerCertVerification === true;
  return native;
}

/* --- Of both --- */

export function toCloseOptions(options) {
  const given = isAbsent(options) ? {} : objectOf(options, 'options');
  const code = given.code ?? 1000;
  if (numberOf(code, 'code') > CODE_MAX)
    throw invalid('code: give 1000-1003, 1007-1014 or 3000-4999');
  return { code, reason: textOf(given.reason ?? 'CLOSE_NORMAL', 'reason') };
}
