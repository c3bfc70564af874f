"""The front end's own tests, type check and lint: what `npm test`, `check` and `lint` run.

`npm ci` in the project's folder installs TypeScript and ESLint; the tests need only Node.js.
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
    """A program in the project's node_modules or on the PATH; without it the test is skipped."""
    own = ROOT / "node_modules" / ".bin"
    found = shutil.which(name, path=os.pathsep.join([str(own), os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip(f"no {name}: install Node.js, then run npm ci")
    return found


def run(*command: str | Path) -> str:
    """The output of a program, which must succeed."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_there_are_tests() -> None:
    assert {"columns.test.js", "filter.test.js"} <= {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name.removesuffix(".test.js"))
def test_behaviour(path: Path) -> None:
    # Without --test the tests run in this one process instead of a second one.
    report = run(tool("node"), "--test-reporter=tap", path)
    assert "# fail 0" in report
    assert "# tests 0" not in report


@pytest.mark.slow
@pytest.mark.parametrize("project", [ROOT, TESTS], ids=["front-end", "tests"])
def test_types(project: Path) -> None:
    tool("node")  # which runs tsc
    run(tool("tsc"), "--project", project)


@pytest.mark.slow
def test_lint() -> None:
    tool("node")  # which runs ESLint
    run(tool("eslint"), "--max-warnings", "0", ROOT)


def test_the_lock_file_names_no_registry() -> None:
    """`npm run lock` writes it so; plain `npm install` adds addresses of the packages' funding."""
    assert "http" not in (ROOT / "package-lock.json").read_text("utf-8")
