# SPDX-License-Identifier: Apache-2.0
"""The guide's client as a program in JavaScript has it: callbacks and Promises, options, events, errors."""

import json
import socket
import ssl

import pytest
from blackbox.peer import CLOSE, PING, TEXT
from listener import Listener

DIRECT = "{ proxy: 'no-proxy' }"


@pytest.fixture
def client(program):
    """The program, in which `ws` is a client."""
    program.new_client()
    return program


@pytest.fixture
def listener():
    with Listener() as listener:
        yield listener


def connect(client, listener, options: str = DIRECT, extra: str = ""):
    """The listener's end of an open connection."""
    connecting = client.begin(f"return await ws.connect('ws://127.0.0.1:{listener.port}/', {options})")
    visit = listener.accept()
    visit.accept(extra)
    assert client.answer(connecting) is True
    return visit


# --- Calls ---

def test_each_call_gives_a_promise(client, listener):
    visit = connect(client, listener)
    assert client.value("ws.send('hello')") is True
    assert visit.read_frame() == (TEXT, b"hello")
    assert client.value("ws.close({ code: 4321, reason: 'bye' })") is True
    assert visit.read_frame() == (CLOSE, b"\x10\xe1bye")
    visit.send_frame(CLOSE, b"\x10\xe1bye")
    assert client.event("close", "ws") == ["undefined", {"code": 4321, "reason": "bye"}]


def test_each_call_takes_a_callback_and_gives_nothing_then(client, listener):
    client.run(f"""
        const told = name => (error, value) => say(name, error, value);
        const url = 'ws://127.0.0.1:{listener.port}/';
        ws.on('open', () => say('returned', ws.send('hello', told('sent'))));
        say('returned', ws.connect(url, {DIRECT}, told('connected')))""")
    visit = listener.accept()
    visit.accept()
    assert client.event("connected") == ["undefined", True]
    assert client.event("sent") == ["undefined", True]
    assert visit.read_frame() == (TEXT, b"hello")
    client.run("say('returned', ws.close({ code: 1000, reason: 'x' }, (error, value) => say('closed', error, value)))")
    assert client.event("closed") == ["undefined", True]
    assert [client.event("returned", count=count) for count in (1, 2, 3)] == [["undefined"]] * 3


def test_options_may_be_left_out_with_a_callback(client, port):
    client.run(f"ws.connect('ws://127.0.0.1:{port}/', error => say('connected', error.code))")
    assert client.event("connected") == [2302999]
    client.run("ws.send('x', (error, value) => say('sent', error.code, value)); ws.close((error, value) => say('closed', error.code, value))")
    assert client.event("sent") == [2302999, "undefined"] and client.event("closed") == [2302999, "undefined"]


def test_a_callback_that_throws_harms_nobody(client, listener):
    client.expects_complaints = True  # what was thrown
    connect(client, listener)
    client.run("ws.send('x', () => { say('thrown'); throw new Error('on purpose'); })")
    client.event("thrown")
    assert client.value("ws.send('y')") is True


def test_a_call_may_come_at_the_wrong_time(client, listener):
    assert client.error("ws.send('x')").code == 2302999
    assert client.error("ws.close()").code == 2302999
    visit = connect(client, listener)
    assert client.error("ws.connect('ws://127.0.0.1/')").code == 2302003
    assert client.value("ws.close()") is True
    assert client.error("ws.close()").code == 2302999
    assert client.error("ws.send('x')").code == 2302999
    visit.send_frame(CLOSE, visit.read_frame()[1])
    client.event("close", "ws")
    assert client.error("ws.close()").code == 2302999
    connect(client, listener)  # and once more


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "127.0.0.1", "ws://", "", "ws://a/#b", "ws://a\\0b/", "ws://a/' + 'x'.repeat(8200) + '"])
def test_what_is_no_url_has_its_number(client, url):
    assert client.error(f"ws.connect('{url}')").code == 2302001


@pytest.mark.parametrize("arguments", [
    "", "undefined", "7", "'ws://127.0.0.1/', 7", "'ws://127.0.0.1/', { pingInterval: 30001 }", "'ws://127.0.0.1/', { pingInterval: -1 }",
    "'ws://127.0.0.1/', { pingInterval: '5' }", "'ws://127.0.0.1/', { pingInterval: 5, pongTimeout: 6 }", "'ws://127.0.0.1/', { proxy: 'none' }",
    "'ws://127.0.0.1/', { proxy: { host: 'a b', port: 1, exclusionList: [] } }", "'ws://127.0.0.1/', { proxy: { host: 'a', port: 0 } }",
    "'ws://127.0.0.1/', { proxy: { host: 'a', port: 8, exclusionList: 'b' } }", "'ws://127.0.0.1/', { header: 'X: 1' }",
    "'ws://127.0.0.1/', { header: { 'a b': '1' }, proxy: 'no-proxy' }", "'ws://127.0.0.1/', { header: { 'A': '1\\r\\nB: 2' }, proxy: 'no-proxy' }",
    "'ws://127.0.0.1/', { header: { 'A': 'a\\0b' } }", "'ws://127.0.0.1/', { clientCert: 'x' }", "'ws://127.0.0.1/', { caPath: 7 }",
    "'ws://127.0.0.1/', { minSupportTlsProtocol: '1.2' }",
])
def test_wrong_arguments_are_refused(client, port, arguments):
    with socket.create_server(("127.0.0.1", port)):
        assert client.error(f"ws.connect({arguments.replace('127.0.0.1/', f'127.0.0.1:{port}/')})").code == 401


