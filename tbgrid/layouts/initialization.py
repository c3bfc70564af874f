"""The positions that t-SNE and UMAP start from."""

from __future__ import annotations

import numpy as np

from tbgrid.types import Float32Array
from tbgrid.vectors.pca import principal_components


def pca_initialization(points: Float32Array, seed: int) -> Float32Array:
    """Compute initial positions: the first two principal components, scaled down.

    The first gets a standard deviation of 1e-4, as Kobak and Berens recommend (Nature
    Communications 10, 2019). An axis without spread gets noise of that size.

    Args:
        points: float32[n, d] under the Euclidean distance.
        seed: of the components and the noise.

    Returns:
        float32[n, 2].
    """
    start = principal_components(points, 2, seed)
    scale = start[:, 0].std()
    start = start / scale * 1e-4 if scale > 0 else start
    rng = np.random.default_rng(seed)
    for axis in range(2):
        if not start[:, axis].std() > 1e-12:
            start[:, axis] = rng.normal(0, 1e-4, len(points))
    return start.astype(np.float32)
