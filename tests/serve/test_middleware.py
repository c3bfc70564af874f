"""Who the service lets in, and how much it takes: strangers, limits, keys, URLs."""

from __future__ import annotations

import base64
import contextlib
import http.server
import io
import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tbgrid.cli.main import main
from tbgrid.serve import fetch, keys, uploads
from tbgrid.serve.errors import RequestError
from tbgrid.serve.fetch import fetch_image, is_public
from tbgrid.serve.limits import Limits, format_bytes
from tbgrid.serve.paths import ServicePaths, redact_paths
from tbgrid.serve.store import open_store
from tests.serve.test_api import new_application, refusal
from tests.support.paths import ROOT
from tests.support.serve_process import Served, picture, served

LIMITS = {
    "upload": 100_000,
    "pixels": 10_000,
    "inputs": 6,
    "queue": 2,
    "disk": 300_000,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with small limits."""
    limits = [word for name, most in LIMITS.items() for word in (f"--max-{name}", str(most))]
    with served(tmp_path_factory.mktemp("guard") / "root", *limits) as server:
        yield server


def stored(server: Served) -> tuple[int, int, int]:
    """How many files lie among the inputs, how many are arriving, and how many rows there are."""
    home = server.root / "service"
    applications = server.client.get("/v2/applications").json()["applications"]
    rows = sum(application["inputs"] for application in applications)
    return len(list((home / "inputs").iterdir())), len(list((home / "incoming").iterdir())), rows


@contextlib.contextmanager
def nothing_stored(server: Served) -> Iterator[None]:
    before = stored(server)
    yield
    assert stored(server) == before
    assert before[1] == 0


def post(server: Served, *files: bytes, application: str = "default") -> httpx.Response:
    return server.client.post(
        "/v2/inputs",
        params={"application": application},
        files=[("image", ("a.png", data)) for data in files],
    )


# Strangers


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},
        {"Host": "127.0.0.1.evil.example:{port}"},
        {"Host": "localhost:{port}@evil.example"},
        {"Host": ""},
        {"Host": "0.0.0.0:{port}"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "http://localhost:{port}"},  # not the name that was asked
        {"Origin": "http://127.0.0.1:1"},
    ],
    ids=str,
)
def test_pages_of_others_are_refused(server: Served, headers: dict[str, str]) -> None:
    sent = {name: value.format(port=server.port) for name, value in headers.items()}
    for method, path in (
        ("GET", "/v2/inputs"),
        ("POST", "/v2/visualizations"),
        ("GET", "/openapi.json"),
        ("GET", "/"),
    ):
        refusal(server.client.request(method, path, headers=sent), 403)


def test_pages_of_others_are_refused_with_a_key_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = add_key(tmp_path / "root", capsys)
    with served(tmp_path / "root", "--require-key", key=key) as server:
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
            for path in ("/v2/models", "/openapi.json", "/"):
                refusal(server.client.get(path, headers=headers), 403)
        assert server.client.get("/v2/models").status_code == 200


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]"])
def test_own_names_are_let_in(server: Served, name: str) -> None:
    host = f"{name}:{server.port}"
    headers = {"Host": host, "Origin": f"http://{host}"}
    answer = server.client.get("/v2/inputs", headers=headers)
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


def test_every_answer_forbids_what_it_does_not_need(server: Served) -> None:
    for path in ("/v2/inputs", "/openapi.json", "/v2/nothing", f"/v2/inputs/{'0' * 32}"):
        headers = server.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cross-origin-resource-policy"] == "same-origin"


# What is no picture, or too much


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
def test_what_is_no_picture_is_refused(server: Served, data: bytes, status: int, line: str) -> None:
    with nothing_stored(server):
        assert line in refusal(post(server, data), status)
        # With good ones beside it none is stored.
        refusal(post(server, picture(1), data, picture(2)), status)


def test_large_uploads_are_refused(server: Served) -> None:
    noise = b"x" * (LIMITS["upload"] + 1)
    with nothing_stored(server):
        for _ in range(3):
            assert "request body exceeds the limit of 100 kB" in refusal(post(server, noise), 413)
        chunks = (noise[start : start + 1000] for start in range(0, len(noise), 1000))
        told = {"Content-Type": "application/json"}
        refusal(server.client.post("/v2/inputs", content=chunks, headers=told), 413)


def test_a_body_that_trickles_in_is_refused(tmp_path: Path) -> None:
    with served(tmp_path / "root", "--max-seconds", "2") as server:
        head = (
            f"POST /v2/inputs HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
            "Content-Type: application/json\r\nContent-Length: 5000\r\n\r\n"
        )
        began, answer = time.monotonic(), b""
        with (
            nothing_stored(server),
            socket.create_connection(("127.0.0.1", server.port), timeout=60) as client,
            contextlib.suppress(ConnectionError),  # it may be closed while something is sent
        ):
            client.sendall(head.encode())
            client.settimeout(0.2)
            while True:
                assert time.monotonic() - began < 60, answer
                with contextlib.suppress(TimeoutError):
                    client.sendall(b" ")
                    come = client.recv(10_000)
                    if not come:
                        break
                    answer += come
        assert time.monotonic() - began >= 2
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"within 2 seconds" in answer


def test_a_broken_upload_leaves_nothing(server: Served) -> None:
    with nothing_stored(server):
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            head = (
                f"POST /v2/inputs HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
                "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 5000\r\n\r\n"
            )
            part = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
            client.sendall(head.encode() + part + picture(1)[:1000])
        assert server.client.get("/v2/models").status_code == 200
        for body, status in (
            (b"--x\r\nnonsense", 400),
            (b"--x--\r\n", 422),
            (b"", 422),
        ):
            answer = server.client.post(
                "/v2/inputs",
                content=body,
                headers={"Content-Type": "multipart/form-data; boundary=x"},
            )
            assert answer.status_code in (status, 400, 422), answer.text


def test_names_of_files_are_no_paths(server: Served) -> None:
    application = new_application(server, "names")
    for number, name in enumerate(["../../../etc/passwd", "C:\\Windows\\x.png", "a\r\nb.png"]):
        answer = server.client.post(
            "/v2/inputs",
            params={"application": application},
            files={"image": (name, picture(500 + number, side=10))},
        )
        assert answer.status_code == 201, answer.text
        assert "/" not in answer.json()["inputs"][0]["name"]
        assert "\\" not in answer.json()["inputs"][0]["name"]
    names = {path.name for path in (server.root / "service" / "inputs").iterdir()}
    assert all(len(name) == 64 for name in names)
    assert server.client.delete(f"/v2/applications/{application}").status_code == 204


def test_an_application_has_so_many_inputs(server: Served) -> None:
    application = new_application(server, "many")
    pictures = [picture(600 + number, side=10) for number in range(8)]
    assert post(server, *pictures[:5], application=application).status_code == 201
    with nothing_stored(server):
        line = refusal(post(server, *pictures[5:], application=application), 422)
        assert "has 5 inputs, and the limit is 6" in line
    assert post(server, pictures[5], application=application).status_code == 201
    assert post(server, *pictures[:6], application=application).status_code == 201  # no new one
    with nothing_stored(server):
        refusal(post(server, pictures[6], application=application), 422)


def test_so_many_visualizations_wait_and_the_disk_has_an_end(server: Served) -> None:
    application = new_application(server, "queue")
    pictures = [picture(700 + number, side=10) for number in range(6)]
    assert post(server, *pictures, application=application).status_code == 201
    asked = [
        server.client.post(
            "/v2/visualizations",
            params={"application": application},
            json={"model": "pixels", "preview": 0},
        )
        for _ in range(4)
    ]
    assert [answer.status_code for answer in asked] == [202, 202, 429, 429]
    assert "are pending or running: try again later" in refusal(asked[2], 429)
    assert asked[2].headers["retry-after"]
    for answer in asked[:2]:
        server.ended(answer.json()["output"]["id"])
    # The first run has filled the disk that may be used.
    with nothing_stored(server):
        line = refusal(post(server, picture(800, side=10)), 409)
        assert "exceed the limit of 300 kB" in line
        asking = server.client.post("/v2/visualizations", params={"application": application})
        assert "exceed the limit of 300 kB" in refusal(asking, 409)
        # What is there already takes no room.
        assert post(server, pictures[0], application=application).status_code == 201
    for answer in asked[:2]:
        id = answer.json()["output"]["id"]
        assert server.client.delete(f"/v2/visualizations/{id}").status_code == 204
    assert post(server, picture(800, side=10)).status_code == 201


# Idempotency keys


def test_the_same_request_again_has_the_same_answer(tmp_path: Path) -> None:
    with served(tmp_path / "root") as server:
        server.add(4)
        client, once = server.client, {"Idempotency-Key": "one"}
        body = {"model": "pixels", "preview": 0}
        first = client.post("/v2/visualizations", json=body, headers=once)
        again = client.post("/v2/visualizations", json=body, headers=once)
        assert (again.status_code, again.json()) == (first.status_code, first.json())
        assert "was used for another request" in refusal(
            client.post("/v2/visualizations", json={**body, "seed": 1}, headers=once), 422
        )
        id = first.json()["output"]["id"]
        server.ended(id)
        assert client.post("/v2/visualizations", json=body, headers=once).json() == first.json()
        assert len(client.get("/v2/visualizations").json()["outputs"]) == 1

        ended = {"like": id, **body}
        twice = {"Idempotency-Key": "two"}
        after = client.post("/v2/visualizations", json=ended, headers=twice)
        server.ended(after.json()["output"]["id"])
        assert client.delete(f"/v2/visualizations/{id}").status_code == 204
        again = client.post("/v2/visualizations", json=ended, headers=twice)
        assert (again.status_code, again.json()) == (after.status_code, after.json())
        refusal(client.post("/v2/visualizations", json=ended), 422)

        def make(name: str) -> httpx.Response:
            return client.post("/v2/applications", json={"name": name}, headers=once)

        made = make("birds")
        assert client.delete("/v2/applications/birds").status_code == 204
        assert make("birds").json() == made.json()
        refusal(client.get("/v2/inputs", params={"application": "birds"}), 404)
        assert "was used for another request" in refusal(make("dogs"), 422)

        def add(number: int) -> httpx.Response:
            # Each with a boundary of its own, as clients do.
            return client.post(
                "/v2/inputs", files={"image": ("a.png", picture(number))}, headers=once
            )

        added = add(100)
        assert add(100).json() == added.json()
        assert client.delete(f"/v2/inputs/{added.json()['inputs'][0]['id']}").status_code == 204
        assert add(100).json() == added.json()  # what was answered, and nothing done again
        assert len(client.get("/v2/inputs").json()["inputs"]) == 4
        refusal(add(101), 422)
        server.kill()
        server.restart()
        client = server.client
        assert client.post("/v2/visualizations", json=body, headers=once).json() == first.json()


def test_concurrent_requests_with_one_key_are_done_once(tmp_path: Path) -> None:
    with served(tmp_path / "root") as server:
        server.add(4)
        found: list[Any] = []

        def ask() -> None:
            answer = httpx.post(
                f"{server.address}/v2/visualizations",
                json={"model": "pixels", "preview": 0},
                headers={"Idempotency-Key": "same"},
                timeout=60,
            )
            found.append((answer.status_code, answer.json()["output"]["id"]))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(found)) == 1
        assert len(found) == 8
        assert found[0][0] == 202


# Keys


def add_key(root: Path, capsys: pytest.CaptureFixture[str], *applications: str) -> str:
    words = [word for name in applications for word in ("--application", name)]
    assert main(["serve", "key", "add", "--root", str(root), *words]) == 0
    return capsys.readouterr().out.strip()


def test_keys_open_their_applications_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    own, every = add_key(root, capsys, "cats"), add_key(root, capsys)
    with served(root, "--require-key", key=every) as server:
        new_application(server, "cats")
        new_application(server, "dogs")
        server.add(3, application="cats")
        (dog, *_) = server.add(3, start=10, application="dogs")
        of_dogs = server.ended(server.ask("dogs"))["id"]

        def as_key(key: str) -> httpx.Client:
            headers = {"Authorization": f"Key {key}"} if key else {}
            return httpx.Client(base_url=server.address, headers=headers, timeout=60)

        with as_key(own) as cats:
            assert len(cats.get("/v2/inputs").json()["inputs"]) == 3  # its only application
            listed = cats.get("/v2/applications").json()["applications"]
            assert [application["name"] for application in listed] == ["cats"]
            for answer in (
                cats.get("/v2/inputs", params={"application": "dogs"}),
                cats.post("/v2/visualizations", params={"application": "dogs"}),
                cats.post("/v2/applications", json={"name": "birds"}),
                cats.delete("/v2/applications/dogs"),
            ):
                assert "this key does not allow access to the application" in refusal(answer, 403)
            for answer in (
                cats.get(f"/v2/inputs/{dog['id']}"),
                cats.get(f"/v2/inputs/{dog['id']}/image"),
                cats.delete(f"/v2/inputs/{dog['id']}"),
                cats.get(f"/v2/visualizations/{of_dogs}"),
                cats.get(f"/v2/visualizations/{of_dogs}/image"),
                cats.post(f"/v2/visualizations/{of_dogs}/cancel"),
                cats.delete(f"/v2/visualizations/{of_dogs}"),
            ):
                refusal(answer, 404)
        assert server.get(of_dogs)["status"]["description"] == "done"
        id, _, secret = own.partition(".")
        wrong = ["", "x", id, f"{id}.", f"{id}.{secret[:-1]}", f"{id}.{secret}x", f"0000.{secret}"]
        for key in wrong:
            with as_key(key) as nobody:
                answer = nobody.get("/v2/models")
                assert "tbgrid serve key add" in refusal(answer, 401)
                assert answer.headers["www-authenticate"] == "Key"
                assert nobody.get("/openapi.json").status_code == 200
        assert main(["serve", "key", "revoke", "--root", str(root), id]) == 0
        with as_key(own) as cats:
            refusal(cats.get("/v2/inputs"), 401)
    capsys.readouterr()
    assert main(["serve", "key", "list", "--root", str(root)]) == 0
    told = capsys.readouterr().out
    assert every.partition(".")[0] in told
    assert "(all)" in told
    assert id not in told
    everything = b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())
    for key in (own, every):
        assert key.partition(".")[2].encode() not in everything


def test_a_wrong_key_opens_nothing_on_loopback_either(server: Served) -> None:
    refusal(server.client.get("/v2/inputs", headers={"Authorization": "Key a.b"}), 401)
    refusal(server.client.get("/v2/inputs", headers={"Authorization": "Bearer x"}), 401)


def test_another_host_is_served_with_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = add_key(tmp_path / "root", capsys)
    with served(tmp_path / "root", "--host", "0.0.0.0", key=key) as server:
        headers = {"Host": "tbgrid.example"}
        assert server.client.get("/v2/models", headers=headers).status_code == 200
        refusal(httpx.get(f"{server.address}/v2/models"), 401)


def test_access_of_nothing(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        key = keys.add(store, ["a", "b"])
        access = keys.authenticate(store, f"key  {key}")
        assert access is not None
        assert access.allows("a")
        assert not access.allows("c")
        assert access.default_application == "default"
        for header in ("", "Key", "Key .", f"Basic {key}"):
            assert keys.authenticate(store, header) is None


# No path of the disk


def test_public_texts_have_no_paths(tmp_path: Path) -> None:
    root = tmp_path / "some root"
    for text, shown in (
        (f"cannot write {root}/runs/a (full)", "cannot write (path)/runs/a (full)"),
        ("the cache /var/x/cache-1.sqlite is not used", "the cache (path) is not used"),
        ("see 'C:\\Users\\me\\x'", "see '(path)'"),
        ("https://example.org/a/b and 1/2 or and/or", None),
        ("/v2", "(path)"),
    ):
        assert redact_paths({"a": [text]}, root) == {"a": [shown or text]}


@pytest.mark.parametrize("name", ["x", ".", "runs", "photos"])
def test_a_short_name_of_the_root_is_no_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    told = "runs/default/a: perplexity 1.5, fitted to 4 x 4 photos"
    assert redact_paths(told, Path(name)) == told
    (tmp_path / name).mkdir(exist_ok=True)
    assert redact_paths(f"no {(tmp_path / name).resolve()}/a", Path(name)) == "no (path)/a"


def test_what_only_begins_as_the_root_does_is_a_path(tmp_path: Path) -> None:
    root = tmp_path / "a"
    assert redact_paths(f"{root}b/c, {root}-d and {root}.", root) == "(path), (path) and (path)."


def test_no_answer_names_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor of a job that failed for the server's own sake; the root's own name is not taken for a
    path where it is a letter of other words."""
    monkeypatch.chdir(tmp_path)
    own = str(tmp_path / "models" / "own")
    with served(Path("x"), "--allow-model", "models/none", "--allow-model", own) as server:
        server.add(4)
        texts = [server.client.get("/openapi.json").text]
        id = server.ask(model="models/none")
        output = server.ended(id)
        assert output["status"]["description"] == "failed"
        done = server.ended(server.ask())
        assert any("perplexity" in note for note in done["data"]["report"]["notes"])
        lost = server.ended(server.ask(model="own"))
        assert lost["status"]["details"].startswith("no model '(path)'")
        assert server.client.get("/v2/models").json()["models"][-2:] == ["models/none", "own"]
        texts.append(server.client.post("/v2/visualizations", json={"model": "x"}).text)
        paths = ("applications", "inputs", "visualizations", "models", "nothing")
        for path in (f"/v2/{name}" for name in paths):
            texts.append(server.client.get(path).text)
        for one in (id, done["id"], lost["id"]):
            answer = server.client.get(f"/v2/visualizations/{one}")
            texts += [answer.text, str(answer.headers)]
        for text in texts:
            for place in (str(tmp_path), str(ROOT), str(Path.home()) + "/", "/tmp/", "/usr/"):
                assert place not in text


# URLs


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

    monkeypatch.setattr(fetch.socket, "getaddrinfo", resolve)
    assert "its address is not public" in refused(f"{site}/a.png")
    monkeypatch.setattr(fetch, "is_public", lambda _: True)
    connect = socket.create_connection
    monkeypatch.setattr(
        fetch.socket,
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
    told = {"inputs": [{"data": {"image": {"url": str(number)}}} for number in range(3)]}
    with uploads.photos_from_json(json.dumps(told).encode(), paths, Limits(), frozenset()) as added:
        sizes = [one.file.size for one in added]
    most = Limits().upload
    assert left == [most, most - sizes[0], most - sizes[0] - sizes[1]]


def test_urls_are_refused_unless_allowed(tmp_path: Path, server: Served) -> None:
    def add(server: Served, url: str) -> httpx.Response:
        return server.client.post(
            "/v2/inputs", json={"inputs": [{"data": {"image": {"url": url}}}]}
        )

    assert "send the image itself" in refusal(add(server, "http://localhost/"), 422)
    with served(tmp_path / "root", "--allow-host", "Localhost") as other, nothing_stored(other):
        assert "not public" in refusal(add(other, "http://localhost/a.png"), 422)
        assert "fetched only from localhost" in refusal(
            add(other, "http://169.254.169.254/latest"), 422
        )


def test_base64_that_is_none(server: Served) -> None:
    for text in ("?", "abc", base64.b64encode(b"no picture").decode()):
        body = {"inputs": [{"data": {"image": {"base64": text}}}]}
        assert server.client.post("/v2/inputs", json=body).status_code in (415, 422)


def test_all_that_may_be_used_of_the_disk_can_be(tmp_path: Path) -> None:
    pictures = [picture(number, side=10) for number in range(4)]
    most = sum(map(len, pictures[:3]))
    with served(tmp_path / "root", "--max-disk", str(most)) as server:
        assert post(server, *pictures[:3]).status_code == 201
        with nothing_stored(server):
            assert f"exceed the limit of {format_bytes(most)}" in refusal(
                post(server, pictures[3]), 409
            )
