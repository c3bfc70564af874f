"""The grid: its shape, its cells, and positions in units of cells."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tbgrid.errors import UsageError, option
from tbgrid.options import GridOptions
from tbgrid.types import Float64Array, IntArray, Json

MAX_CELLS_PER_PHOTO = 100


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Points on the cells of a grid.

    Attributes:
        rows: number of rows.
        columns: number of columns.
        cells: int64[n], the cell of each point, row * columns + column, with row 0 on top; all
            different.
        places: float64[n, 2], the layout in units of cells, (row, column).
        cost: sum of the (squared) distances from places to cells, as the snap left them.
        solver: what assigned the cells.
        gap: proven bound: no assignment costs less than (1 - gap) * cost. 0.0 if it is optimal,
            None if nothing is proven.
        notes: what the user should know about how the options were applied.
        refinement: what `refine` has changed; None if the cells are those of the snap.
    """

    rows: int
    columns: int
    cells: IntArray
    places: Float64Array
    cost: float
    solver: str
    gap: float | None
    notes: tuple[str, ...] = ()
    refinement: Refinement | None = None

    @property
    def snapped(self) -> Grid:
        """The grid as the snap left it; itself if it was not refined."""
        return self.refinement.snapped if self.refinement else self


@dataclass(frozen=True, kw_only=True)
class Refinement:
    """What `refine` has changed.

    Attributes:
        snapped: the grid as the snap left it.
        sum_before: the sum that is minimized (`grid.grid_state`), in mean distances per photo.
        sum_after: the same for the refined cells.
        rounds: after this number of rounds, at most 400, no exchange of two cells within reach
            lowers the sum, unless `stopped`.
        stopped: whether the limit of time ended the refinement.
    """

    snapped: Grid
    sum_before: float
    sum_after: float
    rounds: int
    stopped: bool = False

    def to_dict(self) -> Json:
        """Describe the refinement for the report."""
        return {
            "sum_before": self.sum_before,
            "sum_after": self.sum_after,
            "rounds": self.rounds,
            **({"stopped": "its time was up"} if self.stopped else {}),
        }


def cell_centers(cells: IntArray, columns: int) -> Float64Array:
    """Compute the centers of cells in units of cells: float64[n, 2], (x, y up)."""
    return np.column_stack([cells % columns, -(cells // columns)]).astype(np.float64)


def grid_from_cells(cells: IntArray, rows: int, columns: int, solver: str) -> Grid:
    """Make the grid of points whose positions are cells already, as `solver` has assigned them."""
    return Grid(
        rows=rows,
        columns=columns,
        cells=cells,
        places=cell_centers(cells, columns)[:, ::-1] * (-1, 1),
        cost=0.0,
        solver=solver,
        gap=0.0,
    )


def choose_shape(count: int, aspect: float = 1.0) -> tuple[int, int]:
    """Choose the rows and columns of a grid for `count` points near `aspect`, width / height."""
    rows = max(1, min(count, round(math.sqrt(count / aspect))))
    columns = -(-count // rows)
    return -(-count // columns), columns


def shape_for(count: int, options: GridOptions) -> tuple[int, int]:
    """Give the rows and columns for `count` points: those of the options, or near their aspect.

    Raises:
        UsageError: the grid of the options is too small, or far too large.
    """
    rows, columns = options.shape or choose_shape(count, options.aspect)
    found = f"grid {rows}x{columns} has {rows * columns} cells for {count} photos"
    if rows * columns < count:
        near = choose_shape(count, columns / rows)
        raise UsageError(found, f"use {option('grid.shape')} {near[0]}x{near[1]} or larger")
    if rows * columns > max(64, MAX_CELLS_PER_PHOTO * count):
        raise UsageError(
            found,
            f"use a smaller {option('grid.shape')}, "
            f"with at most {MAX_CELLS_PER_PHOTO} cells per photo",
        )
    return rows, columns


def scale_to_grid(positions: Float64Array, rows: int, columns: int) -> Float64Array:
    """Convert positions to units of cells, so that they fill the grid along each axis.

    Args:
        positions: float64[n, 2], (x, y up).
        rows: of the grid.
        columns: of the grid.

    Returns:
        float64[n, 2], (row, column). An axis without extent goes to the middle.
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
    """Write a proven gap in words."""
    if gap is None:
        return "optimality gap unknown"
    if gap == 0:
        return "optimal"
    return f"within {100 * gap:.2g} % of optimal (proven)"