@pytest.mark.parametrize("call", ["send()", "send(7)", "send({})", "send(null)", "close(7)", "close({ code: 1005 })", "close({ reason: 'x'.repeat(124) })"])
def test_wrong_arguments_of_an_open_client_are_refused(client, listener, call):
    connect(client, listener)
    assert client.error(f"ws.{call}").code == 401
    assert client.value("ws.send('still open')") is True


# --- Events ---

def test_each_event_fires_with_what_the_guide_says(client, listener):
    visit = connect(client, listener, extra="X-Token: 42\r\n")
    [headers] = client.event("headerReceive", "ws")
    assert headers["x-token"] == "42" and headers["upgrade"] == "websocket"
    assert client.event("open", "ws") == ["undefined", {"status": 101, "message": "Switching Protocols"}]
    visit.send_frame(TEXT, b"hello")
    assert client.event("message", "ws") == ["undefined", "hello"]
    visit.send_frame(CLOSE, b"\x10\xe1bye")
    assert client.event("close", "ws") == ["undefined", {"code": 4321, "reason": "bye"}]
    assert client.events("ws") == ["headerReceive", "open", "message", "dataEnd", "close"]
    assert client.event("dataEnd", "ws") == []


def test_a_refusal_is_an_error_and_its_headers_are_told(client, listener):
    connecting = client.begin(f"return await ws.connect('ws://127.0.0.1:{listener.port}/', {DIRECT}).catch(error => error.code)")
    listener.accept().answer(b"HTTP/1.1 403 Forbidden\r\nX-Why: because\r\nContent-Length: 0\r\n\r\n")
    assert client.answer(connecting) == 2302999
    [error] = client.event("error", "ws")
    assert error["code"] == 2302999 and "403" in error["message"]
    assert client.event("headerReceive", "ws")[0]["x-why"] == "because"
    assert client.events("ws") == ["headerReceive", "error"]


def test_headers_of_one_answer_are_not_told_again(client, listener, port):
    visit = connect(client, listener)
    visit.socket.close()
    client.event("close", "ws")
    start = client.now()
    assert client.error(f"ws.connect('ws://127.0.0.1:{port}/', {DIRECT})").code == 2302999
    client.event("error", "ws", start=start)
    assert client.events("ws", start) == ["error"]


def test_a_connection_that_breaks_is_an_error_and_a_close(client, listener):
    visit = connect(client, listener)
    visit.answer(b"\xc1\x00")  # a reserved bit
    assert client.event("close", "ws")[1]["code"] == 1002
    assert client.event("error", "ws")[0]["code"] == 2302999


@pytest.mark.parametrize("event", ["open", "message", "headerReceive", "dataEnd", "close"])
def test_off_silences(client, listener, event):
    client.run(f"""
        globalThis.count = {{ kept: 0, removed: 0 }};
        const removed = () => count.removed++;
        ws.on('{event}', removed);
        ws.on('{event}', () => count.kept++);
        ws.off('{event}', removed);
        ws.on('close', () => say('over'))""")

    def visit():
        start = client.now()
        visit = connect(client, listener)
        visit.send_frame(TEXT, b"x")
        visit.send_frame(CLOSE, b"\x03\xe8")
        client.wait(lambda line: line.get("event") == "over", start=start)
        return client.events("ws", start)

    assert event in visit()
    assert client.run("return count") == {"kept": 1, "removed": 0}
    client.run(f"ws.off('{event}'); ws.off('close'); ws.on('close', () => say('over'))")
    assert event not in visit()
    assert client.run("return count") == {"kept": 1, "removed": 0}


# --- Options ---

def test_a_subprotocol_is_offered(client, listener):
    client.begin(f"return await ws.connect('ws://127.0.0.1:{listener.port}/', {{ proxy: 'no-proxy', protocol: 'my-protocol' }})")
    assert "sec-websocket-protocol: my-protocol" in listener.accept().headers


