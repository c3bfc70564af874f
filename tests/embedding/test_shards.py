"""Embedded photos on disk: the run that they make is the one that the photos make."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tbgrid
from tbgrid import ExportOptions, SourceOptions, TbgridError, UsageError, export
from tbgrid.cli.main import main
from tbgrid.embedding import embed, shard_index, shards
from tbgrid.pipeline.embed_shards import embed_shards
from tbgrid.pipeline.shard_job import DEFAULT_SHARD
from tbgrid.types import Float32Array
from tests.support.embedders import MeanColour
from tests.support.files import files
from tests.support.photos import draw_photos

MODEL = MeanColour()
COUNT, SHARD = 19, 4  # the last shard holds three photos, the second none that can be shown
OPTIONS = ExportOptions(tile=24, preview=80, use_cache=False)


@pytest.fixture(scope="module")
def odd_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """19 files in five shards: photos of three labels, one whole shard of texts, a hidden file."""
    folder = draw_photos(tmp_path_factory.mktemp("odd") / "photos", each=4)
    for number in range(COUNT - 12):
        (folder / "blue" / f"{100 + number}.jpg").write_text("no picture")
    (folder / ".hidden").touch()
    return folder


@pytest.fixture(scope="module")
def embedded(odd_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`odd_photos` in shards. Not to be changed."""
    out = tmp_path_factory.mktemp("embedded") / "shards"
    done = embed_shards(odd_photos, out, OPTIONS, shard=SHARD, embedder=MODEL)
    assert (done.new_shards, len(done.source.photos), len(done.source.skipped)) == (5, 12, 8)
    return out


def told(result: tbgrid.ExportResult) -> dict[str, Any]:
    return {**json.loads((result.export / "report.json").read_text()), "seconds": None}


def test_the_run_is_that_of_the_photos(odd_photos: Path, embedded: Path, tmp_path: Path) -> None:
    direct = export(odd_photos, tmp_path / "direct", OPTIONS, embedder=MODEL)
    shards_ = export(embedded, tmp_path / "shards", ExportOptions(use_cache=False))
    assert files(direct.export) == files(shards_.export)
    assert told(direct) == told(shards_)
    assert shards_.skipped == direct.skipped
    assert not list((tmp_path / "shards").rglob("staging*"))


@pytest.mark.slow
def test_the_run_is_that_of_the_photos_by_the_command_line(
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["embed", str(photos), "--out", "an embedding"]) == 0
    *_, summary, command = capsys.readouterr().out.splitlines()
    assert summary.startswith("60 photos embedded by builtin, 0 skipped; 1 shard, ")
    says, _, typed = command.partition(": ")
    assert says == "To export them, run"
    assert typed == f"tbgrid export 'an embedding' --logdir runs/{photos.name}"
    assert main(shlex.split(typed)[1:]) == 0
    # The cache may hold vectors of these photos from other batches, which differ in the last bits.
    assert main(["export", str(photos), "--logdir", "direct", "--no-cache"]) == 0
    made, direct = (
        next(path for path in Path(run, "plugins/tbgrid").iterdir() if path.is_dir())
        for run in (Path("runs", photos.name), Path("direct"))
    )
    assert files(made).keys() == files(direct).keys()
    assert [name for name, data in files(made).items() if data != files(direct)[name]] == []


def test_a_network_gets_the_batches_of_an_export_without_shards(tmp_path: Path) -> None:
    """Their sizes decide upon the last bits of vectors."""
    folder, count = draw_photos(tmp_path / "photos", each=95), embed._CHUNK
    for number in (3, 40, 90):
        (folder / "green" / f"{number:03}.jpg").write_text("no picture")
    options = ExportOptions(preview=0)
    done = embed_shards(folder, tmp_path / "out", options, shard=count)
    found = shards.read_images(done.source, tmp_path)
    direct = tbgrid.embed(tbgrid.find_photos(folder), tbgrid.load_embedder())
    assert done.new_shards == 2
    assert np.array_equal(found.vectors, direct.vectors)
    assert DEFAULT_SHARD % count == 0


