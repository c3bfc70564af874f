"""Tests and the processes that they start run the same code: that of this tree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import tbgrid
from tests.support.paths import ROOT


def test_tests_and_their_processes_import_this_tree(tmp_path: Path) -> None:
    """Also where a process begins in another folder, and a copy of tbgrid is installed."""
    asked = "import tbgrid; print(tbgrid.__file__)"
    printed = subprocess.run(
        [sys.executable, "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert Path(printed.strip()) == Path(tbgrid.__file__) == ROOT / "tbgrid" / "__init__.py"
