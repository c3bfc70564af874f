"""The Grid tab's backend: what it serves, and that nothing in a logdir can harm it.

The runs are written by `tab_runs`, by the format alone. That an export is read as well is tested
at the end.
"""

from __future__ import annotations

import errno
import gzip
import json
import os
import shutil
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

import tbgrid
from tbgrid import run_format
from tbgrid.plugin import files, manifest
from tbgrid.plugin.plugin import STATIC
from tests.support.plugin_backend import Backend
from tests.support.tab_runs import MANIFEST, TILES, contents, jpeg, write_files, write_run

pytestmark = pytest.mark.filterwarnings("ignore:html5lib's sanitizer:DeprecationWarning")

SECRET = b"\xff\xd8\xff secret of another folder"
FOREVER = "private, max-age=31536000, immutable"
ARRAYS = [
    run_format.PLACES,
    run_format.CELLS,
    run_format.NEIGHBORS,
    run_format.DISTANCES,
    run_format.HARMONY,
]
COLUMNS = ["column-0.json", "column-0.u32", "column-1.utf8", "column-1.u32", "column-2.f64"]


class Served:
    """One run in a logdir of its own beside another that is whole, and its answers."""

    def __init__(self, logdir: Path) -> None:
        self.logdir = logdir
        self.directory = logdir / "run"
        self.folder = write_run(self.directory)
        self.map = self.folder / run_format.FOLDER
        write_run(logdir / "whole", 7)
        self.backend = Backend(logdir)

    def get(self, route: str, method: str = "GET", **query: Any) -> TestResponse:
        asked = {"run": "run", "export": self.folder.name, **query}
        return self.backend.get(route, method, **asked)

    def file(self, name: str, **query: Any) -> TestResponse:
        return self.get("file", name=name, **query)

    def edit(self, **changes: Any) -> None:
        """Change values of the manifest."""
        path = self.map / run_format.MANIFEST
        path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}))

    def listed(self) -> dict[str, Any]:
        """The run in the list; the other one is as it was."""
        broken, whole = self.backend.runs()
        assert (broken["run"], whole["run"], whole["error"]) == ("run", "whole", None)
        return broken


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path)


