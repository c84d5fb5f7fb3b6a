# SPDX-License-Identifier: Apache-2.0
"""WsClient over TLS: to servers of others, directly and behind nginx, which checks certificates of clients."""

import contextlib
import pathlib
import shutil
import socket
import ssl
import subprocess
import time

import pytest
from client_world import STEP, echo, failure, needs_introspection, of, serving, visit

pytestmark = needs_introspection


class Authority:
    """A CA, and what it signs."""

    def __init__(self, folder: pathlib.Path, name: str = "CA"):
        self.folder = folder
        self.openssl("req", "-x509", *self.key, "-days", "30", "-subj", f"/CN={name}", "-keyout", "ca.key", "-out", "ca.pem")

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")

    def openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True, timeout=STEP)

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def sign(self, name: str, names: str, days: int = 30, password: str = "") -> None:
        """NAME.pem and NAME.key, for the subject alternative names `names`; `days` 0: it has expired."""
        self.openssl("req", *self.key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (self.folder / "names").write_text(f"subjectAltName={names}\n")
        life = ["-days", str(days)] if days else ["-days", "-1"]
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", *life, "-extfile", "names", "-out", f"{name}.pem")
        if password:
            self.openssl("pkcs8", "-topk8", "-in", f"{name}.key", "-out", f"{name}.enc.key", "-passout", f"pass:{password}")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    made = Authority(tmp_path_factory.mktemp("authority"))
    made.sign("server", "DNS:localhost,IP:::1")
    made.sign("expired", "DNS:localhost", days=0)
    made.sign("client", "DNS:viewer", password="geheim")
    return made


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """Another CA, whom nobody trusts."""
    made = Authority(tmp_path_factory.mktemp("stranger"), "Stranger")
    made.sign("client", "DNS:viewer")
    return made


@pytest.fixture
def secure_port(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.path("server.pem"), authority.path("server.key"))
    with serving(echo, ssl=context) as port:
        yield port


def test_a_server_with_a_certificate_of_a_trusted_ca_is_talked_to(authority, secure_port):
    events = visit(f"wss://localhost:{secure_port}/", config={"ca-path": authority.path("ca.pem")},
                   send=["secret", "x" * 200000], close=[1000, "done"])
    assert [message for [message] in of(events, "message")] == ["secret", "x" * 200000]
    assert events[-1] == ["close", 1000, "done", True]


def test_a_server_that_nobody_trusts_is_refused(secure_port):
    assert "certificate is not accepted" in failure(visit(f"wss://localhost:{secure_port}/"))


def test_a_server_of_another_name_is_refused(authority, secure_port):
    message = failure(visit(f"wss://127.0.0.1:{secure_port}/", config={"ca-path": authority.path("ca.pem")}))
    assert "certificate is not accepted" in message


def test_verification_can_be_skipped_for_tests(secure_port):
    events = visit(f"wss://127.0.0.1:{secure_port}/", config={"skip-server-cert-verification": True}, send=["x"], close=[1000, ""])
    assert events[-1][1] == 1000


def test_a_file_that_is_no_ca_is_named(tmp_path, secure_port):
    message = failure(visit(f"wss://localhost:{secure_port}/", config={"ca-path": str(tmp_path / "none.pem")}))
    assert "ca-path" in message and "none.pem" in message


def answer_of(context: ssl.SSLContext, host: str = "localhost", **config) -> list:
    with serving(echo, ssl=context) as port:
        return visit(f"wss://{host}:{port}/", config=config, send=["x"], close=[1000, ""])


def new_context(authority, name: str = "server") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.path(f"{name}.pem"), authority.path(f"{name}.key"))
    return context


def test_an_expired_certificate_is_refused_and_said_to_be(authority):
    message = failure(answer_of(new_context(authority, "expired"), **{"ca-path": authority.path("ca.pem")}))
    assert "certificate is not accepted" in message and "expired" in message


def test_another_ca_than_the_trusted_one_is_refused(authority, stranger):
    assert "certificate is not accepted" in failure(answer_of(new_context(authority), **{"ca-path": stranger.path("ca.pem")}))


def test_a_ca_path_may_be_a_folder(authority, tmp_path):
    shutil.copy(authority.path("ca.pem"), tmp_path / "ca.pem")
    subprocess.run(["openssl", "rehash", tmp_path], check=True, timeout=STEP)
    assert answer_of(new_context(authority), **{"ca-path": str(tmp_path)})[-1][:2] == ["close", 1000]


