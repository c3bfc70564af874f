"""The wheel: what is in it, and that it works in a fresh environment of each Python.

Interpreters are looked for on the PATH as python3.10 and so on, and in the list of paths in
TBGRID_TEST_PYTHONS, which are separated as in PATH.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

import tbgrid
from tests.support.paths import ROOT
from tests.support.photos import draw_photos
from tests.support.tensorboard_process import get_json, plugins, tensorboard

pytestmark = pytest.mark.slow

VERSIONS = ["3.10", "3.11", "3.12", "3.13"]
LARGEST = 12_000_000  # bytes
VERSION = "import platform; print(platform.python_version())"
SCRIPTS = "Scripts" if os.name == "nt" else "bin"


def clean_environment() -> dict[str, str]:
    """The environment without what would let this test's own packages in."""
    return {key: value for key, value in os.environ.items() if key[:6] != "PYTHON"}


def run(*command: str | Path) -> str:
    """The standard output of a command that must succeed."""
    done = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", env=clean_environment()
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def pythons() -> dict[str, str]:
    """Version -> an interpreter that can make an environment; this one's among them.

    A name on the PATH may be a shim whose version is not there, so each is tried.
    """
    listed = os.environ.get("TBGRID_TEST_PYTHONS", "").split(os.pathsep)
    named = [shutil.which(f"python{version}") for version in VERSIONS]
    asked = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
    found: dict[str, str] = {}
    for candidate in filter(None, [*listed, *named, sys.executable]):
        with contextlib.suppress(OSError):
            answer = subprocess.run(
                [candidate, "-c", asked], capture_output=True, text=True, env=clean_environment()
            )
            if answer.returncode == 0:
                found.setdefault(answer.stdout.strip(), candidate)
    return {version: found[version] for version in VERSIONS if version in found}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "python" in metafunc.fixturenames:
        found = pythons() if metafunc.config.getoption("--slow") else {}
        metafunc.parametrize("python", found.values(), ids=found.keys())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that the build leaves nothing in the tree."""
    work = tmp_path_factory.mktemp("wheel")
    unwanted = shutil.ignore_patterns(
        ".git",
        "*venv*",
        "__pycache__",
        ".*_cache",
        ".hypothesis",
        "node_modules",
        "build",
        "dist",
        "runs",
    )
    shutil.copytree(ROOT, work / "tree", ignore=unwanted)
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", work / "out", work / "tree")
    (built,) = (work / "out").iterdir()
    return built


def test_the_wheel_holds_the_package_whole_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tbgrid").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == expected
    assert {
        "tbgrid/py.typed",
        "tbgrid/embedding/builtin/saved_model.pb",
        "tbgrid/embedding/builtin/variables/variables.index",
        "tbgrid/embedding/builtin/variables/variables.data-00000-of-00001",
        "tbgrid/plugin/static/index.js",
    } <= names
    assert wheel.stat().st_size < LARGEST


def test_the_wheel_works_in_a_fresh_environment(python: str, wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "environment"
    scripts = home / SCRIPTS
    try:
        run(python, "-m", "venv", home)
        # Most of what is installed is never imported, and compiling it takes its time.
        run(scripts / "python", "-m", "pip", "install", "--quiet", "--no-compile", wheel)
        run(scripts / "python", "-m", "pip", "check")
        assert run(scripts / "tbgrid", "--version") == f"tbgrid {tbgrid.__version__}\n"

        photos = draw_photos(tmp_path / "photos", each=4)
        logdir = tmp_path / "logs"
        told = run(scripts / "tbgrid", "export", photos, "--logdir", logdir, "--run", "a", "--json")
        report = json.loads(told)
        assert report["photos"]["shown"] == 12
        assert report["versions"]["python"] == run(python, "-c", VERSION).strip()

        with tensorboard(scripts / "tensorboard", logdir, tmp_path / "log") as address:
            assert plugins(address)["images"]["enabled"]
            assert get_json(f"{address}/data/plugin/projector/runs") == ["a"]
            info = get_json(f"{address}/data/plugin/projector/info?run=a")
            shapes = [tensor["tensorShape"] for tensor in info["embeddings"]]
            assert sorted(shapes) == [[12, 3], [12, report["model"]["dimensions"]]]
            tab = plugins(address)["tbgrid"]
            assert tab["enabled"]
            module = tab["loading_mechanism"]["module_path"]
            with urllib.request.urlopen(f"{address}{module}") as answer:
                assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
                assert b"render" in answer.read()
            (shown,) = get_json(f"{address}/data/plugin/tbgrid/runs")["runs"]
            assert (shown["run"], shown["photos"], shown["error"]) == ("a", 12, None)
    finally:
        shutil.rmtree(home, ignore_errors=True)
