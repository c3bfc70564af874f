"""Solvers of the linear assignment of points to the cells of a grid, with all costs in one matrix.

Points are float64[n, 2] in units of cells, (row, column); cells are numbered row * columns +
column. Every solver takes n <= rows * columns points and returns int64[n], the cell of each point.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.fft import dctn, idctn
from scipy.optimize import linear_sum_assignment

from tbgrid.choices import AssignmentCost
from tbgrid.types import Float64Array, IntArray

_SPARSE = 0.75  # share of filled cells up to which a warm start costs more than it saves


def cell_places(rows: int, columns: int) -> Float64Array:
    """List the (row, column) of each cell: float64[rows * columns, 2]."""
    return np.asarray(np.indices((rows, columns), np.float64).reshape(2, -1).T)


def pair_costs(
    points: Float64Array, cells: Float64Array, assignment_cost: AssignmentCost
) -> Float64Array:
    """Compute the (squared) distance of each point to each cell.

    Args:
        points: float64[n, 2], (row, column).
        cells: float64[m, 2], (row, column).
        assignment_cost: "squared" or "euclidean".

    Returns:
        float64[n, m].
    """
    squared = (
        (points**2).sum(1)[:, None] + (cells**2).sum(1)[None, :] - 2 * (points @ cells.T)
    ).clip(min=0)
    return np.asarray(squared if assignment_cost == "squared" else np.sqrt(squared))


def total_cost(
    points: Float64Array, cells: IntArray, columns: int, assignment_cost: AssignmentCost
) -> float:
    """Add up the (squared) distances from float64[n, 2] points to their int64[n] cells."""
    offsets = points - np.column_stack([cells // columns, cells % columns])
    squared = (offsets**2).sum(1)
    return float((squared if assignment_cost == "squared" else np.sqrt(squared)).sum())


def solve_scipy(
    points: Float64Array,
    rows: int,
    columns: int,
    assignment_cost: AssignmentCost,
    rough: IntArray | None = None,
) -> IntArray:
    """Find the optimum by SciPy's Jonker-Volgenant solver (Crouse, 2016).

    Args:
        points: float64[n, 2].
        rows: of the grid.
        columns: of the grid.
        assignment_cost: the sum to minimize, of "squared" or "euclidean" distances.
        rough: int64[n], distinct cells, an assignment to start from, which saves time.

    Returns:
        int64[n].
    """
    if assignment_cost == "squared" and len(points) > _SPARSE * rows * columns:
        if rough is None:
            rough = recursive_bisection(points, rows, columns)
        return _solve_warm_started(points, rough, rows, columns)
    _, chosen = linear_sum_assignment(
        pair_costs(points, cell_places(rows, columns), assignment_cost)
    )
    return np.asarray(chosen, np.int64)


def _solve_warm_started(points: Float64Array, rough: IntArray, rows: int, columns: int) -> IntArray:
    """The optimum of squared distances, warm-started by a rough assignment.

    The `dual_prices` of the rough assignment are subtracted from the costs of each cell. If every
    cell is filled, this changes the cost of every assignment by the same amount, so that the
    optimum remains the same, and the solver finds it many times faster. Empty cells are filled by
    dummy points with a cost of 0 in every cell.
    """
    cells = cell_places(rows, columns)
    costs = np.zeros((len(cells), len(cells)))
    costs[: len(points)] = pair_costs(points, cells, "squared")
    occupied = cells.copy()
    occupied[rough] = points
    costs -= dual_prices(occupied, rows, columns)
    costs -= costs.min(axis=1, keepdims=True)
    _, chosen = linear_sum_assignment(costs)
    return np.asarray(chosen[: len(points)], np.int64)


def solve_lapjv(
    points: Float64Array, rows: int, columns: int, assignment_cost: AssignmentCost
) -> IntArray:
    """Find the optimum by lapjv, the solver of the first grid layouts (Jonker and Volgenant, 1987).

    It needs a square matrix, so empty cells are filled by dummy points with a cost of 0 everywhere.
    Parameters and result are those of `solve_scipy`.
    """
    import lapjv as library

    cells = cell_places(rows, columns)
    costs = np.zeros((len(cells), len(cells)))
    costs[: len(points)] = pair_costs(points, cells, assignment_cost)
    chosen, _, _ = library.lapjv(costs.astype(np.float32))
    return np.asarray(chosen[: len(points)], np.int64)


def recursive_bisection(points: Float64Array, rows: int, columns: int) -> IntArray:
    """Find a rough assignment by bisection, int64[n].

    Grid and points are halved, in order along the longer side, until each part is one cell. Empty
    cells are divided in proportion.
    """
    chosen = np.empty(len(points), np.int64)
    for row, column, members in iter_blocks(points, rows, columns, 1):
        chosen[members] = row * columns + column
    return chosen


def iter_blocks(
    points: Float64Array, rows: int, columns: int, side: int
) -> Iterator[tuple[int, int, IntArray]]:
    """Yield blocks of cells with their points, by bisection of grid and points.

    Blocks are filled completely or left empty as far as possible.

    Args:
        points: float64[n, 2].
        rows: of the grid.
        columns: of the grid.
        side: rows and columns of a block.

    Yields:
        Top row, left column and the int64 rows of the points, of each block that is not empty.
    """
    whole = side * side
    parts = [(0, rows, 0, columns, np.arange(len(points)))]
    while parts:
        top, bottom, left, right, members = parts.pop()
        height, width = bottom - top, right - left
        if not len(members):
            continue
        if max(height, width) <= side:
            yield top, left, members
            continue
        axis = 0 if height >= width else 1
        long, short = (height, width) if axis == 0 else (width, height)
        half = side * max(1, long // (2 * side))
        here, there = half * short, (long - half) * short
        empty = whole * round((here + there - len(members)) * here / (here + there) / whole)
        share = min(here, len(members), max(len(members) - there, here - empty))
        ordered = members[np.argsort(points[members, axis], kind="stable")]
        if axis == 0:
            parts.append((top, top + half, left, right, ordered[:share]))
            parts.append((top + half, bottom, left, right, ordered[share:]))
        else:
            parts.append((top, bottom, left, left + half, ordered[:share]))
            parts.append((top, bottom, left + half, right, ordered[share:]))


def dual_prices(occupied: Float64Array, rows: int, columns: int) -> Float64Array:
    """Estimate the dual prices of cells from an assignment, for squared distances.

    The optimal prices are |cell|² - 2 phi with grad phi = the map from cells to points (Brenier).
    phi is the least-squares fit to the given map: a Poisson equation with Neumann boundary
    conditions, solved by cosine transforms.

    Args:
        occupied: float64[rows * columns, 2], the point in each cell.
        rows: of the grid.
        columns: of the grid.

    Returns:
        float64[rows * columns].
    """
    field = occupied.reshape(rows, columns, 2)
    down = (field[1:, :, 0] + field[:-1, :, 0]) / 2
    across = (field[:, 1:, 1] + field[:, :-1, 1]) / 2
    divergence = np.zeros((rows, columns))
    divergence[:-1] += down
    divergence[1:] -= down
    divergence[:, :-1] += across
    divergence[:, 1:] -= across
    eigenvalues = (2 * np.cos(np.pi * np.arange(rows) / rows) - 2)[:, None] + (
        2 * np.cos(np.pi * np.arange(columns) / columns) - 2
    )[None, :]
    eigenvalues[0, 0] = 1.0
    modes = dctn(divergence, type=2, norm="ortho") / eigenvalues
    modes[0, 0] = 0.0
    phi = idctn(modes, type=2, norm="ortho").ravel()
    cells = cell_places(rows, columns)
    return np.asarray((cells**2).sum(1) - 2 * phi)