@pytest.mark.parametrize("content", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_without_a_ca_is_refused(tmp_path, authority, content):
    (tmp_path / "ca.pem").write_text(content)
    message = failure(answer_of(new_context(authority), **{"ca-path": str(tmp_path / "ca.pem")}))
    assert "ca-path" in message or "certificate" in message


def test_tls_1_2_does_not_do_where_1_3_is_asked_for(authority):
    context = new_context(authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    trusted = {"ca-path": authority.path("ca.pem")}
    assert answer_of(context, **trusted)[-1][:2] == ["close", 1000]
    assert "TLS" in failure(answer_of(context, **trusted, **{"tls-min-version": "1.3"}))
    assert failure(answer_of(context, **trusted, **{"tls-min-version": "1.1"})).startswith("tls-min-version: ")


# --- nginx in front ---

NGINX = """daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 100; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    server_name localhost;
    ssl_certificate {server}.pem;
    ssl_certificate_key {server}.key;
    ssl_client_certificate {ca};
    ssl_verify_client {verify};
    location / {{
      proxy_pass http://127.0.0.1:{behind};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_set_header X-Subject $ssl_client_s_dn;
    }}
  }}
}}
"""


@pytest.fixture
def start_front(tmp_path, authority):
    """start_front(port behind, whether it asks clients for certificates) returns nginx's port."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if not nginx:
        pytest.skip("nginx is not installed (tools/setup --test)")
    with contextlib.ExitStack() as ending:
        def start(behind: int, verify: bool = False) -> int:
            with socket.create_server(("127.0.0.1", 0)) as taken:
                port = taken.getsockname()[1]
            settings = tmp_path / "nginx.conf"
            settings.write_text(NGINX.format(folder=tmp_path, port=port, behind=behind, server=authority.path("server"),
                                             ca=authority.path("ca.pem"), verify="on" if verify else "off"))
            process = subprocess.Popen([nginx, "-p", tmp_path, "-c", settings], stderr=subprocess.DEVNULL)
            ending.callback(process.wait, STEP)
            ending.callback(process.terminate)
            for _ in range(STEP * 50):
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    return port
                assert process.poll() is None, (tmp_path / "error.log").read_text()
                time.sleep(0.02)
            raise AssertionError("nginx does not listen")

        yield start


def test_messages_go_through_nginx(start_front, authority):
    with serving(echo) as behind:
        port = start_front(behind)
        events = visit(f"wss://localhost:{port}/", config={"ca-path": authority.path("ca.pem")}, send=["x" * 100_000, {"binary": "00ff" * 1000}],
                       close=[4000, "done"])
    assert [message for [message] in of(events, "message")] == ["x" * 100_000, {"binary": "00ff" * 1000}]
    assert events[-1] == ["close", 4000, "done", True]


def client_certificate(authority, password: str | None = "geheim", **more) -> dict:
    return {"ca-path": authority.path("ca.pem"), "certificate": authority.path("client.pem"), "private-key": authority.path("client.enc.key"),
            **({"private-key-password": password} if password else {}), **more}


def test_a_client_shows_its_certificate(start_front, authority):
    subjects = []

    async def note(peer, _path=None):
        subjects.append(peer.request_headers["X-Subject"])
        await peer.close(1000, "seen")

    with serving(note) as behind:
        port = start_front(behind, verify=True)
        assert visit(f"wss://localhost:{port}/", config=client_certificate(authority))[-1] == ["close", 1000, "seen", True]
    assert subjects == ["CN=client"]


def test_a_client_without_a_certificate_is_refused_by_the_server(start_front, authority):
    with serving(echo) as behind:
        port = start_front(behind, verify=True)
        assert "400" in failure(visit(f"wss://localhost:{port}/", config={"ca-path": authority.path("ca.pem")}))


def test_a_certificate_of_another_ca_is_refused_by_the_server(start_front, authority, stranger):
    config = {"ca-path": authority.path("ca.pem"), "certificate": stranger.path("client.pem"), "private-key": stranger.path("client.key")}
    with serving(echo) as behind:
        port = start_front(behind, verify=True)
        assert "400" in failure(visit(f"wss://localhost:{port}/", config=config))


@pytest.mark.parametrize("change, named", [
    ({"private-key-password": "guess"}, "private-key"),
    ({"private-key-password": None}, "private-key"),
    ({"private-key": "/nowhere/client.key"}, "/nowhere/client.key"),
    ({"certificate": "/nowhere/client.pem"}, "/nowhere/client.pem"),
    ({"private-key": "server.key"}, "private-key"),
], ids=["wrong password", "no password", "no key", "no certificate", "another key"])
def test_what_is_wrong_with_a_clients_certificate_is_said_before_anybody_is_asked(authority, change, named):
    config = client_certificate(authority) | change
    config = {key: authority.path(value) if value == "server.key" else value for key, value in config.items() if value is not None}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        message = failure(visit(f"wss://localhost:{listener.getsockname()[1]}/", config=config))
    assert named in message and "guess" not in message, message