@pytest.mark.parametrize("shard", [1, 3, 12, 100])
def test_shards_may_be_of_any_size(odd_photos: Path, tmp_path: Path, shard: int) -> None:
    done = embed_shards(odd_photos, tmp_path, OPTIONS, shard=shard, embedder=MODEL)
    found = shards.read_images(done.source, tmp_path)
    direct = tbgrid.embed(tbgrid.find_photos(odd_photos), MODEL, thumbnail=24)
    assert [photo.name for photo in found.photos] == [photo.name for photo in direct.photos]
    for name in ("vectors", "thumbnails", "sizes"):
        assert np.array_equal(getattr(found, name), getattr(direct, name))
    assert found.labels == direct.labels
    assert found.skipped == direct.skipped


def test_equal_photos_give_equal_files(odd_photos: Path, embedded: Path, tmp_path: Path) -> None:
    embed_shards(odd_photos, tmp_path, OPTIONS, shard=SHARD, embedder=MODEL)
    assert files(tmp_path) == files(embedded)


def test_an_array_can_be_embedded(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (10, 12, 12), np.uint8)
    np.savez(tmp_path / "digits.npz", images=pictures, y=np.arange(10) % 3)
    for made in (3, 0):
        done = embed_shards(tmp_path / "digits.npz", tmp_path / "out", shard=4, embedder=MODEL)
        assert done.new_shards == made
    found = export(tmp_path / "out", tmp_path / "run", ExportOptions(use_cache=False))
    assert found.images.labels == [str(number % 3) for number in range(10)]
    np.savez(tmp_path / "digits.npz", images=pictures[::-1], y=np.arange(10) % 3)
    assert embed_shards(
        tmp_path / "digits.npz", tmp_path / "out", shard=4, embedder=MODEL
    ).new_shards


def test_some_of_the_embedded_photos_can_be_shown(embedded: Path, tmp_path: Path) -> None:
    whole = shards.read_images(tbgrid.open_source(embedded), tmp_path)
    options = SourceOptions(exclude=("green/*",), limit=6)
    some = export(embedded, tmp_path, ExportOptions(source=options, use_cache=False)).images
    names = [photo.name for photo in whole.photos]
    rows = [names.index(photo.name) for photo in some.photos]
    assert len(rows) == 6
    assert not [name for name in names if name.startswith("green") and names.index(name) in rows]
    assert np.array_equal(some.vectors, whole.vectors[rows])
    assert np.array_equal(some.thumbnails, whole.thumbnails[rows])
    with pytest.raises(TbgridError, match=r"only 1 photos in .* are selected: .* at least 3"):
        export(embedded, tmp_path, ExportOptions(source=SourceOptions(include=("green/000.jpg",))))


