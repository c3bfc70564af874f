"""Better cells for photos: exchanges after which photos resemble their neighbours on the grid more.

The snap keeps the places of t-SNE, whatever the photos; a photo's nearest likeness often ends two
cells away. `refine` lowers a sum over photos, `_WEIGHTS` of the distances, from least to largest,
to the photos in the four cells that share a side with it, and `_CORNER` of those in the four that
share a corner. Least distances count most, as they do in DPQ_16 (`metrics.quality`): its 16th power
leaves little but how far the nearest neighbour is. The rest holds what lies further together; with
these weights DPQ_2 and the agreement of labels stay, measured on photos and digits.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from tbgrid.options import RefineOptions
from tbgrid.progress import Progress, silent
from tbgrid.types import BoolArray, Float32Array, Float64Array, IntArray, Json, UInt8Array
from tbgrid.vectors.distances import distances_from
from tbgrid.vectors.pca import principal_components

STAGE = "refine"
PARTS = 64  # principal components that tell the distances of many points
WHOLE = 4096  # points whose distances are all kept: 67 MB
SMOOTHED = 1600  # cells up to which a smoother start is tried too: time grows as their cube
FLAT = 0.9  # share of the spread in `_FEW` principal components from which it is tried
STEPS = 40  # of smoothing for that start
HEAT = np.geomspace(0.02, 0.002, 40)  # mean distances: what an exchange may cost, round by round
_HEATED = 800_000  # photos times such rounds, at most: so many are more gradual than their number
_COOLING = 0.6  # of a limited time: the rest is for rounds without heat
MOST_ROUNDS = 400  # without heat, of which there are seldom more than 20
_WEIGHTS = (1.4, 0.2, 0.15, 0.13)
_CORNER = 0.1
_SIDES = ((0, 1), (1, 0), (0, -1), (-1, 0))
_CORNERS = ((1, 1), (1, -1), (-1, -1), (-1, 1))
_REACH = 2  # cells: of an exchange
_FEW = 4
_JUDGED = 400  # points, drawn at random, that tell it
_EDGE = _REACH + 2  # cells without photos around the grid, so that no index leaves it
_LEAST = 1e-6  # of a mean distance: less is rounding, not a gain
_WORTH = 0.03  # of a mean distance: gently, what an exchange must gain for two photos to move
_DRAWN = 2000  # pairs whose mean distance stands for that to an empty cell


@dataclass(frozen=True)
class Refined:
    """`cells` int64[n]. The sum that was lowered, in mean distances a photo, `before` and `after`;
    after so many `rounds` (at most 400) no exchange of two cells within reach lowers it, unless
    time `stopped` them."""

    cells: IntArray
    before: float
    after: float
    rounds: int
    stopped: bool = False

    def told(self) -> Json:
        """For the report."""
        return {
            "sum_before": self.before,
            "sum_after": self.after,
            "rounds": self.rounds,
            **({"stopped": "its time was up"} if self.stopped else {}),
        }


def refine(
    points: Float32Array,
    cells: IntArray,
    rows: int,
    columns: int,
    options: RefineOptions | None = None,
    *,
    gently: bool = False,
    progress: Progress = silent,
) -> Refined:
    """Exchange what lies in cells of a grid, empty ones too, while that lowers the sum above.

    `points`: float32[n, d] whose Euclidean distances count; `cells` int64[n], distinct. Of more
    than 4,096 points the first 64 principal components tell the distances; then memory is that of
    n * 64 numbers and time grows with n. Where points fill few dimensions, as colours do, exchanges
    of two soon end; there, on up to 1,600 cells, a second start is tried, `smoothed`, and the lower
    sum taken. Vectors of networks were never better off with it. `gently`: only exchanges that
    help much, without heat or another start, so that most photos stay in their cells.
    """
    options = options or RefineOptions()
    began = time.monotonic()
    distances = _Distances(points)
    starts = [cells]
    if not gently and rows * columns <= SMOOTHED and _flat(points):
        starts.append(smoothed(points, cells, rows, columns))
    best = _Board(distances, cells, rows, columns)
    before, rounds, stopped = best.total(), 0, False
    for number, start in enumerate(starts, 1):
        left = None
        if options.seconds is not None:
            left = began + options.seconds * number / len(starts) - time.monotonic()
        board = _Board(distances, start, rows, columns, _WORTH if gently else _LEAST)
        took, late = board.anneal(HEAT[:0] if gently else HEAT, left, progress)
        stopped |= late
        if board.total() < best.total() - _LEAST * distances.mean:
            best, rounds = board, took
    progress(STAGE, 1, 1)
    scale = distances.mean * len(cells) or 1.0
    return Refined(best.cells(), before / scale, best.total() / scale, rounds, stopped)


def smoothed(
    points: Float32Array,
    cells: IntArray,
    rows: int,
    columns: int,
    steps: int = STEPS,
) -> IntArray:
    """Cells int64[n] by linear assignment sorting, from where `cells` are.

    Barthel, Hezel, Jung and Schall, "Improved Evaluation and Generation of Grid Layouts using
    Distance Preservation Quality and Linear Assignment Sorting" (2023): in so many `steps` the map
    is smoothed, over half the grid at first and half a cell at last, and each point assigned to the
    cell whose mean is most like it, at the least total of squared distances. Empty cells count for
    nothing in the means.
    """
    parts = principal_components(points, min(PARTS, points.shape[1])).astype(np.float64)
    for radius in np.geomspace(max(rows, columns, 2) / 2, 0.5, steps):
        shown = np.zeros((rows * columns, parts.shape[1] + 1))
        shown[cells, :-1], shown[cells, -1] = parts, 1
        blurred = ndimage.gaussian_filter(
            shown.reshape(rows, columns, -1), (radius, radius, 0), mode="constant", truncate=3
        ).reshape(rows * columns, -1)
        means = blurred[:, :-1] / np.maximum(blurred[:, -1:], 1e-9)
        cells = linear_sum_assignment((means**2).sum(axis=1) - 2 * parts @ means.T)[1]
    return cells.astype(np.int64)


def _flat(points: Float32Array) -> bool:
    """Whether a few directions hold nearly all the spread of the points, by some of them."""
    points = points[np.random.default_rng(0).permutation(len(points))[:_JUDGED]]
    total = float(points.var(axis=0, dtype=np.float64).sum())
    if not total > 0:
        return False
    few = principal_components(points, _FEW).var(axis=0, dtype=np.float64).sum()
    return bool(few >= FLAT * total)


class _Distances:
    """Distances between points by number; to number n, which is no point, the `mean` distance."""

    def __init__(self, points: Float32Array) -> None:
        count = len(points)
        self._count = count
        self._all: Float32Array | None = None
        if count <= WHOLE:
            found = distances_from(points, np.arange(count))
            self.mean = float(found.sum() / max(1, count * (count - 1)))
            self._all = np.full((count + 1, count + 1), self.mean, np.float32)
            self._all[:count, :count] = found
            return
        parts = principal_components(points, min(PARTS, points.shape[1]))
        self._parts = np.concatenate([parts, np.zeros((1, parts.shape[1]), np.float32)])
        rng = np.random.default_rng(0)
        one = rng.integers(0, count, _DRAWN)
        other = (one + rng.integers(1, count, _DRAWN)) % count
        self.mean = 0.0
        self.mean = float(self(one, other).mean())

    def __call__(self, one: IntArray, other: IntArray) -> Float32Array:
        """float32[m] between int64[m] and int64[m]."""
        if self._all is not None:
            return self._all[one, other]
        apart = self._parts[one]
        apart -= self._parts[other]
        found: Float32Array = np.sqrt(np.einsum("ij,ij->i", apart, apart))
        found[(one == self._count) | (other == self._count)] = self.mean
        return found


class _Board:
    """Points on a grid, with what each cell adds to the sum that is to be lowered.

    Cells are numbered in a grid with an empty border, so that neighbours lie at fixed steps.
    """

    def __init__(
        self,
        distances: _Distances,
        cells: IntArray,
        rows: int,
        columns: int,
        least: float = _LEAST,
    ) -> None:
        self._distances, self._none = distances, len(cells)
        self._least = least * distances.mean  # that an exchange without heat must gain
        self._rows, self._columns = rows, columns
        self._width = columns + 2 * _EDGE
        inside = np.arange((rows + 2 * _EDGE) * self._width).reshape(-1, self._width)
        self._inside = inside[_EDGE : _EDGE + rows, _EDGE : _EDGE + columns].ravel()
        self._real = np.zeros(inside.size, bool)
        self._real[self._inside] = True
        self._held = np.full(inside.size, self._none, np.int64)  # the point in each cell
        self._held[self._inside[cells]] = np.arange(len(cells))
        self._sides = np.full((4, inside.size), distances.mean, np.float32)
        self._corners = np.zeros(inside.size, np.float32)
        self._worth = np.zeros(inside.size, np.float32)
        self._measure(self._inside)

    def cells(self) -> IntArray:
        """int64[n]: the cell of each point, row * columns + column."""
        held = self._held[self._inside]
        found = np.empty(self._none, np.int64)
        taken = np.flatnonzero(held < self._none)
        found[held[taken]] = taken
        return found

    def total(self) -> float:
        """The sum over all points."""
        corners = self._corners[self._inside].sum(dtype=np.float64)
        corners += 4 * self._none * self._distances.mean
        return float(self._worth[self._inside].sum(dtype=np.float64) + _CORNER * corners)

    def anneal(
        self, heats: Float64Array, seconds: float | None, progress: Progress
    ) -> tuple[int, bool]:
        """Exchange at random what costs little, ever less, then what helps until nothing within
        reach does, within so many `seconds`; the rounds without heat, and whether time was up.

        Simulated annealing (Kirkpatrick, Gelatt and Vecchi, Science 220, 1983), many exchanges that
        do not meet at a time.
        """
        swaps = [
            _Swap(row, column, self._width)
            for row in range(_REACH + 1)
            for column in range(-_REACH, _REACH + 1)
            if row > 0 or column > 0
        ]
        rng = np.random.default_rng(0)
        heats = heats[:: max(1, -(-len(heats) * self._none // _HEATED))]
        steps = len(heats) + MOST_ROUNDS
        clock = _Clock(seconds)
        done = 0
        while done < len(heats):
            progress(STAGE, done, steps)
            for index in rng.permutation(len(swaps)):
                heat = heats[min(done, len(heats) - 1)]
                self._exchange(swaps[index], self._real, heat * self._distances.mean, rng)
                done = max(done, int(clock.share / _COOLING * len(heats)))
            done += 1
        active = self._real
        for rounds in range(MOST_ROUNDS):
            progress(STAGE, len(heats) + rounds, steps)
            changed = np.zeros(len(self._held), bool)
            for swap in swaps:
                if clock.share >= 1:
                    return rounds, True
                changed[self._exchange(swap, active | changed)] = True
            if not changed.any():
                return rounds, False
            # Elsewhere nothing has changed, and what did not help then does not help now.
            active = self._around(changed)
        return MOST_ROUNDS, False

    def _around(self, changed: BoolArray) -> BoolArray:
        """The cells near enough to `changed` ones for an exchange of theirs to be another."""
        grid = changed.reshape(-1, self._width)
        size = 2 * (2 + _REACH) + 1
        near: UInt8Array = ndimage.maximum_filter(grid.astype(np.uint8), size, mode="constant")
        return near.ravel().astype(bool) & self._real

    def _exchange(
        self,
        swap: _Swap,
        active: BoolArray,
        heat: float = 0.0,
        rng: np.random.Generator | None = None,
    ) -> IntArray:
        """Make exchanges by `swap` that do not meet; the cells that changed. Without `heat` those
        that lower the sum most, with it some of those that `rng` admits, as Metropolis would."""
        first: IntArray = np.flatnonzero(active & self._real)
        first = first[self._real[first + swap.step]]
        first = first[self._held[first] != self._held[first + swap.step]]  # of two empty ones
        gains = self._gains(swap, first)
        if rng is None:
            good = gains < -self._least
            first, order = first[good], gains[good]
        else:
            good = gains < heat * rng.exponential(size=len(gains))
            first, order = first[good], rng.random(np.count_nonzero(good), np.float32)
        ranks = np.full(len(self._held), len(first), np.int64)
        ranks[first[np.argsort(order, kind="stable")]] = np.arange(len(first))
        best = ndimage.minimum_filter(
            ranks.reshape(-1, self._width),
            footprint=swap.meeting,
            mode="constant",
            cval=len(first),
        ).ravel()
        first = first[best[first] == ranks[first]]
        second = first + swap.step
        self._held[first], self._held[second] = self._held[second], self._held[first]
        self._measure(np.unique((first + swap.around[:, None]).ravel()))
        return np.concatenate([first, second])

    def _gains(self, swap: _Swap, first: IntArray) -> Float32Array:
        """float32[m]: by how much the sum rises if cells `first` and those a step on exchange."""
        at = {0: self._held[first + swap.step], swap.step: self._held[first]}
        new: dict[tuple[int, int], Float32Array] = {}

        def apart(one: int, other: int) -> Float32Array:
            """Distances then, between the cells at those steps from `first`."""
            key = (min(one, other), max(one, other))
            if key not in new:
                points = [at[step] if step in at else self._held[first + step] for step in key]
                new[key] = self._distances(*points)
            return new[key]

        total = np.zeros(len(first), np.float32)
        for cell in swap.touched.tolist():
            where = first + cell
            lists = [
                apart(cell, cell + step)
                if cell in at or cell + step in at
                else self._sides[side, where]
                for side, step in enumerate(swap.sides)
            ]
            worth = _weighted(*lists)
            worth[(at[cell] if cell in at else self._held[where]) == self._none] = 0
            total += worth
            total -= self._worth[where]
        for cell in at:
            for step in swap.corners:
                total += 2 * _CORNER * (apart(cell, cell + step) - self._distances.mean)
            total -= 2 * _CORNER * self._corners[first + cell]
        return total

    def _measure(self, cells: IntArray) -> None:
        """Find anew what `cells` add to the sum."""
        here = self._held[cells]
        for side, (row, column) in enumerate(_SIDES):
            other = self._held[cells + row * self._width + column]
            self._sides[side, cells] = self._distances(here, other)
        worth = _weighted(*self._sides[:, cells])
        worth[here == self._none] = 0
        self._worth[cells] = worth
        # Less the mean: so a pair of which one is no point adds nothing, from either side.
        self._corners[cells] = sum(
            self._distances(here, self._held[cells + row * self._width + column])
            - self._distances.mean
            for row, column in _CORNERS
        )


class _Clock:
    """So many seconds from now on; None: they never end."""

    def __init__(self, seconds: float | None) -> None:
        self._began, self._seconds = time.monotonic(), seconds

    @property
    def share(self) -> float:
        """Of the seconds, how much is gone."""
        if self._seconds is None:
            return 0.0
        return (time.monotonic() - self._began) / max(self._seconds, 1e-9)


class _Swap:
    """The exchange of each cell with the one `step` on, and the cells that it touches."""

    def __init__(self, row: int, column: int, width: int) -> None:
        self.step = row * width + column
        self.sides = [r * width + c for r, c in _SIDES]
        self.corners = [r * width + c for r, c in _CORNERS]
        # Lists change in both cells and beside them.
        self.touched = np.unique(
            [cell + step for cell in (0, self.step) for step in (0, *self.sides)]
        )
        # What is measured across a corner changes in more.
        ends = (0, self.step)
        self.around = np.union1d(self.touched, [a + step for a in ends for step in self.corners])
        # Two such exchanges meet where a cell of one is within two steps along the sides of a cell
        # of the other; then neither's gain is what it was alone.
        reach = 2 + _REACH
        rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        self.meeting = np.zeros(rows.shape, bool)
        for sign in (-1, 0, 1):
            self.meeting |= abs(rows - sign * row) + abs(columns - sign * column) <= 2


def _weighted(a: Float32Array, b: Float32Array, c: Float32Array, d: Float32Array) -> Float32Array:
    """The four in ascending order, times `_WEIGHTS`: a sorting network of five comparisons."""
    a, b = np.minimum(a, b), np.maximum(a, b)
    c, d = np.minimum(c, d), np.maximum(c, d)
    a, c = np.minimum(a, c), np.maximum(a, c)
    b, d = np.minimum(b, d), np.maximum(b, d)
    b, c = np.minimum(b, c), np.maximum(b, c)
    first, second, third, fourth = _WEIGHTS
    return np.asarray(first * a + second * b + third * c + fourth * d, np.float32)
