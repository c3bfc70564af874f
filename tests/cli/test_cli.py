"""The command line as a user meets it: a real process, its two streams and its exit code."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pytest
from PIL import Image

from tbgrid import __version__
from tests.support.photos import draw_photos
from tests.support.preloaded import Preloaded


class Command(Protocol):
    """`tbgrid ARGUMENTS` in a process of its own."""

    def __call__(
        self,
        *arguments: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture(scope="module")
def tbgrid(preloaded: Preloaded) -> Command:
    def run(
        *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **(env or {})}
        return preloaded.run("tbgrid", *arguments, cwd=cwd, env=environment)

    return run


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine pictures, a damaged TIFF whose decoder complains, a text and an empty file."""
    folder = draw_photos(tmp_path_factory.mktemp("mixed") / "mixed & more", each=3)
    (folder / "notes.txt").write_text("no picture")
    (folder / "red" / "empty.jpg").touch()
    tiff = folder / "red" / "cut.tif"
    Image.effect_noise((200, 200), 50).save(tiff, compression="tiff_lzw")
    tiff.write_bytes(tiff.read_bytes()[:-20_000])
    return folder


@pytest.fixture(scope="module")
def finished(mixed: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], str]:
    """An export of `mixed`: the logdir, the lines of stdout, stderr.

    In a process of its own, since libraries print when they are imported.
    """
    logdir = tmp_path_factory.mktemp("out") / "a run"
    done = subprocess.run(
        [sys.executable, "-m", "tbgrid", "export", mixed, "--logdir", logdir],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return logdir, done.stdout.splitlines(), done.stderr


def test_the_last_lines_say_what_came_out(finished: tuple[Path, list[str], str]) -> None:
    logdir, out, _ = finished
    assert out[-2].startswith("9 photos shown on a grid of 3 x 3, 3 skipped; ")
    assert out[-1] == f"To view it, run: tensorboard --logdir '{logdir}'"
    assert Path(out[-3].removeprefix("mosaic: ")).is_file()
    assert [line for line in out if "DPQ_16" in line and "random order" in line]
    assert [line for line in out if line.startswith("seconds:") and "t-SNE" in line]


def test_stderr_tells_what_was_left_out_and_nothing_of_libraries(
    finished: tuple[Path, list[str], str],
) -> None:
    lines = finished[2].splitlines()
    assert [line.split(":")[0] for line in lines] == ["note", *["skipped"] * 3], lines
    assert "perplexity 2.67, fitted to 9 photos" in lines[0]
    assert "skipped: notes.txt (not a picture that Pillow can open)" in lines
    assert "skipped: red/empty.jpg (empty file)" in lines


def test_json_is_all_of_stdout_and_quiet_says_nothing(
    photos: Path, tmp_path: Path, tbgrid: Command
) -> None:
    done = tbgrid(
        *("export", photos, "--logdir", tmp_path / "logs", "--run", "x", "--model", "pixels"),
        *(
            "--json",
            "--quiet",
            "--grid",
            "5x12",
            "--assignment-cost",
            "euclidean",
            "--perplexity",
            "5",
        ),
    )
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["photos"] == {"source": photos.name, "shown": 60, "skipped": 0, "labels": 3}
    assert report["grid"]["rows_x_columns"] == [5, 12]
    assert report["grid"]["assignment_cost"] == "euclidean"
    assert report["t-SNE"]["perplexity"] == 5
    assert report["model"]["name"] == "pixels"
    assert report["run"]["directory"] == str(tmp_path / "logs" / "x")
    assert report["run"]["bytes"] > 10_000


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["export", "{nowhere}", "--logdir", "{new}"], 1, "no such folder"),
        (["export", "{empty}", "--logdir", "{new}"], 1, "no photos in"),
        (["export", "{texts}", "--logdir", "{new}"], 1, "0 of 3 files can be shown"),
        (["export", "{photos}", "--logdir", "{file}"], 1, "is not a directory"),
        (["export", "{photos}", "--logdir", "{foreign}"], 1, "holds another tool's"),
        (["export", "{photos}"], 2, "--logdir"),
        (
            ["export", "{photos}", "--logdir", "{new}", "--model", "nothing"],
            2,
            "no such model: nothing",
        ),
        (
            ["export", "{photos}", "--logdir", "{new}", "--model", "{empty}"],
            1,
            "is not a SavedModel",
        ),
        (["export", "{photos}", "--logdir", "{new}", "--run", "a&b"], 2, "'&'"),
        (["export", "{photos}", "--logdir", "{new}", "--run", "../b"], 2, "below the logdir"),
        (["export", "{photos}", "--logdir", "{new}", "--grid", "9"], 2, "ROWSxCOLS"),
        (["export", "{photos}", "--logdir", "{new}", "--aspect", "4:0"], 2, "W:H"),
        (["export", "{photos}", "--logdir", "{new}", "--tile", "4"], 2, "from 8 to 512"),
        (["export", "{photos}", "--logdir", "{new}", "--batch", "0"], 2, "from 1 to 4096"),
        (["export", "{photos}", "--logdir", "{new}", "--perplexity", "-3"], 2, "above 0"),
        (["export", "{photos}", "--logdir", "{new}", "--seed", "-1"], 2, "seed -1"),
        (
            ["export", "{photos}", "--logdir", "{new}", "--model", "pixels", "--perplexity", "30"],
            2,
            "needs more than 90 photos; found 60: use --perplexity 19",
        ),
        (
            ["export", "{photos}", "--logdir", "{new}", "--model", "pixels", "--grid", "7x7"],
            2,
            "grid 7x7 has 49 cells for 60 photos: use --grid 8x8 or larger",
        ),
        (["exprot"], 2, "invalid choice"),
    ],
    ids=lambda value: " ".join(value[4:] or value) if isinstance(value, list) else "",
)
def test_mistakes_end_in_one_line(
    arguments: list[str], code: int, message: str, photos: Path, tmp_path: Path, tbgrid: Command
) -> None:
    places = {name: tmp_path / name for name in ("nowhere", "empty", "texts", "new", "foreign")}
    places |= {"photos": photos, "file": tmp_path / "file"}
    places["file"].touch()
    for name in ("empty", "texts", "foreign"):
        places[name].mkdir()
    for number in range(3):
        (places["texts"] / f"{number}.jpg").write_text("text")
    (places["foreign"] / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-1"\n')
    before = sorted(tmp_path.rglob("*"))

    done = tbgrid(*(argument.format_map(places) for argument in arguments))

    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert message in last
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    left = [path for path in sorted(tmp_path.rglob("*")) if path not in before]
    assert not [path for path in left if path.is_file() and path.name != ".lock"]


def test_interrupting_ends_cleanly_and_keeps_the_old_run(
    photos: Path, tmp_path: Path, tbgrid: Command, preloaded: Preloaded
) -> None:
    run = tmp_path / "run"
    assert tbgrid("export", photos, "--logdir", run, "--model", "pixels").returncode == 0
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    log = tmp_path / "log"
    with log.open("w") as file:
        process = preloaded.start("tbgrid", "export", photos, "--logdir", run, stderr=file)
    while not list(run.glob("plugins/tbgrid/staging-*")):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    code, stderr = process.wait(60), log.read_text()
    assert code == 130, stderr
    assert stderr.splitlines()[-1].startswith("tbgrid: interrupted")
    assert "Traceback" not in stderr
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_bug_keeps_its_traceback(photos: Path, tmp_path: Path) -> None:
    program = (
        "import sys, os, tbgrid.pipeline.stages\n"
        "def broken(*_, **__):\n"
        "    os.write(2, b'native words\\n')\n"
        "    raise ZeroDivisionError('a bug')\n"
        "tbgrid.pipeline.stages.open_source = broken\n"
        "from tbgrid.cli.main import main\n"
        "main(sys.argv[1:])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "export", str(photos), "--logdir", str(tmp_path / "x")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "ZeroDivisionError: a bug" in done.stderr
    assert "native words" in done.stderr


def test_help_and_version_need_no_stage(tbgrid: Command) -> None:
    assert tbgrid("--version").stdout == f"tbgrid {__version__}\n"
    assert "export" in tbgrid().stdout
    assert "--perplexity" in tbgrid("export", "--help").stdout


def test_bars_show_on_a_terminal(photos: Path, tmp_path: Path, preloaded: Preloaded) -> None:
    lead, follow = pty.openpty()
    fcntl.ioctl(follow, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    arguments = ("export", photos, "--logdir", tmp_path / "run", "--no-cache")
    process = preloaded.start("tbgrid", *arguments, stdout=subprocess.DEVNULL, stderr=follow)
    os.close(follow)
    seen = b""
    while True:
        try:
            block = os.read(lead, 65536)
        except OSError:  # the other end has closed
            break
        if not block:
            break
        seen += block
    os.close(lead)
    assert process.wait(120) == 0
    for stage in (b"embed", b"t-SNE", b"grid", b"write"):
        assert stage in seen
    assert b"60/60" in seen
    assert b"400/400" in seen