def test_metadata_can_be_joined_later(embedded: Path, tmp_path: Path) -> None:
    table = tmp_path / "more.csv"
    table.write_text("path,year\ngreen/000.jpg,1999\n")
    source = tbgrid.open_source(embedded, SourceOptions(metadata=table))
    found = {photo.name: photo.fields for photo in shards.read_images(source, tmp_path).photos}
    assert (found["green/000.jpg"], found["red/000.jpg"]) == (("1999",), ("",))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "builtin"], "--model builtin: the photos were embedded with mean-colour"),
        (["--model", "pixels"], "--model pixels: the photos were embedded with mean-colour"),
        (["--image-size", "64"], "--image-size 64: the photos were embedded with"),
        (["--tile", "64"], "--tile 64: the photos were embedded with 24"),
        (["--fit", "pad"], "--fit pad: the photos were embedded with crop"),
        (["--preview", "256"], "--preview 256: the photos were embedded with 80"),
        (["--input-range", "bytes"], "--input-range bytes: the photos were embedded with unit"),
        (["--vectors", "v.npy"], "has vectors already: leave out --vectors"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_export_refuses_what_cannot_be_changed(
    options: list[str],
    message: str,
    embedded: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("v.npy", np.eye(12))
    assert main(["export", str(embedded), "--logdir", "run", *options]) == 2
    assert message in capsys.readouterr().err
    assert not Path("run").exists()


def test_export_takes_what_was_embedded_with(embedded: Path, tmp_path: Path) -> None:
    same = ["--model", "mean-colour", "--tile", "24", "--fit", "crop", "--no-cache"]
    assert main(["export", str(embedded), "--logdir", str(tmp_path / "a"), *same]) == 0
    done = export(embedded, tmp_path / "b", dataclasses.replace(OPTIONS, preview=0))
    assert not len(done.images.previews)
    with pytest.raises(UsageError, match="tile 65"):
        export(embedded, tmp_path / "c", ExportOptions(tile=65))
    with pytest.raises(UsageError, match="embedder for embedded photos: leave it out"):
        export(embedded, tmp_path / "c", embedder=MODEL)
    with pytest.raises(UsageError, match="has vectors already: use it with tbgrid export"):
        embed_shards(embedded, tmp_path / "d", embedder=MODEL)


# Going on


def modified(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("shard-*")}


class Dying(MeanColour):
    """Its process is killed at the fourth call."""

    calls: list[int] = []  # noqa: RUF012

    def __call__(self, images: Float32Array) -> Float32Array:
        self.calls.append(len(images))
        if len(self.calls) == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(images)


def embed_and_die(source: str, out: str) -> None:
    embed_shards(source, out, OPTIONS, shard=SHARD, embedder=Dying())


def test_a_kill_loses_no_shard(odd_photos: Path, embedded: Path, tmp_path: Path) -> None:
    program = (
        f"import test_shards; test_shards.embed_and_die({str(odd_photos)!r}, {str(tmp_path)!r})"
    )
    died = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parent, check=False)
    assert died.returncode == -signal.SIGKILL
    before = modified(tmp_path)
    assert sorted(before) == [f"shard-{number:05}.npz" for number in range(4)]
    assert list(tmp_path.glob(f"{shard_index.MAKING}*"))
    with pytest.raises(TbgridError, match=r"has 4 of 5 shards: run the same tbgrid embed again"):
        export(tmp_path, tmp_path / "run")
    seen: list[tuple[int, int | None]] = []
    done = embed_shards(
        odd_photos,
        tmp_path,
        OPTIONS,
        shard=SHARD,
        embedder=MODEL,
        progress=lambda stage, n, total: seen.append((n, total)) if stage == "embed" else None,
    )
    assert done.new_shards == 1
    assert {name: time for name, time in modified(tmp_path).items() if name in before} == before
    assert files(tmp_path) == files(embedded)
    assert seen[0] == (16, COUNT)
    assert seen[-1] == (COUNT, COUNT)


def test_a_photo_that_has_changed_is_embedded_again(tmp_path: Path) -> None:
    folder = draw_photos(tmp_path / "photos", each=4)
    out = tmp_path / "out"
    embed_shards(folder, out, OPTIONS, shard=SHARD, embedder=MODEL)
    before = modified(out)
    Image.new("RGB", (30, 30), (1, 2, 3)).save(folder / "green" / "001.jpg")
    (folder / "red" / "000.jpg").write_text("no picture now")
    done = embed_shards(folder, out, OPTIONS, shard=SHARD, embedder=MODEL)
    assert done.new_shards == 2
    assert [modified(out)[name] == time for name, time in sorted(before.items())] == [
        True,
        False,
        False,
    ]
    found = shards.read_images(done.source, tmp_path)
    assert len(found.photos) == 11
    row = [photo.name for photo in found.photos].index("green/001.jpg")
    assert found.vectors[row] == pytest.approx(np.tile(found.vectors[row][:3], 16))


def other_label(folder: Path) -> None:
    (folder / "more.csv").write_text("path,label\nblue/000.jpg,sky\n")


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "gone": (lambda folder: (folder / "red" / "000.jpg").unlink(), "1 are gone, such as red/000"),
    "new": (lambda folder: (folder / "red" / "999.jpg").touch(), "1 are new, such as red/999.jpg"),
    "label": (other_label, "1 have other labels or columns"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_photos_are_refused(tmp_path: Path, change: str) -> None:
    folder, out = draw_photos(tmp_path / "photos", each=2), tmp_path / "out"
    table = folder / "more.csv"
    table.write_text("path,label\nblue/000.jpg,blue\n")
    options = ExportOptions(source=SourceOptions(metadata=table))
    embed_shards(folder, out, options, embedder=MODEL)
    act, message = CHANGES[change]
    act(folder)
    with pytest.raises(TbgridError, match=message) as refused:
        embed_shards(folder, out, options, embedder=MODEL)
    assert str(refused.value).endswith("use another out, or remove that directory")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tile": 32}, "was begun with tile 24, not 32"),
        ({"image_size": 32}, "was begun with image_size None, not 32"),
        ({"batch": 2}, "was begun with batch 32, not 2"),
    ],
    ids=str,
)
def test_other_options_are_refused(
    options: dict[str, Any], message: str, odd_photos: Path, embedded: Path
) -> None:
    before = modified(embedded)
    with pytest.raises(UsageError, match=message):
        embed_shards(
            odd_photos,
            embedded,
            dataclasses.replace(OPTIONS, **options),
            shard=SHARD,
            embedder=MODEL,
        )
    with pytest.raises(UsageError, match="was begun with shard 4, not 5"):
        embed_shards(odd_photos, embedded, OPTIONS, shard=5, embedder=MODEL)
    assert modified(embedded) == before


