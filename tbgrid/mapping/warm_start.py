"""A map that starts from a previous one, so that known photos stay near their places.

t-SNE starts from the previous positions and runs for fewer iterations the fewer photos are new or
removed. Its positions are scaled to the grid by the previous map's frame, not by their extent,
which a single new photo could shift. The snap is the usual assignment of least total distance:
what changed little moves little, and new photos and gaps spread over the map where they cost least.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from tbgrid.choices import AssignmentCost, Metric
from tbgrid.grid.assignment import total_cost
from tbgrid.grid.cells import Grid, choose_shape, scale_to_grid, shape_for
from tbgrid.grid.layout import Layout
from tbgrid.grid.snap import assign
from tbgrid.layouts.tsne import INIT_NEIGHBORS, tsne_from
from tbgrid.layouts.tsne_engines import ITERATIONS
from tbgrid.options import GridOptions, TsneOptions
from tbgrid.progress import Progress, silent
from tbgrid.types import BoolArray, Float32Array, Float64Array, IntArray, Json

MIN_ITERATIONS = 25  # of t-SNE if any photo is new or removed
FULL_SHARE = 0.1  # of new and removed photos from which t-SNE runs as long as for a new map
MAX_EMPTY_SHARE = 0.1  # of the cells; a grid with more empty ones is not kept
_TSNE, _GRID = TsneOptions(), GridOptions()
_ROUNDING = 1e-9  # cells
_SAME = 1e-5  # relative difference of two equal totals, computed from float32 places


@dataclass(frozen=True, kw_only=True)
class WarmStart:
    """A previous map of m photos, and the rows in it of the n photos of a new map.

    Attributes:
        run: the name of the previous run.
        previous_rows: int64[n], each photo's row in the previous map, -1 if it is new; no row
            occurs twice, and at least one photo is known.
        rows: of the previous grid.
        columns: of the previous grid.
        cells: int64[m], see `Grid`.
        places: float64[m, 2], (row, column) in cells, see `Grid`.
        positions: float64[m, 2], see `Layout`.
        aspect: width / height that the previous grid was meant to have.
        assignment_cost: of the previous snap, as its solver, cost and gap.
        solver: see `Grid`.
        cost: see `Grid`.
        gap: see `Grid`.
        same_inputs: whether vectors and perplexity are those of the previous map; if not, only the
            positions are of use.
        notes: what the user should know.
    """

    run: str
    previous_rows: IntArray
    rows: int
    columns: int
    cells: IntArray
    places: Float64Array
    positions: Float64Array
    aspect: float = 1.0
    assignment_cost: AssignmentCost = "squared"
    solver: str = ""
    cost: float = math.nan
    gap: float | None = None
    same_inputs: bool = True
    notes: tuple[str, ...] = ()

    @property
    def known(self) -> BoolArray:
        """bool[n]: which photos were on the previous map."""
        return np.asarray(self.previous_rows >= 0)

    @property
    def iterations(self) -> int:
        """Iterations of t-SNE, in proportion to the share of new and removed photos.

        Chosen on 1,000 to 10,000 photos and digits as few iterations whose map comes within 0.01
        of a new map's DPQ_16, with 1 %, 30 % or half of the photos new, of one kind, or removed.
        """
        if not self.same_inputs:
            return ITERATIONS
        kept = int(self.known.sum())
        union = len(self.previous_rows) + len(self.cells) - kept
        share = 1 - kept / union
        if share == 0:
            return 0
        return max(MIN_ITERATIONS, round(ITERATIONS * min(1.0, share / FULL_SHARE)))


@dataclass(frozen=True, kw_only=True)
class Stability:
    """How far the photos of a map moved from their cells on the previous map.

    Moves are in cells of the previous grid, with the new grid stretched over it.

    Attributes:
        run: the name of the previous run.
        kept: number of photos on both maps.
        new: number of photos on this map only.
        removed: number of photos on the previous map only.
        move_median: of the photos on both maps.
        move_p95: likewise, the 95th percentile.
        unmoved_share: the share of them that kept their cell.
        aspect: see `WarmStart`.
        notes: what the user should know.
    """

    run: str
    kept: int
    new: int
    removed: int
    move_median: float
    move_p95: float
    unmoved_share: float
    aspect: float = 1.0
    notes: tuple[str, ...] = ()

    def to_dict(self) -> Json:
        """The section "like" of report.json."""
        return {
            "run": self.run,
            "kept": self.kept,
            "new": self.new,
            "removed": self.removed,
            "move_median": self.move_median,
            "move_p95": self.move_p95,
            "unmoved_share": self.unmoved_share,
        }

    def summary_rows(self) -> list[tuple[str, str]]:
        """(name, value) texts for the terminal, notebooks and the Grid tab."""
        return [
            (
                f"like {self.run}, photos",
                f"{self.kept:,} kept, {self.new:,} new, {self.removed:,} removed",
            ),
            (
                f"like {self.run}, moves",
                f"median {self.move_median:.2f} cells, 95 % at most {self.move_p95:.2f}; "
                f"{100 * self.unmoved_share:.0f} % did not move",
            ),
        ]


def lay_out_like(
    vectors: Float32Array,
    start: WarmStart,
    options: TsneOptions = _TSNE,
    *,
    metric: Metric = "cosine",
    progress: Progress = silent,
) -> Layout:
    """Lay out vectors by t-SNE, starting from the previous positions.

    The result is rotated and shifted onto the previous layout, as both are arbitrary in t-SNE.

    Args:
        vectors: float32[n, d].
        start: the previous map.
        options: of t-SNE.
        metric: of the vectors.
        progress: see `tbgrid.progress`.

    Raises:
        UsageError, TbgridError: see `tbgrid.layouts.tsne.tsne_from`.
    """
    known = start.known
    initial = np.full((len(vectors), 2), np.nan)
    initial[known] = start.positions[start.previous_rows[known]]
    layout = tsne_from(
        vectors, initial, start.iterations, options, metric=metric, progress=progress
    )
    if not start.iterations:
        return layout
    mine, other = layout.positions[known], initial[known]
    middle = mine.mean(axis=0)
    left, _, right = np.linalg.svd((mine - middle).T @ (other - other.mean(axis=0)))
    turned = (layout.positions - middle) @ (left @ right) + other.mean(axis=0)
    return dataclasses.replace(layout, positions=np.asarray(turned, np.float64))


def snap_like(
    layout: Layout,
    start: WarmStart,
    options: GridOptions = _GRID,
    *,
    progress: Progress = silent,
) -> Grid:
    """Assign each photo of a layout by `lay_out_like` to a cell near its previous one.

    If no photo is new or removed, each keeps its cell.

    Args:
        layout: n positions.
        start: the previous map.
        options: of the grid; without a shape, see `shape_like`.
        progress: see `tbgrid.progress`.

    Raises:
        UsageError: the given shape is too small or too large, or the solver cannot handle this
            number of cells.
    """
    count = len(layout.positions)
    rows, columns = shape_like(count, start, options)
    places = _scale_by_frame(layout, start, rows, columns)
    same = (rows, columns, options.assignment_cost) == (
        start.rows,
        start.columns,
        start.assignment_cost,
    )
    if same and not start.iterations:
        cells = start.cells[start.previous_rows]
        grid = Grid(
            rows=rows,
            columns=columns,
            cells=cells,
            places=places,
            cost=start.cost,
            solver=start.solver,
            gap=start.gap,
        )
    else:
        wanted = places + _exchange_offsets(places, start, rows, columns, options)
        grid = assign(wanted, rows, columns, options, progress=progress)
        grid = dataclasses.replace(grid, places=places)
    return grid


def measure_stability(grid: Grid, start: WarmStart) -> Stability:
    """Measure how far the photos of `grid` moved from their previous cells."""
    known = start.known
    over = (start.rows / grid.rows, start.columns / grid.columns)
    now = (_coordinates(grid.cells[known], grid.columns) + 0.5) * over - 0.5
    moves = now - _coordinates(start.cells[start.previous_rows[known]], start.columns)
    far = np.hypot(moves[:, 0], moves[:, 1])
    notes = start.notes
    if grid.rows * grid.columns < start.rows * start.columns:
        shapes = f"{grid.rows} x {grid.columns}, not {start.rows} x {start.columns}"
        notes = (*notes, f"the grid is {shapes} as in {start.run}, to have fewer empty cells")
    return Stability(
        run=start.run,
        kept=int(known.sum()),
        new=int((~known).sum()),
        removed=len(start.cells) - int(known.sum()),
        move_median=float(np.median(far)),
        move_p95=float(np.percentile(far, 95)),
        unmoved_share=float((np.abs(moves).max(axis=1) < 0.5 - _ROUNDING).mean()),
        aspect=start.aspect,
        notes=notes,
    )


def shape_like(count: int, start: WarmStart, options: GridOptions = _GRID) -> tuple[int, int]:
    """Rows and columns for `count` photos: those of `options`, or else the previous ones.

    If the previous grid is too small, as few rows or columns as needed are added, such that the
    aspect changes least and, if possible, at most `MAX_EMPTY_SHARE` of the cells stay empty. If
    more cells would be empty than that and than before, the grid is as large as a new one.

    Raises:
        UsageError: see `tbgrid.grid.cells.shape_for`.
    """
    if options.shape is not None:
        return shape_for(count, options)
    rows, columns, aspect = start.rows, start.columns, start.aspect
    before = rows * columns - len(start.cells)
    if count > rows * columns:
        grown = [(r, max(columns, -(-count // r))) for r in range(rows, -(-count // columns) + 1)]
        needed = [(r, c) for r, c in grown if r == rows or (r - 1) * c < count]
        return min(needed, key=lambda shape: _shape_key(shape, count, aspect))
    if rows * columns - count > max(MAX_EMPTY_SHARE * rows * columns, before):
        fresh = choose_shape(count, aspect)
        if fresh[0] * fresh[1] < rows * columns:
            return fresh
    return rows, columns


def _shape_key(shape: tuple[int, int], count: int, aspect: float) -> tuple[int, float, int]:
    """Sort key of grid shapes: smaller is better."""
    rows, columns = shape
    cells = rows * columns
    few = cells - count <= MAX_EMPTY_SHARE * cells
    # Rounded, so that a tie between one more row and one more column goes to the row.
    off = round(abs(math.log(columns / rows / aspect)), 9)
    return (0 if few else cells, off, -rows)


def _scale_by_frame(layout: Layout, start: WarmStart, rows: int, columns: int) -> Float64Array:
    """float64[n, 2]: the positions in cells of the new grid, (row, column).

    They are scaled by the previous map's frame and to its size, as t-SNE layouts grow with each
    iteration.
    """
    known = start.known
    mine, other = layout.positions[known], start.positions[start.previous_rows[known]]
    middle = other.mean(axis=0)
    square = float(((mine - middle) ** 2).sum())
    scale = float(((mine - middle) * (other - middle)).sum()) / square if square > 0 else 1.0
    scale = scale if scale > 0 else 1.0
    positions = middle + scale * (layout.positions - middle)
    fresh = scale_to_grid(positions, rows, columns)
    places = np.empty((len(positions), 2))
    for side, (axis, before, now) in enumerate(
        ((1, start.rows, rows), (0, start.columns, columns)),
    ):
        along = start.positions[:, axis]
        low, high = int(along.argmin()), int(along.argmax())
        span, cells = along[high] - along[low], start.places[[low, high], side]
        if span > 0 and cells[0] != cells[1]:
            share = (positions[:, axis] - along[low]) / span
            places[:, side] = (cells[0] + share * (cells[1] - cells[0]) + 0.5) * now / before - 0.5
        else:  # a single row or column gives no scale
            places[:, side] = fresh[:, side]
    return places


def _exchange_offsets(
    places: Float64Array, start: WarmStart, rows: int, columns: int, options: GridOptions
) -> Float64Array:
    """float64[n, 2]: offsets that make the snap of the places follow the previous cells.

    They are 0 if the previous cells are those of its snap. If refinement exchanged photos
    afterwards, a photo counts at the place of the one whose cell it took, so that the snap gives
    the previous cells again. A new photo gets the mean offset of the known ones around it.
    """
    assignment_cost, cells = start.assignment_cost, start.cells
    cost = total_cost(start.places, cells, start.columns, assignment_cost)
    if abs(cost - start.cost) <= _SAME * max(cost, start.cost):
        return np.zeros_like(places)
    snapped = assign(start.places, start.rows, start.columns, options).cells
    holder = np.full(start.rows * start.columns, -1)
    holder[snapped] = np.arange(len(snapped))
    owner = holder[cells]
    anchors = np.where(
        (owner >= 0)[:, None], start.places[owner], _coordinates(cells, start.columns)
    )
    known = start.known
    shift = np.zeros_like(places)
    stretch = (rows / start.rows, columns / start.columns)
    shift[known] = ((anchors - start.places) * stretch)[start.previous_rows[known]]
    if not known.all():
        near = min(INIT_NEIGHBORS, int(known.sum()))
        found = cKDTree(places[known]).query(places[~known], k=near)[1].reshape(-1, near)
        shift[~known] = shift[known][found].mean(axis=1)
    return shift


def _coordinates(cells: IntArray, columns: int) -> Float64Array:
    return np.column_stack(np.divmod(cells, columns)).astype(np.float64)
