"""An embedder of your own: anything that turns float32[b, h, w, 3] in [0, 1] into float32[b, d].

    python examples/own_embedder.py PHOTOS LOGDIR

Here it is a colour histogram, so photos are laid out by their colours alone.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

import tbgrid
from tbgrid.choices import Metric
from tbgrid.types import Float32Array


@dataclass(frozen=True)
class ColourHistogram:
    """The share of pixels in each of `bins`³ boxes of the RGB cube, as its square root."""

    bins: int = 6
    input_size: ClassVar[tuple[int, int]] = (64, 64)
    metric: ClassVar[Metric] = "euclidean"
    notes: ClassVar[tuple[str, ...]] = ()

    @property
    def model_id(self) -> str:
        """What the report calls it."""
        return f"colour histogram, {self.bins} bins"

    def __call__(self, images: Float32Array) -> Float32Array:
        """float32[b, 64, 64, 3] -> float32[b, bins³]."""
        levels = np.minimum((images * self.bins).astype(int), self.bins - 1)
        box = (levels[..., 0] * self.bins + levels[..., 1]) * self.bins + levels[..., 2]
        counts = [np.bincount(image.ravel(), minlength=self.bins**3) for image in box]
        return np.sqrt(np.array(counts, np.float32) / box[0].size)


def main() -> None:
    """Export the folder of the first argument to the run of the second."""
    photos, logdir = sys.argv[1:]
    result = tbgrid.export(photos, logdir, embedder=ColourHistogram())
    print(result.mosaic)


if __name__ == "__main__":
    main()