@pytest.fixture(params=[True, False], ids=["by handle", "by path"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are opened as on Linux and macOS, and as on Windows."""
    monkeypatch.setattr(files, "_BY_HANDLE", request.param and files._BY_HANDLE)


def everything(served: Served) -> Iterator[TestResponse]:
    """The answers to all that a client can ask of the run."""
    for name in [run_format.MANIFEST, *ARRAYS, *COLUMNS, "skipped.tsv", "report.json"]:
        yield served.file(name)
    for level, column, row in TILES:
        yield served.get("tile", level=level, column=column, row=row)
    for row in range(6):
        yield served.get("preview", row=row)


def assert_told(answer: TestResponse, status: int, text: str = "") -> None:
    """An error is told in JSON, which nobody keeps."""
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    told = json.loads(answer.data)
    assert set(told) == {"error", "hint"}
    assert text in told["error"]


# What is served


@pytest.mark.usefixtures("either_way")
def test_every_file_is_served_as_it_is(served: Served) -> None:
    expected = contents()
    for name in [*ARRAYS, *COLUMNS[1:]]:
        answer = served.file(name)
        assert answer.data == expected[f"{run_format.FOLDER}/{name}"], name
        assert answer.content_type == "application/octet-stream"
    assert json.loads(served.file("column-0.json").data) == ["cat", "dog <b>0"]
    assert served.file("report.json").data == expected["report.json"]
    skipped = served.file("skipped.tsv")
    assert skipped.data == expected["skipped.tsv"]
    assert skipped.content_type == "text/tab-separated-values; charset=utf-8"
    for level, column, row in TILES:
        answer = served.get("tile", level=level, column=column, row=row)
        assert answer.data == jpeg("tile", 0, level, column, row)
        assert answer.content_type == "image/jpeg"
    for row in range(6):
        answer = served.get("preview", row=row)
        assert answer.data == jpeg("preview", 0, row)
        assert answer.content_type == "image/jpeg"


def test_the_list_tells_of_each_run(served: Served) -> None:
    assert served.backend.get("runs").headers["Cache-Control"] == "no-store"
    assert served.listed() == {
        "run": "run",
        "export": served.folder.name,
        "title": "six photos",
        "photos": 6,
        "grid": [2, 3],
        "cell": 256,
        "tile": 512,
        "error": None,
    }


def test_the_manifest_holds_what_is_known_and_nothing_else(served: Served) -> None:
    served.edit(extra="<script>", title="<script>alert(1)</script>", notes=["x" * 10_000])
    found = json.loads(served.file(run_format.MANIFEST).data)
    assert set(found) == set(MANIFEST)
    assert found["title"] == "<script>alert(1)</script>"
    assert found["notes"] == ["x" * 3999 + "…"]
    unchanged = set(MANIFEST) - {"title", "notes", "skipped"}
    assert {key: found[key] for key in unchanged} == {key: MANIFEST[key] for key in unchanged}


def test_what_never_changes_is_kept_and_the_rest_is_asked_for_again(served: Served) -> None:
    for answer in everything(served):
        assert answer.status_code == 200
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        is_manifest = f"name={run_format.MANIFEST}" in answer.request.url
        assert answer.headers["Cache-Control"] == ("no-cache" if is_manifest else FOREVER)
        query: dict[str, Any] = {
            **answer.request.args,
            "headers": {"If-None-Match": answer.headers["ETag"]},
        }
        again = served.backend.get(answer.request.path.rpartition("/")[2], **query)
        assert (again.status_code, again.data) == (304, b"")
        for header in ("ETag", "Content-Type", "Cache-Control"):
            assert again.headers[header] == answer.headers[header]
    tags = [answer.headers["ETag"] for answer in everything(served)]
    assert len(set(tags)) == len(tags)


def test_no_old_picture_is_taken_for_one_that_is_gone(served: Served) -> None:
    tag = served.get("preview", row=0).headers["ETag"]
    (served.map / run_format.PREVIEWS).write_bytes(b"")
    assert_told(served.get("preview", row=0, headers={"If-None-Match": tag}), 422)


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [("gzip, br", True), ("gzip;q=0, br", False), ("", False), ("*;q=0.5", True)],
)
def test_text_and_whole_numbers_are_packed_if_the_client_can_unpack(
    served: Served, accepted: str, packed: bool
) -> None:
    write_files(served.folder, {"report.json": json.dumps({"a": "b" * 5000}).encode()})
    answer = served.file("report.json", headers={"Accept-Encoding": accepted})
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert (answer.headers.get("Content-Encoding") == "gzip") == packed
    data = gzip.decompress(answer.data) if packed else answer.data
    assert json.loads(data) == {"a": "b" * 5000}
    picture = served.get("preview", row=0, headers={"Accept-Encoding": accepted})
    assert "Content-Encoding" not in picture.headers


def test_head_tells_the_same_without_a_body(served: Served) -> None:
    for answer in everything(served):
        query = dict(answer.request.args)
        head = served.backend.get(answer.request.path.rpartition("/")[2], "HEAD", **query)
        assert head.data == b""
        assert head.headers == answer.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
@pytest.mark.parametrize(
    "route", ["runs", "file", "tile", "preview", "page", "static/index.js", "static/none.js"]
)
def test_other_methods_are_refused(served: Served, route: str, method: str) -> None:
    answer = served.get(route, method)
    assert_told(answer, 405)
    assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("prefix", ["", "/some/prefix"])
@pytest.mark.parametrize("experiment", ["", "/experiment/123"])
def test_a_path_prefix_and_an_experiment_change_nothing(
    served: Served, prefix: str, experiment: str
) -> None:
    backend = Backend(served.logdir, prefix)
    backend.base = f"{prefix}{experiment}/data/plugin/tbgrid/"
    assert len(backend.runs()) == 2
    assert backend.get("page").status_code == 200
    query = {"run": "run", "export": served.folder.name, "name": run_format.CELLS}
    assert (
        backend.get("file", **query).data == contents()[f"{run_format.FOLDER}/{run_format.CELLS}"]
    )


def test_a_large_array_is_sent_in_pieces(served: Served) -> None:
    count = 1_200_000
    served.edit(photos=count, grid=[1200, 1000], neighbours=0, cell=8)
    os.truncate(served.map / run_format.PLACES, 8 * count)
    answer = served.file(run_format.PLACES)
    assert answer.status_code == 200
    assert int(answer.headers["Content-Length"]) == len(answer.data) == 8 * count
    assert answer.data.startswith(contents()[f"{run_format.FOLDER}/{run_format.PLACES}"])
    head = served.file(run_format.PLACES, method="HEAD")
    assert (int(head.headers["Content-Length"]), head.data) == (8 * count, b"")


def test_what_gets_shorter_while_it_is_sent_is_never_taken_for_whole(served: Served) -> None:
    count = 1_200_000
    served.edit(photos=count, grid=[1200, 1000], neighbours=0, cell=8)
    os.truncate(served.map / run_format.PLACES, 8 * count)
    answer = served.backend.client.open(
        served.backend.base + "file",
        query_string={"run": "run", "export": served.folder.name, "name": run_format.PLACES},
        buffered=False,
    )
    os.truncate(served.map / run_format.PLACES, 4 * count)
    with pytest.raises(ConnectionAbortedError, match="became shorter"):
        list(answer.response)
    answer.close()


def test_what_gets_shorter_while_it_is_read_is_an_error(served: Served) -> None:
    with files.Folder.at(str(served.map)) as folder, folder.open(run_format.PLACES) as file:
        os.truncate(served.map / run_format.PLACES, 10)
        with pytest.raises(files.BrokenError, match=r"places\.f32 became shorter"):
            file.read(0, file.size)


def test_no_file_stays_open(served: Served) -> None:
    def opened() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("counts open files in /proc")
    count = 1_200_000
    list(everything(served))
    before = opened()
    list(everything(served))
    served.file("column-9.u32")
    (served.map / run_format.CELLS).write_bytes(b"")
    served.file(run_format.CELLS)
    served.edit(photos=count, grid=[1200, 1000], neighbours=0, cell=8)
    os.truncate(served.map / run_format.PLACES, 8 * count)
    for method in ("GET", "HEAD"):
        served.get("file", method, name=run_format.PLACES).close()
    tag = served.file(run_format.PLACES, method="HEAD").headers["ETag"]
    served.file(run_format.PLACES, headers={"If-None-Match": tag}).close()
    served.edit(format=2)
    list(everything(served))
    assert opened() == before


# The front end


def test_the_front_end_is_served(served: Served) -> None:
    types = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
    shipped = [path for path in STATIC.iterdir() if path.suffix in types]
    assert shipped
    for path in shipped:
        answer = served.backend.get(f"static/{path.name}")
        assert answer.data == path.read_bytes()
        assert answer.content_type == types[path.suffix]
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        packed = served.backend.get(f"static/{path.name}", headers={"Accept-Encoding": "gzip"})
        assert gzip.decompress(packed.data) == path.read_bytes()
        tag = {"If-None-Match": answer.headers["ETag"]}
        assert served.backend.get(f"static/{path.name}", headers=tag).status_code == 304


def test_a_newer_front_end_is_served_at_once(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tbgrid.plugin.plugin.STATIC", tmp_path)
    assert_told(served.backend.get("static/index.js"), 404)
    for text in ("let a;", "let newer;"):
        (tmp_path / "index.js").write_text(text)
        assert served.backend.get("static/index.js").text == text


@pytest.mark.parametrize(
    "name",
    [
        "none.js",
        "",
        "../plugin.py",
        "..%2Fplugin.py",
        "%2e%2e/__init__.py",
        "..\\plugin.py",
        "/etc/passwd",
        "//etc/passwd",
        "sub/index.js",
        "index.py",
        "index.js%00",
        ".js",
        "index.js/..",
    ],
)
def test_nothing_but_the_front_end_is_served(served: Served, name: str) -> None:
    assert served.backend.get(f"static/{name}").status_code == 404


def test_both_pages_take_relative_addresses_to_the_same_place(served: Served) -> None:
    page = served.backend.get("page")
    assert page.content_type == "text/html; charset=utf-8"
    assert '<script type="module" src="static/standalone.js">' in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "sha256" not in policy
    entry = served.backend.client.get("/data/plugin_entry.html?name=tbgrid").text
    assert '<base href="plugin/tbgrid/" />' in entry  # so static/ is below data/plugin/tbgrid/
    assert 'import("./static/index.js")' in entry


def test_the_listing_names_the_tab(served: Served) -> None:
    found = json.loads(served.backend.client.get("/data/plugins_listing").data)["tbgrid"]
    assert found["tab_name"] == "Grid"
    assert found["enabled"] is True
    path = found["loading_mechanism"]["module_path"]
    assert path == "/data/plugin/tbgrid/static/index.js"


# Requests


@pytest.mark.parametrize("export", ["", "current", "../../../..", "0" * 15, "0" * 17, "A" * 16])
def test_an_export_is_named_by_its_fingerprint(served: Served, export: str) -> None:
    assert_told(served.file(run_format.CELLS, export=export), 400, "export must be")


@pytest.mark.parametrize(
    "run",
    ["", "..", "../run", "run/", "./run", "run/.", "/", "whole/../run", "\0", "run\0", "none"],
)
def test_a_run_is_named_as_in_the_list(served: Served, run: str) -> None:
    assert_told(served.file(run_format.CELLS, run=run), 404, "no such run")


def test_a_run_s_path_is_no_name_for_it(served: Served) -> None:
    assert_told(served.file(run_format.CELLS, run=str(served.directory)), 404)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "places",
        "../report.json",
        "..",
        "previews.bin",
        "previews.u64",
        "mosaic.dzi",
        "current",
        "/etc/passwd",
        "column-0.f64",
        "column-0.utf8",
        "column-1.json",
        "column-2.u32",
        "column-3.u32",
        "column-00001.u32",
        "column-²0.u32",
        "column--1.u32",
        "column-99999999999999999999.u32",
        "manifest.json\0",
        "manifest.json\n",
    ],
)
def test_only_an_export_s_own_files_are_served(served: Served, name: str) -> None:
    assert_told(served.file(name), 404, "no file of that name")


@pytest.mark.parametrize("value", ["", "-1", "1.0", "x", "٣", "1e3", " 1", "9" * 10, "1\n", "\0"])
@pytest.mark.parametrize("key", ["row", "level", "column"])
def test_a_place_is_a_whole_number(served: Served, key: str, value: str) -> None:
    place = {"level": "0", "column": "0", "row": "0", key: value}
    assert_told(served.get("tile", **place), 400, f"{key} must be an integer")
    if key == "row":
        assert_told(served.get("preview", row=value), 400, "row must be an integer")


@pytest.mark.parametrize(
    "place", [(11, 0, 0), (10, 2, 0), (10, 0, 1), (9, 1, 0), (999999999, 0, 0)]
)
def test_a_tile_lies_in_the_mosaic(served: Served, place: tuple[int, int, int]) -> None:
    level, column, row = place
    assert_told(served.get("tile", level=level, column=column, row=row), 404, "no tile")


def test_a_preview_is_of_a_photo_and_may_be_none(served: Served) -> None:
    assert_told(served.get("preview", row=6), 404, "no photo 6")
    served.edit(preview=0)
    assert_told(served.get("preview", row=0), 404, "no previews")
    assert served.listed()["error"] is None


@settings(
    max_examples=150,
    # The first text that Hypothesis makes takes it seconds on a busy machine.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    route=st.sampled_from(["runs", "file", "tile", "preview", "page", "static/index.js"]),
    query=st.dictionaries(
        st.sampled_from(["run", "export", "name", "level", "column", "row"]),
        st.text(st.characters(codec="utf-8")) | st.integers().map(str) | st.just("run"),
    ),
    whole=st.booleans(),
)
def test_no_query_is_too_much(
    served: Served, route: str, query: dict[str, str], whole: bool
) -> None:
    asked = {"run": "run", "export": served.folder.name, **query} if whole else query
    answer = served.backend.get(route, **asked)
    assert answer.status_code in (200, 400, 404)


# Re-exports


def test_an_export_that_was_replaced_is_gone(served: Served) -> None:
    old = served.folder
    served.folder = write_run(served.directory, 1)
    assert {answer.status_code for answer in everything(served)} == {200}
    assert served.file(run_format.PLACES, export=old.name).status_code == 200, "it is still there"
    (old / run_format.FOLDER / run_format.PLACES).unlink()
    assert_told(served.file(run_format.PLACES, export=old.name), 410, "replaced")
    shutil.rmtree(old)
    served.folder = old
    for answer in everything(served):
        assert_told(answer, 410, "replaced")


def test_an_export_that_never_was_is_not_found(served: Served) -> None:
    (served.directory / "plugins/tbgrid/current").unlink()
    (served.directory / "plugins/tbgrid/staging-1").mkdir()
    assert_told(served.file(run_format.CELLS, export="0" * 16), 404, "no such export")


def test_parallel_clients_never_see_two_exports_mixed(tmp_path: Path) -> None:
    """Ten clients read all that they are told of, while the run is exported again and again."""
    from tbgrid.writers import run_directory

    exports = {}
    for token in range(4):
        # The files of the Projector stay the same here: only what the tab reads matters.
        write_files(tmp_path / f"new-{token}", contents(token))
        exports[run_directory._fingerprint(tmp_path / f"new-{token}")] = contents(token)
    directory = tmp_path / "logdir" / "run"

    def publish(token: int) -> None:
        with run_directory.claim_run(directory) as staging:
            shutil.copytree(tmp_path / f"new-{token}", staging, dirs_exist_ok=True)
            (staging.parent / "events").write_bytes(b"")
            run_directory.publish(directory, staging, staging.parent / "events", ["a"], 0)

    publish(0)
    backend = Backend(tmp_path / "logdir")
    done, mixed, seen = threading.Event(), [], set()

    def read() -> None:
        while not done.is_set():
            (entry,) = backend.runs()
            if entry["error"] is not None:
                mixed.append(entry["error"])
                continue
            expected = exports[entry["export"]]
            asked = {"run": "run", "export": entry["export"]}
            answers = {
                f"{run_format.FOLDER}/{name}": backend.get("file", name=name, **asked)
                for name in (*ARRAYS, *COLUMNS)
            }
            answers["report.json"] = backend.get("file", name="report.json", **asked)
            answers[f"{run_format.FOLDER}/{run_format.TILES}/0/0_0.jpg"] = backend.get(
                "tile", level=0, column=0, row=0, **asked
            )
            for name, answer in answers.items():
                if answer.status_code != 410:
                    seen.add(entry["export"])
                    data = answer.data
                    if name.endswith(".json"):
                        same = json.loads(data) == json.loads(expected[name])
                    else:
                        same = data == expected[name]
                    if answer.status_code != 200 or not same:
                        mixed.append((name, answer.status_code, data))

    clients = [threading.Thread(target=read) for _ in range(10)]
    for client in clients:
        client.start()
    for number in range(1, 20):
        publish(number % 4)
    done.set()
    for client in clients:
        client.join()
    assert mixed == []
    assert len(seen) > 1


# Hostile logdirs: an error for that run, which says what is wrong and how to mend it


DEEP = b"[" * 100_000
WRONG_MANIFESTS: dict[str, tuple[bytes | dict[str, Any], str]] = {
    "empty": (b"", "is not JSON"),
    "no JSON": (b"{", "is not JSON"),
    "no UTF-8": (b'{"title": "\xff"}', "is not JSON"),
    "a list": (b"[]", "not a JSON object"),
    "deep": (DEEP, "nested too deeply"),
    "NaN": (b'{"format": NaN}', "is not JSON"),
    "a number too long": (b'{"format": ' + b"9" * 5000 + b"}", "is not JSON"),
    "no version": ({"format": None}, "no format that this tbgrid can read"),
    "a version in words": ({"format": "1"}, "no format"),
    "version true": ({"format": True}, "no format"),
    "version 1.0": ({"format": 1.0}, "no format"),
    "older": ({"format": 0}, "no format"),
    "newer": ({"format": 2}, r"written by a newer tbgrid \(format 2\)"),
    "much newer": ({"format": 10**400}, "written by a newer tbgrid"),
    "no photos": ({"photos": 0}, "'photos' must be an integer from 1 to 2000000"),
    "10^18 photos": ({"photos": 10**18, "grid": [10**9, 10**9]}, "'photos' must be"),
    "infinitely many photos": (b'{"format": 1, "photos": 1e999}', "'photos' must be"),
    "6.0 photos": ({"photos": 6.0}, "'photos' must be"),
    "photos in words": ({"photos": "6"}, "'photos' must be"),
    "fewer photos": ({"photos": 5}, "bytes long, not"),
    "more photos": ({"photos": 7, "grid": [3, 3]}, "bytes long, not"),
    "no grid": ({"grid": None}, "'grid' must be"),
    "half a grid": ({"grid": [6]}, "'grid' must be rows and columns"),
    "a cubic grid": ({"grid": [2, 3, 1]}, "'grid' must be"),
    "a negative grid": ({"grid": [-2, -3]}, "'grid' is wrong at 0"),
    "a small grid": ({"grid": [1, 1]}, "'grid' must be room for 6 photos"),
    "a huge grid": ({"grid": [10**4, 10**4]}, "'grid' must be at most 50,000,000 cells"),
    "pictured 1": ({"pictured": 1}, "'pictured' must be true or false"),
    "many neighbours": ({"neighbours": 10**9}, "'neighbours' must be"),
    "as many neighbours as photos": ({"neighbours": 6}, "'neighbours' must be"),
    "negative neighbours": ({"neighbours": -1}, "'neighbours' must be"),
    "no title": ({"title": None}, "'title' must be a text"),
    "a metric": ({"metric": "../../etc/passwd"}, "'metric' must be cosine or euclidean"),
    "no columns": ({"columns": []}, "'key' must be"),
    "a column": ({"columns": ["label"]}, "'columns' is wrong at 0"),
    "a column without name": ({"columns": [{"kind": "text"}]}, "'columns' is wrong at 0"),
    "a kind": ({"columns": [{"name": "a", "kind": ["text"]}]}, "'columns' is wrong at 0"),
    "a path as kind": ({"columns": [{"name": "a", "kind": "../x"}]}, "'columns' is wrong at 0"),
    "a value": (
        {"columns": [{"name": "a", "kind": "category", "values": 10**18}]},
        "'columns' is wrong at 0",
    ),
    "many columns": ({"columns": [{"name": "a", "kind": "text"}] * 1001}, "a list of at most"),
    "another kind": ({"columns": [{"name": "a", "kind": "number"}], "key": 0}, "does not exist"),
    "key": ({"key": 3}, "'key' must be"),
    "key -1": ({"key": -1}, "'key' must be"),
    "key true": ({"key": True}, "'key' must be"),
    "cell": ({"cell": 100}, "'cell' must be a power of two from 8 to 256"),
    "cell 0": ({"cell": 0}, "'cell' must be"),
    "cell 2^40": ({"cell": 1 << 40}, "'cell' must be"),
    "tile": ({"tile": 256}, "'tile' must be 512"),
    "preview": ({"preview": 1}, "'preview' must be 0, or from 32 to 2048"),
    "left out": ({"skipped": -1}, "'skipped' must be"),
    "report": ({"report": {}}, "'report' must be a list"),
    "report of numbers": ({"report": [["a", 1]]}, "'report' is wrong at 0"),
    "report of three": ({"report": [["a", "b", "c"]]}, "'report' is wrong at 0"),
    "notes": ({"notes": [None]}, "'notes' is wrong at 0"),
    "summary": ({"summary": [[]]}, "'summary' is wrong at 0"),
    "much summary": ({"summary": [["a", "b"]] * 1001}, "'summary' must be a list of at most"),
}


@pytest.mark.parametrize("case", WRONG_MANIFESTS)
def test_a_wrong_manifest_is_told_of(case: str, served: Served) -> None:
    wrong, expected = WRONG_MANIFESTS[case]
    if isinstance(wrong, bytes):
        (served.map / run_format.MANIFEST).write_bytes(wrong)
    else:
        served.edit(**wrong)
    found = served.listed()
    assert found["export"] == served.folder.name
    with pytest.raises(AssertionError, match=expected):
        raise AssertionError(found["error"])
    mended = "upgrade tbgrid" if "newer" in case else f"--logdir {served.directory}"
    assert mended in found["hint"]
    assert {answer.status_code for answer in everything(served)} <= {200, 404, 422}


@pytest.mark.parametrize("key", sorted(MANIFEST.keys() - {"layout"}))
def test_a_manifest_without_one_of_its_keys_is_told_of(key: str, served: Served) -> None:
    path = served.map / run_format.MANIFEST
    left = {name: value for name, value in json.loads(path.read_bytes()).items() if name != key}
    path.write_text(json.dumps(left))
    assert served.listed()["error"]
    assert_told(served.file(run_format.MANIFEST), 422)


ODD_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


def test_a_manifest_that_names_no_layout_is_of_tsne() -> None:
    """As those of the first format's early runs."""
    older = {key: value for key, value in MANIFEST.items() if key != "layout"}
    assert json.loads(manifest.parse(json.dumps(older).encode()).text)["layout"] == "t-SNE"


@given(st.dictionaries(st.sampled_from(sorted(MANIFEST)), ODD_JSON, min_size=1, max_size=3))
def test_no_value_of_a_manifest_is_too_odd(changes: dict[str, Any]) -> None:
    try:
        found = manifest.parse(json.dumps({**MANIFEST, **changes}).encode())
    except files.BrokenError:
        return
    clean = json.loads(found.text)
    assert set(clean) == set(MANIFEST)
    assert all(0 <= size < 1 << 40 for size in found.sizes().values())
    assert manifest.parse(found.text) == found


@given(st.binary() | st.binary().map(lambda junk: json.dumps(MANIFEST).encode()[:200] + junk))
def test_no_bytes_of_a_manifest_are_too_odd(data: bytes) -> None:
    with pytest.raises(files.BrokenError):
        manifest.parse(data)


def place_link(path: Path) -> None:
    (path.parent / "elsewhere").write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to("elsewhere")


def place_dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nowhere/at/all")


def place_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def place_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def place_socket(path: Path) -> None:
    path.unlink()
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path has at most 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(here)


def place_device_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def place_ten_gigabytes(path: Path) -> None:
    os.truncate(path, 10 << 30)


ODD_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "link": (place_link, "is a link, not a file"),
    "dangling link": (place_dangling_link, "is a link, not a file"),
    "device": (place_device_link, "is a link, not a file"),
    "folder": (place_folder, "is a folder, not a file"),
    "pipe": (place_pipe, "is a pipe, not a file"),
    "socket": (place_socket, "is a socket, not a file"),
    "ten gigabytes": (place_ten_gigabytes, "bytes long"),
    "missing": (Path.unlink, "does not exist"),
    "truncated": (lambda path: os.truncate(path, path.stat().st_size - 1), ""),
    "empty": (lambda path: os.truncate(path, 0), ""),
}
ALL_FILES = sorted(
    name for name in contents() if run_format.TILES not in name or name.endswith("/10/1_0.jpg")
)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("odd", ODD_FILES)
def test_a_file_is_a_regular_file_of_its_size(odd: str, served: Served) -> None:
    place, expected = ODD_FILES[odd]
    place(served.map / run_format.CELLS)
    assert_told(served.file(run_format.CELLS), 422, expected)


@pytest.mark.parametrize("odd", ODD_FILES)
@pytest.mark.parametrize("name", ALL_FILES)
def test_whatever_is_in_a_file_s_place_is_told_of(name: str, odd: str, served: Served) -> None:
    place, expected = ODD_FILES[odd]
    place(served.folder / name)
    answers = list(everything(served))
    assert {answer.status_code for answer in answers} <= {200, 404, 422}
    if odd in ("truncated", "empty") and (name.endswith(".jpg") or name == "skipped.tsv"):
        return  # which have no length of their own; see the tests of pictures
    told = [json.loads(answer.data)["error"] for answer in answers if answer.status_code == 422]
    if odd != "ten gigabytes" or run_format.PREVIEWS not in name:  # of which only a part is read
        assert any(expected in text for text in told)
    if name not in ("skipped.tsv", "report.json") and not name.endswith((".jpg", ".json")):
        assert served.listed()["error"]


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize(
    "place",
    [
        "plugins",
        "plugins/tbgrid",
        "plugins/tbgrid/{0}",
        "plugins/tbgrid/{0}/map",
        "plugins/tbgrid/{0}/map/mosaic_files",
        "plugins/tbgrid/{0}/map/mosaic_files/10",
    ],
)
def test_a_linked_folder_is_not_followed(place: str, served: Served, tmp_path: Path) -> None:
    folder = served.directory / place.format(served.folder.name)
    outside = tmp_path / "outside"
    folder.rename(outside)
    folder.symlink_to(outside)
    (outside / "1_0.jpg").write_bytes(SECRET)
    answers = list(everything(served))
    assert 422 in {answer.status_code for answer in answers}
    assert not [answer for answer in answers if SECRET in answer.data]
    assert_told(served.get("tile", level=10, column=1, row=0), 422, "is a link, not a folder")
    if "mosaic" not in place:
        assert "is a link, not a folder" in served.listed()["error"]


@pytest.mark.parametrize("target", ["a file", "a pipe"])
def test_a_folder_s_place_may_hold_anything(target: str, served: Served) -> None:
    shutil.rmtree(served.map)
    if target == "a pipe":
        os.mkfifo(served.map)
    else:
        served.map.write_bytes(b"")
    assert f"map is {target}, not a folder" in served.listed()["error"]
    for answer in everything(served):
        assert_told(answer, 422, "not a folder")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"/etc",
        b"../../../../etc",
        b"..",
        b".",
        b"0123456789ABCDEF\n",
        b"0123456789abcdef/..",
        b"\xff" * 16,
        b"x" * 1000,
        b"0123456789abcdef\n\n",
        b"0123456789abcdef\0",
    ],
)
def test_current_names_a_folder_beside_it_or_nothing(content: bytes, served: Served) -> None:
    (served.directory / "plugins/tbgrid/current").write_bytes(content)
    found = served.listed()
    assert found["export"] is None
    assert "plugins/tbgrid/current" in found["error"]
    assert "export again: tbgrid export" in found["hint"]


