"""The photos of a map with their vectors and thumbnails, and the checks of a complete set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tbgrid.errors import TbgridError, option
from tbgrid.options import MIN_PHOTOS
from tbgrid.photos import NO_LABEL, Photo, SkippedFile
from tbgrid.types import Float32Array, IntArray, UInt8Array


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """The photos that can be shown. Row i is the same photo in every array.

    Attributes:
        photos: n photos.
        vectors: float32[n, d].
        thumbnails: uint8[n, t, t, 3]; uint8[0, t, t, 3] without pictures.
        sizes: int64[n, 2], width and height of each photo in pixels, upright; int64[0, 2] without
            pictures.
        skipped: the files that are not shown, with their reasons.
        columns: the names of the photos' `fields`.
        pictured: whether there are pictures at all.
        notes: what the user should know about how the vectors were made.
        previews: int64[n + 1], where the preview of each photo begins in the file of previews, and
            where the last one ends; empty where none were written.
    """

    photos: tuple[Photo, ...]
    vectors: Float32Array
    thumbnails: UInt8Array
    sizes: IntArray
    skipped: tuple[SkippedFile, ...] = ()
    columns: tuple[str, ...] = ()
    pictured: bool = True
    notes: tuple[str, ...] = ()
    previews: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def labels(self) -> list[str] | None:
        """The label of each photo, "(none)" where it has none; None if no photo has a label."""
        if all(photo.label is None for photo in self.photos):
            return None
        return [photo.label or NO_LABEL for photo in self.photos]


def validate(images: ImageSet, model_id: str, n_shown: int | None = None) -> ImageSet:
    """Check a complete set, and add what this finds to its notes.

    Args:
        images: the set.
        model_id: the model of its vectors.
        n_shown: how many photos can be shown, where `images` are only some of them.

    Returns:
        The set with its skipped files sorted by name.

    Raises:
        TbgridError: see `check_counts`.
    """
    n_shown = len(images.photos) if n_shown is None else n_shown
    notes = [*images.notes, *check_counts(n_shown, images.skipped, model_id)]
    if np.ptp(images.vectors, axis=0).max() == 0:
        notes.append("all vectors are equal: the map says nothing about the photos")
    skipped = tuple(sorted(images.skipped, key=lambda file: file.name))
    return replace(images, skipped=skipped, notes=tuple(notes))


def check_counts(n_shown: int, skipped: Sequence[SkippedFile], model_id: str) -> list[str]:
    """Check how many photos of a complete set can be shown, and return notes on it.

    Raises:
        TbgridError: fewer than 3, or most of the model's vectors are not finite.
    """
    reason = not_finite_reason(model_id)
    bad = sum(file.reason == reason for file in skipped)
    if bad and (n_shown < MIN_PHOTOS or bad > n_shown):
        raise TbgridError(
            f"{reason} for {bad} of {n_shown + bad} photos",
            f"try another {option('input_range')}, {option('image_size')} or {option('model')}",
        )
    if n_shown < MIN_PHOTOS:
        example = f", {skipped[-1].name}: {skipped[-1].reason}" if skipped else ""
        raise TbgridError(
            f"{n_shown} of {n_shown + len(skipped)} files can be shown{example}",
            f"a map needs at least {MIN_PHOTOS} photos",
        )
    return [f"{reason} for {bad} photos, which are left out"] if bad else []


def not_finite_reason(model_id: str) -> str:
    """The reason to skip a photo for its vector."""
    return f"model {model_id} gave NaN or infinity"
