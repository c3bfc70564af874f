"""Copies under one tile: a set without them, whose tiles say how many photos each stands for."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tbgrid.embedding.decode import PREVIEW_QUALITY
from tbgrid.embedding.embed import FEWEST, ImageSet
from tbgrid.errors import TbgridError
from tbgrid.grouping.duplicates import Copies
from tbgrid.types import IntArray, UInt8Array
from tbgrid.util.disk_arrays import open_disk_array

HEIGHT = 0.3  # of a tile's side: the badge
LEGIBLE = 9  # px of a badge's height below which it has no number
_INK, _PAPER = (255, 255, 255), (20, 24, 32)
_AT_ONCE = 1024  # tiles in memory


def stacked(
    images: ImageSet, copies: Copies, previews: Path | None = None, scratch: Path | None = None
) -> ImageSet:
    """`images` without those that are copies of others; the tiles of these have a badge, and their
    previews, which the Grid tab shows from close by.

    The file `previews`, if any, is written anew. `scratch`: where tiles wait, see `embed`.

    Raises:
        TbgridError: fewer than 3 photos are left.
        OSError: a file cannot be written.
    """
    kept = copies.kept
    if len(kept) < FEWEST:
        raise TbgridError(
            f"{len(images.photos)} photos are {len(kept)} and their copies",
            f"a map needs at least {FEWEST} photos: use --duplicates show",
        )
    sizes = copies.sizes[kept]
    with open_disk_array(np.uint8, scratch) as tiles:
        for start in range(0, len(kept), _AT_ONCE):
            rows = kept[start : start + _AT_ONCE]
            some = images.thumbnails[rows]
            for at in np.flatnonzero(sizes[start : start + _AT_ONCE] > 1) if some.size else ():
                some[at] = badged(some[at], int(sizes[start + at]))
            tiles.add(some)
        thumbnails = tiles.as_array()
    ends = images.previews
    if len(ends) and previews is not None:
        ends = _without(previews, ends, kept, sizes)
    return replace(
        images,
        photos=tuple(images.photos[row] for row in kept.tolist()),
        vectors=images.vectors[kept],
        thumbnails=thumbnails,
        sizes=images.sizes[kept],
        previews=ends,
    )


def badged(tile: UInt8Array, count: int) -> UInt8Array:
    """uint8[t, t, 3]: the tile with `count` on a dark badge in its upper right corner; a dot where
    no number could be read."""
    side = len(tile)
    height = max(3, round(HEIGHT * side))
    picture = Image.fromarray(tile)
    pen = ImageDraw.Draw(picture)
    margin = max(1, side // 32)
    if height < LEGIBLE:
        pen.ellipse(
            (side - margin - height, margin, side - margin - 1, margin + height - 1), _PAPER
        )
        return np.array(picture)
    text = str(count)
    font = ImageFont.load_default(round(0.8 * height))
    width = min(side - 2 * margin, round(pen.textlength(text, font)) + round(0.5 * height))
    left, right, top = side - margin - width, side - margin - 1, margin
    pen.rounded_rectangle((left, top, right, top + height - 1), height // 2, _PAPER, _INK)
    pen.text(((left + right) / 2, top + height / 2 - 0.5), text, _INK, font, anchor="mm")
    return np.array(picture)


def _without(previews: Path, ends: IntArray, kept: IntArray, sizes: IntArray) -> IntArray:
    """Keep these rows of the file, with badges of int64[k] `sizes`; say where they end now."""
    fewer = previews.with_name(f"{previews.name}.fewer")
    found = [0]
    with previews.open("rb") as source, fewer.open("wb") as target:
        for row, size in zip(kept.tolist(), sizes.tolist(), strict=True):
            source.seek(int(ends[row]))
            encoded = source.read(int(ends[row + 1] - ends[row]))
            found.append(found[-1] + target.write(_badged_jpeg(encoded, size)))
    shutil.move(fewer, previews)
    return np.array(found, np.int64)


def _badged_jpeg(encoded: bytes, count: int) -> bytes:
    """A preview with a badge, as it is where there is nothing to count."""
    if count == 1:
        return encoded
    with Image.open(io.BytesIO(encoded)) as picture:
        badge = badged(np.asarray(picture.convert("RGB")), count)
    buffer = io.BytesIO()
    Image.fromarray(badge).save(buffer, "JPEG", quality=PREVIEW_QUALITY)
    return buffer.getvalue()
