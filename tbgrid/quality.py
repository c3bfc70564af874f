"""Numbers that say how good a layout is, each beside what a random order would get.

`points` are float[n, d] vectors whose Euclidean distances count (`tbgrid.layout.comparable`),
`positions` float64[n, 2] the places in the plane, `cells` int64[n] distinct cells of a grid,
row * columns + column; cells may stay empty. A number that does not exist is None, never NaN:
where all points are equally far from each other no order is better than another.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tbgrid.assignment import total_cost
from tbgrid.grid import Grid
from tbgrid.layout import comparable
from tbgrid.types import Distance, Float32Array, Float64Array, IntArray, Progress, silent

NEIGHBOURS = 10
ORDERS = 5  # random orders whose mean is the baseline
SAMPLE = 5000  # photos up to which each is compared with each
_FEWEST_ROWS = 200  # rows of a sample, however many photos there are
_FEWEST_ORDER_ROWS = 100
_ORDER_PAIRS = 5_000_000  # distances that are sorted for one random order
_BLOCK = 2**21  # numbers held at a time in one array: 16 MiB
_DISTANCES = 2**23  # in the array of distances 64 MiB, since large matrix products are cheaper
# Vectors come as float32: a smaller share of two squared lengths is rounding, not distance.
_NOISE = (4 * float(np.finfo(np.float32).eps)) ** 2


@dataclass(frozen=True)
class ReportCard:
    """How good a layout is; None where a number does not exist.

    `photos`: n. `rows`: how many photos were compared with all n for the first six numbers; n
    where nothing was sampled. `neighbours`: k, 10 or the largest number below n / 2.

    `dpq_16`, `dpq_2`: see `distance_preservation`, 1 at best. `trustworthiness` and
    `neighbours_kept`: see `neighbours_in_plane`, 1 at best. `agreement`: the share of equal labels
    among adjacent cells. Names that end in `_random`: the mean of five random orders.

    `kl`: the Kullback-Leibler divergence of t-SNE, in nats. `cost`: the assignment's, and what
    `gap` to the least one is proven, if any (`tbgrid.grid.Grid`). `displacement`: from a photo's
    place to its cell, root mean square, in cells; for squared costs the root of the cost per photo.
    `layout`: the name of what gave the places in the plane. Names that end in `_snap`: the same
    number for the cells that the snap gave, where they were refined since. The cost, its gap and
    the displacement are the snap's always.
    """

    photos: int
    rows: int
    neighbours: int
    dpq_16: float | None
    dpq_16_random: float | None
    dpq_2: float | None
    dpq_2_random: float | None
    trustworthiness: float | None
    neighbours_kept: float | None
    agreement: float | None
    agreement_random: float | None
    kl: float | None
    cost: float
    gap: float | None
    displacement: float
    layout: str = "t-SNE"
    dpq_16_snap: float | None = None
    dpq_2_snap: float | None = None
    agreement_snap: float | None = None

    def compared(self) -> dict[str, float | None]:
        """The numbers by which maps of the same photos are compared; higher is better."""
        named = {
            "DPQ_16": self.dpq_16,
            "DPQ_2": self.dpq_2,
            f"trustworthiness_{self.neighbours}": self.trustworthiness,
        }
        # Where there are no labels there is no such number in any of the maps.
        return named if self.agreement is None else {**named, "neighbour_agreement": self.agreement}

    def scalars(self) -> dict[str, float]:
        """The numbers that exist, by names for TensorBoard tags and JSON."""
        named = {
            "DPQ_16": self.dpq_16,
            "DPQ_16_snap": self.dpq_16_snap,
            "DPQ_16_random": self.dpq_16_random,
            "DPQ_2": self.dpq_2,
            "DPQ_2_snap": self.dpq_2_snap,
            "DPQ_2_random": self.dpq_2_random,
            f"trustworthiness_{self.neighbours}": self.trustworthiness,
            f"neighbours_kept_{self.neighbours}": self.neighbours_kept,
            "neighbour_agreement": self.agreement,
            "neighbour_agreement_snap": self.agreement_snap,
            "neighbour_agreement_random": self.agreement_random,
            "KL_divergence": self.kl,
            "assignment_cost": self.cost,
            "assignment_gap": self.gap,
            "assignment_displacement": self.displacement,
        }
        return {name: value for name, value in named.items() if value is not None}

    def lines(self) -> list[tuple[str, str]]:
        """(name, value with its baseline in brackets) for people."""

        def told(
            value: float | None, chance: float | None = None, snap: float | None = None
        ) -> str | None:
            if value is None:
                return None
            beside = [
                f"{name} {number:.3f}"
                for name, number in (("before refinement", snap), ("random order", chance))
                if number is not None
            ]
            return f"{value:.3f}" + (f" ({', '.join(beside)})" if beside else "")

        proof = proven(self.gap)
        name, near = self.layout, self.neighbours
        found = [
            ("grid, DPQ_16", told(self.dpq_16, self.dpq_16_random, self.dpq_16_snap)),
            ("grid, DPQ_2", told(self.dpq_2, self.dpq_2_random, self.dpq_2_snap)),
            (f"{name}, trustworthiness at {near}", told(self.trustworthiness)),
            (f"{name}, share of {near} nearest kept", told(self.neighbours_kept)),
            (
                "adjacent cells with equal labels",
                told(self.agreement, self.agreement_random, self.agreement_snap),
            ),
            (f"{name}, KL divergence", told(self.kl)),
            ("assignment, cost", f"{self.cost:.6g} ({proof})"),
            ("assignment, way to the cell", f"{self.displacement:.3f} cells (root mean square)"),
        ]
        lines = [(name, value) for name, value in found if value is not None]
        if self.rows < self.photos and self.photos > 2:
            measured = f"{self.rows} of {self.photos} photos, drawn at random, against all"
            lines.append(("DPQ and neighbours measured on", measured))
        return lines


def proven(gap: float | None) -> str:
    """A proven gap in words."""
    if gap is None:
        return "how near the least is not proven"
    if gap == 0:
        return "the least there is"
    return f"proven to be at most {100 * gap:.2g} % above the least"


def report_card(
    vectors: Float32Array,
    positions: Float64Array,
    grid: Grid,
    labels: Sequence[Hashable] | None,
    *,
    distance: Distance = "cosine",
    kl: float | None = None,
    layout: str = "t-SNE",
    snapped: Grid | None = None,
    seed: int = 0,
    sample: int = SAMPLE,
    progress: Progress = silent,
) -> ReportCard:
    """Measure the layout of float32[n, d] vectors at `positions`, snapped to `grid`; `snapped`:
    the grid as the snap left it, if the cells of `grid` are refined ones.

    Every photo is compared with every other. Above `sample` photos this is done for
    max(200, sample**2 / n) of them, drawn at random under `seed`, so that time stays bounded;
    at 200 DPQ and trustworthiness stray by about 0.01. Each random order is measured on the first
    of the photos so drawn: as many as make 5,000,000 distances, at least 100, which is all of
    them up to 2,236 photos. Held at a time: some 250 MB beside the comparable vectors.
    """
    points = comparable(vectors, distance)
    count = len(points)
    rows = count
    if count > sample:
        rows = min(count, max(_FEWEST_ROWS, sample**2 // count))
    order_rows = min(rows, max(_FEWEST_ORDER_ROWS, _ORDER_PAIRS // count))
    near = max(0, min(NEIGHBOURS, (count - 1) // 2))

    rng = np.random.default_rng(seed)
    chosen = rng.permutation(count)[:rows]
    orders = [rng.permutation(count) for _ in range(ORDERS)]
    on_grid = _RankSums(grid.cells, grid.columns)
    before = None if snapped is None else _RankSums(snapped.cells, grid.columns)
    by_chance = [_RankSums(grid.cells[order], grid.columns) for order in orders]
    in_plane = _PlaneRanks(positions, near)
    done = 0
    progress("quality", done, rows)
    for block in _blocks(points, chosen):
        on_grid.add(block)
        if before is not None:
            before.add(block)
        in_plane.add(block)
        some = block.first(order_rows - done)
        for sums in by_chance:
            sums.add(some)
        done += len(block.chosen)
        progress("quality", done, rows)

    agreement = agreement_random = agreement_snap = None
    if labels is not None:
        pairs = adjacent_pairs(grid.cells, grid.rows, grid.columns)
        codes = _codes(labels)
        agreement = _equal_share(codes, pairs)
        if snapped is not None:
            agreement_snap = _equal_share(
                codes, adjacent_pairs(snapped.cells, grid.rows, grid.columns)
            )
        agreement_random = _mean([_equal_share(codes[order], pairs) for order in orders])
    snap = snapped or grid
    moved = total_cost(snap.places, snap.cells, snap.columns, "sqeuclidean")
    return ReportCard(
        photos=count,
        rows=rows,
        neighbours=near,
        dpq_16=on_grid.quality(16),
        dpq_16_random=_mean([sums.quality(16) for sums in by_chance]),
        dpq_2=on_grid.quality(2),
        dpq_2_random=_mean([sums.quality(2) for sums in by_chance]),
        trustworthiness=in_plane.trustworthiness(),
        neighbours_kept=in_plane.kept(),
        agreement=agreement,
        agreement_random=agreement_random,
        kl=kl if kl is not None and math.isfinite(kl) else None,
        cost=snap.cost,
        gap=snap.gap,
        displacement=math.sqrt(moved / count),
        layout=layout,
        dpq_16_snap=None if before is None else before.quality(16),
        dpq_2_snap=None if before is None else before.quality(2),
        agreement_snap=agreement_snap,
    )


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
    sums = _RankSums(cells, columns)
    for block in _blocks(points, np.arange(len(points))):
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
    ranks = _PlaneRanks(positions, near)
    for block in _blocks(points, np.arange(len(points))):
        ranks.add(block)
    return ranks.trustworthiness(), ranks.kept()


def neighbour_agreement(
    labels: Sequence[Hashable], cells: IntArray, rows: int, columns: int
) -> float | None:
    """The share of equal labels over all pairs of `adjacent_pairs`; None where there are none."""
    return _equal_share(_codes(labels), adjacent_pairs(cells, rows, columns))


def adjacent_pairs(cells: IntArray, rows: int, columns: int) -> IntArray:
    """int64[m, 2]: the items in each two cells that share a side or a corner, each pair once.

    Nothing is adjacent across the border, and empty cells count for nothing.
    """
    board = np.full((rows, columns), -1, np.int64)
    board.flat[cells] = np.arange(len(cells))
    pairs = [
        np.stack([one.ravel(), other.ravel()], axis=1)
        for one, other in (
            (board[:, :-1], board[:, 1:]),
            (board[:-1], board[1:]),
            (board[:-1, :-1], board[1:, 1:]),
            (board[:-1, 1:], board[1:, :-1]),
        )
    ]
    found = np.concatenate(pairs)
    return found[(found >= 0).all(axis=1)]


@dataclass(frozen=True)
class _Block:
    """Points `chosen` int64[m], their `distances` float64[m, n] to all, and these sorted.

    A point's distance to itself is 0 and the first of its sorted ones.
    """

    chosen: IntArray
    distances: Float64Array
    ascending: Float64Array

    def first(self, rows: int) -> _Block:
        rows = max(0, rows)
        return _Block(self.chosen[:rows], self.distances[:rows], self.ascending[:rows])


def _blocks(points: Float32Array | Float64Array, chosen: IntArray) -> Iterator[_Block]:
    """All of `chosen`, some rows at a time so that memory stays bounded."""
    many, few = (max(1, size // len(points)) for size in (_DISTANCES, _BLOCK))
    for start in range(0, len(chosen), many):
        distances = distances_from(points, chosen[start : start + many])
        for first in range(0, len(distances), few):
            part = distances[first : first + few]
            at = start + first
            yield _Block(chosen[at : at + len(part)], part, np.sort(part, axis=1))


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


class _RankSums:
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

    def add(self, block: _Block) -> None:
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


class _PlaneRanks:
    """By vectors, the ranks of the points that are nearest in the plane."""

    def __init__(self, positions: Float64Array, near: int) -> None:
        from scipy.spatial import cKDTree

        self._count = len(positions)
        self._near = near if 0 < 2 * near < self._count else 0
        self._positions = positions
        self._tree = cKDTree(positions)
        self._rows = self._beyond = self._within = 0

    def add(self, block: _Block) -> None:
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
        if not self._rows:
            return None
        # The worst that can be, so that the result lies in [0, 1].
        worst = self._near * (2 * self._count - 3 * self._near - 1) / 2
        return 1 - self._beyond / (self._rows * worst)

    def kept(self) -> float | None:
        return self._within / (self._rows * self._near) if self._rows else None


def _codes(labels: Sequence[Hashable]) -> IntArray:
    """int64[n]: equal numbers for equal labels."""
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return np.array([numbers[label] for label in labels], np.int64)


def _equal_share(codes: IntArray, pairs: IntArray) -> float | None:
    one, other = codes[pairs].T
    return float((one == other).mean()) if len(pairs) else None


def _mean(values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return sum(found) / len(found) if found else None
