"""Every command of the README works, in the order of the page; long ones are at least parsed."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tbgrid.cli.main import main
from tbgrid.cli.parser import command_parser
from tests.support.paths import ROOT
from tests.support.photos import draw_photos

README = (ROOT / "README.md").read_text("utf-8")
# Needs a network that a test may not have; what it runs is tested on a local server.
DOWNLOADS = ("https://",)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[tuple[str, ...]]:
    """Each command line of the page, split into words; none twice."""
    lines = [line for block in blocks("bash") for line in block.splitlines() if line.strip()]
    found: list[tuple[str, ...]] = []
    for line in lines:
        words: list[str] = []
        for word in [*shlex.split(line, comments=True), "&&"]:
            if word == "&&":
                found.append(tuple(words))
                words = []
            else:
                words.append(word)
    return list(dict.fromkeys(found))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what the commands name: photos/, photos.csv, saved_model/ and arrays."""
    folder = tmp_path_factory.mktemp("readme")
    photos = sorted(draw_photos(folder / "photos", each=20).rglob("*.jpg"))
    lines = [f"{path.relative_to(folder)},{path.parent.name},{path.stem}" for path in photos]
    (folder / "photos.csv").write_text("\n".join(["path,label,number", *lines]) + "\n")
    shutil.copytree(ROOT / "tbgrid" / "embedders" / "builtin", folder / "saved_model")
    pictures = np.stack([np.asarray(Image.open(path).convert("L")) for path in photos])
    np.savez(folder / "digits.npz", images=pictures, y=[path.parent.name for path in photos])
    np.save(folder / "vectors.npy", pictures[:, ::8, ::8].reshape(len(photos), -1) / 255)
    return folder


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_command(
    words: tuple[str, ...],
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    program, *arguments = words
    if "flas" in arguments:
        pytest.importorskip("vc_flas")  # has no wheels for Python 3.13
    if "ray" in arguments:  # takes its time to start, in tests of its own
        assert command_parser().parse_args(arguments).runner == "ray"
    elif program == "tbgrid" and arguments[0] == "serve":  # tests of its own start the server
        assert command_parser().parse_args(arguments).root
    elif program == "tbgrid" and not any(word.startswith(DOWNLOADS) for word in arguments):
        monkeypatch.chdir(place)
        try:
            code = main(arguments)
        except SystemExit as left:  # argparse leaves so after --help
            code = int(left.code or 0)
        told = capsys.readouterr()
        assert code == 0, told.err
        assert told.out
    elif program == "tbgrid":
        assert command_parser().parse_args(arguments).model[0].startswith(DOWNLOADS)
    elif program == "pip":
        assert arguments[0] == "install"
        extras = re.findall(r"[\[,](\w+)", arguments[1])
        declared = (ROOT / "pyproject.toml").read_text("utf-8")
        assert all(f"\n{extra} = [" in declared for extra in extras)
    elif program == "python":  # a benchmark, which takes minutes
        assert "usage" in run_python(place, ROOT / arguments[0], *arguments[1:], "--help")
    elif program == "curl" or words[-1] == "service":  # test_serve_readme.py has the server
        assert program == "tensorboard" or "localhost:8686" in " ".join(arguments)
    elif program == "tensorboard":
        assert (place / arguments[1]).is_dir()
    else:
        assert shutil.which(program, path=str(Path(sys.executable).parent)) or program in {
            "ruff",
            "mypy",
        }


def run_python(place: Path, *arguments: str | Path) -> str:
    """What a program prints that must succeed in `place`."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("block", blocks("python"), ids=range(len(blocks("python"))))
def test_python(block: str, place: Path) -> None:
    run_python(place, "-c", block)


def test_the_example_of_an_own_embedder_runs(place: Path) -> None:
    example = ROOT / "examples" / "own_embedder.py"
    printed = run_python(place, example, "photos", "runs/colours")
    assert Path(place, printed.strip()).is_file()


def test_every_link_of_the_page_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_command_is_on_the_page() -> None:
    parser = command_parser()
    (commands_of,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    for command in commands_of.choices:
        assert f"\ntbgrid {command}" in README
