"""What is done again and what is not, when an export is made a second time."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tbgrid
from tbgrid import ExportOptions, ExportResult, GridOptions, RefineOptions, TsneOptions
from tbgrid.embedding import embed, lazy
from tbgrid.embedding.decode import decode
from tbgrid.embedding.pixels import PixelEmbedder
from tbgrid.layouts import methods, tsne
from tbgrid.types import Float32Array
from tests.support.photos import draw_photos

COUNT = 12


@dataclass
class Work:
    """What was done since the last `reset`."""

    decoded: list[str]
    embedded: int = 0
    laid_out: int = 0

    def reset(self) -> None:
        self.decoded.clear()
        self.embedded = self.laid_out = 0

    @property
    def counts(self) -> dict[str, int]:
        return {
            "decoded": len(self.decoded),
            "embedded": self.embedded,
            "laid out": self.laid_out,
        }


NOTHING = {"decoded": 0, "embedded": 0, "laid out": 0}
ALL = {"decoded": COUNT, "embedded": COUNT, "laid out": 1}


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    return counted(monkeypatch)


def counted(monkeypatch: pytest.MonkeyPatch) -> Work:
    """The real stages, counted."""
    found, lock = Work([]), threading.Lock()
    model, place = PixelEmbedder.__call__, tsne.tsne

    def decoding(path: Path, *arguments: Any) -> Any:
        with lock:
            found.decoded.append(path.name)
        return decode(path, *arguments)

    def embedding(self: PixelEmbedder, images: Float32Array) -> Float32Array:
        found.embedded += len(images)
        return model(self, images)

    def laying(*arguments: Any, **options: Any) -> Any:
        found.laid_out += 1
        return place(*arguments, **options)

    monkeypatch.setattr("tbgrid.embedding.decode.decode", decoding)
    monkeypatch.setattr(PixelEmbedder, "__call__", embedding)
    monkeypatch.setattr(methods, "tsne", laying)
    return found


class Exporter:
    """Exports of one folder with one cache."""

    def __init__(self, folder: Path, work: Work) -> None:
        self.photos = folder / "photos"
        if not self.photos.exists():
            draw_photos(self.photos, each=COUNT // 3)
        self.options = ExportOptions(
            model="pixels",
            image_size=32,
            tile=16,
            cache=folder / "cache",
            tsne=TsneOptions(perplexity=3),
            refine=None,  # nothing of it is kept, and it takes longest
        )
        self.logdir, self.work = folder / "run", work

    def __call__(self, **changes: Any) -> ExportResult:
        self.work.reset()
        return tbgrid.export(self.photos, self.logdir, replace(self.options, **changes))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photos, the cache and the run of a first export. Not to be changed."""
    folder = tmp_path_factory.mktemp("first")
    with pytest.MonkeyPatch.context() as patch:
        work = counted(patch)
        Exporter(folder, work)()
        assert work.counts == ALL
    return folder


@pytest.fixture
def exporter(first: Path, tmp_path: Path, work: Work) -> Exporter:
    """After the first export."""
    shutil.copytree(first, tmp_path, dirs_exist_ok=True)
    return Exporter(tmp_path, work)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, NOTHING),
        ({"tsne": TsneOptions(perplexity=2)}, {**NOTHING, "laid out": 1}),
        ({"tsne": TsneOptions(perplexity=3, seed=1)}, {**NOTHING, "laid out": 1}),
        ({"metric": "cosine"}, {**NOTHING, "laid out": 1}),
        ({"grid": GridOptions(shape=(2, 6))}, NOTHING),
        ({"grid": GridOptions(aspect=3.0, assignment_cost="euclidean")}, NOTHING),
        ({"batch": 5}, NOTHING),
        ({"tile": 24}, {**NOTHING, "decoded": COUNT}),
        ({"tile": 48}, {**NOTHING, "decoded": COUNT}),
        # Past what is always decoded: JPEGs are decoded at another scale, for the model as well.
        ({"tile": 300}, {**ALL, "laid out": 0}),  # small photos: to the same vectors
        ({"preview": 0}, NOTHING),
        ({"preview": 40}, {**NOTHING, "decoded": COUNT}),
        ({"preview": 1000}, {**NOTHING, "decoded": COUNT}),
        ({"fit": "pad"}, ALL),
        ({"image_size": 4}, ALL),
        ({"use_cache": False}, ALL),
    ],
    ids=str,
)
def test_only_what_depends_on_an_option_is_done_again(
    changes: dict[str, Any], expected: dict[str, int], exporter: Exporter, work: Work
) -> None:
    first = exporter(**changes)
    assert work.counts == expected
    anew = exporter(**changes, use_cache=False) if "use_cache" not in changes else first
    for name in ("vectors", "thumbnails", "sizes"):
        assert np.array_equal(getattr(first.images, name), getattr(anew.images, name)), name
    assert np.array_equal(first.grid.cells, anew.grid.cells)


