"""The views of the training pictures that both teacher and student see.

A teacher's answer belongs to the part of a picture that it was shown, so the parts are fixed before
training. View 0 is the whole picture; each further view is one random crop per picture, the same on
every machine for the same seed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MIN_AREA = 0.35
MAX_STRETCH = 0.25

Boxes = npt.NDArray[np.float32]


def view_boxes(count: int, view: int, seed: int = 0) -> Boxes:
    """float32 [count, 4]: left, top, right, bottom of each picture's view, as shares of a side."""
    if view == 0:
        return np.tile(np.array([0, 0, 1, 1], np.float32), (count, 1))
    rng = np.random.default_rng([seed, view])
    area = rng.uniform(MIN_AREA, 1, count)
    stretch = np.exp(rng.uniform(-MAX_STRETCH, MAX_STRETCH, count))
    width = np.minimum(np.sqrt(area * stretch), 1)
    height = np.minimum(np.sqrt(area / stretch), 1)
    left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    return np.stack([left, top, left + width, top + height], 1).astype(np.float32)
