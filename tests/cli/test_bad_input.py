"""Everything that can go wrong with what a user brings, and with the place it goes to.

What concerns one file is left out with its reason, and the export goes on. What concerns the
export ends in one line that says what was found and the way out, and leaves all that was there.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tbgrid import run_format
from tbgrid.check.run import check
from tbgrid.cli import main
from tbgrid.cli.terminal import Console
from tbgrid.embedding.pixels import PixelEmbedder
from tbgrid.types import Float32Array
from tests.support import models
from tests.support.photos import draw_photos
from tests.support.preloaded import Preloaded

NOBODY = 65534
TBGRID = (sys.executable, "-m", "tbgrid")
FAST = ("--model", "pixels", "--image-size", "8", "--tile", "16", "--no-refine")


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line on stderr."""
        (line,) = self.err.splitlines()
        return line


class Command:
    """`tbgrid ARGUMENTS` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> Done:
        self._capsys.readouterr()
        try:
            code = main.main([str(argument) for argument in arguments])
        except SystemExit as end:  # argparse
            code = int(end.code or 0)
        return Done(code, *self._capsys.readouterr())

    def export(self, source: str | Path, logdir: Path, *more: str | Path) -> Done:
        """An export by the quickest model."""
        return self("export", source, "--logdir", logdir, *FAST, *more)


@pytest.fixture
def tbgrid(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Nine photos in three folders."""
    return draw_photos(tmp_path / "few", each=3)


@pytest.fixture(scope="module")
def no_image_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vector-model")
    models.vector_input(folder)
    return folder


