"""The Grid tab in a real TensorBoard: with its data server and without, under a prefix."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tbgrid import run_format
from tbgrid.writers import run_directory
from tests.support.preloaded import Preloaded
from tests.support.tab_runs import contents, write_files, write_run
from tests.support.tensorboard_process import get_json, plugins, tensorboard

EXECUTABLE = Path(sys.executable).with_name("tensorboard")
SOON = 20  # seconds in which TensorBoard's listing must know of a new run: it looks every five


def get(address: str, route: str, **query: object) -> tuple[int, bytes]:
    """Status and body of the tab's answer."""
    try:
        with urllib.request.urlopen(
            f"{address}/data/plugin/tbgrid/{route}?{urlencode(query)}", timeout=60
        ) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def listed(address: str) -> dict[str, str]:
    """The runs that are whole, and their exports."""
    found = json.loads(get(address, "runs")[1])["runs"]
    return {entry["run"]: entry["export"] for entry in found if entry["error"] is None}


@pytest.fixture(scope="module")
def logdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which there is nothing yet."""
    return tmp_path_factory.mktemp("logdir")


@pytest.fixture(scope="module")
def fast(logdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """TensorBoard with its data server, under a prefix, started before there was a run."""
    log = tmp_path_factory.mktemp("log") / "log"
    options = ("--path_prefix", "/a/prefix", "--load_fast=true")
    with tensorboard(EXECUTABLE, logdir, log, *options, ready="") as address:
        assert address.endswith("/a/prefix")
        yield address
        assert "Traceback" not in log.read_text()
        assert "In 3.0, this warning" not in log.read_text()


def test_the_tab_comes_when_a_run_does(fast: str, logdir: Path) -> None:
    assert not plugins(fast)["tbgrid"]["enabled"]
    assert listed(fast) == {}
    folder = write_run(logdir / "late <r> 100%")
    assert listed(fast) == {"late <r> 100%": folder.name}, "the list is always fresh"
    deadline = time.monotonic() + SOON
    while not (found := plugins(fast)["tbgrid"])["enabled"]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    path = found["loading_mechanism"]["module_path"]
    assert path == "/a/prefix/data/plugin/tbgrid/static/index.js"


def test_everything_comes_through_the_server(fast: str, logdir: Path) -> None:
    folder = write_run(logdir / "whole")
    assert listed(fast)["whole"] == folder.name
    asked = {"run": "whole", "export": folder.name}
    for name in (run_format.PLACES, run_format.CELLS, run_format.NEIGHBORS, "column-1.utf8"):
        data = contents()[f"{run_format.FOLDER}/{name}"]
        assert get(fast, "file", name=name, **asked) == (200, data)
    assert get(fast, "preview", row=5, **asked)[1].endswith(b"preview 0 5")
    assert get(fast, "tile", level=10, column=1, row=0, **asked)[1].endswith(b"tile 0 10 1 0")
    assert get(fast, "preview", row=6, **asked)[0] == 404
    assert b"static/standalone.js" in get(fast, "page")[1]
    request = urllib.request.Request(f"{fast}/data/plugin/tbgrid/runs", b"", method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 405
    refused.value.close()


def test_ten_clients_never_see_two_exports_mixed(fast: str, logdir: Path, tmp_path: Path) -> None:
    """They read all that they are told of, while the run is exported again and again."""
    directory = logdir / "exported"
    fingerprints = {}
    for token in range(3):
        write_files(tmp_path / str(token), contents(token))
        fingerprints[run_directory._fingerprint(tmp_path / str(token))] = token

    def publish(token: int) -> None:
        with run_directory.claim_run(directory) as staging:
            shutil.copytree(tmp_path / str(token), staging, dirs_exist_ok=True)
            events = staging.parent / "events"
            events.write_bytes(b"")
            run_directory.publish(directory, staging, events, ["a"], 0)

    publish(0)
    done = threading.Event()
    wrong: list[object] = []
    seen: set[int] = set()

    def read() -> None:
        while not done.is_set():
            export = listed(fast).get("exported")
            if export is None:
                wrong.append("the run is not listed")
                continue
            token = fingerprints[export]
            asked = {"run": "exported", "export": export}
            answers = {
                f"{run_format.FOLDER}/{run_format.PLACES}": get(
                    fast, "file", name=run_format.PLACES, **asked
                ),
                f"{run_format.FOLDER}/{run_format.HARMONY}": get(
                    fast, "file", name=run_format.HARMONY, **asked
                ),
                f"{run_format.FOLDER}/column-2.f64": get(
                    fast, "file", name="column-2.f64", **asked
                ),
                f"{run_format.FOLDER}/{run_format.TILES}/0/0_0.jpg": get(
                    fast, "tile", level=0, column=0, row=0, **asked
                ),
            }
            for name, (status, data) in answers.items():
                if status == 200:
                    seen.add(token)
                if status != 410 and (status, data) != (200, contents(token)[name]):
                    wrong.append((token, name, status, data))

    clients = [threading.Thread(target=read) for _ in range(10)]
    for client in clients:
        client.start()
    for number in range(1, 16):
        publish(number % 3)
        time.sleep(0.2)
    done.set()
    for client in clients:
        client.join()
    assert wrong == []
    assert len(seen) == 3


def test_several_logdirs_without_the_data_server(tmp_path: Path, preloaded: Preloaded) -> None:
    """--logdir_spec is read by TensorBoard without its data server, which is not there then."""
    one, other = write_run(tmp_path / "x"), write_run(tmp_path / "y" / "deep", 1)
    spec = f"a:{tmp_path}/x,b:{tmp_path}/y"
    log = tmp_path / "log"
    with tensorboard(
        preloaded, None, log, "--logdir_spec", spec, "--bind_all", ready="tbgrid"
    ) as address:
        expected = {"a/.": one.name, "b/deep": other.name}
        assert listed(address) == expected
        asked = {"run": "b/deep", "export": other.name, "row": 0}
        assert get(address, "preview", **asked)[1].endswith(b"preview 1 0")
        experiment = f"{address}/experiment/1"
        assert listed(experiment) == expected
        assert get_json(f"{address}/data/environment")["data_location"] == spec
    assert "Traceback" not in log.read_text()
