"""No response names a path of the server's file system."""

from __future__ import annotations

from pathlib import Path

import pytest

from tbgrid.serve.paths import redact_paths
from tests.support.paths import ROOT
from tests.support.serve_process import ServerProcess


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
    text = "runs/default/a: perplexity 1.5, fitted to 4 x 4 photos"
    assert redact_paths(text, Path(name)) == text
    (tmp_path / name).mkdir(exist_ok=True)
    assert redact_paths(f"no {(tmp_path / name).resolve()}/a", Path(name)) == "no (path)/a"


def test_what_only_begins_as_the_root_does_is_a_path(tmp_path: Path) -> None:
    root = tmp_path / "a"
    assert redact_paths(f"{root}b/c, {root}-d and {root}.", root) == "(path), (path) and (path)."


def test_no_answer_names_the_disk(strict_server: ServerProcess) -> None:
    """Not even that of a job whose model cannot be loaded. The root's own name, a letter of other
    words, is not taken for a path."""
    server, client = strict_server, strict_server.client
    name = server.add_application("redaction")
    server.add(4, application=name)
    failed = server.ended(server.ask(name, model="models/none"))
    assert failed["status"]["description"] == "failed"
    lost = server.ended(server.ask(name, model="own"))
    assert lost["status"]["details"].startswith("no such model: (path)")
    done = server.ended(server.ask(name))
    assert any("perplexity" in note for note in done["data"]["report"]["notes"])
    assert client.get("/v2/models").json()["models"][-2:] == ["models/none", "own"]
    texts = [client.get("/openapi.json").text]
    texts.append(client.post("/v2/visualizations", json={"model": "x"}).text)
    texts.append(client.get("/v2/visualizations", params={"application": name}).text)
    texts.append(client.get("/v2/inputs", params={"application": name}).text)
    for path in ("applications", "inputs", "visualizations", "models", "nothing"):
        texts.append(client.get(f"/v2/{path}").text)
    for output in (failed, lost, done):
        response = client.get(f"/v2/visualizations/{output['id']}")
        texts += [response.text, str(response.headers)]
        assert client.delete(f"/v2/visualizations/{output['id']}").status_code == 204
    for text in texts:
        for path in (str(server.directory), str(ROOT), f"{Path.home()}/", "/tmp/", "/usr/"):
            assert path not in text