def test_a_network_that_is_not_needed_is_not_loaded(
    exporter: Exporter, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = {"model": "builtin", "image_size": 32}
    first = exporter(**network)
    assert work.counts["embedded"] == 0

    def loading(*_: Any, **__: Any) -> Any:
        raise AssertionError("loaded")

    monkeypatch.setattr(lazy, "load_embedder", loading)
    again = exporter(**network, tsne=TsneOptions(perplexity=2), grid=GridOptions(shape=(3, 5)))
    assert work.counts == {**NOTHING, "laid out": 1}
    assert again.report["model"] == first.report["model"]
    exporter(**network, tile=24)
    assert work.counts == {**NOTHING, "decoded": COUNT}
    Image.new("RGB", (50, 40)).save(exporter.photos / "new.png")
    with pytest.raises(AssertionError, match="loaded"):
        exporter(**network)


def test_the_same_export_again_writes_the_same_files(exporter: Exporter) -> None:
    def written(result: ExportResult) -> dict[str, bytes]:
        names = ("metadata.tsv", "sprite.png", "bookmarks.json", "mosaic.jpg", "skipped.tsv")
        return {name: (result.export / name).read_bytes() for name in names}

    refined = {"refine": RefineOptions()}
    one = written(exporter(**refined))
    assert one == written(exporter(**refined))
    assert one == written(exporter(**refined, use_cache=False))


def test_a_replaced_photo_is_embedded_anew_and_no_other(exporter: Exporter, work: Work) -> None:
    changed = exporter.photos / "green" / "001.jpg"
    Image.new("RGB", (50, 40), (200, 0, 200)).save(changed)
    result = exporter()
    assert work.decoded == ["001.jpg"]
    assert work.embedded == 1
    row = [photo.name for photo in result.images.photos].index("green/001.jpg")
    assert result.images.sizes[row].tolist() == [50, 40]
    red, green, blue = result.images.thumbnails[row].mean(axis=(0, 1))
    assert min(red, blue) > 150 > 50 > green


def test_moved_and_doubled_photos_are_known_by_their_bytes(exporter: Exporter, work: Work) -> None:
    (exporter.photos / "red").rename(exporter.photos / "renamed")
    for path in (exporter.photos / "blue").iterdir():
        os.utime(path, (1e9, 1e9))
    copy = exporter.photos / "copy.jpg"
    copy.write_bytes((exporter.photos / "green" / "000.jpg").read_bytes())
    result = exporter()
    assert work.counts == {**NOTHING, "laid out": 1}
    assert len(result.images.photos) == COUNT + 1


def test_new_photos_are_all_that_is_embedded(exporter: Exporter, work: Work) -> None:
    draw_photos(exporter.photos / "more", each=1, seed=5)
    (exporter.photos / "red" / "000.jpg").unlink()
    exporter()
    assert work.counts == {"decoded": 3, "embedded": 3, "laid out": 1}


def test_a_file_that_is_no_picture_is_tried_again(exporter: Exporter, work: Work) -> None:
    """It costs little, and a newer Pillow may read it."""
    (exporter.photos / "late.jpg").write_bytes(b"not yet")
    assert len(exporter().skipped) == 1
    (exporter.photos / "late.jpg").write_bytes((exporter.photos / "red/000.jpg").read_bytes())
    assert not exporter().skipped
    assert work.embedded == 0


class BrokenOffError(BaseException):
    """Stands for whatever ends an export."""


@pytest.mark.parametrize("batches", [0, 1, 2])
def test_an_export_that_was_broken_off_goes_on_where_it_was(
    batches: int, tmp_path: Path, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = Exporter(tmp_path, work)
    run_model = PixelEmbedder.__call__
    calls: list[int] = []

    def failing(self: PixelEmbedder, images: Float32Array) -> Float32Array:
        if len(calls) == batches:
            raise BrokenOffError
        calls.append(len(images))
        return run_model(self, images)

    with monkeypatch.context() as patch:
        patch.setattr(PixelEmbedder, "__call__", failing)
        with pytest.raises(BrokenOffError):
            export(batch=4)
    result = export(batch=4)
    assert work.embedded == COUNT - 4 * batches
    assert len(work.decoded) == COUNT - 4 * batches
    anew = export(use_cache=False)
    assert np.array_equal(result.images.vectors, anew.images.vectors)


def test_photos_of_an_array_are_kept_too(tmp_path: Path, work: Work) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (COUNT, 8, 8), np.uint8)
    np.save(tmp_path / "pictures.npy", pictures)
    options = ExportOptions(model="pixels", image_size=8, tile=16, cache=tmp_path / "cache")

    def vectors(kept: Sequence[int]) -> Float32Array:
        np.save(tmp_path / "pictures.npy", pictures[kept])
        work.reset()
        return tbgrid.export(tmp_path / "pictures.npy", tmp_path / "run", options).images.vectors

    first = vectors(range(COUNT))
    assert work.embedded == COUNT
    again = vectors(range(COUNT - 1, -1, -1))
    assert work.counts == {**NOTHING, "laid out": 1}
    assert np.array_equal(again, first[::-1])
    assert embed.DECODE_VERSION >= 1
