"""Where t-SNE and UMAP start from."""

from __future__ import annotations

import numpy as np

from tbgrid.types import Float32Array
from tbgrid.vectors.pca import principal_components


def pca_initialization(points: Float32Array, seed: int) -> Float32Array:
    """Places float32[n, 2] to start from: the first two principal components, the first with
    standard deviation 1e-4, as Kobak and Berens advise (Nature Communications 10, 2019); noise of
    that size where there is no spread."""
    start = principal_components(points, 2, seed)
    scale = start[:, 0].std()
    start = start / scale * 1e-4 if scale > 0 else start
    rng = np.random.default_rng(seed)
    for axis in range(2):
        if not start[:, axis].std() > 1e-12:
            start[:, axis] = rng.normal(0, 1e-4, len(points))
    return start.astype(np.float32)
