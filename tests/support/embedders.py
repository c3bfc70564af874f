"""An embedder for tests of other stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tbgrid.choices import Metric
from tbgrid.types import Float32Array


@dataclass(frozen=True)
class MeanColour:
    """An embedder that needs no TensorFlow: a picture's colours at 4 x 4 places."""

    model_id: ClassVar[str] = "mean-colour"
    input_size: ClassVar[tuple[int, int]] = (32, 32)
    metric: ClassVar[Metric] = "euclidean"
    notes: ClassVar[Sequence[str]] = ()

    def __call__(self, images: Float32Array) -> Float32Array:
        blocks = images.reshape(len(images), 4, 8, 4, 8, 3).mean(axis=(2, 4))
        return np.asarray(blocks.reshape(len(images), -1), np.float32)


@dataclass(frozen=True)
class Colour:
    """The mean colour, in 0 to 255. `spoil` may change the vectors of the n-th call, or raise."""

    spoil: Callable[[int, Float32Array], Float32Array] = lambda _, vectors: vectors
    model_id: ClassVar[str] = "colour"
    input_size: ClassVar[tuple[int, int]] = (8, 8)
    metric: ClassVar[Metric] = "euclidean"
    notes: ClassVar[tuple[str, ...]] = ()
    calls: ClassVar[list[int]] = []

    def __call__(self, images: Float32Array) -> Float32Array:
        self.calls.append(len(images))
        return self.spoil(len(self.calls), images.mean(axis=(1, 2)) * 255)
