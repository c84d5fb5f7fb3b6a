# SPDX-License-Identifier: Apache-2.0
"""WsClient through proxies of others (tinyproxy: HTTP CONNECT, microsocks: SOCKS5), and past proxies that misbehave."""

import contextlib
import pathlib
import shutil
import socket
import subprocess
import threading
import time

import pytest
from client_world import STEP, echo, failure, listening, needs_introspection, of, serving, visit

pytestmark = needs_introspection
USER = "viewer"
PASSWORDS = {"http": "p4ss-word.", "socks5": "p4ss word:/@"}  # tinyproxy's configuration has no words for more
CREDENTIALS = {"http": "viewer:p4ss-word.@", "socks5": "viewer:p4ss%20word%3A%2F%40@"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def wait_for(port: int, process: subprocess.Popen) -> None:
    for _ in range(STEP * 50):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        assert process.poll() is None, "the proxy has ended"
        time.sleep(0.02)
    raise AssertionError("the proxy does not listen")


class Proxy:
    """A proxy that runs; `said()` is its log."""

    def __init__(self, command: list, port: int, log: pathlib.Path):
        self.port, self.log = port, log
        with log.open("w") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL)
        wait_for(port, self.process)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(STEP)


def need(program: str) -> str:
    found = shutil.which(program, path="/usr/bin:/usr/sbin")
    if not found:
        pytest.skip(f"{program} is not installed (tools/setup --test)")
    return found


@pytest.fixture
def start_proxy(tmp_path):
    """start_proxy("http" or "socks5", with a password or not)."""
    proxies = []

    def start(kind: str, password: bool = False, refused: str = "") -> Proxy:
        port = free_port()
        if kind == "http":
            settings = tmp_path / "tinyproxy.conf"
            settings.write_text(f"Port {port}\nListen 127.0.0.1\nTimeout 60\nLogLevel Connect\n"
                                + (f"BasicAuth {USER} {PASSWORDS[kind]}\n" if password else "")
                                + (f'Filter "{tmp_path / "filter"}"\n' if refused else ""))
            (tmp_path / "filter").write_text(refused + "\n")
            command = [need("tinyproxy"), "-d", "-c", str(settings)]
        else:
            command = [need("microsocks"), "-i", "127.0.0.1", "-p", str(port), *(["-u", USER, "-P", PASSWORDS[kind]] if password else [])]
        proxies.append(Proxy(command, port, tmp_path / f"{kind}.log"))
        return proxies[-1]

    yield start
    for proxy in proxies:
        proxy.end()


def by(uri: str, **more) -> dict:
    return {"proxy-mode": "custom", "proxy-uri": uri, **more}


def assert_talks(events: list) -> None:
    assert [message for [message] in of(events, "message")] == ["through", "x" * 100_000]
    assert events[-1] == ["close", 1000, "done", True]


def talk(port: int, host: str = "127.0.0.1", **options) -> list:
    return visit(f"ws://{host}:{port}/", send=["through", "x" * 100_000], close=[1000, "done"], **options)


@pytest.mark.parametrize("kind", ["http", "socks5"])
@pytest.mark.parametrize("password", [False, True], ids=["open", "password"])
def test_messages_go_through_a_proxy(start_proxy, kind, password):
    proxy = start_proxy(kind, password)
    with serving(echo) as port:
        assert_talks(talk(port, config=by(f"{kind}://{CREDENTIALS[kind] if password else ''}127.0.0.1:{proxy.port}")))
        assert str(port) in proxy.said(), "it went past the proxy"


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_a_name_is_the_proxys_to_look_up(start_proxy, kind):
    proxy = start_proxy(kind)
    with serving(echo) as port:
        assert_talks(talk(port, host="localhost", config=by(f"{kind}://127.0.0.1:{proxy.port}")))
        assert "localhost" in proxy.said()


NOT_ALLOWED = b"\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00"  # RFC 1928 section 6


def assert_not_allowed(events: list) -> None:
    """DomainNotAllowed: an error of the library, where other faults of a proxy are GIO's."""
    [[domain, _code, message]] = of(events, "failed")
    assert domain == "ws-error-quark" and "the proxy's policy refuses this host" in message


def test_a_host_that_the_proxys_policy_refuses_is_an_error_of_its_own(start_proxy):
    proxy = start_proxy("http", refused="forbidden.example")
    with serving(echo) as port:
        assert_talks(talk(port, config=by(f"http://127.0.0.1:{proxy.port}")))
    events = visit("ws://forbidden.example:80/", config=by(f"http://127.0.0.1:{proxy.port}"))
    assert_not_allowed(events)


def test_so_is_one_that_a_socks_proxy_refuses():
    def refuse(peer):
        peer.recv(65536)
        peer.sendall(b"\x05\x00")
        peer.recv(65536)
        peer.sendall(NOT_ALLOWED)
        peer.close()

    with listening(refuse) as port:
        assert_not_allowed(visit("ws://127.0.0.1:9/", config=by(f"socks5://127.0.0.1:{port}")))


