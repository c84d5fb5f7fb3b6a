# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the conformance tests. The server under test is the whole product over TCP: wsserverd and a worker out of
WSSERVERD_RELEASE (WSSERVERD_BUILD where there is none) on a private bus, and the example echo-server as app. The client under
test is the engine in its client's role, with sanitizers: engine-client out of WSSERVERD_BUILD."""

import os
import pathlib
import sys
import tempfile

import pytest

HERE = pathlib.Path(__file__).resolve().parent
for folder in (HERE.parents[1] / "tools", HERE.parent / "integration", HERE):
    sys.path.insert(0, str(folder))

from blackbox.app import App, Echo  # noqa: E402
from blackbox.authority import Authority, Identity  # noqa: E402
from blackbox.bus import PrivateBus  # noqa: E402
from blackbox.service import DEFAULT_CONFIGURATION, Service, end_services  # noqa: E402
from session.app import App as ExampleApp  # noqa: E402
from wires import ClientUnderTest, EngineClient, ServerUnderTest  # noqa: E402

ECHO_OPTIONS = ("--port", "0", "--ip", "127.0.0.1", "--max-clients", "100", "--max-connections", "1000",
                "--option", "maxMessageSize=uint64 16777216", "--option", "pingInterval=uint32 0")


def _build(*variables: str) -> pathlib.Path:
    for variable in variables:
        if os.environ.get(variable):
            return pathlib.Path(os.environ[variable])
    pytest.fail(f"set {' or '.join(variables)} to the build folder with the programs to test", pytrace=False)


@pytest.fixture(scope="session")
def sanitized_build() -> pathlib.Path:
    return _build("WSSERVERD_BUILD")


@pytest.fixture(scope="session")
def fast_build() -> pathlib.Path:
    return _build("WSSERVERD_RELEASE", "WSSERVERD_BUILD")


class _Services:
    """Daemons on private buses, each with its folder."""

    def __init__(self):
        self.running: list = []

    def start(self, build: pathlib.Path, configuration: dict | None = None) -> Service:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="wsserverd-conformance-"))
        folder.chmod(0o755)
        service = Service(PrivateBus(folder).start(), str(build), {**DEFAULT_CONFIGURATION, **(configuration or {})})
        self.running.append(service)
        return service.start()

    def stop(self) -> None:
        end_services(self.running)


@pytest.fixture(scope="session")
def _services():
    services = _Services()
    yield services
    services.stop()


@pytest.fixture(scope="session")
def new_echo(_services, fast_build):
    """Apps that echo, all on one bus: new_echo() is the port of one more."""
    service = _services.start(fast_build)
    echoes = []

    def make() -> int:
        echo = ExampleApp(fast_build, "echo-server", service.bus.address, ECHO_OPTIONS)
        echoes.append(echo)
        return int(echo.url.rstrip("/").rpartition(":")[2])

    yield make
    assert [echo.stop() for echo in echoes] == [0] * len(echoes)


@pytest.fixture(scope="session")
def echo_port(new_echo) -> int:
    """Where the echoing app's server listens."""
    return new_echo()


@pytest.fixture(scope="session")
def sanitized_echo_port(_usual_service, sanitized_build) -> int:
    """The same with sanitizers."""
    echo = ExampleApp(sanitized_build, "echo-server", _usual_service.bus.address, ECHO_OPTIONS)
    yield int(echo.url.rstrip("/").rpartition(":")[2])
    assert echo.stop() == 0


@pytest.fixture(scope="session")
def new_engine(sanitized_build):
    engines = []

    def make() -> EngineClient:
        engines.append(EngineClient(sanitized_build))
        return engines[-1]

    yield make
    assert [engine.stop() for engine in engines] == [0] * len(engines)


@pytest.fixture(scope="session")
def engine(new_engine) -> EngineClient:
    return new_engine()


@pytest.fixture(scope="session")
def library(sanitized_build):
    """WsClient of libwsserver, over TCP."""
    client = EngineClient(sanitized_build, "library-client")
    yield client
    assert client.stop() == 0


@pytest.fixture(scope="session")
def _usual_service(_services, sanitized_build) -> Service:
    return _services.start(sanitized_build)


@pytest.fixture
def new_server(_services, _usual_service, sanitized_build):
    """Servers of apps that record their events: new_server(option of Start=..., configuration={...}, identity=for wss)."""
    apps = []

    def make(configuration: dict | None = None, identity: Identity | None = None, client_ca: pathlib.Path | None = None, **options):
        service = _services.start(sanitized_build, configuration) if configuration else _usual_service
        app = App(service.bus.address)
        apps.append(app)
        if not identity:
            return app.running_server(**options)
        server = app.create_server()
        identity.start(server, client_ca, **options)
        return server

    yield make
    for app in apps:
        for server in app.servers.values():
            for peer in server.joined:
                peer.close()
        app.close()
    _usual_service.check_health()


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=["server", "client"])
def open_wire(request, new_server):
    """open_wire(max_message=...): a connection with either role under test, with sanitizers, that echoes every message."""

    wires = []

    def make(*args, **options):
        wires.append(open_one(*args, **options))
        return wires[-1]

    def open_one(max_message: int | None = None, options=(), **changes):
        if request.param == "client":
            limit = [] if max_message is None else [f"max={max_message}"]
            return ClientUnderTest(request.getfixturevalue("engine"), *limit, *options, **changes)
        if max_message is None:
            return ServerUnderTest(request.getfixturevalue("sanitized_echo_port"), **changes)
        server = new_server(maxMessageSize=max_message)
        Echo(server)
        return ServerUnderTest(server.port, **changes)

    yield make
    for wire in wires:
        wire.abandon()