def files(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def ledger(logdir: Path) -> dict[str, str]:
    """Name -> reason of all that was left out."""
    (path,) = logdir.glob("plugins/tbgrid/*/skipped.tsv")
    rows = [line.split("\t") for line in path.read_text("utf-8").splitlines()]
    assert rows[0] == ["path", "reason"]
    assert all(len(row) == 2 and row[1].strip() for row in rows)
    assert len({row[0] for row in rows}) == len(rows)
    return {row[0]: row[1] for row in rows[1:]}


def metadata(logdir: Path) -> list[dict[str, str]]:
    """The rows of metadata.tsv, read as the Projector does: no quoting, lines by line feeds."""
    (path,) = logdir.glob("plugins/tbgrid/*/metadata.tsv")
    header, *rows = [line.split("\t") for line in path.read_text("utf-8").split("\n")[:-1]]
    return [dict(zip(header, row, strict=True)) for row in rows]


def assert_accepted(logdir: Path) -> None:
    assert check(logdir) == []


# --- What ends an export -----------------------------------------------------------------------


def manifest(path: Path, *rows: Sequence[str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def places(tmp_path: Path, few: Path, no_image_model: Path) -> dict[str, Path]:
    """What the arguments of the table stand for."""
    at = {
        name: tmp_path / name
        for name in ("new", "empty", "texts", "two", "file", "foreign", "loop", "cut")
    }
    for name in ("empty", "texts", "two", "foreign", "cut"):
        at[name].mkdir()
    for number in range(3):
        (at["texts"] / f"{number}.txt").write_text("no picture")
    for number in range(2):
        Image.new("RGB", (9, 9), (number, 0, 0)).save(at["two"] / f"{number}.png")
    at["file"].write_text("a file")
    at["loop"].symlink_to(at["loop"])
    (at["foreign"] / "projector_config.pbtxt").write_text(
        'embeddings { tensor_path: "mine.tsv" }\n'
    )
    (at["cut"] / "saved_model.pb").write_bytes(b"no protobuf" * 9)
    at |= {"few": few, "vectors": tmp_path / "vectors.npy", "vector_model": no_image_model}
    at["gone_csv"] = manifest(tmp_path / "gone.csv", ("path", "label"), ("a.jpg", "x"), ("b", "y"))
    at["pathless_csv"] = manifest(tmp_path / "pathless.csv", ("name", "label"), ("a.jpg", "x"))
    at["header_csv"] = manifest(tmp_path / "header.csv", ("path", "label"))
    (tmp_path / "nothing.csv").touch()
    at["nothing_csv"] = tmp_path / "nothing.csv"
    arrays = {
        "short": np.ones((5, 4)),
        "nan": np.full((9, 4), np.nan),
        "flat": np.ones(9),
        "cube": np.ones((9, 2, 2)),
        "words": np.array([["a", "b"]] * 9),
        "complex": np.ones((9, 2), complex),
    }
    for name, array in arrays.items():
        at[f"{name}_npy"] = tmp_path / f"{name}.npy"
        np.save(at[f"{name}_npy"], array)
    at["junk_npy"] = tmp_path / "junk.npy"
    at["junk_npy"].write_bytes(b"\x93NUMPY junk")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        at["closed_port"] = Path(f"127.0.0.1:{probe.getsockname()[1]}")
    return at


LONG = "n" * 300
ENDINGS = [
    ("{empty}", 1, "no photos in"),
    ("{texts}", 1, "0 of 3 files can be shown, 2.txt: not a picture that Pillow can open: "),
    ("{two}", 1, "2 of 2 files can be shown: a map needs at least 3 photos"),
    ("{loop}", 1, "loop cannot be reached (Too many levels of symbolic links)"),
    (LONG, 1, "cannot be reached (File name too long)"),
    ("{few}/*.png", 1, "no files match"),
    ("{file}", 1, "is a file of an unsupported type"),
    ("{gone_csv}", 1, "lists no photo that exists (a.jpg: No such file or directory)"),
    ("{pathless_csv}", 1, "pathless.csv has no column path (found name, label)"),
    ("{header_csv}", 1, "lists no photo"),
    ("{nothing_csv}", 1, "nothing.csv is empty"),
    ("{few} --vectors {short_npy}", 1, "short.npy has 5 rows for 9 photos"),
    ("{few} --vectors {nan_npy}", 1, "nan.npy has no finite row"),
    ("{few} --vectors {flat_npy}", 1, "holds float64[9]: expected float32[n, d]"),
    ("{few} --vectors {cube_npy}", 1, "holds float64[9, 2, 2]"),
    ("{few} --vectors {words_npy}", 1, "words.npy holds <U1[9, 2]"),
    ("{few} --vectors {complex_npy}", 1, "complex.npy holds complex128[9, 2]"),
    ("{few} --vectors {junk_npy}", 1, "cannot read"),
    ("{few} --vectors {new}", 1, "No such file"),
    ("{few} --metadata {new}", 1, "No such file"),
    ("{few} --metadata {empty}", 1, "Is a directory"),
    ("{few} --perplexity 3", 2, "needs more than 9 photos; found 9: use --perplexity 2"),
    ("{few} --grid 2x4", 2, "grid 2x4 has 8 cells for 9 photos: use --grid "),
    ("{few} --grid 100x100", 2, "has 10000 cells for 9 photos: use a smaller --grid"),
    ("{few} --sample 2", 2, "a map needs at least 3 photos"),
    ("{few} --model {empty}", 1, "is not a SavedModel"),
    ("{few} --model {cut}", 1, "cannot load the model"),
    (
        "{few} --model {vector_model}",
        1,
        "does not embed images (found serving_default(float32[n,9])",
    ),
    ("{few} --model http://{closed_port}/model", 1, "--model builtin"),
    (f"{{few}} --model {LONG}", 1, "n (File name too long)"),
    ("{few} --logdir {file}", 1, "file is not a directory: give --logdir"),
    ("{few} --logdir {file}/below", 1, "is not a directory"),
    ("{few} --logdir {foreign}", 1, "holds another tool's projector_config.pbtxt: "),
    ("{few} --logdir {loop}", 1, "loop"),
    (f"{{few}} --logdir {{new}}/{LONG}", 1, "(File name too long)"),
    ("{few} --cache {file} --no-cache", 2, "not allowed with"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "message"), ENDINGS, ids=[row[0].replace(LONG, "LONG") for row in ENDINGS]
)
def test_an_export_that_cannot_be_made_ends_in_one_line(
    arguments: str,
    code: int,
    message: str,
    tmp_path: Path,
    few: Path,
    no_image_model: Path,
    tbgrid: Command,
) -> None:
    at = places(tmp_path, few, no_image_model)
    given = [part.format_map(at) for part in arguments.split(" ")]
    if "--logdir" not in given:
        given += ["--logdir", str(at["new"])]
    if "--model" not in given:
        given += FAST
    before = files(tmp_path)

    done = tbgrid("export", *given)

    assert done.code == code, done.err
    assert done.out == ""
    last = done.err.splitlines()[-1]
    assert message in last
    assert last.startswith("tbgrid: ") or code == 2
    assert code == 2 or done.line == last
    assert files(tmp_path) == before


def test_strict_tells_by_its_exit_code_that_a_file_was_left_out(
    few: Path, tmp_path: Path, tbgrid: Command
) -> None:
    assert tbgrid.export(few, tmp_path / "run", "--strict").code == 0
    (few / "notes.txt").write_text("no picture")
    done = tbgrid.export(few, tmp_path / "run", "--strict")
    assert done.code == 1
    assert done.err.splitlines()[-1] == "tbgrid: 1 files skipped, and --strict was given"
    assert ledger(tmp_path / "run") == {"notes.txt": "not a picture that Pillow can open"}


# --- What is left out --------------------------------------------------------------------------


def png_of(width: int, height: int) -> bytes:
    """A PNG that says it has so many pixels and holds next to none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(bytes(999))), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_odd_things_among_the_photos(few: Path, tmp_path: Path, tbgrid: Command) -> None:
    """Names, shapes, links, pipes: each file is shown or stands in the ledger, none is lost."""
    photo = (few / "red" / "000.jpg").read_bytes()
    odd = few / "odd"
    odd.mkdir()
    shown = {f"{label}/00{n}.jpg" for label in ("blue", "green", "red") for n in range(3)}
    names = ["a&b.jpg", "c#d.jpg", "e+f.jpg", "100%25.jpg", "ü 写真 🙂.jpg", "-rf.jpg", "no suffix"]
    for name in names:
        (odd / name).write_bytes(photo)
        shown.add(f"odd/{name}")
    (odd / "tab\tand\nline.jpg").write_bytes(photo)
    shown.add("odd/tab and line.jpg")
    with contextlib.suppress(OSError):  # file systems that take UTF-8 only
        Path(os.fsdecode(os.fsencode(odd) + b"/caf\xe9.jpg")).write_bytes(photo)
        shown.add("odd/caf\ufffd.jpg")
    for name, size in {
        "dot.png": (1, 1),
        "wide.png": (20_000, 10),
        "high.png": (10, 20_000),
    }.items():
        Image.new("RGB", size, (9, 99, 9)).save(odd / name)
        shown.add(f"odd/{name}")
    left = {
        "odd/bomb.png": "decompression bomb",
        "odd/cut.jpg": "runcated",
        "odd/empty.jpg": "empty file",
        "odd/text\x1b[31m.jpg": "not a picture",
        "odd/pipe.jpg": "not a regular file",
        "odd/socket.jpg": "not a regular file",
        "odd/device.jpg": "not a regular file",
        "odd/dangling.jpg": "No such file",
        "odd/itself.jpg": "Too many levels of symbolic links",
        "odd/up": "shown already",
        "odd/.hidden.jpg": "hidden file",
    }
    (odd / "bomb.png").write_bytes(png_of(30_000, 30_000))
    (odd / "cut.jpg").write_bytes(photo[:500])
    (odd / "empty.jpg").touch()
    (odd / "text\x1b[31m.jpg").write_text("text")
    os.mkfifo(odd / "pipe.jpg")
    bound = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    try:
        os.chdir(odd)  # a socket's path is short
        bound.bind("socket.jpg")
    finally:
        os.chdir(here)
        bound.close()
    (odd / "device.jpg").symlink_to("/dev/zero")
    (odd / "dangling.jpg").symlink_to("nowhere.jpg")
    (odd / "itself.jpg").symlink_to("itself.jpg")
    (odd / "up").symlink_to(few, target_is_directory=True)
    (odd / ".hidden.jpg").write_bytes(photo)

    done = tbgrid.export(few, tmp_path / "run")

    assert done.code == 0, done.err
    assert {row["path"] for row in metadata(tmp_path / "run")} == shown
    found = ledger(tmp_path / "run")
    assert {name.replace("\ufffd", "\x1b") for name in found} == set(left)
    for name, reason in left.items():
        assert reason in found.get(name, found.get(name.replace("\x1b", "\ufffd"), "")), name
    assert f"{len(left)} skipped" in done.out
    assert "\x1b" not in done.err + done.out
    assert len(done.err.splitlines()) == done.err.count("note: ") + done.err.count("skipped: ")
    assert_accepted(tmp_path / "run")


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Act as a user who is bound by permissions, where the tests run as root."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def nobodys(few: Path, tmp_path: Path, tbgrid: Command) -> Iterator[Path]:
    """A folder of that user with `photos`; all modules that an export needs are loaded."""
    assert tbgrid.export(few, tmp_path / "first").code == 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(few, folder / "photos")
        (folder / "home").mkdir()
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)
            if os.geteuid() == 0:
                os.chown(path, NOBODY, NOBODY)
        yield folder
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)


def test_what_cannot_be_read_is_left_out(nobodys: Path, tbgrid: Command) -> None:
    photos = nobodys / "photos"
    (photos / "red" / "000.jpg").chmod(0)
    (photos / "blue").chmod(0)
    with as_nobody():
        done = tbgrid.export(
            photos, nobodys / "home" / "run", "--cache", nobodys / "home" / "cache"
        )
    assert done.code == 0, done.err
    assert ledger(nobodys / "home" / "run") == {
        "blue": "folder cannot be read: Permission denied",
        "red/000.jpg": "cannot be read: Permission denied",
    }


def test_a_place_that_cannot_be_read_or_written_ends_in_one_line(
    nobodys: Path, tbgrid: Command
) -> None:
    photos, closed = nobodys / "photos", nobodys / "closed"
    (closed / "inside").mkdir(parents=True)
    (closed / "table.csv").write_text("path\n")
    closed.chmod(0)
    with as_nobody():
        logdir = nobodys / "home" / "run"
        for done in (
            tbgrid.export(closed, logdir),
            tbgrid.export(closed / "inside", logdir),
            tbgrid.export(closed / "table.csv", logdir),
            tbgrid.export(photos, closed),
            tbgrid.export(photos, closed / "run"),
            tbgrid.export(photos, logdir, "--metadata", closed / "table.csv"),
            tbgrid.export(photos, logdir, "--vectors", closed / "vectors.npy"),
        ):
            assert done.code == 1, done.err
            assert "Permission denied" in done.line
        done = tbgrid("export", photos, "--logdir", logdir, "--model", closed / "inside")
        assert done.code in (1, 2)
        assert "inside" in done.line


def test_a_run_whose_directory_was_locked_keeps_what_it_holds(
    nobodys: Path, tbgrid: Command
) -> None:
    """The export's own directory can be written, and the pointers beside it cannot."""
    logdir = nobodys / "home" / "run"
    with as_nobody():
        assert tbgrid.export(nobodys / "photos", logdir, "--no-cache").code == 0
        before = files(logdir)
        logdir.chmod(0o555)
        done = tbgrid.export(nobodys / "photos", logdir, "--no-cache", "--tile", "32")
    assert done.code == 1
    assert "(Permission denied)" in done.err.splitlines()[-1]
    assert files(logdir) == before


def test_a_cache_that_cannot_be_used_is_told_and_no_more(nobodys: Path, tbgrid: Command) -> None:
    (nobodys / "closed").mkdir(mode=0o555)
    with as_nobody():
        done = tbgrid.export(
            nobodys / "photos", nobodys / "home" / "run", "--cache", nobodys / "closed" / "cache"
        )
    assert done.code == 0, done.err
    assert "is not used" in done.err
    assert "9 photos shown" in done.out


def test_a_manifest_with_faults_shows_the_rest(few: Path, tmp_path: Path, tbgrid: Command) -> None:
    (few / "text.jpg").write_text("text")
    os.mkfifo(few / "pipe.jpg")
    rows = [(f"{label}/00{n}.jpg", label) for label in ("red", "blue") for n in range(3)]
    faults = [
        ("gone.jpg", "x"),
        ("red/001.jpg", "again"),
        ("", "nothing"),
        ("https://example.org/a.jpg", "x"),
        ("text.jpg", "x"),
        ("pipe.jpg", "x"),
        ("red", "x"),
    ]
    table = manifest(few / "list.csv", ("path", "label"), *rows, *faults)
    done = tbgrid.export(table, tmp_path / "run")
    assert done.code == 0, done.err
    assert [row["path"] for row in metadata(tmp_path / "run")] == [row[0] for row in rows]
    assert f"6 photos shown on a grid of 2 x 3, {len(faults)} skipped" in done.out
    found = ledger(tmp_path / "run")
    assert len(found) == len(faults), found
    for name, reason in {
        "gone.jpg": "No such file",
        "red/001.jpg": "is listed twice in the manifest (lines 3 and 9)",
        "line 10": "no path",
        "https://example.org/a.jpg": "a URL",
        "text.jpg": "not a picture",
        "pipe.jpg": "not a regular file",
        "red": "not a regular file",
    }.items():
        assert reason in found.get(name, ""), (name, found)


def test_rows_of_vectors_that_are_not_finite_leave_with_their_photo(
    few: Path, tmp_path: Path, tbgrid: Command
) -> None:
    vectors = np.random.default_rng(0).normal(size=(9, 5))
    vectors[2, 1], vectors[7, 0] = np.nan, np.inf
    np.save(tmp_path / "v.npy", vectors)
    done = tbgrid.export(few, tmp_path / "run", "--vectors", tmp_path / "v.npy")
    assert done.code == 0, done.err
    assert set(ledger(tmp_path / "run")) == {"blue/002.jpg", "red/001.jpg"}
    assert all("not finite" in reason for reason in ledger(tmp_path / "run").values())
    assert len(metadata(tmp_path / "run")) == 7
    assert_accepted(tmp_path / "run")


@pytest.mark.parametrize("dtype", ["f2", "f8", ">f4", "i8", "u1"])
def test_vectors_of_any_number_type(dtype: str, few: Path, tmp_path: Path, tbgrid: Command) -> None:
    np.save(tmp_path / "v.npy", np.arange(36).reshape(9, 4).astype(dtype))
    assert tbgrid.export(few, tmp_path / "run", "--vectors", tmp_path / "v.npy").code == 0


def test_vectors_that_are_all_equal_make_a_map_and_a_note(
    few: Path, tmp_path: Path, tbgrid: Command
) -> None:
    np.save(tmp_path / "v.npy", np.ones((9, 4), np.float32))
    done = tbgrid.export(few, tmp_path / "run", "--vectors", tmp_path / "v.npy")
    assert done.code == 0, done.err
    assert "note: all vectors are equal" in done.err
    assert_accepted(tmp_path / "run")


def test_labels_of_every_kind(few: Path, tmp_path: Path, tbgrid: Command) -> None:
    labels = [
        "tab\there",
        "line\nbreak",
        "🙂 写真",
        "l" * 300,
        "",
        ' "quoted" ',
        "<b>&amp;",
        "a\0b",
    ]
    labels[-1] = "\u2028\x1b[31m"
    photos = sorted(path.relative_to(few).as_posix() for path in few.rglob("*.jpg"))
    rows = list(zip(photos, labels, strict=False))
    table = manifest(few / "list.csv", ("path", "label"), *rows)
    done = tbgrid.export(table, tmp_path / "run")
    assert done.code == 0, done.err
    found = [row["label"] for row in metadata(tmp_path / "run")]
    assert found[:5] == ["tab here", "line break", "🙂 写真", "l" * 300, "(none)"]
    assert found[5] == '"quoted"'
    assert found[6] == "<b>&amp;"
    assert_accepted(tmp_path / "run")


def test_as_many_labels_as_photos(tmp_path: Path, tbgrid: Command) -> None:
    count = 600
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (count, 4, 4), np.uint8)
    np.savez(tmp_path / "many.npz", images=pictures, y=[f"label {n}" for n in range(count)])
    done = tbgrid(
        *("export", tmp_path / "many.npz", "--logdir", tmp_path / "run", "--model", "pixels"),
        *("--image-size", "4", "--tile", "8", "--perplexity", "3", "--no-cache"),
    )
    assert done.code == 0, done.err
    rows = metadata(tmp_path / "run")
    assert [row["label"] for row in rows] == [f"label {n}" for n in range(count)]
    assert_accepted(tmp_path / "run")


def test_a_run_among_its_photos_does_not_show_itself(
    few: Path, tmp_path: Path, tbgrid: Command
) -> None:
    for photos in (few, shutil.copytree(few, tmp_path / "copy")):
        for _ in range(2):
            done = tbgrid.export(photos, photos / "run" if photos == few else photos)
            assert done.code == 0, done.err
            assert "9 photos shown" in done.out, done.err


# --- A full disk -------------------------------------------------------------------------------


@contextlib.contextmanager
def no_file_over(size: int) -> Iterator[None]:
    """A limit of the size of files, past which a write fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("image_size", "written"),
    [("32", "embedding.ckpt"), ("2", "bookmarks.json"), ("2", "sprite.png"), ("2", "events")],
)
def test_a_file_that_cannot_be_written_keeps_the_old_run(
    image_size: str, written: str, few: Path, tmp_path: Path, tbgrid: Command
) -> None:
    """TensorFlow writes the checkpoint and the events, and has errors of its own."""
    logdir = tmp_path / "run"
    options = ("--model", "pixels", "--image-size", image_size, "--no-cache", "--no-refine")
    assert tbgrid("export", few, "--logdir", logdir, *options).code == 0
    before = files(logdir)
    sizes = {name.split("/")[-1]: len(content) for name, content in before.items()}
    size = next(sizes[name] for name in sizes if name.startswith(written) and "index" not in name)
    first = next(
        n
        for n in ("embedding.ckpt.data", "bookmarks", "sprite", "events")
        if any(name.startswith(n) and held > size - 100 for name, held in sizes.items())
    )
    assert first.startswith(written.split(".")[0]), "the first that passes the limit"
    with no_file_over(size - 100):
        done = tbgrid("export", few, "--logdir", logdir, *options, "--seed", "1")
    assert done.code == 1, done.err
    assert f"cannot write {logdir} (File too large): free space or give" in done.err
    assert len(done.err.splitlines()) == 1
    assert files(logdir) == before
    assert_accepted(logdir)
    assert tbgrid("export", few, "--logdir", logdir, *options).code == 0
    assert_no_rubbish(logdir)


def assert_no_rubbish(logdir: Path) -> None:
    """One export, and nothing that another has left."""
    home = logdir / run_format.HOME
    current = (home / run_format.CURRENT).read_text().strip()
    assert {path.name for path in home.iterdir()} == {current, run_format.CURRENT, ".lock"}
    assert sorted(path.name.split(".")[0] for path in logdir.iterdir()) == [
        "checkpoint",
        "events",
        "plugins",
        "projector_config",
    ]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def leave_free(disk: Path, size: int) -> None:
    """Fill `disk` but for `size` bytes."""
    ballast = disk / "ballast"
    ballast.unlink(missing_ok=True)
    status = os.statvfs(disk)
    ballast.write_bytes(bytes(max(0, status.f_bavail * status.f_frsize - size)))


def test_a_full_disk_keeps_the_old_run(few: Path, small_disk: Path, tbgrid: Command) -> None:
    """However much room there is: until there is enough, the old export stays whole."""
    logdir = small_disk / "run"
    quick = ("--model", "pixels", "--image-size", "16", "--no-cache", "--no-refine")
    options = ("--logdir", logdir, *quick)
    assert tbgrid("export", few, *options).code == 0
    before = files(logdir)
    weight = sum(map(len, before.values()))
    failed = 0
    for share in (0, 0.02, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 1, 1.1):
        leave_free(small_disk, int(share * weight))
        done = tbgrid("export", few, *options, "--seed", "1")
        if done.code == 0:
            break
        failed += 1
        assert (done.code, done.out) == (1, "")
        assert f"cannot write {logdir} (No space left on device): free space" in done.line
        assert files(logdir) == before
    else:
        leave_free(small_disk, 3 * weight)  # the rows wait there too
        assert tbgrid("export", few, *options).code == 0
    assert failed >= 7
    assert_no_rubbish(logdir)
    assert_accepted(logdir)


@pytest.mark.parametrize("free", [0, 20_000, 60_000, 200_000])
def test_a_cache_on_a_full_disk_stops_nothing(
    free: int, few: Path, tmp_path: Path, small_disk: Path, tbgrid: Command
) -> None:
    leave_free(small_disk, free)
    for n in range(40):
        Image.effect_noise((64, 64), 99).save(few / f"noise{n}.png")
    done = tbgrid.export(few, tmp_path / "run", "--cache", small_disk / "cache", "--tile", "64")
    assert done.code == 0, done.err
    assert "is not used (" in done.err
    assert "49 photos shown" in done.out
    leave_free(small_disk, free)
    assert tbgrid("cache", "--cache", small_disk / "cache").code in (0, 1)


def test_a_damaged_cache_ends_in_one_line_or_is_not_used(
    few: Path, tmp_path: Path, tbgrid: Command
) -> None:
    cache = tmp_path / "cache"
    assert tbgrid.export(few, tmp_path / "run", "--cache", cache).code == 0
    (file,) = cache.glob("*.sqlite")
    whole = file.read_bytes()
    page = int.from_bytes(whole[16:18], "big")  # bytes; the first page tells of the tables
    assert len(whole) > page
    file.write_bytes(whole[:page] + b"\xff" * (len(whole) - page))
    done = tbgrid.export(few, tmp_path / "run", "--cache", cache)
    assert done.code == 0, done.err
    assert "is not used (database disk image is malformed)" in done.err
    for option in ("--json", "--clear"):
        done = tbgrid("cache", "--cache", cache, option)
        assert (done.code, done.out) == (1, "")
        assert f"{file} is not used" in done.line
        assert "remove that file" in done.line
    for damaged, reason in (
        (
            whole[: page // 4] + b"\xff" * (len(whole) - page // 4),
            "database disk image is malformed",
        ),
        (b"no database" * 999, "file is not a database"),
    ):
        file.write_bytes(damaged)
        done = tbgrid.export(few, tmp_path / "run", "--cache", cache)
        assert done.code == 1
        way_out = "remove that file, or do without the cache (--no-cache)"
        assert f"is damaged ({reason}): {way_out}" in done.line


def test_a_stdout_that_cannot_be_written() -> None:
    """A full stdout is told, and a reader who has left is no error."""
    command = [*TBGRID, "models"]
    if Path("/dev/full").exists():
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                command, stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith("tbgrid: cannot write to stdout (No space left on device)")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert "Traceback" not in done.stderr
    assert "Broken pipe" not in done.stderr
    assert done.returncode == 0


def test_a_terminal_that_knows_only_ascii(
    few: Path, tmp_path: Path, tbgrid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (few / "写真.jpg").write_text("text")
    ascii_only = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", ascii_only)
    done = tbgrid.export(few, tmp_path / "rün")
    assert done.code == 0, done.err
    ascii_only.seek(0)
    assert "r\\xfcn" in ascii_only.read()


def test_a_logdir_that_is_not_utf_8_is_refused(few: Path, tmp_path: Path, tbgrid: Command) -> None:
    done = tbgrid.export(few, Path(os.fsdecode(os.fsencode(tmp_path) + b"/r\xfcn")))
    assert done.code == 2
    assert "r\ufffdn has a name that is not UTF-8" in done.line


# --- Ctrl-C ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "at"),
    [
        ("find", 0),
        ("load model", 0),
        ("embed", 0),
        ("embed", 8),
        ("t-SNE", 200),
        ("grid", 0),
        ("write", 0),
        ("write", 1),
        ("write", 4),
        ("write", 7),
    ],
)
def test_an_interrupted_export_changes_nothing_and_goes_on_later(
    stage: str, at: int, few: Path, tmp_path: Path, tbgrid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    logdir, cache = tmp_path / "run", tmp_path / "cache"
    assert tbgrid.export(few, logdir, "--no-cache").code == 0
    before = files(logdir)
    draw_photos(few, each=4, seed=9)
    embedded: list[int] = []
    model = PixelEmbedder.__call__

    def counting(self: PixelEmbedder, images: Float32Array) -> Float32Array:
        embedded.append(len(images))
        return model(self, images)

    def pressing(_: Console, now: str, done: int, __: int | None) -> None:
        if now == stage and done >= at:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(PixelEmbedder, "__call__", counting)
    options = ("--cache", cache, "--batch", "4")
    with monkeypatch.context() as patch:
        patch.setattr(Console, "progress", pressing)
        done = tbgrid.export(few, logdir, *options)
    assert done.code == 130, done.err
    assert done.line.startswith("tbgrid: interrupted")
    assert files(logdir) == before

    kept = json.loads(tbgrid("cache", "--cache", cache, "--json").out)["kinds"]
    vectors = next((kind["entries"] for kind in kept if kind["kind"] == "vector"), 0)
    assert vectors == sum(embedded)
    assert vectors == 12 or stage in ("find", "load model", "embed")
    assert vectors == 8 or (stage, at) != ("embed", 8)
    embedded.clear()
    assert tbgrid.export(few, logdir, *options).code == 0
    assert sum(embedded) == 12 - vectors
    assert_no_rubbish(logdir)


def test_ctrl_c_while_publishing_waits_for_its_end(
    few: Path, tmp_path: Path, tbgrid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tbgrid.export(few, tmp_path / "run").code == 0
    replace = Path.replace

    def pressing(path: Path, target: Path) -> Path:
        signal.raise_signal(signal.SIGINT)
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", pressing)
        done = tbgrid.export(few, tmp_path / "run", "--tile", "32")
    assert done.code == 130
    assert done.line.startswith("tbgrid: interrupted")
    (sprite,) = (tmp_path / "run").glob("plugins/tbgrid/*/sprite.png")
    with Image.open(sprite) as picture:
        assert picture.width == 32 * 3
    assert_no_rubbish(tmp_path / "run")
    assert_accepted(tmp_path / "run")


@pytest.mark.parametrize(
    "seconds", [0.3, 1.6, *(pytest.param(it, marks=pytest.mark.slow) for it in (0.8, 2.5))]
)
def test_ctrl_c_at_any_moment_of_a_process_ends_without_a_traceback(
    seconds: float, few: Path, tmp_path: Path
) -> None:
    """While modules load, too."""
    process = subprocess.Popen(
        [*TBGRID, "export", str(few), "--logdir", str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    # A shell shows both as 130; Python chooses the second where modules were being made.
    assert process.returncode in (130, -signal.SIGINT), stderr
    assert stderr.splitlines()[-1].startswith("tbgrid: interrupted")
    assert "Traceback" not in stderr
    assert not list((tmp_path / "run").glob("plugins/tbgrid/staging-*"))


# --- Real files of every kind ------------------------------------------------------------------


def test_odd_files_in_one_export(data: Path, tmp_path: Path, preloaded: Preloaded) -> None:
    """193 files of decoders' test suites: all are shown or stand in the ledger."""
    logdir = ("--logdir", tmp_path / "run")
    done = preloaded.run("tbgrid", "export", data / "odd", *FAST, "--no-cache", "--json", *logdir)
    assert done.returncode == 0, done.stderr
    left, shown = ledger(tmp_path / "run"), metadata(tmp_path / "run")
    assert len(left) + len(shown) == 193
    assert set(left) | {row["path"] for row in shown} == {p.name for p in (data / "odd").iterdir()}
    report = json.loads(done.stdout)
    assert {item["path"]: item["reason"] for item in report["skipped"]} == left
    assert all(line.startswith("note: ") for line in done.stderr.splitlines()), done.stderr
    assert_accepted(tmp_path / "run")
