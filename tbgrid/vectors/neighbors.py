"""Nearest neighbors of vectors, and distances between pairs of them.

`points` are float32[n, d] vectors whose Euclidean distances count (`vectors.pca.normalize_for`).
Results are distances of the metric itself: Euclidean, or 1 - cosine, which for vectors of length 1
is half the squared Euclidean distance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tbgrid.choices import Metric
from tbgrid.progress import Progress, silent
from tbgrid.types import Float32Array, Float64Array, IntArray
from tbgrid.vectors.distances import distances_from
from tbgrid.vectors.pca import normalize_for, principal_components

# Up to this n * n * d every pair is compared; beyond, that takes more than ten seconds of one core.
MAX_EXACT_WORK = 10**11
N_COMPONENTS = 64  # principal components that find the candidates beyond
N_CANDIDATES = 64  # candidates per photo, which are compared in all dimensions
_CHUNK = 4096  # vectors that are processed together
_BLOCK = 2**22  # numbers held at a time in one array: 32 MiB
_PAIRED = 2**18  # the same where each is used once: 2 MiB, which fit a core's own cache


@dataclass(frozen=True)
class Neighbors:
    """The nearest neighbors of n photos.

    Attributes:
        rows: int64[n, k], the nearest others, nearest first; of equally distant ones the one with
            the lower row first.
        distances: float32[n, k], their distances under the metric.
        exact: whether every pair was compared. If not, a few neighbors may have been missed.
    """

    rows: IntArray
    distances: Float32Array
    exact: bool

    def first(self, count: int) -> Neighbors:
        """Return the `count` nearest of each photo, or all if these are fewer."""
        return Neighbors(self.rows[:, :count], self.distances[:, :count], self.exact)


def find_neighbors(
    vectors: Float32Array,
    count: int,
    metric: Metric = "cosine",
    *,
    spare: int = 0,
    max_work: int = MAX_EXACT_WORK,
    progress: Progress = silent,
) -> Neighbors:
    """Find the nearest neighbors of each vector.

    Memory: about 100 MB in addition to the normalized vectors.

    Args:
        vectors: float32[n, d].
        count: how many neighbors of each; n - 1 if that is less.
        metric: the distance to compare by.
        spare: how many more to find where every pair is compared, for `neighbors_among`.
        max_work: while n * n * d is at most this, every pair is compared. Beyond, candidates are
            the nearest by the first principal components, and the nearest of these are kept.
        progress: called as the search proceeds.
    """
    points = normalize_for(vectors, metric)
    exact = len(points) ** 2 * points.shape[1] <= max_work
    count = min(count + spare if exact else count, len(points) - 1)
    if exact:
        found = _by_all(points, np.arange(len(points)), count, progress)
    else:
        found = _by_candidates(points, count, progress)
    return Neighbors(found[0], to_metric(found[1], metric).astype(np.float32), exact)


def neighbors_among(
    kept: IntArray,
    neighbors: Neighbors,
    vectors: Float32Array,
    count: int,
    metric: Metric = "cosine",
    *,
    progress: Progress = silent,
) -> Neighbors:
    """Find the nearest neighbors of some photos among themselves, from those among all photos.

    The result is that of `find_neighbors(vectors, count, metric)`. (Matrix products of another size
    may be summed in another order, so a distance within 1e-15 of a rounding boundary of float32
    may differ in its last bit.) Photos with fewer than `count` kept ones among their known
    neighbors are compared with all kept ones again. If `neighbors` are not exact, all photos are:
    their candidates depend on the whole set.

    Args:
        kept: int64[k], the rows of these photos among all n, ascending.
        neighbors: of all n photos, at least `count` of each; with `spare` ones few are compared
            again.
        vectors: float32[k, d], of the kept photos.
        count: how many neighbors of each; k - 1 if that is less.
        metric: the distance to compare by.
        progress: called as a search proceeds.
    """
    if not neighbors.exact:
        return find_neighbors(vectors, count, metric, progress=progress)
    count = min(count, len(kept) - 1)
    new_row = np.full(len(neighbors.rows), -1)
    new_row[kept] = np.arange(len(kept))
    rows = new_row[neighbors.rows[kept]]
    # Those that are kept come first, in their order.
    order = np.argsort(rows < 0, axis=1, kind="stable")[:, :count]
    rows = np.take_along_axis(rows, order, axis=1)
    distances = np.take_along_axis(neighbors.distances[kept], order, axis=1)
    lacking = np.flatnonzero((rows < 0).any(axis=1))
    if len(lacking):
        found = _by_all(normalize_for(vectors, metric), lacking, count, progress)
        rows[lacking] = found[0]
        distances[lacking] = to_metric(found[1], metric).astype(np.float32)
    return Neighbors(rows, distances, True)


def distances_between(
    vectors: Float32Array, pairs: IntArray, metric: Metric = "cosine"
) -> Float64Array:
    """Compute the distances between pairs of vectors under a metric.

    Args:
        vectors: float32[n, d].
        pairs: int64[m, 2], rows of `vectors`.
        metric: the distance to compute.

    Returns:
        float64[m].
    """
    rows, where = np.unique(pairs, return_inverse=True)
    points = normalize_for(vectors[rows], metric)
    return to_metric(pair_distances(points, where.reshape(pairs.shape)), metric)


def to_metric(euclidean: Float64Array, metric: Metric) -> Float64Array:
    """Convert Euclidean distances between points of `normalize_for` to distances of `metric`."""
    return euclidean**2 / 2 if metric == "cosine" else euclidean


def pair_distances(points: Float32Array, pairs: IntArray) -> Float64Array:
    """Compute the Euclidean distances between pairs of points.

    Args:
        points: float32[n, d].
        pairs: int64[m, 2], rows of `points`.

    Returns:
        float64[m]; exactly 0 between equal points.
    """
    found = np.empty(len(pairs))
    step = max(1, _PAIRED // points.shape[1])
    for start in range(0, len(pairs), step):
        one, other = pairs[start : start + step].T
        apart = points[one].astype(np.float64) - points[other]
        found[start : start + step] = np.sqrt(np.einsum("ij,ij->i", apart, apart))
    return found


def iter_nearest_points(
    points: Float32Array, near: int
) -> Iterator[tuple[IntArray, IntArray, Float64Array]]:
    """Yield the nearest others of all points, some points at a time.

    Args:
        points: float32[n, d] under the Euclidean distance.
        near: how many others of each.

    Yields:
        int64[m], rows of some points; int64[m, near], their nearest others, nearest first; and
        float64[m, near], the distances to these.
    """
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(n_neighbors=near + 1, algorithm="brute").fit(points)
    for first in range(0, len(points), _CHUNK):
        chosen = np.arange(first, min(first + _CHUNK, len(points)))
        far, found = index.kneighbors(points[chosen])
        own = found == chosen[:, None]
        own[~own.any(axis=1), -1] = True  # the point itself is missing if many are equal to it
        shape = (len(chosen), near)
        yield chosen, found[~own].reshape(shape), far[~own].reshape(shape)


def _by_all(
    points: Float32Array, wanted: IntArray, count: int, progress: Progress
) -> tuple[IntArray, Float64Array]:
    """Rows and Euclidean distances of the nearest to `wanted` points, by distances to all."""
    total = len(points)
    rows = np.empty((len(wanted), count), np.int64)
    distances = np.empty((len(wanted), count))
    step = max(1, _BLOCK // total)
    for start in range(0, len(wanted), step):
        progress("neighbours", start, len(wanted))
        chosen = wanted[start : start + step]
        part = slice(start, start + len(chosen))
        block = distances_from(points, chosen)
        # Bits of positive floats order as the floats do. With the row behind them one partial
        # sort finds the nearest and settles ties; single precision, since equal distances differ
        # in the last bits of double precision by the way in which they were summed.
        keys = block.astype(np.float32).view(np.uint32).astype(np.uint64) << np.uint64(32)
        keys |= np.arange(total, dtype=np.uint64)
        keys[np.arange(len(chosen)), chosen] = np.iinfo(np.uint64).max  # never itself
        first = np.sort(np.partition(keys, count - 1, axis=1)[:, :count], axis=1)
        rows[part] = first & np.uint64(2**32 - 1)
        distances[part] = np.take_along_axis(block, rows[part], axis=1)
    return rows, distances


def _by_candidates(
    points: Float32Array, count: int, progress: Progress
) -> tuple[IntArray, Float64Array]:
    """The same among candidates found by the first principal components."""
    total = len(points)
    parts = principal_components(points, min(N_COMPONENTS, points.shape[1]))
    among = min(total - 1, max(N_CANDIDATES, 4 * count))
    rows = np.empty((total, count), np.int64)
    distances = np.empty((total, count))
    for chosen, candidates, _ in iter_nearest_points(parts, among):
        progress("neighbours", int(chosen[0]), total)
        # Sorted by row, so that the stable sort by distance settles ties by row.
        found = np.sort(candidates, axis=1)
        apart = pair_distances(points, np.stack([np.repeat(chosen, among), found.ravel()], axis=1))
        apart = apart.reshape(found.shape)
        order = np.argsort(apart, axis=1, kind="stable")[:, :count]
        rows[chosen] = np.take_along_axis(found, order, axis=1)
        distances[chosen] = np.take_along_axis(apart, order, axis=1)
    return rows, distances
