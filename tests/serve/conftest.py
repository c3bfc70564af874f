"""Servers that the tests of the service share: each start, and each first map, takes seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.serve_process import LIMITS, ServerProcess, add_key, running_server


def _alive(server: ServerProcess) -> ServerProcess:
    """The server, started again if the test before has left it dead."""
    if server.process.poll() is not None:
        server.restart()
    return server


@pytest.fixture(scope="session")
def _default_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    root = tmp_path_factory.mktemp("serve") / "root"
    with running_server(root, application="photos") as server:
        server.add_application("photos")
        server.add(30)
        yield server


@pytest.fixture
def server(_default_server: ServerProcess) -> ServerProcess:
    """A server as it is without options, with 30 pictures in the application `photos`, which its
    methods use. The tests of the page own the application `default`."""
    return _alive(_default_server)


@pytest.fixture(scope="session")
def _strict_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("strict")
    root = directory / "x"  # a letter of many words, given as a relative path
    key = add_key(root)
    options = [word for name, most in LIMITS.items() for word in (f"--max-{name}", str(most))]
    options += ["--require-key", "--allow-host", "Localhost", "--allow-model", "models/none"]
    options += ["--allow-model", str(directory / "models" / "own")]
    with running_server(root, *options, key=key, directory=directory) as server:
        yield server


@pytest.fixture
def strict_server(_strict_server: ServerProcess) -> ServerProcess:
    """A server with small limits that requires keys, and a client whose key opens everything.
    One run fills the disk that it may use: tests delete the visualizations they make."""
    return _alive(_strict_server)
