"""How well each photo fits the photos beside it on the grid."""

from __future__ import annotations

import numpy as np

from tbgrid.choices import Metric
from tbgrid.grid.adjacency import adjacent_pairs
from tbgrid.types import Float32Array, IntArray
from tbgrid.vectors.neighbors import _pair_distances, _told
from tbgrid.vectors.pca import normalize_for

PAIRS = 10_000  # random pairs whose mean distance is the measure of chance


def local_coherence(
    vectors: Float32Array,
    cells: IntArray,
    rows: int,
    columns: int,
    metric: Metric = "cosine",
    *,
    seed: int = 0,
) -> Float32Array:
    """float32[n]: 1 - a photo's mean distance to those in the adjacent cells, up to 8, over the
    mean distance of random pairs.

    1 is the best, 0 what a random order gets in the mean; below 0 is worse. NaN where no adjacent
    cell holds a photo; 0 where all vectors are equal. Random pairs: all there are, or `PAIRS` of
    them under `seed`.
    """
    points, count = normalize_for(vectors, metric), len(vectors)
    pairs = adjacent_pairs(cells, rows, columns)
    apart = _told(_pair_distances(points, pairs), metric)
    ends, twice = pairs.T.ravel(), np.concatenate([apart, apart])
    beside = np.bincount(ends, minlength=count)
    sums = np.bincount(ends, twice, minlength=count)
    mean = _told(_pair_distances(points, _random_pairs(count, seed)), metric).mean()
    with np.errstate(invalid="ignore"):
        share = sums / beside / mean if mean > 0 else np.where(beside > 0, 1.0, np.nan)
    return np.asarray(1 - share, np.float32)


def _random_pairs(count: int, seed: int) -> IntArray:
    """int64[m, 2] pairs of different numbers below `count`: all of them or `PAIRS`."""
    if count * (count - 1) // 2 <= PAIRS:
        return np.stack(np.triu_indices(count, 1), axis=1).astype(np.int64)
    rng = np.random.default_rng(seed)
    one = rng.integers(0, count, PAIRS)
    return np.stack([one, (one + rng.integers(1, count, PAIRS)) % count], axis=1)
