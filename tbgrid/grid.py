"""Places in the plane become cells of a grid: a linear assignment of least total distance."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tbgrid import assignment, bounds
from tbgrid.errors import TbgridError, UsageError
from tbgrid.types import Float64Array, IntArray, Metric, Progress, silent

Solver = Literal["auto", "lapjv", "scipy", "windows"]
EXACT_CELLS = 4096  # the largest grid that `auto` solves exactly: some seconds of one core
ROUNDING = 1e-9  # a smaller gap is that of floating-point numbers
SQUARED_ONLY = 2500  # without the warm start dense solvers collapse on clustered layouts sooner


@dataclass(frozen=True)
class GridOptions:
    """`shape` (rows, columns), or None: near `aspect` (width / height), holding all points."""

    shape: tuple[int, int] | None = None
    aspect: float = 1.0
    metric: Metric = "sqeuclidean"
    solver: Solver = "auto"

    def __post_init__(self) -> None:
        if self.shape is not None and min(self.shape) < 1:
            raise UsageError(
                f"grid {self.shape[0]}x{self.shape[1]}", "give at least one row and one column"
            )
        if not (math.isfinite(self.aspect) and 1e-3 <= self.aspect <= 1e3):
            raise UsageError(f"aspect {self.aspect}", "give width / height, from 0.001 to 1000")
        if self.metric not in ("sqeuclidean", "euclidean"):
            raise UsageError(f"metric {self.metric}", "expected sqeuclidean or euclidean")
        if self.solver not in ("auto", "lapjv", "scipy", "windows"):
            raise UsageError(f"solver {self.solver}", "expected auto, lapjv, scipy or windows")
        if self.solver == "windows" and self.metric != "sqeuclidean":
            raise UsageError(
                "solver windows works on squared distances", "leave out --metric euclidean"
            )


@dataclass(frozen=True)
class Grid:
    """A snapped layout.

    `cells` int64[n]: the cell of each point, row * columns + column, row 0 on top; no cell twice.
    `places` float64[n, 2]: the points in units of cells, (row, column). `cost`: the sum of
    (squared) distances from places to cells. `gap`: proven: no assignment costs less than
    (1 - gap) * cost; 0.0 where it is the least there is.
    """

    rows: int
    columns: int
    cells: IntArray
    places: Float64Array
    cost: float
    solver: str
    gap: float
    notes: tuple[str, ...] = ()


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


def snap(
    positions: Float64Array,
    options: GridOptions = GridOptions(),
    *,
    progress: Progress = silent,
) -> Grid:
    """Give each of float64[n, 2] positions a cell of its own at the least total distance.

    Up to 4,096 cells `auto` finds the optimum. Past that, squared distances are solved from
    coarse to fine in overlapping windows, near the optimum: how near is then proven.

    Raises:
        UsageError: the grid is too small, or the solver cannot serve so many cells.
        TbgridError: positions that are not finite.
    """
    count = len(positions)
    if not count or not np.isfinite(positions).all():
        raise TbgridError("positions that are not finite", "expected float64[n, 2], n >= 1")
    rows, columns = shape_for(count, options)
    places = scale_to_grid(positions, rows, columns)
    solver, notes = _choose_solver(options, rows * columns)
    progress("grid", 0, None)
    if solver == "windows":
        cells = assignment.windows(places, rows, columns, progress)
    elif solver == "lapjv":
        cells = assignment.lapjv(places, rows, columns, options.metric)
    else:
        cells = assignment.scipy(places, rows, columns, options.metric)
    progress("grid", 1, 1)
    cost = assignment.total_cost(places, cells, columns, options.metric)
    gap = 0.0
    if solver == "windows" and cost > 0:
        least = bounds.lower_bound(places, cells, rows, columns, progress)
        gap = max(0.0, (cost - least) / cost)
        gap = 0.0 if gap < ROUNDING else gap
    return Grid(rows, columns, cells, places, cost, solver, gap, notes)


def _choose_solver(options: GridOptions, cells: int) -> tuple[str, tuple[str, ...]]:
    solver, notes = options.solver, []
    if solver == "lapjv" and importlib.util.find_spec("lapjv") is None:
        notes.append(
            "lapjv is not installed (pip install 'tbgrid[lapjv]'); "
            "SciPy's solver found an assignment of the same cost"
        )
        solver = "scipy"
    if solver == "auto":
        squared = options.metric == "sqeuclidean"
        if cells > EXACT_CELLS and squared:
            return "windows", tuple(notes)
        if cells > SQUARED_ONLY and not squared:
            notes.append(
                f"{cells} cells by plain distances may take minutes; "
                "squared distances (the default) are far faster"
            )
        solver = "scipy"
    return solver, tuple(notes)
