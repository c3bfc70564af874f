"""The words the stages share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Float32Array: TypeAlias = npt.NDArray[np.float32]
Float64Array: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
UInt8Array: TypeAlias = npt.NDArray[np.uint8]

Fit = Literal["crop", "pad", "squash"]
Distance = Literal["cosine", "euclidean"]
Metric = Literal["sqeuclidean", "euclidean"]


class Progress(Protocol):
    """Called as a stage goes on; `total` is None where the amount of work is not known."""

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Report that `done` of `total` units of `stage` are finished."""


def silent(stage: str, done: int, total: int | None) -> None:
    """A `Progress` that shows nothing."""


class Embedder(Protocol):
    """A network, or anything else that turns pictures into vectors."""

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


Json: TypeAlias = dict[str, Any]
