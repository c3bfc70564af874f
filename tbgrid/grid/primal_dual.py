"""The optimal assignment of many points to the cells of a grid, with its proof, from a good one.

The primal-dual method for assignments (Kuhn, 1955; with a search from all free points at once:
Hopcroft and Karp, 1973), on few arcs: from each point to its own cell and to those around it. Then
every pair of point and cell is checked (`lower_bound`), missing arcs are added, and the method
continues until none is missing. Squared distances only.

Every point and every cell has a price, so that cost - price of point - price of cell, the reduced
cost of an arc, is never below 0, and is 0 where the point holds the cell. Once all points hold
cells, the prices prove that no assignment costs less. Points and cells are those of
`grid.assignment`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra, maximum_flow

from tbgrid.grid.assignment import total_cost
from tbgrid.grid.lower_bound import fit_prices, min_reduced_costs
from tbgrid.progress import Progress, silent
from tbgrid.types import BoolArray, Float64Array, Int32Array, IntArray

ROUNDS = 20  # of adding missing arcs
_REACH = 5  # squared distance, in cells, up to which arcs lead from a point's own cell
_WIDEN = 4.0  # factor by which the next search looks farther if this one found less than half
_FREE = -1  # the holder of a free cell


def optimum(
    points: Float64Array,
    start: IntArray,
    rows: int,
    columns: int,
    progress: Progress = silent,
) -> tuple[IntArray, float]:
    """Find the optimal assignment of squared distances, with a proven lower bound of its cost.

    Args:
        points: float64[n, 2].
        start: int64[n], distinct cells; the better they are, the sooner the method ends.
        rows: of the grid.
        columns: of the grid.
        progress: called once per round.

    Returns:
        int64[n] cells, and the bound: the cost itself, up to rounding, unless arcs were still
        missing after ROUNDS.
    """
    rounding = 1e-14 * (rows**2 + columns**2)  # squared cells, of one reduced cost
    prices = fit_prices(points, start, rows, columns)
    cells = start
    arcs = _Arcs.around(np.arange(len(points)), start, rows, columns)
    bound = 0.0
    for number in range(ROUNDS):
        progress("optimum", number, None)
        search = _Search(points, arcs, cells, prices, rows * columns, columns, rounding)
        cells, prices = search.finish()
        least, where = min_reduced_costs(points, prices, rows, columns, cells)
        bound = float(least.sum() + prices.sum())
        cost = total_cost(points, cells, columns, "squared")
        own = (points[:, 0] - cells // columns) ** 2 + (points[:, 1] - cells % columns) ** 2
        missed = np.flatnonzero(least < own - prices[cells] - rounding)
        if not len(missed) or cost - bound <= len(points) * rounding:
            bound = cost
            break
        arcs = arcs.joined(_Arcs.around(missed, where[missed], rows, columns))
    progress("optimum", 1, 1)
    return cells, max(0.0, bound)


@dataclass(frozen=True)
class _Arcs:
    """Which point may go to which cell: `point` and `cell` int32[a], sorted, each pair once."""

    point: Int32Array
    cell: Int32Array

    @classmethod
    def around(cls, who: IntArray, center: IntArray, rows: int, columns: int) -> _Arcs:
        """Arcs from each point of `who` to its cell of `center` and to those around it."""
        reach = int(_REACH**0.5)
        steps = np.arange(-reach, reach + 1, dtype=np.int32)
        down, right = (part.ravel() for part in np.meshgrid(steps, steps, indexing="ij"))
        near = down**2 + right**2 <= _REACH
        row = (center // columns).astype(np.int32)[:, None] + down[near]
        column = (center % columns).astype(np.int32)[:, None] + right[near]
        there = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        point = np.broadcast_to(who.astype(np.int32)[:, None], there.shape)[there]
        return cls(point, (row * np.int32(columns) + column)[there])

    def joined(self, other: _Arcs) -> _Arcs:
        """These arcs and the others."""
        point = np.concatenate([self.point, other.point])
        cell = np.concatenate([self.cell, other.cell])
        order = np.lexsort((cell, point))
        point, cell = point[order], cell[order]
        new = np.append(True, (np.diff(point) != 0) | (np.diff(cell) != 0))
        return _Arcs(point[new], cell[new])


class _Search:
    """The primal-dual method on given arcs.

    If cells stay empty, one additional point, the last, holds them all; it may hold any cell at no
    cost, and wants as many cells as stay empty. Every other point wants one.
    """

    def __init__(
        self,
        points: Float64Array,
        arcs: _Arcs,
        cells: IntArray,
        prices: Float64Array,
        count: int,
        columns: int,
        rounding: float,
    ) -> None:
        self.points, self.count, self.rounding = len(points), count, rounding
        self.empty = count - len(points)
        self.wanted = np.ones(len(points), np.int64)
        self.point, self.cell = arcs.point, arcs.cell
        self.reduced = points[arcs.point, 0] - arcs.cell // columns
        self.reduced *= self.reduced
        across = points[arcs.point, 1] - arcs.cell % columns
        across *= across
        self.reduced += across
        if self.empty:
            everywhere = np.arange(count, dtype=np.int32)
            last = np.full(count, len(points), np.int32)
            self.wanted = np.append(self.wanted, self.empty)
            self.point = np.concatenate([self.point, last])
            self.cell = np.concatenate([self.cell, everywhere])
            self.reduced = np.concatenate([self.reduced, np.zeros(count)])
        self.arcs_each = np.bincount(self.point, minlength=len(self.wanted))
        self.first = np.append(0, np.cumsum(self.arcs_each)).astype(np.int32)
        self.prices = prices.copy()
        self.reduced -= prices[self.cell]
        least = np.minimum.reduceat(self.reduced, self.first[:-1])
        self.reduced -= np.repeat(least, self.arcs_each)
        # A point keeps its cell if no other is better for it.
        self.holder = np.full(count, len(points) if self.empty else _FREE, np.int32)
        self.holder[cells] = np.arange(len(points), dtype=np.int32)
        held = self.holder[self.cell] == self.point
        self.holder[self.cell[held & (self.reduced > rounding)]] = _FREE

    def finish(self) -> tuple[IntArray, Float64Array]:
        """Run to the end: int64[n] cells; float64[cells] prices, at most 0 if cells stay empty."""
        limits = {False: np.inf, True: np.inf}
        backwards = False
        while (self.holder == _FREE).any():
            limits[backwards] = self.advance(limits[backwards], backwards)
            backwards = not backwards
        held = np.flatnonzero(self.holder < self.points)
        cells = np.empty(self.points, np.int64)
        cells[self.holder[held]] = held
        return cells, self.prices - (self.prices.max() if self.empty else 0.0)

    def advance(self, limit: float, backwards: bool) -> float:
        """Let some points that lack cells find free ones, and return the limit for the next search.

        The search starts from all lacking points at once, or `backwards` from all free cells. They
        alternate: where many nodes have only one way to go, a search from them separates them. It
        goes up to `limit` of reduced cost, or farther until it finds something.
        """
        free = np.flatnonzero(self.holder == _FREE)
        node = self.holder.copy()  # of each cell: that of its holder; free cells have their own
        node[free] = len(self.wanted) + np.arange(len(free))
        lack = self.wanted - np.bincount(
            self.holder[self.holder != _FREE], minlength=len(self.wanted)
        )
        target = node[self.cell]
        self.reduced[target == self.point] = 0.0
        starts, ends = np.flatnonzero(lack), len(self.wanted) + np.arange(len(free))
        if backwards:
            starts, ends = ends, starts
        distance = self.distances(target, len(free), starts, ends, limit, backwards)
        found = distance[ends]
        found = found[np.isfinite(found)]
        farthest = float(found.max())
        near = distance <= farthest
        rise = farthest - np.minimum(distance, farthest)
        self.reprice(-rise if backwards else rise, node)
        tight = np.flatnonzero(self.reduced <= self.rounding)
        heads = target[tight]
        tight = tight[near[self.point[tight]] & near[heads] & (heads != self.point[tight])]
        self.augment(tight, lack, np.flatnonzero(near[node] & (self.holder != _FREE)), free)
        reach = 2 * farthest if 2 * len(found) >= len(ends) else _WIDEN * limit
        return max(reach, self.rounding)

    def distances(
        self,
        target: Int32Array,
        free: int,
        starts: IntArray,
        ends: IntArray,
        limit: float,
        backwards: bool,
    ) -> Float64Array:
        """Distances of all nodes from the nearest of `starts`, along arcs or against them; infinite
        beyond the limit, which is raised until one of `ends` is found."""
        nodes = len(self.wanted) + free
        first = np.append(self.first, np.full(free, len(target), np.int32))
        graph = csr_array((self.reduced, target, first), shape=(nodes, nodes))
        if backwards:
            graph = graph.T.tocsr()
        while True:
            distance = dijkstra(graph, indices=starts, min_only=True, limit=limit)
            if np.isfinite(distance[ends]).any():
                return np.asarray(distance)
            limit *= _WIDEN

    def reprice(self, rise: Float64Array, node: Int32Array) -> None:
        """Raise the price of each node's point by `rise` and lower those of its cells as much:
        shortest paths become tight, and no reduced cost falls below 0."""
        self.reduced -= np.repeat(rise[: len(self.wanted)], self.arcs_each)
        fall = rise[node]
        self.reduced += fall[self.cell]
        self.prices -= fall
        np.maximum(self.reduced, 0.0, out=self.reduced)

    def augment(self, tight: IntArray, lack: IntArray, held: IntArray, free: IntArray) -> None:
        """Move cells along a maximal number of disjoint tight paths from lacking points to free
        cells: a maximum flow, from a source through points and cells to a sink."""
        lacking = np.flatnonzero(lack)
        size = len(self.wanted)
        source, sink = size + self.count, size + self.count + 1
        tails = np.concatenate(
            [np.full(len(lacking), source), self.point[tight], size + held, size + free]
        )
        heads = np.concatenate(
            [lacking, size + self.cell[tight], self.holder[held], np.full(len(free), sink)]
        )
        capacities = np.ones(len(tails), np.int32)
        capacities[: len(lacking)] = lack[lacking]
        used: BoolArray = np.zeros(sink + 1, bool)
        used[tails] = True
        used[heads] = True
        names = np.flatnonzero(used)
        number = np.cumsum(used, dtype=np.int32) - np.int32(1)
        network = csr_array(
            (capacities, (number[tails], number[heads])), shape=(len(names), len(names))
        )
        flow = maximum_flow(network, len(names) - 2, len(names) - 1).flow.tocoo()
        taker, taken = names[flow.row], names[flow.col] - size
        moved = (flow.data > 0) & (taker < size) & (taken >= 0) & (taken < self.count)
        self.holder[taken[moved]] = taker[moved]
