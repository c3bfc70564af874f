"""Assignments from coarse to fine, for grids too large for one matrix of costs.

Groups of about four neighbors are assigned to a grid of half the rows and columns, recursively down
to a grid that is solved at once. The result is then improved in overlapping windows, and, for the
optimum, by `tbgrid.grid.primal_dual`. Points and cells are those of `tbgrid.grid.assignment`.
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

WINDOW = 14  # rows and columns of a window
COARSEST = 512  # cells that are solved at once
EXACT_CELLS = 2**17  # up to which the optimum takes some 25 seconds of one core and 400 MB


def optimum(
    points: Float64Array, rows: int, columns: int, progress: Progress = silent
) -> tuple[IntArray, float]:
    """Find the optimal assignment of squared distances, with a proven lower bound of its cost.

    Args:
        points: float64[n, 2].
        rows: of the grid.
        columns: of the grid.
        progress: called as the work proceeds.

    Returns:
        int64[n] cells, and the bound, which equals the cost up to rounding (see
        `primal_dual.optimum`).
    """
    if rows * columns <= COARSEST:
        cells = assignment.solve_scipy(points, rows, columns, "squared")
        return cells, total_cost(points, cells, columns, "squared")
    start = windows(points, rows, columns, progress)
    return primal_dual.optimum(points, start, rows, columns, progress)


def windows(points: Float64Array, rows: int, columns: int, progress: Progress = silent) -> IntArray:
    """Find an assignment near the optimum of squared distances, int64[n]."""
    if rows * columns <= COARSEST:
        return assignment.solve_scipy(points, rows, columns, "squared")
    return sweep(points, from_coarse(points, rows, columns), rows, columns, progress=progress)


def from_coarse(points: Float64Array, rows: int, columns: int) -> IntArray:
    """Derive an assignment from that of groups of neighbors on a grid of half the size."""
    members = [who for _, _, who in assignment.iter_blocks(points, rows, columns, 2)]
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
    # Some points are left over if a group of four was given a smaller cell at the border.
    left_over = np.flatnonzero(chosen < 0)
    free = np.setdiff1d(np.arange(rows * columns), chosen)
    if len(left_over):
        chosen[left_over] = _nearest_free(points[left_over], free, columns)
    return chosen


def _nearest_free(points: Float64Array, free: IntArray, columns: int) -> IntArray:
    """A nearby cell of `free` for each point, all different; first come, first served."""
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
    """Solve all windows of WINDOW² cells exactly, one after the other; they overlap by half.

    No window increases the total cost, so neither does the sweep.

    Args:
        points: float64[n, 2].
        start: int64[n], the assignment to improve.
        rows: of the grid.
        columns: of the grid.
        assignment_cost: the sum to minimize, of "squared" or "euclidean" distances.
        progress: called after each window.

    Returns:
        int64[n].
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
        local = assignment.solve_scipy(
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
