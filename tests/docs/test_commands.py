"""Every command and every Python block on every page works.

The rule: a command is run if it is the first to bring a kind of source, to write something, or to
read what another has written (`RUN`). Commands that differ from such a one in their options alone
are run with the slow tests. What downloads, serves, installs or needs Ray is parsed (`PARSED`).
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

import tbgrid
from tbgrid.cli.main import main
from tbgrid.cli.parser import command_parser
from tests.docs.pages import PAGES, blocks, commands, text_of
from tests.support.layers import LAYERS
from tests.support.paths import ROOT
from tests.support.photos import draw_photos

README = ROOT / "README.md"
MOST_WORDS = 900  # of the README: the rest is in the manual
RUN = [
    "tbgrid export photos/ --logdir runs/photos",
    "tbgrid export 'photos/*/0*.jpg' --logdir runs/some",
    "tbgrid export photos.csv --logdir runs/listed",
    "tbgrid export digits.npz --logdir runs/digits --model pixels",
    "tbgrid export photos/ --logdir runs/joined --metadata photos.csv",
    "tbgrid export photos/ --logdir runs/vectors --vectors vectors.npy",
    "tbgrid embed photos/ --out shards/photos",
    "tbgrid export shards/photos --logdir runs/photos --perplexity 15",
    "tbgrid check runs/photos",
    "tbgrid models",
    "tbgrid cache",
    "tbgrid cache --clear",
    "tbgrid export --help",
]
# Not run: what downloads, serves, or needs Ray, whose tests are elsewhere.
PARSED = re.compile(r"tbgrid (serve\b|.*(https://|keras:|kaggle:|--runner ray))")
TOOLS = {"mypy", "pytest", "ruff"}
INTERNAL = re.compile(r"(?<!!)\[[^\]]*\]\((?!https?:)([^)]+)\)|!\[[^\]]*\]\((?!https?:)([^)]+)\)")
# Not tags of TensorBoard, such as tbgrid/mosaic.
PATH = re.compile(r"`((?:tbgrid|tests|examples|docs)/[\w./-]*(?:/|\.\w+)|scripts/\w+)`")
PATH_AND_NAME = re.compile(PATH.pattern + r", `(\w+)`")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what the commands name: photos/, photos.csv, saved_model/ and arrays."""
    folder = tmp_path_factory.mktemp("pages")
    photos = sorted(draw_photos(folder / "photos", each=16).rglob("*.jpg"))
    lines = [f"{path.relative_to(folder)},{path.parent.name},{path.stem}" for path in photos]
    (folder / "photos.csv").write_text("\n".join(["path,label,number", *lines]) + "\n")
    shutil.copytree(ROOT / "tbgrid" / "embedding" / "builtin", folder / "saved_model")
    pictures = np.stack([np.asarray(Image.open(path).convert("L")) for path in photos])
    np.savez(folder / "digits.npz", images=pictures, y=[path.parent.name for path in photos])
    np.save(folder / "vectors.npy", pictures[:, ::8, ::8].reshape(len(photos), -1) / 255)
    return folder


def is_run_slowly(command: str) -> bool:
    return command.startswith("tbgrid ") and command not in RUN and not PARSED.match(command)


def is_slow(command: str) -> bool:
    return is_run_slowly(command) or command.startswith("python ")


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, id=command, marks=[pytest.mark.slow] if is_slow(command) else [])
        for command in commands()
    ],
)
def test_command(
    command: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    program, *arguments = shlex.split(command)
    if "flas" in arguments:
        pytest.importorskip("vc_flas", reason="has no wheels for Python 3.13")
    if command in RUN or is_run_slowly(command):
        monkeypatch.chdir(place)
        try:
            code = main(arguments)
        except SystemExit as left:  # argparse leaves so after --help
            code = int(left.code or 0)
        printed = capsys.readouterr()
        assert code == 0, printed.err
        assert printed.out
    elif program == "tbgrid":
        parsed = command_parser().parse_args(arguments)
        assert parsed.command == arguments[0]
        assert "ray" not in arguments or parsed.runner == "ray"
    elif program == "tensorboard":
        assert arguments[0] == "--logdir"
    elif program == "pip":
        assert arguments[0] == "install"
        extras = re.findall(r"[\[,]([\w-]+)", arguments[-1])
        declared = (ROOT / "pyproject.toml").read_text("utf-8")
        assert all(f"\n{extra} = [" in declared for extra in extras)
    elif program == "python":
        script = arguments[:2] if arguments[0] == "-m" else [ROOT / arguments[0]]
        done = subprocess.run(
            [sys.executable, "-W", "error", *script, *arguments[len(script) :], "--help"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "usage" in done.stdout
    elif program == "npm":
        scripts = json.loads((ROOT / "package.json").read_text("utf-8"))["scripts"]
        assert arguments[-1] == "ci" or arguments[-1] in scripts
    elif program == "curl":  # test_service_page.py has the server
        assert "localhost:8686" in command
    elif program.startswith("scripts/"):
        assert (ROOT / program).stat().st_mode & 0o111
    else:
        assert program in TOOLS
        assert all((ROOT / word).exists() for word in arguments if word.startswith("tests/test"))


def test_what_is_run_is_on_a_page() -> None:
    assert not set(RUN) - set(commands())


def is_slow_block(block: str) -> bool:
    return "import keras" in block or "tbgrid.compare(" in block


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, marks=[pytest.mark.slow] if is_slow_block(block) else [])
        for block in blocks("python")
    ],
    ids=range(len(blocks("python"))),
)
def test_python(block: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    exec(compile(block, "<page>", "exec"), {"__name__": "__main__"})


def test_the_example_of_an_own_embedder_runs(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "argv", ["own_embedder.py", "photos", "runs/colours"])
    runpy.run_path(str(ROOT / "examples" / "own_embedder.py"), run_name="__main__")
    assert Path(place, capsys.readouterr().out.strip()).is_file()


def slug(heading: str) -> str:
    """The anchor that the manual and code hosts give a heading."""
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.strip().lower()))


