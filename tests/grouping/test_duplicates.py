"""Copies are found, and nothing else."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from tbgrid.embedding.image_set import ImageSet
from tbgrid.grouping.duplicates import EXACT, MIRRORED, NEAR, Copies, find_copies
from tbgrid.grouping.image_registration import similarity
from tbgrid.photos import Photo
from tbgrid.types import Float32Array, UInt8Array
from tbgrid.util.cache import Cache
from tbgrid.vectors.neighbors import find_neighbors
from tests.support.examples import examples
from tests.support.photos import scene

FORMS = ("q40", "half", "crop", "bright", "mirror")


def form(picture: Image.Image, name: str) -> Image.Image:
    side = picture.width
    if name == "q40":
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=40)
        return Image.open(buffer).copy()
    if name == "half":
        return picture.resize((side // 2, side // 2), Image.Resampling.LANCZOS)
    if name == "crop":
        return picture.crop((0, 0, side - side // 20, side - side // 20))
    if name == "bright":
        return ImageEnhance.Brightness(picture).enhance(1.15)
    return ImageOps.mirror(picture)


def images_of(pictures: Sequence[Image.Image], thumbnail: int = 64) -> ImageSet:
    small = [np.asarray(picture.resize((thumbnail, thumbnail))) for picture in pictures]
    thumbnails: UInt8Array = np.stack(small).astype(np.uint8)
    tiny = np.stack([np.asarray(picture.convert("L").resize((8, 8))) for picture in pictures])
    # The same however bright, and near each other if mirrored, as a network has them.
    both = (tiny.astype(np.float32) + tiny[:, :, ::-1]).reshape(len(pictures), -1)
    vectors: Float32Array = both - both.mean(axis=1, keepdims=True)
    vectors /= vectors.std(axis=1, keepdims=True)
    photos = [
        Photo(path=None, name=f"{row:03}.png", pixels=np.asarray(picture))
        for row, picture in enumerate(pictures)
    ]
    sizes = np.array([picture.size for picture in pictures], np.int64)
    return ImageSet(photos=tuple(photos), vectors=vectors, thumbnails=thumbnails, sizes=sizes)


def copies_of(images: ImageSet) -> Copies:
    alike = find_neighbors(images.vectors, 12, "euclidean")
    with Cache(None) as cache:
        return find_copies(images, alike, cache.digests)


def partition(copies: Copies) -> set[frozenset[int]]:
    return {frozenset(rows.tolist()) for rows in copies.groups}


def planted(seed: int, originals: int = 30) -> tuple[list[Image.Image], list[int]]:
    """Different scenes, each form of some of them, and of which scene each picture is."""
    rng = np.random.default_rng(seed)
    scenes = [scene(rng) for _ in range(originals)]
    pictures, of = list(scenes), list(range(originals))
    for number, name in enumerate(FORMS):
        pictures += [form(scenes[number], name), form(scenes[number + 10], name)]
        of += [number, number + 10]
    pictures.append(scenes[3].copy())
    return pictures, [*of, 3]


def test_planted_copies_are_found_and_nothing_else() -> None:
    pictures, of = planted(0)
    copies = copies_of(images_of(pictures))
    groups: dict[int, set[int]] = {}
    for row, number in enumerate(of):
        groups.setdefault(number, set()).add(row)
    assert partition(copies) == {frozenset(rows) for rows in groups.values() if len(rows) > 1}
    kinds = [copies.kinds[row] for row in range(30, len(pictures))]
    assert kinds == [NEAR] * 8 + [MIRRORED] * 2 + [EXACT]
    assert not any(copies.kinds[:30]), "the largest photo stands for its group"
    assert copies.copy_of[-1] == 3
    assert len(copies.representatives) == 30


@examples(5)
@given(st.integers(0, 2**16))
def test_groups_are_a_partition_and_follow_the_photos(seed: int) -> None:
    pictures, _ = planted(seed % 7)
    images = images_of(pictures)
    copies = copies_of(images)
    groups = copies.groups
    rows = [row for group in groups for row in group.tolist()]
    assert len(rows) == len(set(rows))
    assert sorted({*rows, *np.flatnonzero(copies.sizes == 1).tolist()}) == [*range(len(pictures))]
    for group in groups:
        assert (copies.representative_of[group] == group[0]).all()
        assert (copies.sizes[group] == len(group)).all()
    order = np.random.default_rng(seed).permutation(len(pictures))
    turned = copies_of(images_of([pictures[row] for row in order]))
    assert {frozenset(order[list(group)].tolist()) for group in partition(turned)} == partition(
        copies
    )


def test_a_chain_of_small_steps_is_not_one_group() -> None:
    """A camera that pans: each frame is nearly the one before, and the last none of the first."""
    wide = scene(np.random.default_rng(1), 256)
    frames = [wide.crop((left, 0, left + 96, 96)) for left in range(0, 160, 4)]
    others = [scene(np.random.default_rng(seed)) for seed in range(2, 40)]
    images = images_of([*frames, *others])
    # Frames near each other in time are neighbours, as a network has them.
    images.vectors[: len(frames)] = 1000 + np.arange(len(frames))[:, None]
    copies = copies_of(images)
    groups = [group.tolist() for group in copies.groups]
    assert groups, "neighbouring frames are copies"
    assert all(max(group) - min(group) <= 10 for group in groups)
    assert all(max(group) < len(frames) for group in groups)


def test_files_are_told_apart_by_their_bytes(tmp_path: Path) -> None:
    """A picture saved again without loss is a near copy of the first, not the same file."""
    rng = np.random.default_rng(0)
    pictures = [scene(rng) for _ in range(8)]
    images = images_of([*pictures, pictures[0], pictures[0]])
    photos = []
    for row, photo in enumerate(images.photos):
        assert photo.pixels is not None
        path = tmp_path / photo.name
        Image.fromarray(photo.pixels).save(path, compress_level=9 if row == 9 else 1)
        photos.append(Photo(path=path, name=photo.name))
    images = ImageSet(
        photos=tuple(photos),
        vectors=images.vectors,
        thumbnails=images.thumbnails,
        sizes=images.sizes,
    )
    copies = copies_of(images)
    assert copies.kinds == ("",) * 8 + (EXACT, NEAR)
    assert copies.representative_of.tolist() == [*range(8), 0, 0]


@pytest.mark.parametrize("count", [3, 5])
def test_few_photos_and_equal_vectors(count: int) -> None:
    rng = np.random.default_rng(0)
    pictures = [scene(rng) for _ in range(count - 1)]
    images = images_of([*pictures, pictures[0]])
    images.vectors[:] = 1
    copies = copies_of(images)
    assert copies.representative_of.tolist() == [*range(count - 1), 0]
    assert copies.kinds[-1] == EXACT


def test_without_pictures_equal_vectors_are_copies() -> None:
    vectors = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    vectors[7] = vectors[2]
    vectors[8] = vectors[3] + np.float32(1e-6)
    photos = tuple(Photo(path=None, name=str(row)) for row in range(9))
    empty, sizes = np.zeros((9, 0, 0, 3), np.uint8), np.zeros((0, 2), np.int64)
    copies = copies_of(
        ImageSet(photos=photos, vectors=vectors, thumbnails=empty, sizes=sizes, pictured=False)
    )
    assert copies.representative_of.tolist() == [0, 1, 2, 3, 4, 5, 6, 2, 8]
    assert copies.kinds[7] == EXACT


def arrays(pictures: Sequence[Image.Image]) -> Float32Array:
    small = [np.asarray(p.resize((32, 32), Image.Resampling.BOX)) for p in pictures]
    return np.asarray(np.stack(small).transpose(0, 3, 1, 2), np.float32)


def test_likeness_of_forms_and_of_others() -> None:
    rng = np.random.default_rng(5)
    scenes = [scene(rng) for _ in range(12)]
    itself = np.repeat(np.arange(12)[:, None], 2, axis=1)
    for name in FORMS[:-1]:
        forms = arrays([form(picture, name) for picture in scenes])
        alike = similarity(arrays(scenes), forms, itself)
        assert alike.min() > 0.9, name
    assert similarity(arrays(scenes), arrays(scenes[1:] + scenes[:1]), itself).max() < 0.6


def test_likeness_of_one_colour() -> None:
    colours = [(200, 10, 10), (204, 12, 8), (10, 10, 200)]
    plain = arrays([Image.new("RGB", (40, 40), colour) for colour in colours])
    found = similarity(plain, plain, np.array([[0, 1], [0, 2]]))
    assert found.tolist() == [1, 0]
    pictures = arrays([scene(np.random.default_rng(0))])
    assert similarity(pictures, plain, np.array([[0, 0]])).tolist() == [0]
