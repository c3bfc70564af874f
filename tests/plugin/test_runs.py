"""Which runs the Grid tab finds: those of TensorBoard, by its names, wherever they lie."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins import base_plugin

from tbgrid import run_format
from tbgrid.plugin import GridLoader, files, runs
from tbgrid.plugin.runs import Runs, Search, logdir_roots
from tests.support.plugin_backend import Backend
from tests.support.tab_runs import write_run

pytestmark = pytest.mark.filterwarnings("ignore:html5lib's sanitizer:DeprecationWarning")


def found_in(logdir: Path | str, spec: str | None = None) -> tuple[list[str], str]:
    """The names of the runs, and what was searched."""
    found, searched = Runs(logdir_roots(str(logdir), spec)).search()
    return [run.name for run in found], searched


def search_spec(spec: str) -> tuple[list[str], str]:
    return found_in("", spec)


def shown_by_tensorboard(paths: dict[str, str | None]) -> set[str]:
    """The runs that TensorBoard itself shows, by their event files."""
    multiplexer = EventMultiplexer()
    for path, name in paths.items():
        multiplexer.AddRunsFromDirectory(path, name)
    return set(multiplexer.Runs())


def event_run(directory: Path) -> None:
    """A run of tbgrid that TensorBoard shows, too."""
    write_run(directory)
    (directory / "events.out.tfevents.1.tbgrid").write_bytes(b"")


def test_runs_are_those_of_tensorboard(tmp_path: Path) -> None:
    logdir = tmp_path / "logdir"
    names = [".", "a", "a/b/c", "b 10", "b 9", "x%2F&#?='\"", "<script>", "ü", "-", ".hidden"]
    for name in names:
        event_run(logdir / name)
    event_run(tmp_path / "elsewhere" / "deep")
    (logdir / "linked").symlink_to(tmp_path / "elsewhere")
    found, searched = found_in(logdir)
    assert set(found) == shown_by_tensorboard({str(logdir): None})
    assert set(found) == {*names, "linked/deep"}
    assert searched == str(logdir)
    assert found.index("b 9") < found.index("b 10"), "in natural order"


def test_runs_of_odd_names_are_served(tmp_path: Path) -> None:
    names = ["x%2F&#?='\"+;", "<script>alert(1)<", "ü 😀", "a\nb", "\\", "%00"]
    for name in names:
        write_run(tmp_path / name)
    backend = Backend(tmp_path)
    entries = backend.runs()
    assert {entry["run"] for entry in entries} == set(names)
    for entry in entries:
        asked = {"run": entry["run"], "export": entry["export"]}
        assert backend.get("preview", row=0, **asked).status_code == 200


def test_a_name_that_is_not_utf_8_is_shown_as_it_can_be(tmp_path: Path) -> None:
    try:
        write_run(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")))
    except OSError:
        pytest.skip("the file system takes no such name")
    backend = Backend(tmp_path)
    (entry,) = backend.runs()
    assert entry["run"] == "caf\ufffd"
    asked = {"run": entry["run"], "export": entry["export"]}
    assert backend.get("preview", row=0, **asked).status_code == 200


def test_nothing_is_looked_for_within_an_export(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    write_run(folder / "inner")
    write_run(tmp_path / "run" / "plugins" / "other")
    assert found_in(tmp_path)[0] == ["run", "run/plugins/other"]


def test_what_only_looks_like_a_run_is_none(tmp_path: Path) -> None:
    (tmp_path / "a/plugins/tbgrid").mkdir(parents=True)
    (tmp_path / "b/plugins").mkdir(parents=True)
    (tmp_path / "b/plugins/tbgrid").write_bytes(b"")
    (tmp_path / "plugins").write_bytes(b"")
    assert found_in(tmp_path)[0] == []
    event_run(tmp_path / "a/plugins/tbgrid")
    assert found_in(tmp_path)[0] == ["a/plugins/tbgrid"], "a run of that name"


def test_links_in_circles_come_to_an_end(tmp_path: Path) -> None:
    write_run(tmp_path / "a" / "run")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to(".")
    (tmp_path / "a" / "run" / "again").symlink_to(tmp_path / "a")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("nothing")
    assert found_in(tmp_path)[0] == ["a/run"]


def test_a_search_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        (tmp_path / f"{number:02}" / "deeper").mkdir(parents=True)
    write_run(tmp_path / "00")
    write_run(tmp_path / "29" / "deeper")
    monkeypatch.setattr(runs, "MAX_FOLDERS", 20)
    names, searched = found_in(tmp_path)
    assert names == ["00"]
    assert "stopped after 20 folders: give tensorboard a --logdir further down" in searched
    monkeypatch.setattr(runs, "MAX_FOLDERS", 1000)
    assert found_in(tmp_path) == (["00", "29/deeper"], str(tmp_path))
    monkeypatch.setattr(runs, "MAX_SECONDS", -1)
    names, searched = found_in(tmp_path)
    assert names == []
    assert "the search stopped" in searched


def test_a_deep_tree_has_an_end(tmp_path: Path) -> None:
    """Deeper than a path may be long."""
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        for _ in range(300):
            Path("d" * 20).mkdir()
            os.chdir("d" * 20)
    finally:
        os.chdir(here)
    write_run(tmp_path / "e")
    assert found_in(tmp_path)[0] == ["e"]


@pytest.mark.parametrize(
    ("logdir", "reason"),
    [
        ("{}/none/yet", "does not exist yet"),
        ("{}/file", "not a folder"),
        ("{}/file/below", "not a folder"),
        ("gs://bucket/runs", "not searched: this tab reads local folders only"),
        ("s3://bucket/runs", "not searched"),
        ("hdfs://host/runs", "not searched"),
        ("{}/\0", "cannot be read"),
    ],
)
def test_what_cannot_be_searched_is_told(logdir: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    backend = Backend(logdir.format(tmp_path))
    answer = json.loads(backend.get("runs").data)
    assert answer["runs"] == []
    assert f"({reason}" in answer["searched"]
    assert not backend.plugin.is_active()


def test_without_a_logdir_nothing_is_searched() -> None:
    plugin = GridLoader().load(base_plugin.TBContext())
    assert not plugin.is_active()
    assert found_in("")[1] == "nothing: TensorBoard has no logdir"


def test_a_logdir_is_read_as_tensorboard_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "home" / "runs" / "a")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    assert found_in("~/runs") == (["a"], "~/runs")
    monkeypatch.chdir(tmp_path / "home")
    relative = Runs(logdir_roots("runs/", None))
    monkeypatch.chdir(tmp_path)
    assert [run.name for run in relative.search()[0]] == ["a"], "of the directory at the start"
    assert found_in(f"file://{tmp_path}/home")[0] == ["runs/a"]
    assert found_in(f"{tmp_path},{tmp_path}/home")[0] == [], "only --logdir_spec has commas"


def test_a_logdir_may_come_later(tmp_path: Path) -> None:
    backend = Backend(tmp_path / "later")
    assert backend.runs() == []
    folder = write_run(tmp_path / "later" / "run")
    asked: dict[str, Any] = {"run": "run", "export": folder.name, "row": 0}
    deadline = time.monotonic() + 10
    while backend.get("preview", **asked).status_code != 200:
        assert time.monotonic() < deadline
    assert [entry["error"] for entry in backend.runs()] == [None]


SPECS = [
    "{0}/x",
    "a:{0}/x",
    "a:{0}/x,b:{0}/y",
    "{0}/x,{0}/y",
    "a:{0}/x:y",
    "{0}/x:y",
    "a:gs://bucket/x,b:{0}/x",
    "gs://bucket/x",
    "a:{0}/x,b:{0}/x",
    "a:{0}/none,b:{0}/y",
    "a:{0}/x,a:{0}/y",
]


@pytest.mark.parametrize("spec", SPECS)
def test_a_logdir_spec_is_read_as_tensorboard_reads_it(spec: str, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.data_ingester import _parse_event_files_spec

    for name in ("x", "x/deep", "y/deeper", "x:y"):
        event_run(tmp_path / name)
    spec = spec.format(tmp_path)
    theirs = _parse_event_files_spec(spec)
    found, searched = search_spec(spec)
    local = {path: name for path, name in theirs.items() if "://" not in path}
    assert set(found) == shown_by_tensorboard(local)
    assert ("not searched" in searched) == (len(local) < len(theirs))


def test_two_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """TensorBoard would show but one of them."""
    write_run(tmp_path / "x" / "run", 1)
    write_run(tmp_path / "y" / "run", 2)
    flags = SimpleNamespace(logdir="", logdir_spec=f"{tmp_path}/x,{tmp_path}/y")
    plugin = GridLoader().load(base_plugin.TBContext(flags=flags, logdir=""))
    found, _ = plugin._runs.search()
    assert [run.name for run in found] == ["run", f"run ({tmp_path}/y/run)"]
    assert plugin.is_active()


def test_the_first_listing_knows_of_a_run(tmp_path: Path) -> None:
    write_run(tmp_path / "deep" / "er" / "run")
    assert Backend(tmp_path).plugin.is_active()


def wait_for(active: bool, plugin: Any) -> None:
    deadline = time.monotonic() + 10
    while plugin.is_active() != active:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_tab_comes_and_goes_with_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "SEARCH_INTERVAL", 0.05)
    monkeypatch.setattr(runs, "RECHECK_INTERVAL", 0.05)
    plugin = Backend(tmp_path).plugin
    wait_for(False, plugin)
    folder = write_run(tmp_path / "run")
    wait_for(True, plugin)
    (folder.parent / "current").unlink()
    wait_for(False, plugin)
    (folder.parent / "staging-1").mkdir()
    wait_for(True, plugin)


def test_the_listing_asks_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it wait for one that does not answer, but for a moment after the start."""
    import threading

    answered = threading.Event()
    real = Search.__iter__

    def slow(self: Search) -> Any:
        assert threading.current_thread().name == "tbgrid-check"
        answered.wait(30)
        return real(self)

    monkeypatch.setattr(Search, "__iter__", slow)
    monkeypatch.setattr(runs, "FIRST_WAIT", 0.2)
    write_run(tmp_path / "run")
    plugin = Backend(tmp_path).plugin
    begun = time.monotonic()
    assert not plugin.is_active()
    waited = time.monotonic() - begun
    begun = time.monotonic()
    assert not any(plugin.is_active() for _ in range(100))
    assert time.monotonic() - begun < 0.1
    assert waited < 1
    looking = [thread for thread in threading.enumerate() if thread.name == "tbgrid-check"]
    assert len(looking) == 1
    answered.set()
    wait_for(True, plugin)


