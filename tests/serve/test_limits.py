"""What the service does not take in: files that are not images, and too much of anything."""

from __future__ import annotations

import base64
import contextlib
import socket
import struct
import time
import zlib
from collections.abc import Iterator

import httpx
import pytest

from tests.support.serve_process import (
    LIMITS,
    ServerProcess,
    add_key,
    error_line,
    nothing_stored,
    picture,
    running_server,
)


def post(server: ServerProcess, *files: bytes, application: str = "default") -> httpx.Response:
    return server.client.post(
        "/v2/inputs",
        params={"application": application},
        files=[("image", ("a.png", data)) for data in files],
    )


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server for other machines, which waits 2 seconds for a body."""
    root = tmp_path_factory.mktemp("open") / "root"
    key = add_key(root)
    with running_server(root, "--host", "0.0.0.0", "--max-seconds", "2", key=key) as server:
        yield server


def test_another_host_is_served_with_keys(open_server: ServerProcess) -> None:
    response = open_server.client.get("/v2/models", headers={"Host": "tbgrid.example"})
    assert response.status_code == 200
    error_line(httpx.get(f"{open_server.address}/v2/models"), 401)


def test_a_body_that_trickles_in_is_refused(open_server: ServerProcess) -> None:
    head = (
        f"POST /v2/inputs HTTP/1.1\r\nHost: 127.0.0.1:{open_server.port}\r\n"
        f"Authorization: Key {open_server.key}\r\n"
        "Content-Type: application/json\r\nContent-Length: 5000\r\n\r\n"
    )
    began, response = time.monotonic(), b""
    with (
        nothing_stored(open_server),
        socket.create_connection(("127.0.0.1", open_server.port), timeout=60) as client,
        contextlib.suppress(ConnectionError),  # it may be closed while something is sent
    ):
        client.sendall(head.encode())
        client.settimeout(0.2)
        while True:
            assert time.monotonic() - began < 60, response
            with contextlib.suppress(TimeoutError):
                client.sendall(b" ")
                received = client.recv(10_000)
                if not received:
                    break
                response += received
    assert time.monotonic() - began >= 2
    assert response.startswith(b"HTTP/1.1 408")
    assert b"within 2 seconds" in response


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is large."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    body = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n"


@pytest.mark.parametrize(
    ("data", "status", "line"),
    [
        (b"", 415, "not a supported image"),
        (b"hello", 415, "not a supported image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "not a supported image"),
        (b"<html><script>1</script></html>", 415, "not a supported image"),
        (POSTSCRIPT, 415, "not a supported image"),
        (picture(1)[:300], 422, "damaged"),
        (picture(1, side=101), 422, "101 x 101 pixels, and the limit is 10000 pixels"),
        (bomb(30_000, 30_000), 422, "pixels"),
        (bomb(2**31 - 1, 2**31 - 1), 422, "pixels"),
    ],
    ids=["empty", "text", "svg", "html", "eps", "half", "large", "bomb", "huge bomb"],
)
def test_what_is_no_picture_is_refused(
    strict_server: ServerProcess, data: bytes, status: int, line: str
) -> None:
    with nothing_stored(strict_server):
        assert line in error_line(post(strict_server, data), status)
        # Nor are the good ones that came with it.
        error_line(post(strict_server, picture(1), data, picture(2)), status)


def test_large_uploads_are_refused(strict_server: ServerProcess) -> None:
    noise = b"x" * (LIMITS["upload"] + 1)
    with nothing_stored(strict_server):
        for _ in range(3):
            assert "request body exceeds the limit of 100 kB" in error_line(
                post(strict_server, noise), 413
            )
        chunks = (noise[start : start + 1000] for start in range(0, len(noise), 1000))
        headers = {"Content-Type": "application/json"}
        error_line(strict_server.client.post("/v2/inputs", content=chunks, headers=headers), 413)


def test_a_broken_upload_leaves_nothing(strict_server: ServerProcess) -> None:
    with nothing_stored(strict_server):
        with socket.create_connection(("127.0.0.1", strict_server.port)) as client:
            head = (
                f"POST /v2/inputs HTTP/1.1\r\nHost: 127.0.0.1:{strict_server.port}\r\n"
                f"Authorization: Key {strict_server.key}\r\n"
                "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 5000\r\n\r\n"
            )
            part = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
            client.sendall(head.encode() + part + picture(1)[:1000])
        assert strict_server.client.get("/v2/models").status_code == 200
        for body, status in (
            (b"--x\r\nnonsense", 400),
            (b"--x--\r\n", 422),
            (b"", 422),
        ):
            response = strict_server.client.post(
                "/v2/inputs",
                content=body,
                headers={"Content-Type": "multipart/form-data; boundary=x"},
            )
            assert response.status_code in (status, 400, 422), response.text


def test_names_of_files_are_no_paths(strict_server: ServerProcess) -> None:
    application = strict_server.add_application("names")
    for number, name in enumerate(["../../../etc/passwd", "C:\\Windows\\x.png", "a\r\nb.png"]):
        response = strict_server.client.post(
            "/v2/inputs",
            params={"application": application},
            files={"image": (name, picture(500 + number, side=10))},
        )
        assert response.status_code == 201, response.text
        assert "/" not in response.json()["inputs"][0]["name"]
        assert "\\" not in response.json()["inputs"][0]["name"]
    names = {path.name for path in (strict_server.root / "service" / "inputs").iterdir()}
    assert all(len(name) == 64 for name in names)
    assert strict_server.client.delete(f"/v2/applications/{application}").status_code == 204


def test_an_application_has_so_many_inputs(strict_server: ServerProcess) -> None:
    application = strict_server.add_application("many")
    pictures = [picture(600 + number, side=10) for number in range(8)]
    assert post(strict_server, *pictures[:5], application=application).status_code == 201
    with nothing_stored(strict_server):
        line = error_line(post(strict_server, *pictures[5:], application=application), 422)
        assert "has 5 inputs, and the limit is 6" in line
    assert post(strict_server, pictures[5], application=application).status_code == 201
    assert (
        post(strict_server, *pictures[:6], application=application).status_code == 201
    )  # no new one
    with nothing_stored(strict_server):
        error_line(post(strict_server, pictures[6], application=application), 422)


def test_the_queue_and_the_disk_have_limits(strict_server: ServerProcess) -> None:
    server, client = strict_server, strict_server.client
    where = {"application": server.add_application("queue")}
    pictures = [picture(700 + number, side=10) for number in range(6)]
    assert post(server, *pictures, application="queue").status_code == 201
    # The first is refined, which takes seconds, and the others wait for it.
    responses = [
        client.post(
            "/v2/visualizations",
            params=where,
            json={"model": "pixels", "preview": 0, "refine": number == 0},
        )
        for number in range(4)
    ]
    assert [response.status_code for response in responses] == [202, 202, 429, 429]
    assert "are pending or running: try again later" in error_line(responses[2], 429)
    assert responses[2].headers["retry-after"]
    ids = [response.json()["output"]["id"] for response in responses[:2]]
    for id in ids:
        server.ended(id)
    # The first run has filled the disk that may be used.
    with nothing_stored(server):
        line = error_line(post(server, picture(800, side=10)), 409)
        assert "exceed the limit of 300 kB" in line
        line = error_line(client.post("/v2/visualizations", params=where), 409)
        assert "exceed the limit of 300 kB" in line
        # What is stored already takes no room.
        assert post(server, pictures[0], application="queue").status_code == 201
    for id in ids:
        assert client.delete(f"/v2/visualizations/{id}").status_code == 204
    assert post(server, picture(800, side=10)).status_code == 201


def test_base64_that_is_none(server: ServerProcess) -> None:
    for text in ("?", "abc", base64.b64encode(b"no picture").decode()):
        body = {"inputs": [{"data": {"image": {"base64": text}}}]}
        assert server.client.post("/v2/inputs", json=body).status_code in (415, 422)
