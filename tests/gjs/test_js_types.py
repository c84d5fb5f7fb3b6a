# SPDX-License-Identifier: Apache-2.0
"""webSocket.d.ts: the guide's examples pass the TypeScript compiler on it, wrong programs do not, and it names what the module has."""

import json
import re
import subprocess

import pytest
from program import CLIENT_EVENTS, FOLDER, MODULE, SERVER_EVENTS, STEP
from transform import SPECIFIERS

TYPES = MODULE.with_suffix(".d.ts")
OPTIONS = {"noEmit": True, "strict": True, "useUnknownInCatchVariables": False, "target": "es2022", "module": "es2022", "moduleResolution": "bundler",
           "lib": ["es2022", "dom"], "types": [], "skipLibCheck": False, "paths": {specifier: [str(TYPES)] for specifier in SPECIFIERS}}
HEAD = "import { webSocket } from '@kit.NetworkKit';\nimport { BusinessError } from '@kit.BasicServicesKit';\n"


ALL_FORMS = HEAD + """
async function client() {
  const ws: webSocket.WebSocket = webSocket.createWebSocket();
  const options: webSocket.WebSocketRequestOptions = {
    header: { name: 'value', number: 42 }, caPath: '/ca.pem', clientCert: { certPath: 'a', keyPath: 'b', keyPassword: 'c' },
    proxy: { host: 'proxy', port: 8080, exclusionList: [] }, protocol: 'p', skipServerCertVerification: false, pingInterval: 30, pongTimeout: 30,
    minSupportTlsProtocol: webSocket.TlsProtocol.TLS_V_1_3,
  };
  const told = (error: BusinessError, value: boolean) => {};
  ws.connect('ws://a/', told);
  ws.connect('ws://a/', options, told);
  const a: boolean = await ws.connect('ws://a/') && await ws.connect('ws://a/', { ...options, proxy: 'system' });
  ws.send('text', told);
  const b: boolean = await ws.send(new ArrayBuffer(1)) && await ws.send(new Uint8Array(1).buffer);
  ws.close(told);
  ws.close({ code: 4000, reason: 'bye' }, told);
  const c: boolean = await ws.close() && await ws.close({ code: 4000 });
  ws.on('headerReceive', headers => headers['upgrade']);
  ws.on('dataEnd', () => {});
  const listener = (error: BusinessError, value: string | ArrayBuffer) => {};
  ws.on('message', listener);
  ws.off('message', listener);
  ws.off('message');
}
async function server() {
  const server: webSocket.WebSocketServer = webSocket.createWebSocketServer();
  const config: webSocket.WebSocketServerConfig = {
    serverPort: 8080, serverIP: '::', serverCert: { certPath: 'a', keyPath: 'b' }, maxConcurrentClientsNumber: 1, maxConnectionsForOneClient: 1, protocol: 'p',
    allowedOrigins: ['https://a.example'], maxMessageSize: 1000,
  };
  const a: boolean = await server.start(config) && await server.stop();
  const all: webSocket.WebSocketConnection[] = await server.listAllConnections();
  const b: boolean = await server.send('text', all[0]) && await server.close(all[0]) && await server.close(all[0], { code: 4000, reason: 'bye' });
  server.on('messageReceive', message => message.data instanceof ArrayBuffer ? message.data.byteLength : message.data.length);
  server.on('close', (connection, { code, reason }) => `${connection.clientIP} ${connection.clientPort} ${code} ${reason}`);
  server.off('connect');
  const error = new BusinessError(401, 'why');
  const numbers: number = error.code;
}
"""
WRONG = [
    "webSocket.createWebSocketServer().start({});",
    "webSocket.createWebSocketServer().start({ serverPort: '8080' });",
    "webSocket.createWebSocketServer().on('open', () => {});",
    "webSocket.createWebSocketServer().send(7, { clientIP: '', clientPort: 1 });",
    "webSocket.createWebSocketServer().listAllConnections().length;",
    "webSocket.createWebSocket().connect(7);",
    "webSocket.createWebSocket().connect('ws://a/', { proxy: 'none' });",
    "webSocket.createWebSocket().on('connect', () => {});",
    "webSocket.createWebSocket().send({});",
    "webSocket.createWebSockets();",
    "const error: BusinessError = { code: '401' };",
]


@pytest.fixture(scope="module")
def faults(clients_folder, tmp_path_factory) -> dict:
    """What the compiler says: the numbers of wrong lines, by file. One run for all, since it takes seconds to start."""
    folder = tmp_path_factory.mktemp("types")
    files = {name: (FOLDER / "guide" / f"{name}.ets").read_text() for name in ("server", "client")}
    files |= {"forms": ALL_FORMS, "wrong": HEAD + "\n".join(WRONG)}
    for name, text in files.items():
        (folder / f"{name}.ts").write_text(text)
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": OPTIONS, "files": [f"{name}.ts" for name in files]}))
    done = subprocess.run([f"{clients_folder}/node_modules/.bin/tsc", "--project", folder], cwd=folder, capture_output=True, text=True,
                          timeout=STEP)
    found = re.findall(r"^(\w+)\.ts\((\d+),\d+\): error TS", done.stdout, re.MULTILINE)
    assert done.stdout.count("error TS") == len(found), done.stdout  # none elsewhere
    return {name: sorted({int(line) for where, line in found if where == name}) for name in files}


@pytest.mark.parametrize("name", ["server", "client"])
def test_the_guides_examples_are_right(faults, name):
    assert faults[name] == []


def test_all_forms_of_all_calls_are_right(faults):
    assert faults["forms"] == []


def test_wrong_programs_are_found(faults):
    assert faults["wrong"] == [HEAD.count("\n") + 1 + at for at in range(len(WRONG))]


def members(interface: str) -> set:
    body = re.search(rf"interface {interface} {{\n(.*?)\n  }}", TYPES.read_text(), re.DOTALL)[1]
    return set(re.findall(r"^    (\w+)\(", body, re.MULTILINE))


@pytest.mark.parametrize("interface, events", [("WebSocket", CLIENT_EVENTS), ("WebSocketServer", SERVER_EVENTS)])
def test_the_module_has_what_the_types_name_and_nothing_else(program, interface, events):
    names = program.run(f"return Object.getOwnPropertyNames(Object.getPrototypeOf(webSocket.create{interface}()))")
    assert set(names) - {"constructor"} == members(interface)
    assert program.run(f"return Object.getOwnPropertyNames(webSocket.create{interface}())") == []
    body = re.search(rf"interface {interface} {{\n(.*?)\n  }}", TYPES.read_text(), re.DOTALL)[1]
    assert sorted(re.findall(r"on\(type: '(\w+)'", body)) == sorted(re.findall(r"off\(type: '(\w+)'", body)) == sorted(events)


def test_the_namespace_has_what_the_types_name(program):
    functions = set(re.findall(r"^  (?:function|enum) (\w+)", TYPES.read_text(), re.MULTILINE))
    assert set(program.run("return Object.keys(webSocket)")) == functions
    values = dict(re.findall(r"^    (TLS_V_1_\d) = '([^']+)'", TYPES.read_text(), re.MULTILINE))
    assert program.run("return webSocket.TlsProtocol") == values
