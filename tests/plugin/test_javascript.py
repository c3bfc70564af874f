"""The front end's own tests and type check, run by Node.js and TypeScript.

`npm install` in the project's folder brings TypeScript; Node.js alone suffices for the tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT

TESTS = ROOT / "tests" / "javascript"
FILES = sorted(TESTS.glob("*.test.js"))


def tool(name: str) -> str:
    """A program on the PATH or of the project's node_modules; without it the test is skipped."""
    own = ROOT / "node_modules" / ".bin"
    found = shutil.which(name, path=os.pathsep.join([str(own), os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip(f"no {name}: install Node.js, then run npm install")
    return found


def run(*command: str | Path) -> str:
    """What a program prints that must succeed."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_there_are_tests() -> None:
    assert {"columns.test.js", "filter.test.js"} <= {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name.removesuffix(".test.js"))
def test_behaviour(path: Path) -> None:
    # By file: what a folder means to `node --test` has changed between its versions.
    told = run(tool("node"), "--test", "--test-reporter=tap", path)
    assert "# fail 0" in told
    assert "# tests 0" not in told


@pytest.mark.parametrize("project", [ROOT, TESTS], ids=["front-end", "tests"])
def test_types(project: Path) -> None:
    tool("node")  # which runs tsc
    run(tool("tsc"), "--project", project)
