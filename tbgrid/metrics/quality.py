"""Quality measures of layouts and grids.

`points` are float[n, d] vectors whose Euclidean distances count (`vectors.pca.normalize_for`),
`positions` float64[n, 2] in the plane, `cells` int64[n] distinct cells of a grid, row * columns +
column; cells may stay empty. A measure that is undefined is None, never NaN: if all points are at
the same distance from each other, no order is better than another.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from tbgrid.grid.adjacency import adjacent_pairs
from tbgrid.types import Float32Array, Float64Array, IntArray
from tbgrid.vectors.distances import DistanceBlock, iter_distance_blocks

N_NEIGHBORS = 10


def distance_preservation(
    points: Float32Array | Float64Array, cells: IntArray, columns: int, power: float = 16
) -> float | None:
    """Compute the distance preservation quality DPQ_p of a grid, from all n * n distances.

    Barthel, Hezel, Jung and Schall, "Improved Evaluation and Generation of Grid Layouts using
    Distance Preservation Quality and Linear Assignment Sorting" (2023). Let D_k be the mean
    distance of a point to its first k others, in the order of the grid (squared grid distance,
    then distance itself) or in the ideal order (distance), and D the mean of all. DPQ_p is the
    ratio of the p-norms, over k, of max(0, 1 - D_k / D) in the two orders.

    Args:
        points: float[n, d].
        cells: int64[n].
        columns: of the grid.
        power: p.

    Returns:
        At most 1; a random order has a value above 0. None if no order is better than another.
    """
    sums = DpqAccumulator(cells, columns)
    for block in iter_distance_blocks(points, np.arange(len(points))):
        sums.add(block)
    return sums.quality(power)


def neighbors_in_plane(
    points: Float32Array | Float64Array, positions: Float64Array, near: int = N_NEIGHBORS
) -> tuple[float | None, float | None]:
    """Compute trustworthiness and the share of nearest neighbors kept, from all n points.

    Trustworthiness (Venna and Kaski, 2001), as in `sklearn.manifold.trustworthiness`, counts by how
    many ranks the nearest neighbors in the plane miss the nearest neighbors of the vectors. Equal
    distances share the best rank.

    Args:
        points: float[n, d].
        positions: float64[n, 2].
        near: number of neighbors.

    Returns:
        Trustworthiness, and the share of nearest neighbors in the plane that are nearest neighbors
        of the vectors. None unless 0 < near < n / 2.
    """
    ranks = TrustworthinessAccumulator(positions, near)
    for block in iter_distance_blocks(points, np.arange(len(points))):
        ranks.add(block)
    return ranks.trustworthiness(), ranks.kept()


def neighbor_agreement(
    labels: Sequence[Hashable], cells: IntArray, rows: int, columns: int
) -> float | None:
    """Compute the share of `adjacent_pairs` with equal labels; None if there are no pairs."""
    return equal_share(label_codes(labels), adjacent_pairs(cells, rows, columns))


class DpqAccumulator:
    """Computes DPQ from blocks of distances.

    It sums over points the distance to the k-th other, in the order of the grid and in the ideal
    order.

    Args:
        cells: int64[n].
        columns: of the grid.
    """

    def __init__(self, cells: IntArray, columns: int) -> None:
        row, column = (part.astype(np.float64) for part in np.divmod(cells, columns))
        squares, ones = row**2 + column**2, np.ones(len(cells))
        # A row of one times a row of the other is the squared distance of two cells, exactly.
        self._from = np.column_stack([squares, ones, -2 * row, -2 * column])
        self._to = np.column_stack([ones, squares, row, column])
        self._grid = np.zeros(len(cells) - 1)
        self._ideal = np.zeros(len(cells) - 1)
        self._rows = 0

    def add(self, block: DistanceBlock) -> None:
        """Add the points of a block."""
        widest = float(block.ascending[:, -1].max(initial=0))
        if len(block.chosen) and widest > 0:
            # Squared grid distances are whole numbers. With the distances, scaled to half a unit,
            # in the fraction, sorting numbers replaces sorting by two keys, which is far slower.
            keys = self._from[block.chosen] @ self._to.T
            keys += block.distances / (2 * widest)
            keys.sort(axis=1)
            keys -= np.floor(keys)
            self._grid += keys[:, 1:].sum(axis=0) * (2 * widest)
            self._ideal += block.ascending[:, 1:].sum(axis=0)
        self._rows += len(block.chosen)

    def quality(self, power: float) -> float | None:
        """Compute DPQ_p of the points that were added, p = `power`; see `distance_preservation`."""
        pairs = self._rows * len(self._ideal)
        mean = self._ideal.sum() / pairs if pairs else 0.0
        if not mean > 0:
            return None
        scale = mean * self._rows * np.arange(1, len(self._ideal) + 1)
        grid = np.maximum(0, 1 - np.cumsum(self._grid) / scale)
        ideal = np.maximum(0, 1 - np.cumsum(self._ideal) / scale)
        top = ideal.max()
        if top < 1e-6:  # all points are at the same distance from each other, up to rounding
            return None
        # Scaled, since 16th powers of small numbers underflow.
        norms = [float(((curve / top) ** power).sum() ** (1 / power)) for curve in (grid, ideal)]
        return min(1.0, norms[0] / norms[1])


class TrustworthinessAccumulator:
    """Computes trustworthiness from blocks of distances.

    It ranks the nearest neighbors in the plane by the distance of their vectors.

    Args:
        positions: float64[n, 2].
        near: number of neighbors.
    """

    def __init__(self, positions: Float64Array, near: int) -> None:
        from scipy.spatial import cKDTree

        self._count = len(positions)
        self._near = near if 0 < 2 * near < self._count else 0
        self._positions = positions
        self._tree = cKDTree(positions)
        self._rows = self._beyond = self._within = 0

    def add(self, block: DistanceBlock) -> None:
        """Add the points of a block."""
        if not self._near:
            return
        chosen = block.chosen
        _, found = self._tree.query(self._positions[chosen], self._near + 1)
        drop = found == chosen[:, None]
        drop[~drop.any(axis=1), -1] = True  # the point itself is missing if many share its place
        nearest = found[~drop].reshape(len(chosen), self._near)
        there = np.take_along_axis(block.distances, nearest, axis=1)
        # The rank is the number of nearer points, itself included; equal vectors have rank 1.
        lines = zip(block.ascending, there, strict=True)
        ranks = np.maximum(1, [np.searchsorted(line, values) for line, values in lines])
        self._rows += len(chosen)
        self._beyond += int(np.maximum(0, ranks - self._near).sum())
        self._within += int((ranks <= self._near).sum())

    def trustworthiness(self) -> float | None:
        """Compute it for the points that were added; see `neighbors_in_plane`."""
        if not self._rows:
            return None
        # The worst possible value, so that the result lies in [0, 1].
        worst = self._near * (2 * self._count - 3 * self._near - 1) / 2
        return 1 - self._beyond / (self._rows * worst)

    def kept(self) -> float | None:
        """Compute it for the points that were added; see `neighbors_in_plane`."""
        return self._within / (self._rows * self._near) if self._rows else None


def label_codes(labels: Sequence[Hashable]) -> IntArray:
    """Number labels: int64[n], equal numbers for equal labels."""
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return np.array([numbers[label] for label in labels], np.int64)


def equal_share(codes: IntArray, pairs: IntArray) -> float | None:
    """Compute the share of int64[m, 2] pairs whose codes are equal; None if there are no pairs."""
    one, other = codes[pairs].T
    return float((one == other).mean()) if len(pairs) else None
