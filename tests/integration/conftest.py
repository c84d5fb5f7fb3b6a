# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the black-box tests. The programs under test come from WSSERVERD_BUILD (with sanitizers), WSSERVERD_RELEASE
(as shipped; figures and volume) and WSSERVERD_CLIENTS (a folder with node_modules/ws)."""

import os
import pathlib
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from blackbox.app import App  # noqa: E402
from blackbox.authority import Authority  # noqa: E402
from blackbox.bus import PrivateBus  # noqa: E402
from blackbox.managed import ManagedService  # noqa: E402
from blackbox.service import DEFAULT_CONFIGURATION, Service, end_services  # noqa: E402
from blackbox.users import ADMINISTRATORS  # noqa: E402

_figures: list = []


def _build(variable: str, needed: bool) -> str:
    build = os.environ.get(variable, "")
    if not build and needed:
        pytest.fail(f"set {variable} to the build folder with the programs to test", pytrace=False)
    if not build:
        pytest.skip(f"{variable} is not set")
    return build


@pytest.fixture(scope="session")
def build() -> str:
    return _build("WSSERVERD_BUILD", needed=True)


@pytest.fixture(scope="session")
def release_build() -> str:
    return _build("WSSERVERD_RELEASE", needed=False)


@pytest.fixture(scope="session")
def clients_folder() -> str:
    return _build("WSSERVERD_CLIENTS", needed=False)


def _new_folder() -> pathlib.Path:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="wsserverd-test-"))
    folder.chmod(0o755)  # apps of other users connect too
    return folder


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


class _Shared:
    """One bus and daemon for all tests that need nothing special; started anew after a test that killed it."""

    def __init__(self, build: str):
        self.build = build
        self.service: Service | None = None

    def get(self) -> Service:
        if self.service is None:
            self.service = Service(PrivateBus(_new_folder()).start(), self.build).start()
        return self.service

    def end(self) -> None:
        service, self.service = self.service, None
        if service:
            try:
                service.stop()
            finally:
                service.bus.stop()
                shutil.rmtree(service.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _shared(build):
    shared = _Shared(build)
    yield shared
    shared.end()


@pytest.fixture
def service(_shared) -> Service:
    """wsserverd with the usual configuration, shared by many tests."""
    service = _shared.get()
    yield service
    try:
        service.check_health()
    except AssertionError:
        _shared.service = None
        if service.process.poll() is None:
            service.process.kill()
        service.process.wait()
        service.bus.stop()
        shutil.rmtree(service.folder, ignore_errors=True)
        raise


@pytest.fixture
def new_service(build):
    """Makes daemons of a test's own: new_service(configuration changes, build=..., worker=..., daemon_may_ping=...)."""
    services = []

    def make(configuration: dict | None = None, build_folder: str = build, worker: str | None = None,
             daemon_may_ping: bool = True, start: bool = True) -> Service:
        bus = PrivateBus(_new_folder(), daemon_may_ping).start()
        service = Service(bus, build_folder, {**DEFAULT_CONFIGURATION, **(configuration or {})}, worker)
        services.append(service)
        return service.start() if start else service

    yield make
    end_services(services)


@pytest.fixture
def new_managed(build):
    """Makes daemons under a service manager that keeps their sockets: new_managed(configuration changes, options of Manager)."""
    services = []

    def make(configuration: dict | None = None, build_folder: str = build, **options) -> ManagedService:
        bus = PrivateBus(_new_folder()).start()
        service = ManagedService(bus, build_folder, {**DEFAULT_CONFIGURATION, **(configuration or {})}, **options)
        services.append(service)
        return service.start()

    yield make
    end_services(services)


@pytest.fixture
def managed(new_managed) -> ManagedService:
    return new_managed()


@pytest.fixture
def administrated(new_service) -> Service:
    """wsserverd that knows an administrator: the user of the tests."""
    return new_service({"administrators": ADMINISTRATORS})


@pytest.fixture
def new_app():
    """Makes apps, each a client of the bus of its own, that leave when the test ends."""
    apps = []

    def make(service: Service, **options) -> App:
        app = App(service.bus.address, **options)
        apps.append(app)
        return app

    yield make
    for app in apps:
        for server in app.servers.values():
            for peer in server.joined:  # one that stays and is silent would cost two seconds when its server stops
                peer.close()
        app.close()


@pytest.fixture
def app(service, new_app) -> App:
    return new_app(service)


@pytest.fixture
def server(app):
    """A running server on loopback with everything else at its default."""
    return app.running_server()


@pytest.fixture
def figure():
    """figure("name", value) prints a measured figure at the end of the run."""
    return lambda name, value: _figures.append((name, value))


def pytest_terminal_summary(terminalreporter):
    if _figures:
        terminalreporter.section("figures")
        for name, value in _figures:
            terminalreporter.write_line(f"{name}: {value}")
