"""Imports point one way, and heavy ones wait until they are needed."""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGE = ROOT / "tbgrid"
# A module may import from its own layer or from those above it in this list.
LAYERS = [
    {"errors", "types", "tab", "plugin"},
    {
        "tables",
        "arrays",
        "folders",
        "samples",
        "spools",
        "times",
        "distances",
        "exact_gradient",
        "engines",
        "assignment",
        "bounds",
        "primal_dual",
        "multiscale",
        "cache",
    },
    {
        "manifests",
        "images",
        "alignment",
        "layout",
        "methods",
        "grid",
        "embedders",
        "registration",
        "clusters",
    },
    {
        "sources",
        "embeddings",
        "shard_index",
        "shards",
        "quality",
        "cards",
        "neighbours",
        "refinement",
        "stability",
    },
    {"duplicates", "stacks", "groups"},
    {"arrangement"},
    {"artifacts", "options"},
    {"earlier", "results"},
    {"pipeline", "frames", "callback", "runners", "demo", "check", "check_files", "check_tab"},
    {"comparison"},
    {"serve"},
    {"console", "arguments", "printout", "cli"},
    {"__main__"},
]
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
    "embedders/hub.py": {"tensorflow", "tensorflow_hub"},
    "embedders/keras.py": {"tensorflow"},
    "embedders/lite.py": {"tensorflow"},
    "check.py": {"tensorflow"},
    "artifacts/projector.py": {"tensorflow"},
    "artifacts/summaries.py": {"tensorflow"},
    "callback.py": {"keras"},  # from its first line: whoever asks for it has Keras loaded
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


def layer(module: str) -> int | None:
    return next((level for level, names in enumerate(LAYERS) if module in names), None)


def modules() -> list[Path]:
    return [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_one_way(path: Path) -> None:
    own = layer(path.relative_to(PACKAGE).parts[0].removesuffix(".py"))
    assert own is not None, "give the new module its place in LAYERS"
    for name in imported(ast.parse(path.read_text())):
        parts = name.split(".")
        if parts[0] == "tbgrid" and len(parts) > 1 and not parts[1].startswith("__"):
            target = layer(parts[1])
            assert target is not None, name
            assert target <= own, f"{path.name} must not import {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_tensorflow_is_imported_in_functions_of_few_modules(path: Path) -> None:
    tree = ast.parse(path.read_text())
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


def loaded_by(program: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split()) & set(HEAVY)


def test_the_tab_needs_nothing_but_its_format() -> None:
    """It runs in TensorBoard's process, which may have no other part of tbgrid's needs."""
    for path in (PACKAGE / "plugin").rglob("*.py"):
        for name in imported(ast.parse(path.read_text())):
            root, *rest = name.split(".")
            allowed = rest[:1] in ([], ["tab"], ["plugin"])
            known = root in sys.stdlib_module_names | {"tensorboard", "werkzeug", "__future__"}
            assert allowed if root == "tbgrid" else known, f"{path.name} must not import {name}"


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

    assert min(seconds() for _ in range(3)) < 0.05


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import contextlib\nfrom tbgrid.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['export', '--help'])"
    )
    assert loaded_by(program) == set()
    assert "PIL" in loaded_by("import tbgrid.images"), "the check itself must be able to fail"


def test_maps_of_a_training_need_no_tensorflow() -> None:
    program = """
import numpy, tempfile, tbgrid
with tempfile.TemporaryDirectory() as logdir:
    writer = tbgrid.GridWriter(logdir, numpy.zeros((5, 8, 8)), [0, 0, 1, 1, 1])
    writer.add(0, numpy.eye(5))
    writer.add(1, numpy.eye(5))
"""
    assert "tensorflow" not in loaded_by(program)
    assert "tensorflow" in loaded_by("import tbgrid\ntbgrid.GridCallback")


def test_help_is_quick() -> None:
    """Below 0.3 s of CPU, as the best of three, since machines that run tests are busy."""

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "tbgrid", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 0.3