def test_current_may_name_what_is_not_there(served: Served) -> None:
    (served.directory / "plugins/tbgrid/current").write_text("0123456789abcdef\n")
    assert "plugins/tbgrid/0123456789abcdef does not exist" in served.listed()["error"]
    assert_told(served.file(run_format.CELLS, export="0123456789abcdef"), 422, "does not exist")


@pytest.mark.parametrize("odd", ["link", "device", "folder", "pipe", "socket", "ten gigabytes"])
def test_current_is_a_small_file(odd: str, served: Served) -> None:
    ODD_FILES[odd][0](served.directory / "plugins/tbgrid/current")
    assert ODD_FILES[odd][1] in served.listed()["error"]


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EMFILE, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("name", ["manifest.json", "cells.u32"])
def test_what_may_not_be_opened_is_told_of(
    name: str, code: int, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may open all, so that real permissions would not do."""
    real = os.open

    def refuse(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path).endswith(name) and "whole" not in str(path):
            raise OSError(code, os.strerror(code), path)
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    assert_told(
        served.file(run_format.CELLS), 422, f"map/{name} cannot be read ({os.strerror(code)})"
    )


def test_an_error_of_the_disk_is_told_of(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "read", fail)
    assert_told(served.file(run_format.CELLS), 422, "cannot be read (Input/output error)")


def test_an_older_run_says_how_to_get_the_tab(served: Served) -> None:
    shutil.rmtree(served.map)
    found = served.listed()
    assert found["error"] == "written by an older tbgrid, without the files of this tab"
    assert found["hint"] == f"export again: tbgrid export PHOTOS --logdir {served.directory}"
    assert_told(served.file(run_format.MANIFEST), 422, "older tbgrid")


def test_a_run_that_is_written_for_the_first_time_is_named_as_such(served: Served) -> None:
    home = served.directory / "plugins/tbgrid"
    (home / "current").unlink()
    (home / "staging-123").mkdir()
    assert served.listed()["error"] == "its first export is not complete"


@pytest.mark.parametrize(
    "offsets",
    [
        [0, 0, 0, 0, 0, 0, 0],
        [5, 4, 3, 2, 1, 0, 0],
        [10**18] * 7,
        [0, 2**64 - 1] + [0] * 5,
        [2**63, 2**63 + 100] + [0] * 5,
        [1, 30] + [0] * 5,
        [0, 10**6] + [0] * 5,
    ],
)
def test_a_preview_is_a_jpeg_within_its_file(offsets: list[int], served: Served) -> None:
    (served.map / run_format.PREVIEW_OFFSETS).write_bytes(struct.pack("<7Q", *offsets))
    assert_told(served.get("preview", row=0), 422)


def test_no_picture_is_larger_than_a_picture_can_be(served: Served) -> None:
    os.truncate(served.map / run_format.PREVIEWS, 10 << 30)
    ends = [0, 9 << 30, 0, 0, 0, 0, 0]
    (served.map / run_format.PREVIEW_OFFSETS).write_bytes(struct.pack("<7Q", *ends))
    assert_told(served.get("preview", row=0), 422, "wrong for photo 0")
    os.truncate(served.map / run_format.TILES / "0/0_0.jpg", 10 << 30)
    assert_told(served.get("tile", level=0, column=0, row=0), 422, "bytes long")


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x89PNG", b"<svg onload=alert(1)>"])
def test_a_tile_is_a_jpeg(content: bytes, served: Served) -> None:
    (served.map / run_format.TILES / "0/0_0.jpg").write_bytes(content)
    assert_told(served.get("tile", level=0, column=0, row=0), 422, "not a JPEG")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b'["a"]', "holds 1 values, not 2"),
        (b'["a", 1]', "not a list of texts"),
        (b'{"a": 1}', "not a list of texts"),
        (DEEP, "nested too deeply"),
        (b'["a", NaN]', "not JSON"),
        (b"\xff", "not JSON"),
    ],
)
def test_categories_are_texts(content: bytes, error: str, served: Served) -> None:
    (served.map / "column-0.json").write_bytes(content)
    assert_told(served.file("column-0.json"), 422, error)


@pytest.mark.parametrize("end", [0, 10, 2**32 - 1])
def test_texts_are_as_long_as_their_offsets_say(end: int, served: Served) -> None:
    (served.map / "column-1.u32").write_bytes(struct.pack("<7I", *[0] * 6, end))
    assert_told(served.file("column-1.utf8"), 422)


@pytest.mark.parametrize("content", [b"[]", b"", DEEP, b'{"a": Infinity}'])
def test_a_report_is_an_object(content: bytes, served: Served) -> None:
    (served.folder / "report.json").write_bytes(content)
    assert_told(served.file("report.json"), 422)


# Exports


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 50), (33, 7), (101, 99)])
@pytest.mark.parametrize("cell", [8, 64, 256])
def test_a_pyramid_has_the_tiles_of_deep_zoom(shape: tuple[int, int], cell: int) -> None:
    """Each level is half the next one, rounded up, from one pixel on."""
    rows, columns = shape
    changes = {"photos": 1, "neighbours": 0, "columns": MANIFEST["columns"][1:], "key": 0}
    told = {**MANIFEST, **changes, "grid": [rows, columns], "cell": cell}
    found = manifest.parse(json.dumps(told).encode())
    expected: list[tuple[int, int]] = []
    width, height = columns * cell, rows * cell
    while True:
        expected.insert(0, (-(-width // 512), -(-height // 512)))
        if width == height == 1:
            break
        width, height = -(-width // 2), -(-height // 2)
    levels = [found.tiles(level) for level in range(-1, len(expected) + 1)]
    assert levels == [(0, 0), *expected, (0, 0)]


def test_an_export_is_served_whole(exported: tbgrid.ExportResult) -> None:
    backend = Backend(exported.directory.parent)
    (entry,) = backend.runs()
    assert entry["error"] is None, entry
    asked = {"run": entry["run"], "export": entry["export"]}
    text = backend.get("file", name=run_format.MANIFEST, **asked).data
    told, found = json.loads(text), manifest.parse(text)
    assert (entry["run"], entry["photos"]) == ("colours", len(exported.images.photos))
    assert told == json.loads(
        next(exported.directory.glob(f"{run_format.HOME}/*/map/manifest.json")).read_bytes()
    )
    for name in found.sizes():
        if name != run_format.PREVIEW_OFFSETS:
            assert backend.get("file", name=name, **asked).status_code == 200, name
    for number, kind in enumerate(found.kinds):
        if kind != "number":
            name = f"column-{number}.{'utf8' if kind == 'text' else 'json'}"
            assert backend.get("file", name=name, **asked).status_code == 200, name
    for name in ("skipped.tsv", "report.json"):
        assert backend.get("file", name=name, **asked).status_code == 200, name
    level = 0
    while (size := found.tiles(level)) != (0, 0):
        for column in range(size[0]):
            for row in range(size[1]):
                answer = backend.get("tile", level=level, column=column, row=row, **asked)
                assert answer.status_code == 200
        level += 1
    assert level > 1
    for row in range(found.photos if found.preview else 0):
        assert backend.get("preview", row=row, **asked).status_code == 200
