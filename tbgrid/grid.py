"""Places in the plane become cells of a grid: a linear assignment of least total distance."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tbgrid import assignment, bounds, multiscale
from tbgrid.errors import TbgridError, UsageError
from tbgrid.types import Float64Array, IntArray, Metric, Progress, silent

Solver = Literal["auto", "lapjv", "scipy", "windows"]
ROUNDING = 1e-9  # a smaller gap is that of floating-point numbers
SQUARED_ONLY = 2500  # cells past which plain distances take minutes on clustered layouts
DENSE_CELLS = 10_000  # of a matrix of all costs: 800 MB, and twice that while it is solved
MOST_EXACT_CELLS = 2**18  # with `exact`: some 80 seconds of one core, 450 MB on a t-SNE layout


@dataclass(frozen=True)
class GridOptions:
    """`shape` (rows, columns), or None: near `aspect` (width / height), holding all points.

    `exact`: the least total there is, whatever time it takes, or a `UsageError`.
    """

    shape: tuple[int, int] | None = None
    aspect: float = 1.0
    metric: Metric = "sqeuclidean"
    solver: Solver = "auto"
    exact: bool = False

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
        if self.solver == "windows" and self.exact:
            raise UsageError("solver windows is not exact", "leave out --solver or --exact")


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


def centres(cells: IntArray, columns: int) -> Float64Array:
    """float64[n, 2]: (x, y up) of the middle of each cell, in cells."""
    return np.column_stack([cells % columns, -(cells // columns)]).astype(np.float64)


def on_cells(cells: IntArray, rows: int, columns: int, solver: str) -> Grid:
    """The grid of points that are on their cells already, put there by `solver`: no way to go."""
    places = centres(cells, columns)[:, ::-1] * (-1, 1)
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


def snap(
    positions: Float64Array,
    options: GridOptions = GridOptions(),
    *,
    progress: Progress = silent,
) -> Grid:
    """Give each of float64[n, 2] positions a cell of its own at the least total distance.

    Squared distances: the optimum up to 131,072 cells, or 262,144 if `exact`. Past that they are
    solved from coarse to fine in overlapping windows, near the optimum: how near is then proven.
    Plain distances: the optimum up to 2,500 cells, or 10,000 if `exact`; past that windows put
    right what is best for squared distances, and nothing is proven.

    Raises:
        UsageError: the grid is too small, or the solver cannot serve so many cells.
        TbgridError: positions that are not finite.
    """
    if not len(positions) or not np.isfinite(positions).all():
        raise TbgridError("positions that are not finite", "expected float64[n, 2], n >= 1")
    rows, columns = shape_for(len(positions), options)
    places = scale_to_grid(positions, rows, columns)
    return assign(places, rows, columns, options, progress=progress)


def assign(
    places: Float64Array,
    rows: int,
    columns: int,
    options: GridOptions = GridOptions(),
    *,
    progress: Progress = silent,
) -> Grid:
    """The same for float64[n, 2] `places` that are in units of cells already, (row, column), on a
    grid that holds them; they may lie beyond its borders.

    Raises:
        UsageError: the solver cannot serve so many cells.
    """
    solver, notes = _choose_solver(options, rows * columns)
    progress("grid", 0, None)
    cells, least = _solve(solver, places, rows, columns, options.metric, progress)
    progress("grid", 1, 1)
    cost = assignment.total_cost(places, cells, columns, options.metric)
    gap = None if least is None else _gap(cost, least)
    return Grid(rows, columns, cells, places, cost, solver, gap, notes)


def _gap(cost: float, least: float) -> float:
    gap = (cost - least) / cost if cost > 0 else 0.0
    return gap if gap >= ROUNDING else 0.0


def _solve(
    solver: str,
    places: Float64Array,
    rows: int,
    columns: int,
    metric: Metric,
    progress: Progress,
) -> tuple[IntArray, float | None]:
    """Cells, and the total that none can be below, None where that is not known."""
    if solver == "primal-dual":
        return multiscale.optimum(places, rows, columns, progress)
    if solver == "windows" and metric == "sqeuclidean":
        cells = multiscale.windows(places, rows, columns, progress)
        progress("bound", 0, None)
        least = bounds.lower_bound(places, cells, rows, columns)
        progress("bound", 1, 1)
        return cells, least
    if solver == "windows":
        start, _ = _solve(_squared(rows * columns), places, rows, columns, "sqeuclidean", progress)
        return multiscale.sweep(places, start, rows, columns, metric, progress), None
    dense = assignment.lapjv if solver == "lapjv" else assignment.scipy
    cells = dense(places, rows, columns, metric)
    return cells, assignment.total_cost(places, cells, columns, metric)


def _choose_solver(options: GridOptions, cells: int) -> tuple[str, tuple[str, ...]]:
    """The solver, and what there is to say about it."""
    if options.solver == "windows":
        return "windows", ()
    if options.solver in ("lapjv", "scipy") and cells > DENSE_CELLS:
        raise UsageError(
            f"solver {options.solver} serves {DENSE_CELLS} cells, and the grid has {cells}",
            "leave out --solver",
        )
    if options.solver == "lapjv" and importlib.util.find_spec("lapjv") is None:
        return "scipy", (
            "lapjv is not installed (pip install 'tbgrid[lapjv]'); "
            "SciPy's solver found an assignment of the same cost",
        )
    if options.solver != "auto":
        return options.solver, ()
    if options.metric == "euclidean":
        return _plain(cells, options.exact)
    if not options.exact:
        return _squared(cells), ()
    if cells > MOST_EXACT_CELLS:
        raise UsageError(
            f"--exact serves {MOST_EXACT_CELLS} cells, and the grid has {cells}",
            "leave out --exact: how near the least the total is will be proven",
        )
    return "primal-dual", ()


def _squared(cells: int) -> str:
    """The solver of squared distances."""
    if cells <= multiscale.COARSEST:
        return "scipy"
    return "primal-dual" if cells <= multiscale.EXACT_CELLS else "windows"


def _plain(cells: int, exact: bool) -> tuple[str, tuple[str, ...]]:
    """The solver of plain distances, and what there is to say about it."""
    if exact and cells > DENSE_CELLS:
        raise UsageError(
            f"--exact serves {DENSE_CELLS} cells of plain distances, and the grid has {cells}",
            "leave out --metric euclidean or --exact",
        )
    if exact or cells <= SQUARED_ONLY:
        return "scipy", ()
    return "windows", (
        f"plain distances have no exact solution for {cells} cells in reasonable time: "
        "what is best for squared distances was put right in windows, and nothing is proven; "
        "leave out --metric euclidean for a proof"
        + (", or add --exact, which may take minutes" if cells <= DENSE_CELLS else ""),
    )
