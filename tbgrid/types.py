"""The words the stages share."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Float32Array: TypeAlias = npt.NDArray[np.float32]
Float64Array: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
Int32Array: TypeAlias = npt.NDArray[np.int32]
UInt8Array: TypeAlias = npt.NDArray[np.uint8]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

Fit = Literal["crop", "pad", "squash"]
Distance = Literal["cosine", "euclidean"]
InputRange = Literal["unit", "signed", "bytes"]  # [0, 1], [-1, 1], [0, 255]
NO_LABEL = "(none)"
Metric = Literal["sqeuclidean", "euclidean"]


class Progress(Protocol):
    """Called as a stage goes on; `total` is None where the amount of work is not known."""

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Report that `done` of `total` units of `stage` are finished."""


def silent(stage: str, done: int, total: int | None) -> None:
    """A `Progress` that shows nothing."""


class Embedder(Protocol):
    """A network, or anything else that turns pictures into vectors.

    An attribute `fingerprint` (str) that differs whenever its vectors would lets them be cached.
    """

    @property
    def model_id(self) -> str:
        """What names the model in reports."""

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of its input in pixels."""

    @property
    def distance(self) -> Distance:
        """The distance under which its vectors are compared."""

    @property
    def notes(self) -> Sequence[str]:
        """What the user should know about how the model is used."""

    def __call__(self, images: Float32Array) -> Float32Array:
        """Embed `images`, float32[b, h, w, 3] in [0, 1], as float32[b, d]."""


def printable(path: str | os.PathLike[str]) -> str:
    """`path` with slashes, in valid UTF-8: bytes that are not become U+FFFD."""
    return os.fsencode(path).decode("utf-8", "replace").replace(os.sep, "/")


@dataclass(frozen=True)
class Photo:
    """A row of the map. `name`: its path relative to the source, with slashes.

    Its picture is the file at `path`, or `pixels` (uint8[h, w] or [h, w, 3]), or there is none.
    `fields`: its values of the source's further columns. `row`: its place in the list that
    vectors from elsewhere follow.
    """

    path: Path | None
    name: str
    label: str | None = None
    pixels: UInt8Array | None = field(default=None, repr=False, compare=False)
    fields: tuple[str, ...] = ()
    row: int = 0


@dataclass(frozen=True)
class Rejected:
    """A file that is not shown, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Source:
    """What was found: `photos` in the order of rows, and what could not even be tried.

    `listed`: how many rows there were, also those that cannot be tried. `columns` names the
    further metadata; `vectors` float32[listed, d] from elsewhere, at `vectors[photo.row]`;
    `pictured` is False where there are no pictures at all. `shards`: the directory that holds the
    photos embedded already (`tbgrid.shards`); `photo.row` is then their place among all that were
    listed for it.
    """

    name: str
    photos: tuple[Photo, ...]
    rejected: tuple[Rejected, ...] = ()
    listed: int = 0
    columns: tuple[str, ...] = ()
    vectors: Float32Array | None = field(default=None, repr=False, compare=False)
    pictured: bool = True
    notes: tuple[str, ...] = ()
    shards: Path | None = None


Json: TypeAlias = dict[str, Any]
