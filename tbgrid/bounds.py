"""How far an assignment of points to cells can be from the best: a lower bound by duality.

Give each cell j a price v[j]. Whatever the prices are, no assignment costs less than

    sum over points of min over cells (cost[i, j] - v[j])  +  sum over cells of v[j],

if no price is above 0 wherever cells may stay empty (linear programming duality; for assignment
problems: Bertsekas, Network Optimization, 1998, chapter 7). So any prices prove something, and good
prices prove that an assignment is near the optimum. They are found by going uphill on this sum with
the minimum smoothed, taken over a few cells around each point's own; then it is evaluated exactly,
over all cells. Squared distances only.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from scipy.optimize import minimize

from tbgrid.assignment import cell_places, potential
from tbgrid.types import Float64Array, IntArray, Progress, silent

REACH = 3  # cells around a point's own that have a say in the prices
TEMPERATURES = (0.3, 0.1, 0.03, 0.01)  # of the smoothed minimum, squared cells
STEPS = 30  # at each temperature
ROUNDS = 4  # of falling prices between two looks at the sum
_LEAF = 8  # cells a side of the blocks within which all pairs are looked at
_CHUNK = 20_000  # points at a time


def lower_bound(
    points: Float64Array,
    cells: IntArray,
    rows: int,
    columns: int,
    progress: Progress = silent,
) -> float:
    """A sum of squared distances below which no assignment of `points` to cells can be.

    `points` float64[n, 2] in units of cells, (row, column); `cells` int64[n]: a good assignment,
    to which the prices are fitted: the better it is, the tighter the bound.
    """
    progress("bound", 0, None)
    prices = _prices(points, cells, rows, columns)
    surplus = rows * columns - len(points)
    if surplus:
        prices = np.minimum(prices, 0.0)
    least = least_costs(points, prices, rows, columns, cells)
    progress("bound", 1, 1)
    return max(0.0, float(least.sum() + prices.sum()))


def _prices(points: Float64Array, cells: IntArray, rows: int, columns: int) -> Float64Array:
    """float64[rows * columns]: prices under which each point likes its own cell about best."""
    near = _Near(points, cells, rows, columns)
    surplus = rows * columns > len(points)
    if surplus:
        found = near.descended()
    else:
        held = cell_places(rows, columns)
        held[cells] = points
        found = potential(held, rows, columns)
        found -= found.mean()
    bounds = [(None, 0.0)] * len(found) if surplus else None
    for temperature in TEMPERATURES:
        result = minimize(
            near.smoothed,
            found,
            args=(temperature,),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": STEPS, "maxcor": 8},
        )
        found = result.x
    return near.best


class _Near:
    """The dual sum where each point looks no farther than `REACH` from its own cell.

    Keeps the prices for which it was the highest, without smoothing.
    """

    def __init__(self, points: Float64Array, cells: IntArray, rows: int, columns: int) -> None:
        self.rows, self.columns, self.cells = rows, columns, cells
        steps = np.arange(-REACH, REACH + 1)
        down, right = (part.ravel() for part in np.meshgrid(steps, steps, indexing="ij"))
        inside = down**2 + right**2 <= REACH**2
        down, right = down[inside], right[inside]
        row = cells // columns + down[:, None]
        column = cells % columns + right[:, None]
        there = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        costs = (points[:, 0] - row) ** 2 + (points[:, 1] - column) ** 2
        self.costs = np.where(there, costs, np.inf)
        self.targets = np.where(there, row * columns + column, 0)
        self.highest = -np.inf
        self.best = np.zeros(rows * columns)

    def descended(self) -> Float64Array:
        """Prices that begin at 0, the price of an empty cell, and fall as far as they must so that
        points stay where they are: shortest paths by Bellman and Ford, over the reach."""
        empty = np.ones(self.rows * self.columns, bool)
        empty[self.cells] = False
        own = self.costs[len(self.costs) // 2]
        moves = [
            (self.cells[there], target[there], (cost - own)[there])
            for cost, target in zip(self.costs, self.targets, strict=True)
            for there in [np.flatnonzero(np.isfinite(cost) & ~empty[target])]
        ]
        prices = np.zeros(len(empty))
        before = -np.inf
        # Where the assignment is not the best, prices fall without end: so it ends at the top.
        while (now := self.dual(prices)) > before:
            before = now
            for _ in range(ROUNDS):
                for here, target, rise in moves:
                    prices[target] = np.minimum(prices[target], prices[here] + rise)
        return self.best

    def dual(self, prices: Float64Array) -> float:
        """The sum for these prices."""
        least = (self.costs - prices[self.targets]).min(axis=0)
        value = float(least.sum() + prices.sum())
        if value > self.highest:
            self.highest, self.best = value, prices.copy()
        return value

    def smoothed(self, prices: Float64Array, temperature: float) -> tuple[float, Float64Array]:
        """Minus the sum with soft minima, and its gradient."""
        reduced = self.costs - prices[self.targets]
        least = reduced.min(axis=0)
        hard = float(least.sum() + prices.sum())
        if hard > self.highest:
            self.highest, self.best = hard, prices.copy()
        np.subtract(least, reduced, out=reduced)
        reduced /= temperature
        weights = np.exp(reduced, out=reduced)
        total = weights.sum(axis=0)
        weights /= total
        taken = np.bincount(self.targets.ravel(), weights=weights.ravel(), minlength=len(prices))
        value = float((least - temperature * np.log(total)).sum() + prices.sum())
        return -value, np.asarray(taken - 1.0, np.float64)


def least_costs(
    points: Float64Array, prices: Float64Array, rows: int, columns: int, cells: IntArray
) -> Float64Array:
    """float64[n]: the minimum over all cells of squared distance less price, for each point.

    `cells` int64[n]: a good guess of where that minimum is, which saves time and changes nothing.
    The grid is halved again and again; a part is left alone where a bound shows that it holds
    nothing better than what is known: prices are nearly those of a squared distance, so that the
    cost less the price is nearly linear in the cell's place.
    """
    tree = list(_levels(prices, rows, columns))
    least = (points[:, 0] - cells // columns) ** 2 + (points[:, 1] - cells % columns) ** 2
    least -= prices[cells]
    for start in range(0, len(points), _CHUNK):
        part = slice(start, start + _CHUNK)
        least[part] = _least_of(points[part], least[part], tree)
    return least


class _Level:
    """Blocks of `side` x `side` cells: within each, `lift` (see `_levels`) is at least
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
        """At most the least cost less price of each point in the block beside it."""
        tilt = self.slope[blocks] - 2 * points
        reach = np.minimum(tilt * self.last[blocks], 0.0).sum(axis=1)
        base = (points * (points - 2 * self.corner[blocks])).sum(axis=1)
        return np.asarray(base + self.low[blocks] + reach)


