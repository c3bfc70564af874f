"""Positions in the plane become cells of a grid: a linear assignment of minimum cost."""

from __future__ import annotations

import importlib.util

import numpy.typing as npt

from tbgrid.choices import AssignmentCost
from tbgrid.errors import UsageError, option
from tbgrid.grid import assignment, lower_bound, multiscale
from tbgrid.grid.cells import Grid, scale_to_grid, shape_for
from tbgrid.grid.layout import Layout, positions_of
from tbgrid.options import GridOptions
from tbgrid.progress import Progress, silent
from tbgrid.types import Float64Array, IntArray

ROUNDING = 1e-9  # a smaller gap is due to floating-point numbers
MAX_EUCLIDEAN_CELLS = 2500  # beyond, Euclidean distances take minutes on clustered layouts
MAX_DENSE_CELLS = 10_000  # in one matrix of costs: 800 MB, and twice that while it is solved
MAX_EXACT_CELLS = 2**18  # with `exact`: some 80 seconds of one core, 450 MB on a t-SNE layout


def snap(
    layout: Layout | npt.ArrayLike,
    options: GridOptions | None = None,
    *,
    progress: Progress = silent,
) -> Grid:
    """Assign each point of a layout to a cell of its own, at minimum total distance.

    Squared distances: the optimum up to 131,072 cells, or 262,144 if `exact`. Beyond, they are
    solved from coarse to fine in overlapping windows, near the optimum and with a proven gap.
    Euclidean distances: the optimum up to 2,500 cells, or 10,000 if `exact`. Beyond, the optimum of
    squared distances is improved in windows, and nothing is proven.

    Args:
        layout: a layout, or its positions, float64[n, 2], x to the right and y up.
        options: shape of the grid, cost and solver.
        progress: called as the work proceeds.

    Raises:
        UsageError: the grid is too small, or the solver does not support as many cells.
        TbgridError: positions that are not finite, or none.
    """
    options = options or GridOptions()
    positions = positions_of(layout)
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
    """Do the same for positions that are in units of cells already.

    Args:
        places: float64[n, 2], (row, column), n <= rows * columns; they may lie outside the grid.
        rows: of the grid.
        columns: of the grid.
        options: cost and solver.
        progress: called as the work proceeds.

    Raises:
        UsageError: the solver does not support as many cells.
    """
    options = options or GridOptions()
    solver, notes = _choose_solver(options, rows * columns)
    progress("grid", 0, None)
    cells, bound = _solve(solver, places, rows, columns, options.assignment_cost, progress)
    progress("grid", 1, 1)
    cost = assignment.total_cost(places, cells, columns, options.assignment_cost)
    return Grid(
        rows=rows,
        columns=columns,
        cells=cells,
        places=places,
        cost=cost,
        solver=solver,
        gap=None if bound is None else _gap(cost, bound),
        notes=notes,
    )


def _gap(cost: float, bound: float) -> float:
    gap = (cost - bound) / cost if cost > 0 else 0.0
    return gap if gap >= ROUNDING else 0.0


def _solve(
    solver: str,
    places: Float64Array,
    rows: int,
    columns: int,
    assignment_cost: AssignmentCost,
    progress: Progress,
) -> tuple[IntArray, float | None]:
    """Cells, and a lower bound of the cost of any assignment, None if there is none."""
    if solver == "primal-dual":
        return multiscale.optimum(places, rows, columns, progress)
    if solver == "windows" and assignment_cost == "squared":
        cells = multiscale.windows(places, rows, columns, progress)
        progress("bound", 0, None)
        bound = lower_bound.lower_bound(places, cells, rows, columns)
        progress("bound", 1, 1)
        return cells, bound
    if solver == "windows":
        solver = _squared_solver(rows * columns)
        start, _ = _solve(solver, places, rows, columns, "squared", progress)
        return multiscale.sweep(places, start, rows, columns, assignment_cost, progress), None
    dense = assignment.solve_lapjv if solver == "lapjv" else assignment.solve_scipy
    cells = dense(places, rows, columns, assignment_cost)
    return cells, assignment.total_cost(places, cells, columns, assignment_cost)


def _choose_solver(options: GridOptions, cells: int) -> tuple[str, tuple[str, ...]]:
    """The solver, and notes about the choice."""
    if options.solver == "windows":
        return "windows", ()
    if options.solver in ("lapjv", "scipy") and cells > MAX_DENSE_CELLS:
        raise UsageError(
            f"solver {options.solver} supports up to {MAX_DENSE_CELLS} cells; the grid has {cells}",
            f"leave out {option('grid.solver')}",
        )
    if options.solver == "lapjv" and importlib.util.find_spec("lapjv") is None:
        return "scipy", (
            "lapjv is not installed (pip install 'tbgrid[lapjv]'); "
            "SciPy's solver found an assignment of the same cost",
        )
    if options.solver != "auto":
        return options.solver, ()
    if options.assignment_cost == "euclidean":
        return _euclidean_solver(cells, options.exact)
    if not options.exact:
        return _squared_solver(cells), ()
    if cells > MAX_EXACT_CELLS:
        exact = option("grid.exact")
        raise UsageError(
            f"{exact} supports up to {MAX_EXACT_CELLS} cells; the grid has {cells}",
            f"leave out {exact}: the result will come with a proven optimality gap",
        )
    return "primal-dual", ()


def _squared_solver(cells: int) -> str:
    """The solver of squared distances."""
    if cells <= multiscale.COARSEST:
        return "scipy"
    return "primal-dual" if cells <= multiscale.EXACT_CELLS else "windows"


def _euclidean_solver(cells: int, exact: bool) -> tuple[str, tuple[str, ...]]:
    """The solver of Euclidean distances, and notes about the choice."""
    if exact and cells > MAX_DENSE_CELLS:
        raise UsageError(
            f"{option('grid.exact')} supports up to {MAX_DENSE_CELLS} cells with Euclidean "
            f"distances; the grid has {cells}",
            f"leave out {option('grid.assignment_cost')} or {option('grid.exact')}",
        )
    if exact or cells <= MAX_EUCLIDEAN_CELLS:
        return "scipy", ()
    in_minutes = ", or ask for the exact optimum, which may take minutes"
    return "windows", (
        f"the optimum of Euclidean distances takes too long for {cells} cells: that of squared "
        "distances was improved in windows, and nothing is proven; use squared distances for a "
        f"proof{in_minutes if cells <= MAX_DENSE_CELLS else ''}",
    )