@dataclasses.dataclass(frozen=True)
class Trained(MeanColour):
    fingerprint: str = "trained further"


def test_another_model_of_the_same_name_is_refused(odd_photos: Path, embedded: Path) -> None:
    with pytest.raises(UsageError, match="begun with another version of model mean-colour"):
        embed_shards(odd_photos, embedded, OPTIONS, shard=SHARD, embedder=Trained())


# Damage


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink], ids=["cut", "flip", "missing"])
def test_a_damaged_shard_is_one_line_and_can_be_made_again(
    damage: Callable[[Path], object], odd_photos: Path, embedded: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(embedded, tmp_path / "copy")
    shard = copy / "shard-00004.npz"
    damage(shard)
    with pytest.raises(TbgridError) as refused:
        export(copy, tmp_path / "run", ExportOptions(use_cache=False))
    said = str(refused.value)
    assert "the same tbgrid embed again" in said
    assert len(said.splitlines()) == 1
    if "remove it" in said:
        shard.unlink(missing_ok=True)
    assert embed_shards(odd_photos, copy, OPTIONS, shard=SHARD, embedder=MODEL).new_shards == 1
    assert files(copy) == files(embedded)


def test_a_shard_of_other_photos_is_not_taken(embedded: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(embedded, tmp_path / "copy")
    other = draw_photos(tmp_path / "other", each=7)
    embed_shards(other, tmp_path / "out", OPTIONS, shard=SHARD, embedder=MODEL)
    shutil.copy(tmp_path / "out" / "shard-00000.npz", copy)
    with pytest.raises(TbgridError, match="belongs to other photos or options"):
        export(copy, tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (shard_index.INDEX, "{", "missing or damaged"),
        (shard_index.INDEX, "[]", "missing or damaged"),
        (shard_index.INDEX, '{"format": 1}', "has the format 1, and this tbgrid reads 2"),
        (shard_index.PHOTOS, "{}", "missing or damaged"),
    ],
)
def test_a_damaged_index_is_one_line(
    embedded: Path, tmp_path: Path, name: str, text: str, message: str
) -> None:
    copy = shutil.copytree(embedded, tmp_path / "copy")
    (copy / name).write_text(text)
    with pytest.raises(TbgridError, match=message):
        export(copy, tmp_path / "run")


# Mistakes


def test_a_directory_of_other_files_is_not_written(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(
        TbgridError, match=r"has other files, such as thesis.txt: use a new directory for out"
    ):
        embed_shards(photos, tmp_path, embedder=MODEL)
    assert {path.name for path in tmp_path.iterdir()} == {"thesis.txt", ".lock"}


def test_shards_may_lie_among_the_photos(tmp_path: Path) -> None:
    folder = draw_photos(tmp_path, each=2)
    for made in (1, 0):
        done = embed_shards(folder, folder / "shards", OPTIONS, embedder=MODEL)
        assert (done.new_shards, len(done.source.photos)) == (made, 6)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{nowhere}", "--out", "{new}"], 1, "no such folder"),
        (["{texts}", "--out", "{new}"], 1, "0 of 3 files can be shown"),
        (["{photos}", "--out", "{file}"], 1, "is not a directory"),
        (["{photos}"], 2, "--out"),
        (["{photos}", "--out", "{new}", "--shard", "0"], 2, "shard 0: use a number of photos"),
        (["{photos}", "--out", "{new}", "--workers", "0"], 2, "workers 0: use a number"),
        (["{photos}", "--out", "{new}", "--model", "nothing"], 2, "no such model: nothing"),
        (["{photos}", "--out", "{new}", "--tile", "4"], 2, "from 8 to 512"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_end_in_one_line(
    arguments: list[str],
    code: int,
    message: str,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {name: tmp_path / name for name in ("nowhere", "texts", "new", "file")}
    places["file"].touch()
    places["texts"].mkdir()
    for number in range(3):
        (places["texts"] / f"{number}.jpg").write_text("text")
    given = [argument.format_map({**places, "photos": photos}) for argument in arguments]
    try:
        left = main(["embed", "--model", "pixels", *given])
    except SystemExit as refused:
        left = int(refused.code or 0)
    assert left == code
    streams = capsys.readouterr()
    assert streams.out == ""
    assert message in streams.err.splitlines()[-1]


def test_json_tells_it_to_programs(
    odd_photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["embed", str(odd_photos), "--out", str(tmp_path / "out"), "--model", "pixels"]
    assert main([*arguments, "--shard", "8", "--json", "--strict", "--quiet"]) == 1
    streams = capsys.readouterr()
    told = json.loads(streams.out)
    assert told["photos"] == {"source": "photos", "embedded": 12}
    assert (told["model"], told["shards"], told["made"]) == ("pixels", 3, 3)
    assert len(told["skipped"]) == 8
    assert told["bytes"] > 10_000
    assert streams.err.splitlines() == ["tbgrid: 8 files skipped, and --strict was given"]


# Notes


class Constant(MeanColour):
    def __call__(self, images: Float32Array) -> Float32Array:
        return np.ones((len(images), 3), np.float32)


class Sometimes(MeanColour):
    """Red pictures give NaN."""

    def __call__(self, images: Float32Array) -> Float32Array:
        vectors = super().__call__(images)
        vectors[images.mean(axis=(1, 2)).argmax(axis=1) == 0] = np.nan
        return vectors


@pytest.mark.parametrize("model", [Constant(), Sometimes()], ids=["constant", "NaN"])
def test_what_is_said_of_the_whole_is_the_same(
    odd_photos: Path, tmp_path: Path, model: MeanColour
) -> None:
    options = dataclasses.replace(OPTIONS, batch=4)
    direct = export(odd_photos, tmp_path / "direct", options, embedder=model)
    embed_shards(odd_photos, tmp_path / "out", options, shard=SHARD, embedder=model)
    found = export(tmp_path / "out", tmp_path / "run", ExportOptions(use_cache=False))
    assert found.notes == direct.notes
    assert any("vectors" in note or "NaN" in note for note in found.notes)
    assert files(found.export) == files(direct.export)
