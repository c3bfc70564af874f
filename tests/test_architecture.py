"""Imports point one way, and heavy ones wait until they are needed."""

from __future__ import annotations

import ast
import functools
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.layers import LAYERS
from tests.support.paths import ROOT

PACKAGE = ROOT / "tbgrid"
# They read finished runs, TensorBoard's process among them, and know no more than the format.
# TensorBoard's process must not load NumPy, as `types` does.
READABLE = {"plugin": {"run_format"}, "check": {"run_format", "types", "errors"}}
HEAVY = (
    "tensorflow",
    "tensorflow_hub",
    "sklearn",
    "matplotlib",
    "tensorboard",
    "PIL",
    "numpy",
    "fastapi",
)
# Who may import TensorFlow, and only inside functions.
TENSORFLOW = {
    "embedding/hub.py": {"tensorflow", "tensorflow_hub"},
    "embedding/keras.py": {"tensorflow"},
    "embedding/tflite.py": {"tensorflow"},
    "check/checkpoint.py": {"tensorflow"},
    "writers/projector.py": {"tensorflow"},
    "writers/event_file.py": {"tensorflow"},
    "training/keras_callback.py": {"keras"},  # at its top: who asks for it has Keras loaded
}


def imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            if node.module == "tbgrid":
                names.update(f"tbgrid.{alias.name}" for alias in node.names)
    return names


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def modules() -> list[Path]:
    return [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]


def importable(package: str) -> set[str]:
    """What the modules of `package`, a package or a module of tbgrid itself, may import."""
    if package in READABLE:
        return READABLE[package] | {package}
    below: set[str] = set()
    for names in LAYERS.values():
        if package in names:
            # The ground and the vocabulary are single modules, which may know each other.
            readers = set(READABLE) if package == "cli" else set()
            return readers | below | (names if (PACKAGE / f"{package}.py").exists() else {package})
        below |= names
    raise AssertionError(f"give {package} its place in LAYERS")


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_downwards(path: Path) -> None:
    allowed = importable(path.relative_to(PACKAGE).parts[0].removesuffix(".py"))
    if path.name == "__main__.py":
        allowed |= {"cli"}
    for name in imported(parsed(path)):
        parts = name.split(".")
        if parts[0] == "tbgrid" and len(parts) > 1:
            assert parts[1] in allowed, f"{path.relative_to(PACKAGE)} must not import {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_tensorflow_is_imported_in_functions_of_few_modules(path: Path) -> None:
    tree = parsed(path)
    roots = {name.split(".")[0] for name in imported(tree)}
    allowed = TENSORFLOW.get(path.relative_to(PACKAGE).as_posix(), set())
    assert roots & {"tensorflow", "tensorflow_hub", "keras"} <= allowed
    at_top = {
        name.split(".")[0]
        for node in tree.body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in imported(node)
    }
    assert not at_top & {"tensorflow", "tensorflow_hub", "sklearn", "matplotlib"}


def test_tests_share_what_stands_in_support() -> None:
    """Neither fixtures nor other tests are imported, and no path is added to find them."""
    tests = ROOT / "tests"
    for path in tests.rglob("*.py"):
        for name in imported(parsed(path)):
            last = name.split(".")[-1]
            shared = not name.startswith("tests.") or not last.startswith(("test_", "conftest"))
            assert shared, f"{path.relative_to(tests)} must not import {name}"
        assert "sys.path." not in path.read_text("utf-8") or path == Path(__file__), path


def loaded_by(program: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split()) & set(HEAVY)


def test_the_tab_needs_nothing_but_tensorboard() -> None:
    """It runs in TensorBoard's process, which may have no other part of tbgrid's needs."""
    for path in (PACKAGE / "plugin").rglob("*.py"):
        roots = {name.split(".")[0] for name in imported(parsed(path))}
        known = sys.stdlib_module_names | {"tensorboard", "werkzeug", "tbgrid"}
        assert roots <= known, f"{path.name} must not import {roots - known}"


SERVE = """
import os, sys, tempfile
from pathlib import Path
from tensorboard.plugins import base_plugin
from werkzeug.test import Client
from tbgrid.plugin import GridLoader
with tempfile.TemporaryDirectory() as logdir:
    Path(logdir, "plugins", "tbgrid").mkdir(parents=True)
    Path(logdir, "plugins", "tbgrid", "current").write_text("0123456789abcdef")
    plugin = GridLoader().load(base_plugin.TBContext(logdir=logdir))
    assert plugin.is_active()
    for route, application in plugin.get_plugin_apps().items():
        Client(application).get(route)
"""


def test_the_tab_loads_nothing_heavy() -> None:
    assert loaded_by("import tbgrid.plugin") == {"tensorboard"}
    assert loaded_by(SERVE) == {"tensorboard"}
    assert "numpy" in loaded_by(f"{SERVE}\nimport tbgrid.types"), "the check must be able to fail"


def test_the_tab_is_loaded_quickly() -> None:
    """TensorBoard starts at most 0.05 s of CPU later, as the best of three."""
    program = (
        "import time, tensorboard.main, werkzeug\nstart = time.process_time()\n"
        "import tbgrid.plugin.plugin\nprint(time.process_time() - start)"
    )

    def seconds() -> float:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
        return float(done.stdout)

    assert any(seconds() < 0.05 for _ in range(3))


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import contextlib\nfrom tbgrid.cli.main import main\n"
        "with contextlib.suppress(SystemExit): main(['export', '--help'])"
    )
    assert loaded_by(program) == set()
    assert "PIL" in loaded_by("import tbgrid.embedding.decode"), (
        "the check itself must be able to fail"
    )


def test_maps_of_a_training_need_no_tensorflow() -> None:
    program = """
import numpy, tempfile, tbgrid
with tempfile.TemporaryDirectory() as logdir:
    writer = tbgrid.GridWriter(logdir, numpy.zeros((5, 8, 8)), [0, 0, 1, 1, 1])
    writer.add(0, numpy.eye(5))
    writer.add(1, numpy.eye(5))
"""
    assert "tensorflow" not in loaded_by(program)


@pytest.mark.slow
def test_the_callback_loads_tensorflow() -> None:
    """So that the check above can fail."""
    assert "tensorflow" in loaded_by("import tbgrid\ntbgrid.GridCallback")


def test_help_is_quick() -> None:
    """Below 0.3 s of CPU, as the best of three, since machines that run tests are busy."""

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "tbgrid", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert any(seconds() < 0.3 for _ in range(3))