@pytest.mark.parametrize("kind", ["http", "socks5"])
@pytest.mark.parametrize("credentials", ["", "viewer:guess@", "nobody:guess@"], ids=["none", "wrong password", "wrong user"])
def test_a_proxy_that_does_not_let_us_in_is_told_about(start_proxy, kind, credentials):
    proxy = start_proxy(kind, password=True)
    with serving(echo) as port:
        message = failure(visit(f"ws://127.0.0.1:{port}/", config=by(f"{kind}://{credentials}127.0.0.1:{proxy.port}")))
    assert "proxy" in message or "SOCKS" in message
    assert "uthenticat" in message or "401" in message, message  # where 407 would be right, tinyproxy says 401
    assert "guess" not in message, "a password in a message"


@pytest.mark.parametrize("excluded", [["127.0.0.0/8"], ["other.example", "127.0.0.1"], ["localhost", "127.0.0.1:*", "127.0.0.1"]])
def test_excluded_hosts_are_connected_to_directly(start_proxy, excluded):
    proxy = start_proxy("http")
    with serving(echo) as port:
        assert_talks(talk(port, config=by(f"http://127.0.0.1:{proxy.port}", **{"proxy-exclusions": excluded})))
        assert str(port) not in proxy.said()


def test_other_hosts_than_the_excluded_ones_go_through_it(start_proxy):
    proxy = start_proxy("http")
    with serving(echo) as port:
        assert_talks(talk(port, config=by(f"http://127.0.0.1:{proxy.port}", **{"proxy-exclusions": ["10.0.0.0/8", "tv.example"]})))
        assert str(port) in proxy.said()


# --- What the system is set to ---

def system(proxy: Proxy, **more) -> dict:
    """Debian's GIO asks libproxy, and that looks at the environment where there is no desktop."""
    return {"GIO_USE_PROXY_RESOLVER": "libproxy", "http_proxy": f"http://127.0.0.1:{proxy.port}/", "no_proxy": "", **more}


def test_the_systems_proxy_is_used(start_proxy):
    proxy = start_proxy("http")
    with serving(echo) as port:
        assert_talks(talk(port, environment=system(proxy), config={"proxy-mode": "system"}))
        assert str(port) in proxy.said()


def test_the_systems_exceptions_count(start_proxy):
    proxy = start_proxy("http")
    with serving(echo) as port:
        assert_talks(talk(port, environment=system(proxy, no_proxy="127.0.0.1"), config={"proxy-mode": "system"}))
        assert str(port) not in proxy.said()


def test_with_none_the_systems_proxy_is_not_used(start_proxy):
    proxy = start_proxy("http")
    with serving(echo) as port:
        assert_talks(talk(port, environment=system(proxy), config={"proxy-mode": "none"}))
        assert str(port) not in proxy.said()


# --- Proxies that are none ---

@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_a_proxy_that_is_not_there(kind):
    message = failure(visit("ws://127.0.0.1:9/", config=by(f"{kind}://127.0.0.1:{free_port()}")))
    assert "proxy" in message and "refused" in message


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_a_proxy_that_says_nothing_is_given_up_in_time(kind):
    with listening(lambda peer: time.sleep(STEP)) as port:
        began = time.monotonic()
        message = failure(visit("ws://127.0.0.1:9/", config=by(f"{kind}://127.0.0.1:{port}", **{"connect-timeout": 1})))
        assert "did not answer within 1 seconds" in message and time.monotonic() - began < 20


def flood(peer) -> None:
    """A header without an end."""
    peer.recv(65536)
    with contextlib.suppress(OSError):
        peer.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            peer.sendall(b"X-More: and more\r\n" * 1000)


@pytest.mark.parametrize("kind", ["http", "socks5"])
@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 200\r\n\r\n", b"\x05\xff", b"\x05\x00\x05\x05\x00\x01",
                                    b"\x00" * 1000, flood], ids=["nothing", "ssh", "terse", "no method", "refused", "zeros", "endless"])
def test_a_proxy_that_answers_rubbish_ends_in_an_error_in_time(kind, answer):
    def talk_rubbish(peer):
        peer.recv(65536)
        peer.sendall(answer)
        peer.close()

    with listening(answer if callable(answer) else talk_rubbish) as port:
        began = time.monotonic()
        failure(visit("ws://127.0.0.1:9/", config=by(f"{kind}://127.0.0.1:{port}", **{"connect-timeout": 3})))
        assert time.monotonic() - began < 20


@pytest.mark.parametrize("uri", [None, "", "proxy.example", "ftp://proxy.example:1", "://", "direct://"])
def test_what_is_no_proxy_is_refused_at_once(uri):
    config = {"proxy-mode": "custom"} | ({"proxy-uri": uri} if uri is not None else {})
    assert failure(visit("ws://127.0.0.1:9/", config=config)).startswith("proxy-uri: ")


def test_connecting_through_a_proxy_can_be_cancelled():
    ready = threading.Event()

    def hang(peer):
        ready.set()
        time.sleep(STEP)

    with listening(hang) as port:
        events = visit("ws://127.0.0.1:9/", config=by(f"http://127.0.0.1:{port}"), cancel=300)
    assert ready.is_set() and of(events, "failed")[0][:2] == ["g-io-error-quark", 19]
