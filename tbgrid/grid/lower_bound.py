"""A lower bound of the cost of any assignment of points to cells, by duality.

Give each cell j a price v[j]. Whatever the prices are, no assignment costs less than

    sum over points of min over cells (cost[i, j] - v[j])  +  sum over cells of v[j],

provided that no price is above 0 if cells may stay empty (linear programming duality; for
assignment problems: Bertsekas, Network Optimization, 1998, chapter 7). So any prices prove
something, and good prices prove that an assignment is near the optimum. Squared distances only.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from tbgrid.grid.assignment import cell_places, dual_prices
from tbgrid.types import Float64Array, IntArray

_LEAF = 8  # rows and columns of the blocks within which every pair is compared
_CHUNK = 20_000  # points at a time


def lower_bound(points: Float64Array, cells: IntArray, rows: int, columns: int) -> float:
    """Compute a sum of squared distances that no assignment of the points can be below.

    Args:
        points: float64[n, 2] in units of cells, (row, column).
        cells: int64[n], an assignment to which the prices are fitted: the better it is, the tighter
            the bound, which is looser if cells stay empty.
        rows: of the grid.
        columns: of the grid.
    """
    prices = fit_prices(points, cells, rows, columns)
    least, _ = min_reduced_costs(points, prices, rows, columns, cells)
    return max(0.0, float(least.sum() + prices.sum()))


def fit_prices(points: Float64Array, cells: IntArray, rows: int, columns: int) -> Float64Array:
    """Estimate the prices of cells from an assignment.

    Returns:
        float64[rows * columns], the `dual_prices`; if cells are empty, at most 0, with the median
        price of empty cells moved to 0, since leaving a cell empty costs nothing.
    """
    occupied = cell_places(rows, columns)
    occupied[cells] = points
    prices = dual_prices(occupied, rows, columns)
    if len(points) == len(prices):
        return np.asarray(prices - prices.mean())
    empty = np.ones(len(prices), bool)
    empty[cells] = False
    return np.minimum(prices - np.median(prices[empty]), 0.0)


def min_reduced_costs(
    points: Float64Array, prices: Float64Array, rows: int, columns: int, cells: IntArray
) -> tuple[Float64Array, IntArray]:
    """Find for each point the cell with the lowest reduced cost, squared distance minus price.

    The grid is halved again and again, and a part is skipped if a bound shows that it contains no
    better cell: prices are nearly those of a squared distance, so that the reduced cost is nearly
    linear in the position of the cell.

    Args:
        points: float64[n, 2] in units of cells, (row, column).
        prices: float64[rows * columns].
        rows: of the grid.
        columns: of the grid.
        cells: int64[n], a guess, which saves time and does not change the result.

    Returns:
        float64[n], the lowest reduced costs, and int64[n], their cells.
    """
    tree = list(_levels(prices, rows, columns))
    least = (points[:, 0] - cells // columns) ** 2 + (points[:, 1] - cells % columns) ** 2
    least -= prices[cells]
    where = np.array(cells)
    for start in range(0, len(points), _CHUNK):
        part = slice(start, start + _CHUNK)
        _improve(points[part], least[part], where[part], tree, columns)
    return least, where


class _Level:
    """Blocks of `side` x `side` cells. Within each, `lift` (see `_levels`) is bounded from below by
    `low + slope . (place - corner)`."""

    def __init__(self, lift: Float64Array, side: int) -> None:
        height, width = -(-lift.shape[0] // side), -(-lift.shape[1] // side)
        padded = np.full((height * side, width * side), np.inf)
        padded[: lift.shape[0], : lift.shape[1]] = lift
        self.side, self.height, self.width = side, height, width
        blocks = padded.reshape(height, side, width, side).swapaxes(1, 2)
        self.values = blocks.reshape(height * width, side, side)
        last_row = np.minimum(side, lift.shape[0] - np.arange(height) * side) - 1
        last_column = np.minimum(side, lift.shape[1] - np.arange(width) * side) - 1
        self.last = np.stack(
            [part.ravel() for part in np.meshgrid(last_row, last_column, indexing="ij")], axis=1
        )
        every = np.arange(height * width)
        corner = self.values[:, 0, 0]
        self.slope = np.stack(
            [
                (self.values[every, self.last[:, 0], 0] - corner) / np.maximum(self.last[:, 0], 1),
                (self.values[every, 0, self.last[:, 1]] - corner) / np.maximum(self.last[:, 1], 1),
            ],
            axis=1,
        )
        within = np.arange(side)
        plane = (
            self.slope[:, 0, None, None] * within[:, None]
            + self.slope[:, 1, None, None] * within[None, :]
        )
        self.low = (self.values - plane).min(axis=(1, 2))
        self.corner = np.stack([every // width, every % width], axis=1) * float(side)

    def bound(self, points: Float64Array, blocks: IntArray) -> Float64Array:
        """Lower bounds of the reduced cost of each point in its block."""
        tilt = self.slope[blocks] - 2 * points
        reach = np.minimum(tilt * self.last[blocks], 0.0).sum(axis=1)
        base = (points * (points - 2 * self.corner[blocks])).sum(axis=1)
        return np.asarray(base + self.low[blocks] + reach)


def _levels(prices: Float64Array, rows: int, columns: int) -> Iterator[_Level]:
    """Levels from few large blocks to many small ones. Since |p - q|² - v equals
    |p|² - 2 p.q + (|q|² - v), a block only needs to bound `lift` = |q|² - v."""
    lift = ((cell_places(rows, columns) ** 2).sum(axis=1) - prices).reshape(rows, columns)
    side = _LEAF
    while 4 * side < max(rows, columns):
        side *= 2
    while side >= _LEAF:
        yield _Level(lift, side)
        side //= 2


def _improve(
    points: Float64Array,
    least: Float64Array,
    where: IntArray,
    tree: list[_Level],
    columns: int,
) -> None:
    """Lower `least` to the minimum, and move `where` to its cell, in place."""
    coarsest, leaf = tree[0], tree[-1]
    blocks = np.tile(np.arange(coarsest.height * coarsest.width), len(points))
    who = np.repeat(np.arange(len(points)), coarsest.height * coarsest.width)
    for depth, level in enumerate(tree):
        kept = level.bound(points[who], blocks) < least[who]
        who, blocks = who[kept], blocks[kept]
        if depth + 1 < len(tree):
            who, blocks = _children(level, tree[depth + 1], who, blocks)
    order = np.argsort(blocks, kind="stable")
    who, blocks = who[order], blocks[order]
    edges = np.flatnonzero(np.diff(blocks, prepend=-1, append=-1))
    within = cell_places(leaf.side, leaf.side)
    for first, end in itertools.pairwise(edges):
        rows = who[first:end]
        block = blocks[first]
        here = points[rows]
        places = within + leaf.corner[block]
        cost = (here**2).sum(axis=1)[:, None] - 2 * here @ places.T
        cost += leaf.values[block].ravel()
        best = cost.argmin(axis=1)
        found = cost[np.arange(len(rows)), best]
        better = found < least[rows]
        least[rows[better]] = found[better]
        where[rows[better]] = places[best[better]] @ (columns, 1)


def _children(
    level: _Level, finer: _Level, who: IntArray, blocks: IntArray
) -> tuple[IntArray, IntArray]:
    """The pairs of points and blocks with each block replaced by its four quarters."""
    row, column = blocks // level.width, blocks % level.width
    below = (2 * row)[:, None] + np.array([0, 0, 1, 1])
    right = (2 * column)[:, None] + np.array([0, 1, 0, 1])
    inside = (below < finer.height) & (right < finer.width)
    return (
        np.broadcast_to(who[:, None], inside.shape)[inside],
        (below * finer.width + right)[inside],
    )
