"""Numbers that say how good a layout is.

`points` are float[n, d] vectors whose Euclidean distances count (`vectors.pca.normalize_for`),
`positions` float64[n, 2] the places in the plane, `cells` int64[n] distinct cells of a grid,
row * columns + column; cells may stay empty. A number that does not exist is None, never NaN:
where all points are equally far from each other no order is better than another.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from tbgrid.grid.adjacency import adjacent_pairs
from tbgrid.types import Float32Array, Float64Array, IntArray
from tbgrid.vectors.distances import Block, blocks

NEIGHBOURS = 10


def distance_preservation(
    points: Float32Array | Float64Array, cells: IntArray, columns: int, power: float = 16
) -> float | None:
    """Distance preservation quality DPQ_p of a grid, from all n * n distances.

    Barthel, Hezel, Jung and Schall, "Improved Evaluation and Generation of Grid Layouts using
    Distance Preservation Quality and Linear Assignment Sorting" (2023). Let D_k be the mean
    distance of a point to its first k others, in the order of the grid (squared grid distance,
    then distance itself) or in the ideal order (distance), and D the mean of all. DPQ_p is the
    ratio of the p-norms, over k, of max(0, 1 - D_k / D) in the two orders. A random order does
    not get 0. None where no order is better than another.
    """
    sums = RankSums(cells, columns)
    for block in blocks(points, np.arange(len(points))):
        sums.add(block)
    return sums.quality(power)


def neighbours_in_plane(
    points: Float32Array | Float64Array, positions: Float64Array, near: int = NEIGHBOURS
) -> tuple[float | None, float | None]:
    """Trustworthiness and the share of nearest neighbours kept, from all n points.

    Trustworthiness: Venna and Kaski (2001), as `sklearn.manifold.trustworthiness` has it; it
    counts by how many ranks the `near` nearest in the plane miss the `near` nearest of the
    vectors. The second is the share of the former that are among the latter. Equal distances
    share the best rank. None unless 0 < near < n / 2.
    """
    ranks = PlaneRanks(positions, near)
    for block in blocks(points, np.arange(len(points))):
        ranks.add(block)
    return ranks.trustworthiness(), ranks.kept()


def neighbour_agreement(
    labels: Sequence[Hashable], cells: IntArray, rows: int, columns: int
) -> float | None:
    """The share of equal labels over all pairs of `adjacent_pairs`; None where there are none."""
    return equal_share(codes_of(labels), adjacent_pairs(cells, rows, columns))


class RankSums:
    """Sums over points of the distance to the k-th other, in the grid's and in the ideal order."""

    def __init__(self, cells: IntArray, columns: int) -> None:
        row, column = (part.astype(np.float64) for part in np.divmod(cells, columns))
        squares, ones = row**2 + column**2, np.ones(len(cells))
        # The product of two rows of these is the squared distance of two cells, without rounding.
        self._from = np.column_stack([squares, ones, -2 * row, -2 * column])
        self._to = np.column_stack([ones, squares, row, column])
        self._grid = np.zeros(len(cells) - 1)
        self._ideal = np.zeros(len(cells) - 1)
        self._rows = 0

    def add(self, block: Block) -> None:
        """Count some points."""
        widest = float(block.ascending[:, -1].max(initial=0))
        if len(block.chosen) and widest > 0:
            # Squared grid distances are whole numbers. With distances, scaled to half a unit, in
            # the fraction, one sort of numbers does for a sort by two keys that is far slower.
            keys = self._from[block.chosen] @ self._to.T
            keys += block.distances / (2 * widest)
            keys.sort(axis=1)
            keys -= np.floor(keys)
            self._grid += keys[:, 1:].sum(axis=0) * (2 * widest)
            self._ideal += block.ascending[:, 1:].sum(axis=0)
        self._rows += len(block.chosen)

    def quality(self, power: float) -> float | None:
        """DPQ of the points that were added."""
        pairs = self._rows * len(self._ideal)
        mean = self._ideal.sum() / pairs if pairs else 0.0
        if not mean > 0:
            return None
        scale = mean * self._rows * np.arange(1, len(self._ideal) + 1)
        grid = np.maximum(0, 1 - np.cumsum(self._grid) / scale)
        ideal = np.maximum(0, 1 - np.cumsum(self._ideal) / scale)
        top = ideal.max()
        if top < 1e-6:  # all points equally far from each other, but for rounding
            return None
        # Scaled, since 16th powers of small numbers are beyond what floats tell apart.
        norms = [float(((curve / top) ** power).sum() ** (1 / power)) for curve in (grid, ideal)]
        return min(1.0, norms[0] / norms[1])


class PlaneRanks:
    """By vectors, the ranks of the points that are nearest in the plane."""

    def __init__(self, positions: Float64Array, near: int) -> None:
        from scipy.spatial import cKDTree

        self._count = len(positions)
        self._near = near if 0 < 2 * near < self._count else 0
        self._positions = positions
        self._tree = cKDTree(positions)
        self._rows = self._beyond = self._within = 0

    def add(self, block: Block) -> None:
        """Count some points."""
        if not self._near:
            return
        chosen = block.chosen
        _, found = self._tree.query(self._positions[chosen], self._near + 1)
        drop = found == chosen[:, None]
        drop[~drop.any(axis=1), -1] = True  # itself is missing where many share its place
        nearest = found[~drop].reshape(len(chosen), self._near)
        there = np.take_along_axis(block.distances, nearest, axis=1)
        # How many are nearer, itself among them, is the rank; equal vectors have rank 1.
        lines = zip(block.ascending, there, strict=True)
        ranks = np.maximum(1, [np.searchsorted(line, values) for line, values in lines])
        self._rows += len(chosen)
        self._beyond += int(np.maximum(0, ranks - self._near).sum())
        self._within += int((ranks <= self._near).sum())

    def trustworthiness(self) -> float | None:
        """See `neighbours_in_plane`."""
        if not self._rows:
            return None
        # The worst that can be, so that the result lies in [0, 1].
        worst = self._near * (2 * self._count - 3 * self._near - 1) / 2
        return 1 - self._beyond / (self._rows * worst)

    def kept(self) -> float | None:
        """See `neighbours_in_plane`."""
        return self._within / (self._rows * self._near) if self._rows else None


def codes_of(labels: Sequence[Hashable]) -> IntArray:
    """int64[n]: equal numbers for equal labels."""
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return np.array([numbers[label] for label in labels], np.int64)


def equal_share(codes: IntArray, pairs: IntArray) -> float | None:
    """The share of int64[m, 2] pairs whose codes are equal; None where there are none."""
    one, other = codes[pairs].T
    return float((one == other).mean()) if len(pairs) else None
