"""Embedding: each row is one photo, and nothing is lost, doubled or left running."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tbgrid.embedding.embed import embed
from tbgrid.embedding.load_embedder import load_embedder
from tbgrid.errors import TbgridError, UsageError
from tbgrid.photos import Source
from tbgrid.sources.folders import find_photos
from tbgrid.types import Embedder, Float32Array
from tests.support.embedders import Colour


@pytest.fixture(autouse=True)
def no_calls() -> None:
    Colour.calls.clear()


def colour(number: int) -> tuple[int, int, int]:
    return 5 * number, 255 - 5 * number, 7 * number % 256


def numbered(folder: Path, count: int = 40) -> Source:
    """Picture n has the colour and the size of n; every seventh file is damaged in some way."""
    for number in range(count):
        path = folder / f"{number % 3}" / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (10 + number, 60 - number), colour(number)).save(path)
        if number % 7 == 0:
            path.write_bytes(path.read_bytes()[: number // 7 * 8])
    return find_photos(folder)


@pytest.mark.parametrize("batch", [1, 7, 32])
@pytest.mark.parametrize("workers", [1, 5])
def test_every_row_is_the_same_photo(batch: int, workers: int, tmp_path: Path) -> None:
    source = numbered(tmp_path)
    images = embed(source, Colour(), thumbnail=6, batch=batch, workers=workers)
    kept = [photo for photo in source.photos if int(Path(photo.name).stem) % 7]
    assert list(images.photos) == kept
    assert sorted(left_out.name for left_out in images.skipped) == sorted(
        photo.name for photo in source.photos if photo not in kept
    )
    assert images.vectors.shape == (34, 3)
    assert images.vectors.dtype == np.float32
    assert images.thumbnails.shape == (34, 6, 6, 3)
    for row, photo in enumerate(images.photos):
        number = int(Path(photo.name).stem)
        np.testing.assert_allclose(images.vectors[row], colour(number), atol=0.01)
        assert (images.thumbnails[row] == colour(number)).all()
        assert images.sizes[row].tolist() == [10 + number, 60 - number]
    assert images.labels == [photo.label for photo in kept]
    assert Colour.calls == [batch] * (34 // batch) + [34 % batch] * (34 % batch > 0)


def test_the_model_sees_what_the_thumbnail_shows(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = Image.open

    def counting(path: Any, *rest: Any, **options: Any) -> Any:
        opened.append(str(path))
        return real(path, *rest, **options)

    monkeypatch.setattr(Image, "open", counting)
    images = embed(find_photos(photos), load_embedder("pixels", 24), thumbnail=24, fit="pad")
    shown = images.thumbnails.reshape(60, -1) / np.float32(255)
    np.testing.assert_allclose(images.vectors, shown, atol=1e-6)
    assert len(opened) == len(set(opened)) == 60


def test_progress_counts_every_file(tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    embed(numbered(tmp_path), Colour(), batch=7, progress=lambda *step: told.append(step))
    assert {(stage, total) for stage, _, total in told} == {("embed", 40)}
    done = [step[1] for step in told]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, 40)


def test_fewer_than_three_photos_are_no_map(tmp_path: Path) -> None:
    for number in range(4):
        Image.new("RGB", (9, 9)).save(tmp_path / f"{number}.png")
    (tmp_path / "2.png").write_bytes(b"")
    (tmp_path / ".hidden").touch()
    assert len(embed(find_photos(tmp_path), Colour()).photos) == 3
    (tmp_path / "3.png").write_bytes(b"-")
    with pytest.raises(TbgridError) as caught:
        embed(find_photos(tmp_path), Colour())
    assert str(caught.value) == (
        "2 of 5 files can be shown, 3.png: not a picture that Pillow can open: "
        "a map needs at least 3 photos"
    )


@pytest.mark.parametrize(("thumbnail", "batch"), [(0, 32), (64, 0), (-1, -1)])
def test_sizes_below_one_are_refused(thumbnail: int, batch: int, photos: Path) -> None:
    with pytest.raises(UsageError, match=f"thumbnail {thumbnail}, batch {batch}"):
        embed(find_photos(photos), Colour(), thumbnail=thumbnail, batch=batch)


def test_a_photo_whose_vector_is_not_finite_is_left_out(tmp_path: Path) -> None:
    def spoil(call: int, vectors: Float32Array) -> Float32Array:
        if call == 2:
            vectors[3, 1] = np.nan
        return vectors

    source = numbered(tmp_path)
    kept = [photo.name for photo in source.photos if int(Path(photo.name).stem) % 7]
    images = embed(source, Colour(spoil), batch=8)
    assert [photo.name for photo in images.photos] == [n for n in kept if n != kept[8 + 3]]
    assert {r.name: r.reason for r in images.skipped}[kept[8 + 3]].endswith("gave NaN or infinity")
    assert any("NaN or infinity for 1 photos" in note for note in images.notes)
    assert np.isfinite(images.vectors).all()
    assert len(images.vectors) == len(images.sizes) == len(images.photos)


def test_a_model_whose_vectors_are_not_finite_is_refused(tmp_path: Path) -> None:
    source = numbered(tmp_path)
    with pytest.raises(TbgridError, match=r"NaN or infinity for .* input_range"):
        embed(source, Colour(lambda _, vectors: vectors * np.float32(np.nan)), batch=8)


def test_a_model_that_loses_photos_is_told(photos: Path) -> None:
    lose: Embedder = Colour(lambda _, vectors: vectors[1:])
    flatten: Embedder = Colour(lambda _, vectors: vectors.ravel())
    for model, shape in ((lose, r"\(31, 3\)"), (flatten, r"\(96,\)")):
        with pytest.raises(TbgridError, match=f"array of shape {shape} for 32 photos"):
            embed(find_photos(photos), model)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, TbgridError])
def test_no_thread_outlives_an_error(error: type[BaseException], photos: Path) -> None:
    def spoil(call: int, vectors: Float32Array) -> Float32Array:
        if call == 2:
            raise error("stop")
        return vectors

    with pytest.raises(error):
        embed(find_photos(photos), Colour(spoil), batch=4, workers=3)
    assert not [thread for thread in threading.enumerate() if "tbgrid" in thread.name]


# --- Names and where they lead ---------------------------------------------------------------
