"""The raw pixels as an embedding, to see what a map looks like without a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tbgrid.choices import Metric
from tbgrid.types import Float32Array


@dataclass(frozen=True)
class PixelEmbedder:
    """An embedder whose vectors are the pixels of an image.

    Attributes:
        side: of the image in pixels; a vector has side * side * 3 values in [0, 1].
    """

    side: int = 32
    model_id: ClassVar[str] = "pixels"
    metric: ClassVar[Metric] = "euclidean"
    notes: ClassVar[tuple[str, ...]] = ()

    @property
    def fingerprint(self) -> str:
        """Text that changes whenever the vectors would."""
        return "pixels"

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.side, self.side

    def __call__(self, images: Float32Array) -> Float32Array:
        """Flatten float32[b, h, w, 3] to float32[b, h * w * 3]."""
        return np.ascontiguousarray(images.reshape(len(images), -1), np.float32)
