"""Assignments from coarse to fine, for grids too large for one matrix of costs.

Groups of about four neighbours are assigned to a grid of half the rows and columns, by the same
means down to one that is solved at once. What the coarse solution could not see is then put right
in overlapping windows, and, for the optimum, by `tbgrid.grid.primal_dual`. Points and cells as in
`tbgrid.grid.assignment`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from tbgrid.choices import AssignmentCost
from tbgrid.grid import assignment, primal_dual
from tbgrid.grid.assignment import pair_costs, total_cost
from tbgrid.progress import Progress, silent
from tbgrid.types import Float64Array, IntArray

WINDOW = 14  # cells a side
COARSEST = 512  # cells that are solved at once
EXACT_CELLS = 2**17  # a grid up to which the optimum costs some 25 seconds of one core, 400 MB


def optimum(
    points: Float64Array, rows: int, columns: int, progress: Progress = silent
) -> tuple[IntArray, float]:
    """The assignment of least total squared distance, and a proven lower bound of that total.

    The bound equals the total but for rounding (see `primal_dual.optimum`).
    """
    if rows * columns <= COARSEST:
        cells = assignment.scipy(points, rows, columns, "squared")
        return cells, total_cost(points, cells, columns, "squared")
    start = windows(points, rows, columns, progress)
    return primal_dual.optimum(points, start, rows, columns, progress)


def windows(points: Float64Array, rows: int, columns: int, progress: Progress = silent) -> IntArray:
    """Near the optimum of squared distances."""
    if rows * columns <= COARSEST:
        return assignment.scipy(points, rows, columns, "squared")
    return sweep(points, from_coarse(points, rows, columns), rows, columns, progress=progress)


def from_coarse(points: Float64Array, rows: int, columns: int) -> IntArray:
    """An assignment that follows the one of groups of neighbours on a grid of half the size."""
    members = [who for _, _, who in assignment.blocks(points, rows, columns, 2)]
    low_rows, low_columns = -(-rows // 2), -(-columns // 2)
    middles = (np.array([points[who].mean(0) for who in members]) - 0.5) / 2
    if low_rows * low_columns <= EXACT_CELLS:
        group_cells, _ = optimum(middles, low_rows, low_columns)
    else:
        group_cells = windows(middles, low_rows, low_columns)
    chosen = np.full(len(points), -1, np.int64)
    for who, cell in zip(members, group_cells, strict=True):
        top, left = 2 * (cell // low_columns), 2 * (cell % low_columns)
        room = [
            (row, column)
            for row in range(top, min(top + 2, rows))
            for column in range(left, min(left + 2, columns))
        ]
        places = np.array(room)
        index, taken = linear_sum_assignment(pair_costs(points[who], places, "squared"))
        chosen[who[index]] = places[taken] @ (columns, 1)
    # A group of four that was given a smaller cell at the border leaves some points over.
    left_over = np.flatnonzero(chosen < 0)
    free = np.setdiff1d(np.arange(rows * columns), chosen)
    if len(left_over):
        chosen[left_over] = _nearest_free(points[left_over], free, columns)
    return chosen


def _nearest_free(points: Float64Array, free: IntArray, columns: int) -> IntArray:
    """A cell of `free` for each point, near it, none twice; first come, first served."""
    places = np.column_stack([free // columns, free % columns])
    tree = cKDTree(places)
    taken: set[int] = set()
    chosen = []
    for point in points:
        near = 8
        while True:
            found = np.atleast_1d(tree.query(point, k=min(near, len(free)))[1])
            unused = next((int(index) for index in found if int(index) not in taken), None)
            if unused is not None:
                break
            near *= 4
        taken.add(unused)
        chosen.append(int(free[unused]))
    return np.array(chosen, np.int64)


def sweep(
    points: Float64Array,
    start: IntArray,
    rows: int,
    columns: int,
    assignment_cost: AssignmentCost = "squared",
    progress: Progress = silent,
) -> IntArray:
    """Solve every window of WINDOW² cells exactly, half overlapping, one after the other.

    No window makes the total distance more, so neither does the sweep.
    """
    holder = np.full(rows * columns, -1, np.int64)  # the point that each cell holds
    holder[start] = np.arange(len(points))
    corners = list(_windows(rows, columns))
    for number, (top, bottom, left, right) in enumerate(corners):
        progress("grid", number, len(corners))
        cells = (np.arange(top, bottom)[:, None] * columns + np.arange(left, right)).ravel()
        filled = np.flatnonzero(holder[cells] >= 0)
        if not len(filled):
            continue
        who = holder[cells[filled]]
        local = assignment.scipy(
            points[who] - (top, left), bottom - top, right - left, assignment_cost, rough=filled
        )
        holder[cells] = -1
        holder[cells[local]] = who
    result = np.empty(len(points), np.int64)
    occupied = np.flatnonzero(holder >= 0)
    result[holder[occupied]] = occupied
    return result


def _windows(rows: int, columns: int) -> Iterator[tuple[int, int, int, int]]:
    """(top, bottom, left, right) of each window, in four layers shifted by half a window."""
    half = WINDOW // 2
    for down, aside in ((0, 0), (half, half), (0, half), (half, 0)):
        for top in range(-down, rows, WINDOW):
            for left in range(-aside, columns, WINDOW):
                yield (
                    max(top, 0),
                    min(top + WINDOW, rows),
                    max(left, 0),
                    min(left + WINDOW, columns),
                )
