"""Points on a grid, with the sum that `refine` minimizes and the exchanges that lower it.

For each photo the sum adds up the distances to the photos in the four cells that share a side with
its own, sorted and weighted by `SIDE_WEIGHTS`, and `CORNER_WEIGHT` times those to the photos in the
four cells that share a corner. The smallest distance counts most, as it does in DPQ_16
(`metrics.quality`), whose 16th power leaves little but the distance to the nearest neighbor. The
other weights keep together what lies farther away: with them DPQ_2 and the agreement of labels are
preserved, measured on photos and digits.
"""

from __future__ import annotations

import time

import numpy as np
from scipy import ndimage

from tbgrid.progress import Progress
from tbgrid.types import BoolArray, Float32Array, Float64Array, IntArray, UInt8Array
from tbgrid.vectors.distances import distances_from
from tbgrid.vectors.pca import principal_components

STAGE = "refine"
N_COMPONENTS = 64  # principal components that distances are computed from if there are many points
ALL_PAIRS_UP_TO = 4096  # points up to which all distances are kept: 67 MB
MEAN_SAMPLE = 2000  # pairs whose mean distance stands for the distance to an empty cell
MAX_ANNEAL_WORK = 800_000  # photos times rounds with heat: more photos cool in fewer rounds
ANNEAL_SHARE = 0.6  # of a limited time: the rest is for rounds without heat
MAX_ROUNDS = 400  # without heat, of which there are seldom more than 20
MIN_GAIN = 1e-6  # of a mean distance: less is rounding
SIDE_WEIGHTS = (1.4, 0.2, 0.15, 0.13)
CORNER_WEIGHT = 0.1
SWAP_REACH = 2  # rows and columns between two cells that may be exchanged
PADDING = SWAP_REACH + 2  # cells without photos around the grid, so that no index leaves it
_SIDES = ((0, 1), (1, 0), (0, -1), (-1, 0))
_CORNERS = ((1, 1), (1, -1), (-1, -1), (-1, 1))


class PairDistances:
    """Pairwise distances by row; index n is a sentinel for an empty cell, at the mean distance.

    Args:
        points: float32[n, d] under the Euclidean distance. If n is large, distances are those of
            the first principal components.

    Attributes:
        mean: the mean distance of two points.
    """

    def __init__(self, points: Float32Array) -> None:
        count = len(points)
        self._count = count
        self._all: Float32Array | None = None
        if count <= ALL_PAIRS_UP_TO:
            found = distances_from(points, np.arange(count))
            self.mean = float(found.sum() / max(1, count * (count - 1)))
            self._all = np.full((count + 1, count + 1), self.mean, np.float32)
            self._all[:count, :count] = found
            return
        parts = principal_components(points, min(N_COMPONENTS, points.shape[1]))
        self._parts = np.concatenate([parts, np.zeros((1, parts.shape[1]), np.float32)])
        rng = np.random.default_rng(0)
        one = rng.integers(0, count, MEAN_SAMPLE)
        other = (one + rng.integers(1, count, MEAN_SAMPLE)) % count
        self.mean = 0.0
        self.mean = float(self(one, other).mean())

    def __call__(self, one: IntArray, other: IntArray) -> Float32Array:
        """Look up the distances float32[m] between points int64[m] and int64[m]."""
        if self._all is not None:
            return self._all[one, other]
        apart = self._parts[one]
        apart -= self._parts[other]
        found: Float32Array = np.sqrt(np.einsum("ij,ij->i", apart, apart))
        found[(one == self._count) | (other == self._count)] = self.mean
        return found


