"""Solvers of the assignment of points to the cells of a grid.

Points are float64[n, 2] in units of cells, (row, column); cells are numbered row * columns +
column. Every solver takes n <= rows * columns and returns int64[n], the cell of each point.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.fft import dctn, idctn
from scipy.optimize import linear_sum_assignment

from tbgrid.choices import AssignmentCost
from tbgrid.types import Float64Array, IntArray

_SPARSE = 0.75  # share of filled cells up to which the warm start costs more than it saves


def cell_places(rows: int, columns: int) -> Float64Array:
    """float64[rows * columns, 2]: (row, column) of each cell."""
    return np.asarray(np.indices((rows, columns), np.float64).reshape(2, -1).T)


def pair_costs(
    points: Float64Array, cells: Float64Array, assignment_cost: AssignmentCost
) -> Float64Array:
    """float64[n, m]: the (squared) distance of each point to each cell."""
    squared = (
        (points**2).sum(1)[:, None] + (cells**2).sum(1)[None, :] - 2 * (points @ cells.T)
    ).clip(min=0)
    return np.asarray(squared if assignment_cost == "squared" else np.sqrt(squared))


def total_cost(
    points: Float64Array, cells: IntArray, columns: int, assignment_cost: AssignmentCost
) -> float:
    """The sum over all points of the (squared) distance to the cell it was given."""
    offsets = points - np.column_stack([cells // columns, cells % columns])
    squared = (offsets**2).sum(1)
    return float((squared if assignment_cost == "squared" else np.sqrt(squared)).sum())


def scipy(
    points: Float64Array,
    rows: int,
    columns: int,
    assignment_cost: AssignmentCost,
    rough: IntArray | None = None,
) -> IntArray:
    """The optimum by SciPy's Jonker-Volgenant solver (Crouse, 2016).

    `rough` int64[n], distinct cells: an assignment to start from, which saves time.
    """
    if assignment_cost == "squared" and len(points) > _SPARSE * rows * columns:
        if rough is None:
            rough = rank_split(points, rows, columns)
        return _warm(points, rough, rows, columns)
    _, chosen = linear_sum_assignment(
        pair_costs(points, cell_places(rows, columns), assignment_cost)
    )
    return np.asarray(chosen, np.int64)


def _warm(points: Float64Array, rough: IntArray, rows: int, columns: int) -> IntArray:
    """The optimum of squared distances, warm-started by a rough assignment.

    The `potential` of the rough assignment is subtracted from the costs of each cell. Where every
    cell is filled this changes every assignment's cost alike, so the optimum stays the optimum,
    and the solver finds it many times sooner. Empty cells are filled by stand-ins that cost
    nothing anywhere.
    """
    cells = cell_places(rows, columns)
    costs = np.zeros((len(cells), len(cells)))
    costs[: len(points)] = pair_costs(points, cells, "squared")
    occupied = cells.copy()
    occupied[rough] = points
    costs -= potential(occupied, rows, columns)
    costs -= costs.min(axis=1, keepdims=True)
    _, chosen = linear_sum_assignment(costs)
    return np.asarray(chosen[: len(points)], np.int64)


def lapjv(
    points: Float64Array, rows: int, columns: int, assignment_cost: AssignmentCost
) -> IntArray:
    """The optimum by lapjv, the solver of the first grid layouts (Jonker and Volgenant, 1987).

    It wants a square matrix: empty cells are filled by stand-ins that cost nothing anywhere.
    """
    import lapjv as library

    cells = cell_places(rows, columns)
    costs = np.zeros((len(cells), len(cells)))
    costs[: len(points)] = pair_costs(points, cells, assignment_cost)
    chosen, _, _ = library.lapjv(costs.astype(np.float32))
    return np.asarray(chosen[: len(points)], np.int64)


def rank_split(points: Float64Array, rows: int, columns: int) -> IntArray:
    """A rough assignment: halve the grid and the points, in order along the halved side, till
    each part is one cell. Empty cells are shared out in proportion."""
    chosen = np.empty(len(points), np.int64)
    for row, column, members in blocks(points, rows, columns, 1):
        chosen[members] = row * columns + column
    return chosen


def blocks(
    points: Float64Array, rows: int, columns: int, side: int
) -> Iterator[tuple[int, int, IntArray]]:
    """(top, left, indices of points) of each block of `side` x `side` cells that is not empty,
    from halving the grid and the points again and again. Blocks are filled whole or left empty
    as far as possible."""
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


def potential(occupied: Float64Array, rows: int, columns: int) -> Float64Array:
    """float64[cells]: a dual price of each cell, from `occupied`, the point that each cell holds.

    For squared distances the optimal prices are |cell|² - 2 phi with grad phi = the map from
    cells to points (Brenier). phi is the least-squares fit to the given map: a Poisson equation
    with Neumann borders, solved by cosine transforms.
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
