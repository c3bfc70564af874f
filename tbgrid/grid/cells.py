"""Cells of a grid: its shape, where its cells lie, and layouts in units of cells."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tbgrid.errors import UsageError
from tbgrid.options import GridOptions
from tbgrid.types import Float64Array, IntArray


@dataclass(frozen=True)
class Grid:
    """A snapped layout.

    `cells` int64[n]: the cell of each point, row * columns + column, row 0 on top; no cell twice.
    `places` float64[n, 2]: the points in units of cells, (row, column). `cost`: the sum of
    (squared) distances from places to cells. `gap`: proven: no assignment costs less than
    (1 - gap) * cost; 0.0 where it is the least there is, None where nothing is proven.
    """

    rows: int
    columns: int
    cells: IntArray
    places: Float64Array
    cost: float
    solver: str
    gap: float | None
    notes: tuple[str, ...] = ()


def cell_centers(cells: IntArray, columns: int) -> Float64Array:
    """float64[n, 2]: (x, y up) of the middle of each cell, in cells."""
    return np.column_stack([cells % columns, -(cells // columns)]).astype(np.float64)


def grid_from_cells(cells: IntArray, rows: int, columns: int, solver: str) -> Grid:
    """The grid of points that are on their cells already, put there by `solver`: no way to go."""
    places = cell_centers(cells, columns)[:, ::-1] * (-1, 1)
    return Grid(rows, columns, cells, places, 0.0, solver, 0.0)


def choose_shape(count: int, aspect: float = 1.0) -> tuple[int, int]:
    """Rows and columns of the grid near `aspect` (width / height) that holds `count` cells."""
    rows = max(1, min(count, round(math.sqrt(count / aspect))))
    columns = -(-count // rows)
    return -(-count // columns), columns


def shape_for(count: int, options: GridOptions) -> tuple[int, int]:
    """Rows and columns for `count` points: the options' own, or near their aspect.

    Raises:
        UsageError: the grid that was asked for is too small, or far too large.
    """
    rows, columns = options.shape or choose_shape(count, options.aspect)
    if rows * columns < count:
        near = choose_shape(count, columns / rows)
        raise UsageError(
            f"grid {rows}x{columns} has {rows * columns} cells for {count} photos",
            f"use --grid {near[0]}x{near[1]} or larger",
        )
    if rows * columns > max(64, 100 * count):
        raise UsageError(
            f"grid {rows}x{columns} has {rows * columns} cells for {count} photos",
            "use a smaller --grid, at most 100 cells a photo",
        )
    return rows, columns


def scale_to_grid(positions: Float64Array, rows: int, columns: int) -> Float64Array:
    """(x, y up) float64[n, 2] -> (row, column) float64[n, 2], each axis filling the grid.

    An axis without extent goes to the middle.
    """
    places = np.empty((len(positions), 2))
    for axis, (values, cells) in enumerate(
        ((-positions[:, 1], rows), (positions[:, 0], columns)),
    ):
        low, span = values.min(), np.ptp(values)
        share = (values - low) / span if span > 0 else np.full(len(values), 0.5)
        places[:, axis] = share * (cells - 1)
    return places


def format_gap(gap: float | None) -> str:
    """A proven gap in words."""
    if gap is None:
        return "how near the least is not proven"
    if gap == 0:
        return "the least there is"
    return f"proven to be at most {100 * gap:.2g} % above the least"