def test_a_search_that_fails_is_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "SEARCH_INTERVAL", 0.0)
    real = Search.__iter__

    def fail(_: Search) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Search, "__iter__", fail)
    plugin = Backend(tmp_path).plugin
    assert not plugin.is_active()
    write_run(tmp_path / "run")
    monkeypatch.setattr(Search, "__iter__", real)
    wait_for(True, plugin)


def test_guessed_names_take_a_small_part_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[Search] = []

    def slow(self: Search) -> Any:
        searched.append(self)
        time.sleep(0.1)
        return iter(())

    monkeypatch.setattr(Search, "__iter__", slow)
    found = Runs(logdir_roots(str(tmp_path), None))
    assert all(found.get(str(number)) is None for number in range(100))
    assert len(searched) == 1


def test_a_run_that_is_gone_is_an_error(tmp_path: Path) -> None:
    backend = Backend(tmp_path)
    folder = write_run(tmp_path / "run")
    assert backend.runs()[0]["error"] is None
    (tmp_path / "run").rename(tmp_path / "other")
    answer = backend.get("preview", run="run", export=folder.name, row=0)
    assert answer.status_code in (404, 422)
    assert "not exist" in json.loads(answer.data)["error"]


def test_names_are_sorted_naturally() -> None:
    names = ["b", "a10", "a9", "a09", "a", "1" * 10_000, "", "a10b2", "a10b10"]
    assert sorted(names, key=run_format.natural_order) == [
        "",
        "1" * 10_000,
        "a",
        "a09",
        "a9",
        "a10",
        "a10b2",
        "a10b10",
        "b",
    ]


def test_a_name_is_never_a_path(tmp_path: Path) -> None:
    with files.Folder.at(str(tmp_path)) as folder:
        for name in ("", ".", "..", "a/b", "/a", "a\\b", "a\0", "a\n", "C:"):
            with pytest.raises(ValueError, match="is not a name"):
                folder.open(name)
            with pytest.raises(ValueError, match="is not a name"):
                folder.inside(name)
