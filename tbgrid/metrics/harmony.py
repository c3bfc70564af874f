"""How similar each photo is to the photos around it on the grid; shown as "harmony"."""

from __future__ import annotations

import numpy as np

from tbgrid.choices import Metric
from tbgrid.grid.adjacency import adjacent_pairs
from tbgrid.types import Float32Array, IntArray
from tbgrid.vectors.neighbors import pair_distances, to_metric
from tbgrid.vectors.pca import normalize_for

PAIRS = 10_000  # random pairs from which the mean distance is estimated


def local_coherence(
    vectors: Float32Array,
    cells: IntArray,
    rows: int,
    columns: int,
    metric: Metric = "cosine",
    *,
    seed: int = 0,
) -> Float32Array:
    """Compute how well each photo fits the photos in the adjacent cells, up to eight.

    It is 1 - the mean distance to them, divided by the mean distance of random pairs: 1 at best, 0
    for a random order on average, and negative if worse.

    Args:
        vectors: float32[n, d].
        cells: int64[n], distinct, row * columns + column.
        rows: of the grid.
        columns: of the grid.
        metric: the distance between vectors.
        seed: of the random pairs, `PAIRS` of them unless there are fewer.

    Returns:
        float32[n]; NaN if all adjacent cells are empty, 0 if all vectors are equal.
    """
    points, count = normalize_for(vectors, metric), len(vectors)
    pairs = adjacent_pairs(cells, rows, columns)
    apart = to_metric(pair_distances(points, pairs), metric)
    ends, twice = pairs.T.ravel(), np.concatenate([apart, apart])
    adjacent = np.bincount(ends, minlength=count)
    sums = np.bincount(ends, twice, minlength=count)
    mean = to_metric(pair_distances(points, _random_pairs(count, seed)), metric).mean()
    with np.errstate(invalid="ignore"):
        share = sums / adjacent / mean if mean > 0 else np.where(adjacent > 0, 1.0, np.nan)
    return np.asarray(1 - share, np.float32)


def _random_pairs(count: int, seed: int) -> IntArray:
    """int64[m, 2], pairs of different numbers below `count`: all of them, or `PAIRS`."""
    if count * (count - 1) // 2 <= PAIRS:
        return np.stack(np.triu_indices(count, 1), axis=1).astype(np.int64)
    rng = np.random.default_rng(seed)
    one = rng.integers(0, count, PAIRS)
    return np.stack([one, (one + rng.integers(1, count, PAIRS)) % count], axis=1)
