"""Photos become vectors, and the thumbnails to show them by, in one pass."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

import numpy as np

from tbgrid.errors import TbgridError, UsageError
from tbgrid.images import decode_all
from tbgrid.sources import NO_LABEL, Photo, Rejected, Source
from tbgrid.types import Embedder, Fit, Float32Array, IntArray, Progress, UInt8Array, silent

FEWEST = 3  # photos that make a map


@dataclass(frozen=True)
class ImageSet:
    """The photos that can be shown; row i is the same photo in every array.

    `vectors` float32[n, d]; `thumbnails` uint8[n, t, t, 3]; `sizes` int64[n, 2], the upright
    width and height of each photo in pixels.
    """

    photos: tuple[Photo, ...]
    vectors: Float32Array
    thumbnails: UInt8Array
    sizes: IntArray
    rejected: tuple[Rejected, ...] = ()

    @property
    def labels(self) -> list[str] | None:
        """The label of each photo, "(none)" where it has none; None if no photo has any."""
        if all(photo.label is None for photo in self.photos):
            return None
        return [photo.label or NO_LABEL for photo in self.photos]


def embed(
    source: Source,
    embedder: Embedder,
    *,
    thumbnail: int = 64,
    fit: Fit = "crop",
    batch: int = 32,
    workers: int | None = None,
    progress: Progress = silent,
) -> ImageSet:
    """Decode each photo of `source` once, for the model and for its `thumbnail` (side in pixels).

    Decoding runs on threads beside the model. A photo that cannot be read is rejected.

    Raises:
        UsageError: `thumbnail` or `batch` below 1.
        TbgridError: fewer than 3 photos can be read, or the model's vectors are not finite.
    """
    if thumbnail < 1 or batch < 1:
        raise UsageError(f"thumbnail {thumbnail}, batch {batch}", "both are numbers from 1 up")
    total = len(source.photos)
    photos: list[Photo] = []
    rejected: list[Rejected] = list(source.rejected)
    thumbnails = np.empty((total, thumbnail, thumbnail, 3), np.uint8)
    sizes = np.empty((total, 2), np.int64)
    vectors: list[Float32Array] = []
    waiting: list[UInt8Array] = []

    def run_model() -> None:
        found = embedder(np.stack(waiting).astype(np.float32) / np.float32(255))
        if found.ndim != 2 or len(found) != len(waiting):
            raise TbgridError(
                f"model {embedder.model_id} gave an array of shape {found.shape} for "
                f"{len(waiting)} photos",
                "use another model: tbgrid needs one vector a photo",
            )
        bad = ~np.isfinite(found).all(axis=1)
        if bad.any():
            first = photos[len(photos) - len(waiting) + int(bad.argmax())]
            raise TbgridError(
                f"model {embedder.model_id} gave a vector that is not finite for {first.name}",
                "use another model, or leave the photo out",
            )
        vectors.append(found)
        waiting.clear()

    wanted = (embedder.input_size, (thumbnail, thumbnail))
    progress("embed", 0, total)
    # Closed at once, whatever the model raises, so that no decoding thread outlives this call.
    with closing(decode_all(source.photos, wanted, fit, workers)) as decoding:
        for photo, decoded in decoding:
            if isinstance(decoded, Rejected):
                rejected.append(decoded)
            else:
                row = len(photos)
                photos.append(photo)
                waiting.append(decoded.views[0])
                thumbnails[row] = decoded.views[1]
                sizes[row] = decoded.width, decoded.height
                if len(waiting) == batch:
                    run_model()
            done = len(photos) - len(waiting) + len(rejected) - len(source.rejected)
            progress("embed", done, total)
    if waiting:
        run_model()
    progress("embed", total, total)
    count = len(photos)
    if count < FEWEST:
        example = f", {rejected[-1].name}: {rejected[-1].reason}" if rejected else ""
        raise TbgridError(
            f"{count} of {total + len(source.rejected)} files can be shown{example}",
            f"a map needs at least {FEWEST} photos",
        )
    return ImageSet(
        tuple(photos),
        np.concatenate(vectors),
        thumbnails[:count],
        sizes[:count],
        tuple(sorted(rejected, key=lambda left_out: left_out.name)),
    )
