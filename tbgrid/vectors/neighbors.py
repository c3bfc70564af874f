"""Which photos are most alike, and how well each sits among those beside it on the grid.

`points` are float32[n, d] vectors whose Euclidean distances count (`vectors.pca.normalize_for`).
Distances are told as people know them: Euclidean ones, or 1 - cosine, which for vectors of length
1 is half the squared Euclidean distance.
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

_CHUNK = 4096  # vectors that are worked on together

EXACT = 10**11  # n * n * d up to which each is compared with each: ten seconds of a core beyond
PARTS = 64  # principal components by which candidates are found beyond
CANDIDATES = 64  # a photo, compared in all dimensions then
_BLOCK = 2**22  # numbers held at a time in one array: 32 MiB
_PAIRED = 2**18  # the same where each is used once: 2 MiB, which stay in a core's own memory


@dataclass(frozen=True)
class Neighbours:
    """Of each photo the `rows` int64[n, k] of the nearest others, nearest first, equally far ones
    in the order of rows; their `distances` float32[n, k]; whether these are surely the nearest."""

    rows: IntArray
    distances: Float32Array
    exact: bool


def nearest(
    vectors: Float32Array,
    count: int,
    metric: Metric = "cosine",
    *,
    most: int = EXACT,
    progress: Progress = silent,
) -> Neighbours:
    """The `count` nearest others (or n - 1, if that is less) of each of float32[n, d] vectors.

    While n * n * d is at most `most`, all distances are measured, a block at a time: about 100 MB
    beside the comparable vectors. Beyond, candidates are the nearest by the first principal
    components, and of these the nearest by all dimensions are kept.
    """
    points = normalize_for(vectors, metric)
    exact = len(points) ** 2 * points.shape[1] <= most
    count = min(count, len(points) - 1)
    found = (_by_all if exact else _by_candidates)(points, count, progress)
    return Neighbours(found[0], _told(found[1], metric).astype(np.float32), exact)


def distances_between(
    vectors: Float32Array, pairs: IntArray, metric: Metric = "cosine"
) -> Float64Array:
    """float64[m]: how far int64[m, 2] pairs of float32[n, d] vectors are, as `nearest` tells it."""
    rows, where = np.unique(pairs, return_inverse=True)
    points = normalize_for(vectors[rows], metric)
    return _told(_pair_distances(points, where.reshape(pairs.shape)), metric)


def _told(euclidean: Float64Array, metric: Metric) -> Float64Array:
    return euclidean**2 / 2 if metric == "cosine" else euclidean


def _by_all(points: Float32Array, count: int, progress: Progress) -> tuple[IntArray, Float64Array]:
    """Rows and Euclidean distances of the nearest, by all n * n distances."""
    total = len(points)
    rows = np.empty((total, count), np.int64)
    distances = np.empty((total, count))
    step = max(1, _BLOCK // total)
    for start in range(0, total, step):
        progress("neighbours", start, total)
        chosen = np.arange(start, min(start + step, total))
        block = distances_from(points, chosen)
        # Bits of positive floats order as the floats do. With the row behind them one partial
        # sort finds the nearest and settles ties; single precision, since equal distances differ
        # in the last bits of double precision by the way in which they were summed.
        keys = block.astype(np.float32).view(np.uint32).astype(np.uint64) << np.uint64(32)
        keys |= np.arange(total, dtype=np.uint64)
        keys[np.arange(len(chosen)), chosen] = np.iinfo(np.uint64).max  # never itself
        first = np.sort(np.partition(keys, count - 1, axis=1)[:, :count], axis=1)
        rows[chosen] = first & np.uint64(2**32 - 1)
        distances[chosen] = np.take_along_axis(block, rows[chosen], axis=1)
    return rows, distances


def _by_candidates(
    points: Float32Array, count: int, progress: Progress
) -> tuple[IntArray, Float64Array]:
    """The same among candidates that the first principal components find."""
    total = len(points)
    parts = principal_components(points, min(PARTS, points.shape[1]))
    among = min(total - 1, max(CANDIDATES, 4 * count))
    rows = np.empty((total, count), np.int64)
    distances = np.empty((total, count))
    for chosen, candidates, _ in nearest_points(parts, among):
        progress("neighbours", int(chosen[0]), total)
        # Sorted by row, so that the stable sort by distance settles ties by row.
        found = np.sort(candidates, axis=1)
        apart = _pair_distances(points, np.stack([np.repeat(chosen, among), found.ravel()], axis=1))
        apart = apart.reshape(found.shape)
        order = np.argsort(apart, axis=1, kind="stable")[:, :count]
        rows[chosen] = np.take_along_axis(found, order, axis=1)
        distances[chosen] = np.take_along_axis(apart, order, axis=1)
    return rows, distances


def _pair_distances(points: Float32Array, pairs: IntArray) -> Float64Array:
    """float64[m]: Euclidean distances of int64[m, 2] pairs of points; exactly 0 of equal ones."""
    found = np.empty(len(pairs))
    step = max(1, _PAIRED // points.shape[1])
    for start in range(0, len(pairs), step):
        one, other = pairs[start : start + step].T
        apart = points[one].astype(np.float64) - points[other]
        found[start : start + step] = np.sqrt(np.einsum("ij,ij->i", apart, apart))
    return found


def nearest_points(
    points: Float32Array, near: int
) -> Iterator[tuple[IntArray, IntArray, Float64Array]]:
    """The `near` nearest others of all of float32[n, d] points, some at a time: rows int64[m], and
    of each of them int64[m, near] and how far, float64[m, near], the nearest first."""
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(n_neighbors=near + 1, algorithm="brute").fit(points)
    for first in range(0, len(points), _CHUNK):
        chosen = np.arange(first, min(first + _CHUNK, len(points)))
        far, found = index.kneighbors(points[chosen])
        own = found == chosen[:, None]
        own[~own.any(axis=1), -1] = True  # itself is missing where many share its place
        shape = (len(chosen), near)
        yield chosen, found[~own].reshape(shape), far[~own].reshape(shape)