class GridState:
    """Points on a grid, with what each cell contributes to the sum.

    Cells are numbered in a grid with an empty border, so that neighbors lie at fixed offsets.

    Args:
        distances: between the points.
        cells: int64[n], distinct, row * columns + column.
        rows: of the grid.
        columns: of the grid.
        min_gain: what an exchange without heat must gain, in mean distances.
    """

    def __init__(
        self,
        distances: PairDistances,
        cells: IntArray,
        rows: int,
        columns: int,
        min_gain: float = MIN_GAIN,
    ) -> None:
        self._distances, self._none = distances, len(cells)
        self._min_gain = min_gain * distances.mean
        self._rows, self._columns = rows, columns
        self._width = columns + 2 * PADDING
        inside = np.arange((rows + 2 * PADDING) * self._width).reshape(-1, self._width)
        self._inside = inside[PADDING : PADDING + rows, PADDING : PADDING + columns].ravel()
        self._real = np.zeros(inside.size, bool)
        self._real[self._inside] = True
        self._held = np.full(inside.size, self._none, np.int64)  # the point in each cell
        self._held[self._inside[cells]] = np.arange(len(cells))
        self._sides = np.full((4, inside.size), distances.mean, np.float32)
        self._corners = np.zeros(inside.size, np.float32)
        self._worth = np.zeros(inside.size, np.float32)
        self._measure(self._inside)

    def cells(self) -> IntArray:
        """The cell of each point, int64[n], row * columns + column."""
        held = self._held[self._inside]
        found = np.empty(self._none, np.int64)
        taken = np.flatnonzero(held < self._none)
        found[held[taken]] = taken
        return found

    def total(self) -> float:
        """The sum over all points, which is to be minimized."""
        corners = self._corners[self._inside].sum(dtype=np.float64)
        corners += 4 * self._none * self._distances.mean
        return float(self._worth[self._inside].sum(dtype=np.float64) + CORNER_WEIGHT * corners)

    def anneal(
        self, temperatures: Float64Array, seconds: float | None, progress: Progress
    ) -> tuple[int, bool]:
        """Lower the sum by exchanging cells.

        Simulated annealing (Kirkpatrick, Gelatt and Vecchi, Science 220, 1983) with many disjoint
        exchanges at a time, and then rounds without heat until no exchange within reach helps.

        Args:
            temperatures: what an exchange may cost, round by round, in mean distances.
            seconds: limit of wall time; None for no limit.
            progress: called once per round.

        Returns:
            The number of rounds without heat, and whether the limit ended them.
        """
        swaps = [
            SwapOffset(row, column, self._width)
            for row in range(SWAP_REACH + 1)
            for column in range(-SWAP_REACH, SWAP_REACH + 1)
            if row > 0 or column > 0
        ]
        deadline = Deadline(seconds)
        temperatures = temperatures[
            :: max(1, -(-len(temperatures) * self._none // MAX_ANNEAL_WORK))
        ]
        steps = len(temperatures) + MAX_ROUNDS
        self._heated_rounds(swaps, temperatures, deadline, steps, progress)
        active = self._real
        for rounds in range(MAX_ROUNDS):
            progress(STAGE, len(temperatures) + rounds, steps)
            changed = np.zeros(len(self._held), bool)
            for swap in swaps:
                if deadline.fraction_used >= 1:
                    return rounds, True
                changed[self._exchange(swap, active | changed)] = True
            if not changed.any():
                return rounds, False
            # Elsewhere nothing has changed, and what did not help before does not help now.
            active = self._around(changed)
        return MAX_ROUNDS, False

    def _heated_rounds(
        self,
        swaps: list[SwapOffset],
        temperatures: Float64Array,
        deadline: Deadline,
        steps: int,
        progress: Progress,
    ) -> None:
        """The rounds with heat; if time is limited, some temperatures are skipped."""
        rng = np.random.default_rng(0)
        done = 0
        while done < len(temperatures):
            progress(STAGE, done, steps)
            for index in rng.permutation(len(swaps)):
                heat = temperatures[min(done, len(temperatures) - 1)] * self._distances.mean
                self._exchange(swaps[index], self._real, heat, rng)
                used = deadline.fraction_used / ANNEAL_SHARE
                done = max(done, int(used * len(temperatures)))
            done += 1

    def _around(self, changed: BoolArray) -> BoolArray:
        """The cells near enough to `changed` ones for the gain of an exchange to have changed."""
        grid = changed.reshape(-1, self._width)
        size = 2 * (2 + SWAP_REACH) + 1
        near: UInt8Array = ndimage.maximum_filter(grid.astype(np.uint8), size, mode="constant")
        return near.ravel().astype(bool) & self._real

    def _exchange(
        self,
        swap: SwapOffset,
        active: BoolArray,
        heat: float = 0.0,
        rng: np.random.Generator | None = None,
    ) -> IntArray:
        """Make disjoint exchanges by `swap`, and return the cells that changed. Without `heat` they
        are those that lower the sum most; with it, random ones that the Metropolis rule accepts."""
        first: IntArray = np.flatnonzero(active & self._real)
        first = first[self._real[first + swap.step]]
        first = first[self._held[first] != self._held[first + swap.step]]  # not two empty ones
        gains = self._gains(swap, first)
        if rng is None:
            good = gains < -self._min_gain
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

    def _gains(self, swap: SwapOffset, first: IntArray) -> Float32Array:
        """By how much the sum rises if cells `first` and those one step on exchange, float32[m]."""
        at = {0: self._held[first + swap.step], swap.step: self._held[first]}
        new: dict[tuple[int, int], Float32Array] = {}

        def apart(one: int, other: int) -> Float32Array:
            """Distances after the exchange between the cells at those steps from `first`."""
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
                total += 2 * CORNER_WEIGHT * (apart(cell, cell + step) - self._distances.mean)
            total -= 2 * CORNER_WEIGHT * self._corners[first + cell]
        return total

    def _measure(self, cells: IntArray) -> None:
        """Compute again what `cells` contribute to the sum."""
        here = self._held[cells]
        for side, (row, column) in enumerate(_SIDES):
            other = self._held[cells + row * self._width + column]
            self._sides[side, cells] = self._distances(here, other)
        worth = _weighted(*self._sides[:, cells])
        worth[here == self._none] = 0
        self._worth[cells] = worth
        # Less the mean, so that a pair with an empty cell adds nothing, from either side.
        self._corners[cells] = sum(
            self._distances(here, self._held[cells + row * self._width + column])
            - self._distances.mean
            for row, column in _CORNERS
        )


class Deadline:
    """A limit of wall time, in seconds from now; None for no limit."""

    def __init__(self, seconds: float | None) -> None:
        self._began, self._seconds = time.monotonic(), seconds

    @property
    def fraction_used(self) -> float:
        """The share of the time that has passed."""
        if self._seconds is None:
            return 0.0
        return (time.monotonic() - self._began) / max(self._seconds, 1e-9)


class SwapOffset:
    """An exchange of each cell with the one `step` on, and the cells that it affects.

    Args:
        row: rows from one cell to the other.
        column: columns from one cell to the other.
        width: columns of the grid with its border.
    """

    def __init__(self, row: int, column: int, width: int) -> None:
        self.step = row * width + column
        self.sides = [r * width + c for r, c in _SIDES]
        self.corners = [r * width + c for r, c in _CORNERS]
        # Distances across sides change for both cells and the ones that share a side with them.
        self.touched = np.unique(
            [cell + step for cell in (0, self.step) for step in (0, *self.sides)]
        )
        # Distances across corners change for more cells.
        ends = (0, self.step)
        self.around = np.union1d(self.touched, [a + step for a in ends for step in self.corners])
        # Two such exchanges meet if a cell of one is within two steps along the sides of a cell of
        # the other; then the gain of neither is what it would be alone.
        reach = 2 + SWAP_REACH
        rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        self.meeting = np.zeros(rows.shape, bool)
        for sign in (-1, 0, 1):
            self.meeting |= abs(rows - sign * row) + abs(columns - sign * column) <= 2


def _weighted(a: Float32Array, b: Float32Array, c: Float32Array, d: Float32Array) -> Float32Array:
    """The sum of the four in ascending order, weighted: a sorting network of five comparisons."""
    a, b = np.minimum(a, b), np.maximum(a, b)
    c, d = np.minimum(c, d), np.maximum(c, d)
    a, c = np.minimum(a, c), np.maximum(a, c)
    b, d = np.minimum(b, d), np.maximum(b, d)
    b, c = np.minimum(b, c), np.maximum(b, c)
    first, second, third, fourth = SIDE_WEIGHTS
    return np.asarray(first * a + second * b + third * c + fourth * d, np.float32)
