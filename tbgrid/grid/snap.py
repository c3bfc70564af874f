"""Places in the plane become cells of a grid: a linear assignment of least total distance."""

from __future__ import annotations

import importlib.util

import numpy as np

from tbgrid.choices import AssignmentCost
from tbgrid.errors import TbgridError, UsageError
from tbgrid.grid import assignment, lower_bound, multiscale
from tbgrid.grid.cells import Grid, scale_to_grid, shape_for
from tbgrid.options import GridOptions
from tbgrid.progress import Progress, silent
from tbgrid.types import Float64Array, IntArray

ROUNDING = 1e-9  # a smaller gap is that of floating-point numbers
SQUARED_ONLY = 2500  # cells past which plain distances take minutes on clustered layouts
DENSE_CELLS = 10_000  # of a matrix of all costs: 800 MB, and twice that while it is solved
MOST_EXACT_CELLS = 2**18  # with `exact`: some 80 seconds of one core, 450 MB on a t-SNE layout


def snap(
    positions: Float64Array,
    options: GridOptions | None = None,
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
    options = options or GridOptions()
    if not len(positions) or not np.isfinite(positions).all():
        raise TbgridError("positions that are not finite", "expected float64[n, 2], n >= 1")
    rows, columns = shape_for(len(positions), options)
    places = scale_to_grid(positions, rows, columns)
    return assign(places, rows, columns, options, progress=progress)


def assign(
    places: Float64Array,
    rows: int,
    columns: int,
    options: GridOptions | None = None,
    *,
    progress: Progress = silent,
) -> Grid:
    """The same for float64[n, 2] `places` that are in units of cells already, (row, column), on a
    grid that holds them; they may lie beyond its borders.

    Raises:
        UsageError: the solver cannot serve so many cells.
    """
    options = options or GridOptions()
    solver, notes = _choose_solver(options, rows * columns)
    progress("grid", 0, None)
    cells, least = _solve(solver, places, rows, columns, options.assignment_cost, progress)
    progress("grid", 1, 1)
    cost = assignment.total_cost(places, cells, columns, options.assignment_cost)
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
    assignment_cost: AssignmentCost,
    progress: Progress,
) -> tuple[IntArray, float | None]:
    """Cells, and the total that none can be below, None where that is not known."""
    if solver == "primal-dual":
        return multiscale.optimum(places, rows, columns, progress)
    if solver == "windows" and assignment_cost == "squared":
        cells = multiscale.windows(places, rows, columns, progress)
        progress("bound", 0, None)
        least = lower_bound.lower_bound(places, cells, rows, columns)
        progress("bound", 1, 1)
        return cells, least
    if solver == "windows":
        start, _ = _solve(_squared(rows * columns), places, rows, columns, "squared", progress)
        return multiscale.sweep(places, start, rows, columns, assignment_cost, progress), None
    dense = assignment.lapjv if solver == "lapjv" else assignment.scipy
    cells = dense(places, rows, columns, assignment_cost)
    return cells, assignment.total_cost(places, cells, columns, assignment_cost)


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
    if options.assignment_cost == "euclidean":
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
            "leave out --assignment-cost euclidean or --exact",
        )
    if exact or cells <= SQUARED_ONLY:
        return "scipy", ()
    return "windows", (
        f"plain distances have no exact solution for {cells} cells in reasonable time: "
        "what is best for squared distances was put right in windows, and nothing is proven; "
        "leave out --assignment-cost euclidean for a proof"
        + (", or add --exact, which may take minutes" if cells <= DENSE_CELLS else ""),
    )
