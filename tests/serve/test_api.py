"""The service as its clients see it: a real server with real workers."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

from tbgrid.check.run import check
from tbgrid.cli.main import main
from tests.support.serve_process import ServerProcess, error_line, picture
from tests.support.tensorboard_process import get_json, plugins, tensorboard

FORMATS = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
}


def test_a_visualization_is_a_run(server: ServerProcess) -> None:
    output = server.ended(server.ask(name="first", tile=16, grid="4x9", refine_seconds=1))
    assert output["status"] == {"code": 10000, "description": "done"}
    data = output["data"]
    assert data["run"] == "runs/photos/first"
    assert data["photos"] == 30
    assert data["report"]["report card"]["DPQ_16"] > data["report"]["report card"]["DPQ_16_random"]
    assert (data["image"]["rows"], data["image"]["columns"]) == (4, 9)
    answer = server.client.get(data["image"]["url"])
    assert answer.headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(answer.content)) as mosaic:
        assert mosaic.size == (9 * 16, 4 * 16)
    assert check(server.root / data["run"]) == []


def test_a_second_map_embeds_nothing(server: ServerProcess) -> None:
    server.add_application("twice")
    server.add(5, start=100, application="twice")
    assert server.ended(server.ask("twice"))["data"]["embedded"] == 5
    assert server.ended(server.ask("twice", perplexity=1.2))["data"]["embedded"] == 0
    server.add(1, start=200, application="twice")
    assert server.ended(server.ask("twice"))["data"]["embedded"] == 1


def test_a_map_begins_at_an_earlier_one(server: ServerProcess) -> None:
    first = server.ended(server.ask())
    after = server.ended(server.ask(like=first["id"]))
    assert after["status"]["description"] == "done", after
    assert after["data"]["report"]["like"]
    flat = server.ended(server.ask(layout="pca", refine_seconds=1))
    assert flat["status"]["description"] == "done", flat


@pytest.mark.slow
def test_tensorboard_shows_the_runs(server: ServerProcess, tmp_path: Path) -> None:
    run = server.ended(server.ask())["data"]["run"]
    executable = Path(sys.executable).with_name("tensorboard")
    with tensorboard(executable, server.root, tmp_path / "log") as address:
        projector = f"{address}/data/plugin/projector"
        deadline = time.monotonic() + 60
        while run not in get_json(f"{projector}/runs"):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert get_json(f"{projector}/info?run={quote(run, safe='')}")["embeddings"]
        while run not in get_json(f"{address}/data/plugin/images/tags"):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert plugins(address)["tbgrid"]["enabled"]


def test_a_job_takes_the_inputs_of_its_moment(server: ServerProcess) -> None:
    server.add_application("moment")
    server.add(4, application="moment")
    first = server.ask("moment")
    server.add(3, start=50, application="moment")
    assert server.ended(first)["data"]["photos"] == 4


@pytest.mark.parametrize("kind", FORMATS)
def test_formats(server: ServerProcess, kind: str) -> None:
    data = picture(1000 + list(FORMATS).index(kind), kind=kind)
    content = {"image": {"base64": base64.b64encode(data).decode()}}
    answer = server.client.post("/v2/inputs", json={"inputs": [{"data": content}]})
    assert answer.status_code == 201, answer.text
    (found,) = answer.json()["inputs"]
    assert found["content_type"] == FORMATS[kind]
    assert (found["width"], found["height"], found["bytes"]) == (40, 40, len(data))
    back = server.client.get(found["data"]["image"]["url"])
    assert back.content == data
    assert back.headers["content-type"] == FORMATS[kind]
    assert back.headers["x-content-type-options"] == "nosniff"
    assert server.client.delete(f"/v2/inputs/{found['id']}").status_code == 204
    error_line(server.client.get(f"/v2/inputs/{found['id']}"), 404)
    assert not (server.root / "service" / "inputs" / found["sha256"]).exists()


def test_labels_and_metadata_are_columns(server: ServerProcess) -> None:
    server.add_application("columns")
    inputs = [
        {
            "data": {"image": {"base64": base64.b64encode(picture(number)).decode()}},
            "name": f"{number}\n.png",
            "label": f"kind {number}",
            "metadata": {"place": "Rome\t\x00", "year": 1900 + number, "seen": True},
        }
        for number in range(3)
    ]
    answer = server.client.post(
        "/v2/inputs", params={"application": "columns"}, json={"inputs": inputs}
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["inputs"][2] == {
        **answer.json()["inputs"][2],
        "name": "2 .png",
        "label": "kind 2",
        "metadata": {"place": "Rome", "year": "1902", "seen": "true"},
    }
    output = server.ended(server.ask("columns", min_cluster=0, duplicates="off"))
    (metadata,) = (server.root / output["data"]["run"]).rglob("metadata.tsv")
    header, *rows = metadata.read_text("utf-8").splitlines()
    assert header.split("\t")[:2] == ["label", "path"]
    assert {"place", "year", "seen"} <= set(header.split("\t"))
    assert rows[1].split("\t")[:2] == ["kind 1", "1 .png"]


def test_a_picture_that_is_there_stays_one(server: ServerProcess) -> None:
    server.add_application("once")
    client, where = server.client, {"application": "once"}
    file = {"image": ("a.png", picture(1))}
    first = client.post("/v2/inputs", params=where, files=file, data={"label": "old"}).json()
    again = client.post(
        "/v2/inputs", params=where, files=file, data={"metadata": '{"a": 1}'}
    ).json()
    third = client.post("/v2/inputs", params=where, files=file, data={"label": "new"}).json()
    assert first["inputs"][0]["id"] == again["inputs"][0]["id"] == third["inputs"][0]["id"]
    assert again["inputs"][0]["label"] == "old"
    assert third["inputs"][0]["label"] == "new"
    assert third["inputs"][0]["metadata"] == {"a": "1"}
    listed = client.get("/v2/inputs", params=where).json()["inputs"]
    assert len(listed) == 1


def test_a_picture_of_two_applications_stays_for_the_other(server: ServerProcess) -> None:
    (mine,) = server.add(1, start=300, application=server.add_application("mine"))
    (yours,) = server.add(1, start=300, application=server.add_application("yours"))
    assert server.client.delete(f"/v2/inputs/{mine['id']}").status_code == 204
    assert server.client.get(yours["data"]["image"]["url"]).content == picture(300)
    assert server.client.delete("/v2/applications/yours").status_code == 204
    assert not (server.root / "service" / "inputs" / yours["sha256"]).exists()


def test_lists_come_in_pages(server: ServerProcess) -> None:
    server.add_application("pages")
    added = [one["id"] for one in server.add(5, application="pages")]
    found: list[str] = []
    after = None
    while True:
        params: dict[str, Any] = {"application": "pages", "limit": 2}
        params |= {"after": after} if after else {}
        page = server.client.get("/v2/inputs", params=params).json()
        found += [one["id"] for one in page["inputs"]]
        after = page.get("next")
        if after is None:
            break
    assert found == added
    ids = [server.ask("pages") for _ in range(2)]
    for id in ids:
        server.ended(id)
    outputs = server.client.get("/v2/visualizations", params={"application": "pages"}).json()
    assert [output["id"] for output in outputs["outputs"]] == ids[::-1]
    assert "report" not in outputs["outputs"][0]["data"]
    # What is not there any more begins no page, and what is another application's does not either.
    server.add_application("other-pages")
    server.add(3, application="other-pages")
    for name in ("inputs", "visualizations"):
        last = {"inputs": added, "visualizations": ids}[name][0]
        for application, after in (("pages", "0" * 32), ("other-pages", last)):
            params = {"application": application, "after": after}
            line = error_line(server.client.get(f"/v2/{name}", params=params), 404)
            assert f"{after} is not (or no longer) in the {name} of {application}" in line


def test_deleting_removes_the_run(server: ServerProcess) -> None:
    server.add_application("gone")
    server.add(3, application="gone")
    output = server.ended(server.ask("gone"))
    run = server.root / output["data"]["run"]
    assert run.is_dir()
    path = f"/v2/visualizations/{output['id']}"
    assert "delete them first" in error_line(server.client.delete("/v2/applications/gone"), 409)
    assert server.client.delete(path).status_code == 204
    assert not run.exists()
    for request in (server.client.get(path), server.client.delete(path)):
        error_line(request, 404)
    error_line(server.client.get(f"{path}/image"), 404)
    assert server.client.delete("/v2/applications/gone").status_code == 204


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"model": "/etc"}, "model /etc: expected one of builtin, pixels"),
        ({"model": "https://example.org/model"}, "expected one of builtin"),
        ({"perplexity": -1}, "perplexity: Input should be greater than 0"),
        ({"perplexity": "many"}, "perplexity: "),
        ({"perplexity": 0.3}, "perplexity 0.3: it is a number of neighbours"),
        ({"perplexity": 1e308}, "perplexity 1e+308: it is a number of neighbours"),
        ({"solver": "windows", "exact": True}, "solver windows is not exact"),
        ({"solver": "windows", "assignment_cost": "euclidean"}, "leave out assignment_cost"),
        ({"grid": "0x3"}, "grid: "),
        ({"grid": "2x2"}, "grid 2x2 has 4 cells for 30 photos: use grid 5x6 or larger"),
        ({"grid": "2000x2000"}, "use a smaller grid, with at most 100 cells per photo"),
        ({"perplexity": 500}, "perplexity 500 needs more than 1500 photos; found 30"),
        ({"aspect": "16:0"}, "aspect 16:0: expected W:H"),
        ({"min_cluster": 1}, "min_cluster 1: give a number of photos from 2"),
        ({"preview": 5}, "preview 5: give a number of pixels from"),
        ({"layout": "pca", "perplexity": 3}, "leave out perplexity"),
        ({"budget": 3}, "budget with layout tsne"),
        ({"refine": False, "refine_seconds": 3}, "refine_seconds for a map that is not refined"),
        ({"like": "0" * 32}, "give the id of a finished visualization of photos"),
        ({"like": "/etc"}, "like: "),
        ({"name": "../up"}, "name: "),
        ({"name": "CON/"}, "name: "),
        ({"sharpness": 1}, "sharpness: Extra inputs are not permitted"),
    ],
)
def test_options_that_cannot_be_meant(
    server: ServerProcess, options: dict[str, object], line: str
) -> None:
    response = server.client.post(
        "/v2/visualizations", params={"application": server.application}, json=options
    )
    assert line in error_line(response, 422)


def test_what_only_the_export_can_tell_fails_with_its_line(server: ServerProcess) -> None:
    output = server.ended(server.ask(grid="2x2", duplicates="stack"))
    assert output["status"]["code"] == 10004
    assert "grid 2x2" in output["status"]["details"]
    assert "data" not in output
    assert not (server.root / "runs" / "photos" / output["name"]).exists()
    assert not list((server.root / "service").glob("job-*.lock"))
    error_line(server.client.get(f"/v2/visualizations/{output['id']}/image"), 404)


def test_other_refusals(server: ServerProcess) -> None:
    client = server.client
    few = server.add_application("few")
    for answer, status, line in (
        (client.post("/v2/visualizations", params={"application": few}), 422, "at least 3"),
        (client.post("/v2/visualizations", params={"application": "nope"}), 404, "nope"),
        (client.get("/v2/inputs", params={"application": "nope"}), 404, "POST /v2/applications"),
        (client.get(f"/v2/visualizations/{'0' * 32}"), 404, "no visualization 0000"),
        (client.get(f"/v2/inputs/{'0' * 32}"), 404, "no input"),
        (client.get("/v2/inputs/none"), 422, "id: "),
        (client.get("/v2/nothing"), 404, "Not Found"),
        (client.put("/v2/inputs"), 405, "Method Not Allowed"),
        (client.delete("/v2/applications/default"), 409, "default cannot be deleted"),
        (client.post("/v2/inputs", content=b"x"), 415, "multipart/form-data"),
        (client.post("/v2/inputs", json={"inputs": []}), 422, "at least 1 item"),
        (client.post("/v2/inputs", json={"inputs": [{"data": {"image": {}}}]}), 422, "base64"),
    ):
        assert line in error_line(answer, status)


def test_a_refusal_is_one_short_line(server: ServerProcess) -> None:
    for key in ("a\nb", "a\x00\x1b[2Jb", "x" * 100_000):
        line = error_line(server.client.post("/v2/visualizations", json={key: 1}), 422)
        assert line.isprintable()
        assert len(line) <= 1000


def test_the_root_is_served_once(server: ServerProcess, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--root", str(server.root), "--port", "0"]) == 1
    assert "another tbgrid serve is using" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        ([], 2, "tbgrid: --root is missing: give the directory"),
        (["--root", "ROOT", "--port", "99999"], 2, "port 99999"),
        (["--root", "ROOT", "--workers", "0"], 2, "workers 0"),
        (["--root", "ROOT", "--max-pixels", "0"], 2, "--max-pixels 0"),
        (["--root", "ROOT", "--max-pixels", "999999999"], 2, "--max-pixels 999999999"),
        (["--root", "ROOT", "--host", "0.0.0.0"], 2, "no key yet for --host 0.0.0.0"),
        (["--root", "ROOT", "--require-key"], 2, "no key yet"),
        (["--root", "ROOT", "--host", "192.0.2.1"], 2, "no key yet"),
        (["key", "revoke", "--root", "ROOT", "0000"], 1, "no key 0000"),
        (["key", "add", "--root", "ROOT", "--application", "../x"], 2, "application '../x'"),
    ],
)
def test_a_users_mistake_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    line: str,
) -> None:
    words = [str(tmp_path / "root") if word == "ROOT" else word for word in arguments]
    assert main(["serve", *words]) == code
    printed = capsys.readouterr().err
    assert line in printed
    assert printed.count("\n") == 1


def test_without_the_extra_one_line_says_so(tmp_path: Path) -> None:
    program = (
        "import sys\nfor name in ('fastapi', 'starlette'): sys.modules[name] = None\n"
        "from tbgrid.cli.main import main\n"
        f"sys.exit(main(['serve', '--root', {str(tmp_path / 'root')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "pip install 'tbgrid[serve]'" in done.stderr
