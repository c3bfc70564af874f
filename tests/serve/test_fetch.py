"""Images by URL: which addresses and hosts are fetched from, and how much."""

from __future__ import annotations

import http.server
import io
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tbgrid.serve import fetch, uploads
from tbgrid.serve.errors import RequestError
from tbgrid.serve.fetch import fetch_image, is_public
from tbgrid.serve.limits import Limits
from tbgrid.serve.paths import ServicePaths
from tests.support.serve_process import ServerProcess, error_line, nothing_stored, picture


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:7f00:1::", False),
        ("::127.0.0.1", False),
        ("64:ff9b:1::a00:1", False),
        ("fec0::1", False),
    ],
)
def test_private_addresses(address: str, expected: bool) -> None:
    assert is_public(address) is expected


@pytest.fixture
def elsewhere() -> Iterator[int]:
    """The port of a server with a picture, a redirect to it, and too much."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = picture(1) if self.path == "/a.png" else b"x" * 50_000
            self.send_response({"/there": 302}.get(self.path, 200))
            self.send_header("Location", "/a.png")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found.server_port
        found.shutdown()
        thread.join()


def test_fetching(elsewhere: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a server that is taken for a public one, at the address that was looked at."""
    looked: list[str] = []
    hosts, site = {"photos.example"}, "http://photos.example"

    def resolve(host: str, port: int, *_: object, **__: object) -> list[Any]:
        looked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    def refused(url: str, hosts: set[str] = hosts) -> str:
        with pytest.raises(RequestError) as raised:
            list(fetch_image(url, hosts, 40_000))
        return raised.value.detail

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert "its address is not public" in refused(f"{site}/a.png")
    monkeypatch.setattr(fetch, "is_public", lambda _: True)
    connect = socket.create_connection
    monkeypatch.setattr(
        socket,
        "create_connection",
        lambda address, timeout, *_, **__: connect((address[0], elsewhere), timeout),
    )
    looked.clear()
    found = b"".join(fetch_image(f"{site}/a.png", hosts, 40_000))
    assert Image.open(io.BytesIO(found)).size == (40, 40)
    assert looked.count("photos.example") == 1
    assert "answered 302" in refused(f"{site}/there")
    assert "exceeds the limit of 40 kB" in refused(f"{site}/much")
    assert "does not fetch URLs" in refused(f"{site}/a.png", set())
    for url in (
        "http://other.example/a.png",
        f"{site}:22/a.png",
        f"{site}@other.example/",
        "http://photos.example.evil/",
    ):
        assert "only from photos.example" in refused(url) or "plain http" in refused(url)
    for url in ("file:///etc/passwd", "ftp://photos.example/", "http://u:p@photos.example/"):
        assert "expected a plain http or https URL" in refused(url)
    assert refused("http://[x/")
    assert refused(f"{site}/a b\r\nX: y")


def test_pictures_of_a_request_are_fetched_within_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[int] = []

    def fetch_one(url: str, _: object, most: int) -> list[bytes]:
        left.append(most)
        return [picture(int(url))]

    monkeypatch.setattr(uploads, "fetch_image", fetch_one)
    paths = ServicePaths(tmp_path)
    paths.incoming.mkdir(parents=True)
    body = {"inputs": [{"data": {"image": {"url": str(number)}}} for number in range(3)]}
    with uploads.photos_from_json(json.dumps(body).encode(), paths, Limits(), frozenset()) as new:
        sizes = [one.file.size for one in new]
    most = Limits().upload
    assert left == [most, most - sizes[0], most - sizes[0] - sizes[1]]


def test_urls_are_refused_unless_allowed(
    server: ServerProcess, strict_server: ServerProcess
) -> None:
    def add(server: ServerProcess, url: str) -> httpx.Response:
        return server.client.post(
            "/v2/inputs", json={"inputs": [{"data": {"image": {"url": url}}}]}
        )

    assert "send the image itself" in error_line(add(server, "http://localhost/"), 422)
    with nothing_stored(strict_server):
        for url, line in (
            ("http://localhost/a.png", "not public"),
            ("http://169.254.169.254/latest", "fetched only from localhost"),
        ):
            assert line in error_line(add(strict_server, url), 422)
