"""Distances of points to all others, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tbgrid.types import Float32Array, Float64Array, IntArray

_BLOCK = 2**21  # numbers held at a time in one array: 16 MiB
_DISTANCES = 2**23  # in the array of distances 64 MiB, since large matrix products are cheaper
# Vectors come as float32: a smaller share of two squared lengths is rounding, not distance.
_NOISE = (4 * float(np.finfo(np.float32).eps)) ** 2


@dataclass(frozen=True)
class Block:
    """Points `chosen` int64[m], their `distances` float64[m, n] to all, and these sorted.

    A point's distance to itself is 0 and the first of its sorted ones.
    """

    chosen: IntArray
    distances: Float64Array
    ascending: Float64Array

    def first(self, rows: int) -> Block:
        """Its first `rows` points."""
        rows = max(0, rows)
        return Block(self.chosen[:rows], self.distances[:rows], self.ascending[:rows])


def blocks(points: Float32Array | Float64Array, chosen: IntArray) -> Iterator[Block]:
    """All of `chosen`, some rows at a time so that memory stays bounded."""
    many, few = (max(1, size // len(points)) for size in (_DISTANCES, _BLOCK))
    for start in range(0, len(chosen), many):
        distances = distances_from(points, chosen[start : start + many])
        for first in range(0, len(distances), few):
            part = distances[first : first + few]
            at = start + first
            yield Block(chosen[at : at + len(part)], part, np.sort(part, axis=1))


def distances_from(points: Float32Array | Float64Array, chosen: IntArray) -> Float64Array:
    """float64[m, n]: Euclidean distances of the `chosen` points to all, equal points at 0.

    |a - b|^2 = |a|^2 + |b|^2 - 2ab is many times faster than differences, and in double precision
    as good as these on float32 data.
    """
    mine = points[chosen].astype(np.float64)
    own = np.einsum("ij,ij->i", mine, mine)[:, None]
    found = np.empty((len(chosen), len(points)))
    step = max(1, _BLOCK // max(len(chosen), points.shape[1]))
    same = len(points) <= step and np.array_equal(chosen, np.arange(len(points)))
    for start in range(0, len(points), step):
        # Of an array and itself NumPy finds half the products.
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
