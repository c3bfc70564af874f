"""Euclidean distances from points to all others, computed in blocks of rows to bound memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tbgrid.types import Float32Array, Float64Array, IntArray

_BLOCK = 2**21  # numbers held at a time in one array: 16 MiB
_DISTANCES = 2**23  # in the array of distances: 64 MiB, since large matrix products are cheaper
# Vectors come as float32: a smaller share of two squared lengths is rounding, not distance.
_NOISE = (4 * float(np.finfo(np.float32).eps)) ** 2


@dataclass(frozen=True)
class DistanceBlock:
    """Distances from some points to all n points.

    Attributes:
        chosen: int64[m], rows of the points.
        distances: float64[m, n], their distances to all points; 0 to themselves.
        ascending: float64[m, n], each row of `distances` sorted, so that its first value is the 0
            of the point itself.
    """

    chosen: IntArray
    distances: Float64Array
    ascending: Float64Array

    def first(self, rows: int) -> DistanceBlock:
        """The block of the first `rows` points; of none if `rows` is negative."""
        rows = max(0, rows)
        return DistanceBlock(self.chosen[:rows], self.distances[:rows], self.ascending[:rows])


def iter_distance_blocks(
    points: Float32Array | Float64Array, chosen: IntArray
) -> Iterator[DistanceBlock]:
    """Yield the distances of the `chosen` points, as many rows at a time as memory allows.

    Args:
        points: float[n, d] under the Euclidean distance.
        chosen: int64[m], rows of `points`.
    """
    many, few = (max(1, size // len(points)) for size in (_DISTANCES, _BLOCK))
    for start in range(0, len(chosen), many):
        distances = distances_from(points, chosen[start : start + many])
        for first in range(0, len(distances), few):
            part = distances[first : first + few]
            at = start + first
            yield DistanceBlock(chosen[at : at + len(part)], part, np.sort(part, axis=1))


def distances_from(points: Float32Array | Float64Array, chosen: IntArray) -> Float64Array:
    """Compute the Euclidean distances of some points to all points.

    |a - b|^2 = |a|^2 + |b|^2 - 2ab is many times faster than differences, and in double precision
    as accurate as differences of float32 data.

    Args:
        points: float[n, d].
        chosen: int64[m], rows of `points`.

    Returns:
        float64[m, n]; exactly 0 between equal points.
    """
    mine = points[chosen].astype(np.float64)
    own = np.einsum("ij,ij->i", mine, mine)[:, None]
    found = np.empty((len(chosen), len(points)))
    step = max(1, _BLOCK // max(len(chosen), points.shape[1]))
    same = len(points) <= step and np.array_equal(chosen, np.arange(len(points)))
    for start in range(0, len(points), step):
        # NumPy computes only half of the products of an array with itself.
        others = mine if same else points[start : start + step].astype(np.float64)
        lengths = own + np.einsum("ij,ij->i", others, others)
        squared = found[:, start : start + step]
        np.matmul(mine, others.T, out=squared)
        squared *= -2
        squared += lengths
        lengths *= _NOISE
        squared[squared <= lengths] = 0
        np.sqrt(squared, out=squared)
    found[np.arange(len(chosen)), chosen] = 0
    return found