@pytest.mark.parametrize("credentials, told", [("", None), (", username: 'me', password: 'p@ss'", "proxy-authorization: Basic bWU6cEBzcw==")])
def test_a_proxy_is_asked_for_a_way(client, listener, credentials, told):
    connecting = client.begin("return await ws.connect('ws://server.example:81/', { proxy: { host: '127.0.0.1', "
                              f"port: {listener.port}, exclusionList: []{credentials} }} }})")
    visit = listener.accept()
    assert visit.request.startswith("CONNECT server.example:81 ")
    assert told is None or told in visit.headers
    visit.answer(b"HTTP/1.1 200 OK\r\n\r\n")
    visit.read_request()
    assert "host: server.example:81" in visit.headers
    visit.accept()
    assert client.answer(connecting) is True


def test_hosts_that_are_excluded_are_connected_to_directly(client, listener):
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        visit = connect(client, listener, json.dumps({"proxy": {"host": "127.0.0.1", "port": proxy.getsockname()[1], "exclusionList": ["127.0.0.1"]}}))
        assert visit.request.startswith("GET / ")


def test_pings_are_sent_in_their_interval_and_a_silent_server_is_left(client, listener):
    visit = connect(client, listener, "{ proxy: 'no-proxy', pingInterval: 1 }")
    assert visit.read_frame()[0] == PING
    assert client.event("close", "ws")[1]["code"] == 1006
    assert client.event("error", "ws")[0]["code"] == 2302999
    assert "1 second" in client.event("error", "ws")[0]["message"]


def test_what_is_set_reaches_the_library(client):
    values = client.run("""
        const seen = [];
        const original = Ws.Client.prototype.connect_async;
        Ws.Client.prototype.connect_async = function (url, config, ...rest) {
          seen.push([config.ping_interval, config.pong_timeout, config.proxy_mode, config.tls_min_version, config.private_key_password]);
          original.call(this, url, config, ...rest);
        };
        for (const options of [undefined, {}, { pingInterval: 10 }, { pingInterval: 0, pongTimeout: 5, proxy: 'no-proxy' },
                               { minSupportTlsProtocol: webSocket.TlsProtocol.TLS_V_1_3, clientCert: { certPath: 'a', keyPath: 'b', keyPassword: 'c' } },
                               { minSupportTlsProtocol: webSocket.TlsProtocol.TLS_V_1_0 }])
          await webSocket.createWebSocket().connect('ws://127.0.0.1:1/', options).catch(() => {});
        Ws.Client.prototype.connect_async = original;
        return seen""")
    assert values == [[30, 30, 0, None, None], [30, 30, 0, None, None], [10, 10, 0, None, None], [0, 5, 1, None, None],
                      [30, 30, 0, "1.3", "c"], [30, 30, 0, "1.2", None]]


def test_a_client_certificate_with_a_password_is_shown(client, authority):
    identity, own = authority.issue(), authority.issue(name="remote control", client=True, password="secret")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    options = {"proxy": "no-proxy", "caPath": str(authority.certificate), "minSupportTlsProtocol": "TLSv1.3",
               "clientCert": {"certPath": str(own.certificate), "keyPath": str(own.key), "keyPassword": "secret"}}
    with Listener(context) as listener:
        connecting = client.begin(f"return await ws.connect('wss://localhost:{listener.port}/', {json.dumps(options)})")
        visit = listener.accept()
        visit.accept()
        assert client.answer(connecting) is True
        assert "remote control" in str(visit.socket.getpeercert()["subject"])
        assert visit.socket.version() == "TLSv1.3"


@pytest.mark.parametrize("change", [{"caPath": "/nowhere/ca.pem"}, {"clientCert": {"certPath": "/nowhere/cert.pem", "keyPath": "/nowhere/key.pem"}}])
def test_a_certificate_that_is_not_there_has_its_number(client, listener, change):
    options = json.dumps({"proxy": "no-proxy", **change})
    assert client.error(f"ws.connect('wss://localhost:{listener.port}/', {options})").code == 2302002


# --- Life ---

def test_a_client_that_nobody_holds_goes_on_while_it_is_open(client, listener):
    client.run(f"""
        (() => {{
          const lonely = webSocket.createWebSocket();
          lonely.on('message', (_, text) => say('heard', text));
          lonely.connect('ws://127.0.0.1:{listener.port}/', {DIRECT});
        }})()""")
    visit = listener.accept()
    visit.accept()
    client.run("for (let i = 0; i < 5; i++) { System.gc(); await later(1); }")
    visit.send_frame(TEXT, b"still there?")
    assert client.event("heard") == ["still there?"]


def test_a_connect_can_be_given_up(client, listener):
    connecting = client.begin(f"return await ws.connect('ws://127.0.0.1:{listener.port}/', {DIRECT}).catch(error => error.code)")
    listener.accept()
    assert client.value("ws.close()") is True
    assert client.answer(connecting) == 2302999