LINKING = [*PAGES, ROOT / "SECURITY.md", ROOT / "CHANGELOG.md", *ROOT.glob("examples/**/README.md")]


@pytest.mark.parametrize("page", LINKING, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", text_of(page), flags=re.M | re.S)
    for link, picture in INTERNAL.findall(text):
        target, _, anchor = (link or picture).partition("#")
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), target
        if page.parent == ROOT / "docs":  # what lies outside is not in the manual
            assert found.is_relative_to(page.parent), target
        if anchor:
            assert anchor in map(slug, re.findall(r"^#+ (.*)$", text_of(found), re.M)), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_path_on_a_page_is_there(page: Path) -> None:
    text = text_of(page)
    for path in PATH.findall(text):
        assert (ROOT / path).exists(), path
    for path, name in PATH_AND_NAME.findall(text):
        assert re.search(rf"^(?:def|class) {name}\b", text_of(ROOT / path), re.M), (path, name)


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/development.md"])
def test_a_single_test_that_a_page_names_is_there(page: str) -> None:
    found = re.findall(r"pytest (tests/\S+\.py)::(\w+)", text_of(ROOT / page))
    assert found
    for path, name in found:
        assert re.search(rf"^def {name}\b", text_of(ROOT / path), re.M), (path, name)


def test_every_package_in_the_picture_is_there() -> None:
    picture = text_of(ROOT / "docs" / "images" / "pipeline.svg")
    for path in re.findall(r"tbgrid/\w+/", picture):
        assert (ROOT / path).is_dir(), path


def test_the_layers_on_the_page_are_those_that_are_tested() -> None:
    text = text_of(ROOT / "docs" / "development.md")
    for layer, packages in LAYERS.items():
        (line,) = re.findall(rf"^{layer}  +(.*)$", text, re.M)
        assert {*line.split(", "), "__main__"} == {*packages, "__main__"}


def test_every_page_is_in_the_navigation() -> None:
    listed = re.findall(r": ([\w-]+\.md)$", text_of(ROOT / "mkdocs.yml"), re.M)
    assert sorted(listed) == sorted(page.name for page in PAGES if page.parent == ROOT / "docs")
    readme = text_of(README)
    assert all(f"(docs/{name})" in readme for name in listed if name != "index.md")


def test_every_public_name_is_in_the_reference() -> None:
    text = text_of(ROOT / "docs" / "python-api.md")
    listed = re.findall(r"^::: tbgrid\.(\w+)$", text, re.M)
    assert sorted(listed) == sorted({*tbgrid.__all__} - {"__version__"})


def test_the_readme_is_short() -> None:
    assert len(text_of(README).split()) <= MOST_WORDS


@pytest.fixture(scope="module")
def option_lists() -> ModuleType:
    """The manual's own Markdown extension."""
    pytest.importorskip("markdown")
    spec = importlib.util.spec_from_file_location("option_lists", ROOT / "scripts/option_lists.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_is_on_a_page(option_lists: ModuleType) -> None:
    listed = re.findall(r"^::: options (.*)$", text_of(ROOT / "docs" / "options.md"), re.M)
    for command in option_lists.commands(command_parser()):
        if command != "tbgrid serve key":  # only a group of commands
            assert command in listed
    for word in ("export", "embed", "demo", "models", "check", "cache", "serve"):
        assert any(command.startswith(f"tbgrid {word}") for command in commands())


def test_option_lists_hold_every_option(option_lists: ModuleType) -> None:
    for command in option_lists.commands(command_parser()):
        text = option_lists.option_list(command)
        for action in option_lists.find_parser(command)._actions:
            if action.option_strings and action.option_strings != ["-h", "--help"]:
                assert f"`{action.option_strings[0]}" in text
    assert r"such as 'cat/\*'" in option_lists.option_list("tbgrid export")
