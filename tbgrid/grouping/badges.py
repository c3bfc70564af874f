"""Duplicates collapsed into one tile each, with a badge that counts its photos."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tbgrid.embedding.decode import PREVIEW_QUALITY
from tbgrid.embedding.image_set import ImageSet
from tbgrid.errors import TbgridError, option
from tbgrid.grouping.duplicates import Copies
from tbgrid.options import MIN_PHOTOS
from tbgrid.types import IntArray, UInt8Array
from tbgrid.util.disk_arrays import open_disk_array

BADGE_HEIGHT = 0.3  # of a tile's side
MIN_LEGIBLE = 9  # px: a badge of less height gets a dot instead of a number
_INK, _PAPER = (255, 255, 255), (20, 24, 32)
_BATCH = 1024  # tiles in memory


def collapse_duplicates(
    images: ImageSet, copies: Copies, previews: Path | None = None, scratch: Path | None = None
) -> ImageSet:
    """Reduce each group of duplicates to its representative, whose tile and preview get a badge.

    Args:
        images: all photos.
        copies: the duplicates among them.
        previews: the file of the previews, which is rewritten; None if there is none.
        scratch: directory for the temporary file of the tiles, see `tbgrid.embed`.

    Returns:
        `images` without the copies.

    Raises:
        TbgridError: fewer than 3 photos remain.
        OSError: a file cannot be written.
    """
    kept = copies.representatives
    if len(kept) < MIN_PHOTOS:
        raise TbgridError(
            f"{len(images.photos)} photos without their copies are {len(kept)}",
            f"a map needs at least {MIN_PHOTOS} photos: set {option('groups.duplicates')} to show",
        )
    sizes = copies.sizes[kept]
    with open_disk_array(np.uint8, scratch) as tiles:
        for start in range(0, len(kept), _BATCH):
            rows = kept[start : start + _BATCH]
            batch = images.thumbnails[rows]
            for at in np.flatnonzero(sizes[start : start + _BATCH] > 1) if batch.size else ():
                batch[at] = draw_badge(batch[at], int(sizes[start + at]))
            tiles.add(batch)
        thumbnails = tiles.as_array()
    ends = images.previews
    if len(ends) and previews is not None:
        ends = _rewrite_previews(previews, ends, kept, sizes)
    return replace(
        images,
        photos=tuple(images.photos[row] for row in kept.tolist()),
        vectors=images.vectors[kept],
        thumbnails=thumbnails,
        sizes=images.sizes[kept],
        previews=ends,
    )


def draw_badge(tile: UInt8Array, count: int) -> UInt8Array:
    """Draw the number of photos onto a tile, on a dark badge in its upper right corner.

    Args:
        tile: uint8[t, t, 3].
        count: the number; on a tile too small for legible digits it becomes a dot.

    Returns:
        uint8[t, t, 3], a copy.
    """
    side = len(tile)
    height = max(3, round(BADGE_HEIGHT * side))
    picture = Image.fromarray(tile)
    pen = ImageDraw.Draw(picture)
    margin = max(1, side // 32)
    if height < MIN_LEGIBLE:
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


def _rewrite_previews(previews: Path, ends: IntArray, kept: IntArray, sizes: IntArray) -> IntArray:
    """Reduce the file to the rows `kept`, with badges for `sizes`; return the new offsets."""
    fewer = previews.with_name(f"{previews.name}.fewer")
    found = [0]
    with previews.open("rb") as source, fewer.open("wb") as target:
        for row, size in zip(kept.tolist(), sizes.tolist(), strict=True):
            source.seek(int(ends[row]))
            encoded = source.read(int(ends[row + 1] - ends[row]))
            found.append(found[-1] + target.write(_draw_badge_on_jpeg(encoded, size)))
    shutil.move(fewer, previews)
    return np.array(found, np.int64)


def _draw_badge_on_jpeg(encoded: bytes, count: int) -> bytes:
    """The JPEG with a badge; unchanged if there is nothing to count."""
    if count == 1:
        return encoded
    with Image.open(io.BytesIO(encoded)) as picture:
        badge = draw_badge(np.asarray(picture.convert("RGB")), count)
    buffer = io.BytesIO()
    Image.fromarray(badge).save(buffer, "JPEG", quality=PREVIEW_QUALITY)
    return buffer.getvalue()
