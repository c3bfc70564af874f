"""Whom the service lets in: pages of other sites, names of the host, keys."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tbgrid.cli.main import main
from tbgrid.serve import keys
from tbgrid.serve.store import open_store
from tests.support.serve_process import ServerProcess, add_key, error_line


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
def test_pages_of_others_are_refused(server: ServerProcess, headers: dict[str, str]) -> None:
    sent = {name: value.format(port=server.port) for name, value in headers.items()}
    for method, path in (
        ("GET", "/v2/inputs"),
        ("POST", "/v2/visualizations"),
        ("GET", "/openapi.json"),
        ("GET", "/"),
    ):
        error_line(server.client.request(method, path, headers=sent), 403)


def test_pages_of_others_are_refused_with_a_key_too(strict_server: ServerProcess) -> None:
    client = strict_server.client
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        for path in ("/v2/models", "/openapi.json", "/"):
            error_line(client.get(path, headers=headers), 403)
    assert client.get("/v2/models").status_code == 200


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]"])
def test_own_names_are_let_in(server: ServerProcess, name: str) -> None:
    host = f"{name}:{server.port}"
    headers = {"Host": host, "Origin": f"http://{host}"}
    answer = server.client.get("/v2/inputs", headers=headers)
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


def test_every_answer_forbids_what_it_does_not_need(server: ServerProcess) -> None:
    for path in ("/v2/inputs", "/openapi.json", "/v2/nothing", f"/v2/inputs/{'0' * 32}"):
        headers = server.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cross-origin-resource-policy"] == "same-origin"


@contextlib.contextmanager
def finished(server: ServerProcess, application: str) -> Iterator[str]:
    """The id of a visualization that is done, and deleted at the end."""
    id = server.ask(application)
    assert server.ended(id)["status"]["description"] == "done"
    yield id
    assert server.client.delete(f"/v2/visualizations/{id}").status_code == 204


def test_keys_open_their_applications_alone(strict_server: ServerProcess) -> None:
    server = strict_server
    own = add_key(server.root, "cats")
    server.add_application("cats")
    server.add_application("dogs")
    server.add(3, application="cats")
    (dog, *_) = server.add(3, start=10, application="dogs")
    with finished(server, "dogs") as of_dogs, server.client_of(own) as cats:
        assert len(cats.get("/v2/inputs").json()["inputs"]) == 3  # its only application
        listed = cats.get("/v2/applications").json()["applications"]
        assert [application["name"] for application in listed] == ["cats"]
        for response in (
            cats.get("/v2/inputs", params={"application": "dogs"}),
            cats.post("/v2/visualizations", params={"application": "dogs"}),
            cats.post("/v2/applications", json={"name": "birds"}),
            cats.delete("/v2/applications/dogs"),
        ):
            assert "this key does not allow access to the application" in error_line(response, 403)
        for response in (
            cats.get(f"/v2/inputs/{dog['id']}"),
            cats.get(f"/v2/inputs/{dog['id']}/image"),
            cats.delete(f"/v2/inputs/{dog['id']}"),
            cats.get(f"/v2/visualizations/{of_dogs}"),
            cats.get(f"/v2/visualizations/{of_dogs}/image"),
            cats.post(f"/v2/visualizations/{of_dogs}/cancel"),
            cats.delete(f"/v2/visualizations/{of_dogs}"),
        ):
            error_line(response, 404)
        assert server.get(of_dogs)["status"]["description"] == "done"


def test_wrong_keys_open_nothing(strict_server: ServerProcess) -> None:
    id, _, secret = add_key(strict_server.root, "cats").partition(".")
    for key in ("", "x", id, f"{id}.", f"{id}.{secret[:-1]}", f"{id}.{secret}x", f"0000.{secret}"):
        with strict_server.client_of(key) as nobody:
            response = nobody.get("/v2/models")
            assert "tbgrid serve key add" in error_line(response, 401)
            assert response.headers["www-authenticate"] == "Key"
            assert nobody.get("/openapi.json").status_code == 200


def test_keys_are_revoked_listed_and_never_stored(
    strict_server: ServerProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    root = strict_server.root
    revoked, every = add_key(root, "cats"), add_key(root)
    id = revoked.partition(".")[0]
    with strict_server.client_of(revoked) as cats, strict_server.client_of(every) as all_of_them:
        assert cats.get("/v2/models").status_code == 200
        assert main(["serve", "key", "revoke", "--root", str(root), id]) == 0
        error_line(cats.get("/v2/models"), 401)
        assert all_of_them.get("/v2/models").status_code == 200
    capsys.readouterr()
    assert main(["serve", "key", "list", "--root", str(root)]) == 0
    printed = capsys.readouterr().out
    assert every.partition(".")[0] in printed
    assert "(all)" in printed
    assert id not in printed
    everything = b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())
    for key in (revoked, every):
        assert key.partition(".")[2].encode() not in everything


def test_a_wrong_key_opens_nothing_on_loopback_either(server: ServerProcess) -> None:
    for header in ("Key a.b", "Bearer x"):
        error_line(server.client.get("/v2/inputs", headers={"Authorization": header}), 401)


def test_access_of_a_key(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        key = keys.add(store, ["a", "b"])
        access = keys.authenticate(store, f"key  {key}")
        assert access is not None
        assert access.allows("a")
        assert not access.allows("c")
        assert access.default_application == "default"
        for header in ("", "Key", "Key .", f"Basic {key}"):
            assert keys.authenticate(store, header) is None