def _levels(prices: Float64Array, rows: int, columns: int) -> Iterator[_Level]:
    """From few large blocks to many small ones. Since |p - q|² - v = |p|² - 2 p.q + (|q|² - v),
    all that a block needs to tell is of `lift` = |q|² - v."""
    lift = ((cell_places(rows, columns) ** 2).sum(axis=1) - prices).reshape(rows, columns)
    side = _LEAF
    while 4 * side < max(rows, columns):
        side *= 2
    while side >= _LEAF:
        yield _Level(lift, side)
        side //= 2


def _least_of(points: Float64Array, least: Float64Array, tree: list[_Level]) -> Float64Array:
    coarsest = tree[0]
    blocks = np.tile(np.arange(coarsest.height * coarsest.width), len(points))
    who = np.repeat(np.arange(len(points)), coarsest.height * coarsest.width)
    for depth, level in enumerate(tree):
        kept = level.bound(points[who], blocks) < least[who]
        who, blocks = who[kept], blocks[kept]
        if depth + 1 < len(tree):
            who, blocks = _children(level, tree[depth + 1], who, blocks)
    leaf = tree[-1]
    found = np.array(least)
    order = np.argsort(blocks, kind="stable")
    who, blocks = who[order], blocks[order]
    edges = np.flatnonzero(np.diff(blocks, prepend=-1, append=-1))
    within = cell_places(leaf.side, leaf.side)
    for first, end in itertools.pairwise(edges):
        rows = who[first:end]
        block = blocks[first]
        here = points[rows]
        cost = (here**2).sum(axis=1)[:, None] - 2 * here @ (within + leaf.corner[block]).T
        cost += leaf.values[block].ravel()
        np.minimum.at(found, rows, cost.min(axis=1))
    return np.asarray(found)


def _children(
    level: _Level, finer: _Level, who: IntArray, blocks: IntArray
) -> tuple[IntArray, IntArray]:
    """The pairs of points and blocks again, each block replaced by its four quarters."""
    row, column = blocks // level.width, blocks % level.width
    below = (2 * row)[:, None] + np.array([0, 0, 1, 1])
    beside = (2 * column)[:, None] + np.array([0, 1, 0, 1])
    inside = (below < finer.height) & (beside < finer.width)
    return (
        np.broadcast_to(who[:, None], inside.shape)[inside],
        (below * finer.width + beside)[inside],
    )
