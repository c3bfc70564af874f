"""An embedder of your own: anything that turns float32[b, h, w, 3] in [0, 1] into float32[b, d].

    python examples/own_embedder.py PHOTOS LOGDIR

Here it is a colour histogram, so photos are laid out by their colours alone.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

import tbgrid


@dataclass(frozen=True)
class ColourHistogram:
    """The square root of the share of pixels in each of `bins`³ boxes of the RGB cube."""

    bins: int = 6
    input_size: ClassVar[tuple[int, int]] = (64, 64)
    metric: ClassVar[tbgrid.Metric] = "euclidean"
    notes: ClassVar[tuple[str, ...]] = ()

    @property
    def model_id(self) -> str:
        """Its name in the report."""
        return f"colour histogram, {self.bins} bins"

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed float32[b, 64, 64, 3] in [0, 1] as float32[b, bins³]."""
        levels = np.minimum((images * self.bins).astype(int), self.bins - 1)
        box = (levels[..., 0] * self.bins + levels[..., 1]) * self.bins + levels[..., 2]
        counts = [np.bincount(image.ravel(), minlength=self.bins**3) for image in box]
        shares = np.array(counts, np.float32) / box[0].size
        return np.asarray(np.sqrt(shares), np.float32)


def main() -> None:
    """Export the folder in the first argument to the run in the second one."""
    photos, logdir = sys.argv[1:]
    result = tbgrid.export(photos, logdir, embedder=ColourHistogram())
    print(result.mosaic)


if __name__ == "__main__":
    main()
