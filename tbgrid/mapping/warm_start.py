"""A map that begins where an earlier one ended: what was there stays near its place.

The t-SNE starts from the earlier positions, and goes the less far the fewer photos are new or gone.
Its places come to the grid by the earlier map's own frame, not by their extent, which a single new
photo could shift. The snap then is that of every map, of least total distance: what changed little
moves little, and new photos and holes are evened out over the map, where they cost the least.
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

FEWEST_ITERATIONS = 25  # of t-SNE if anything is new or gone
WHOLE_SHARE = 0.1  # of them from which t-SNE goes as far as it does for a fresh map
MOST_EMPTY = 0.1  # share of empty cells past which a grid is too large to be kept
_TSNE, _GRID = TsneOptions(), GridOptions()
_ROUNDING = 1e-9  # cells
_SAME = 1e-5  # relative difference of two totals of float32 places that are the same


@dataclass(frozen=True)
class Start:
    """An earlier map of m photos, and where the n photos of a new one are in it.

    `run` names it. `of` int64[n]: each photo's row in the earlier map, -1 if it was not there; no
    row twice, and at least one is. `rows` x `columns` is the earlier grid; `cells` int64[m],
    `places` float64[m, 2] in cells, (row, column), and `positions` float64[m, 2] of t-SNE are
    those of a `Grid` and a `Layout`. `aspect` (width / height) is what the earlier grid was to be
    near; `assignment_cost`, `solver`, `cost` and `gap`: of the earlier snap.

    `comparable`: vectors and perplexity are as they were; if not, only places are.
    """

    run: str
    of: IntArray
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
    comparable: bool = True
    notes: tuple[str, ...] = ()

    @property
    def known(self) -> BoolArray:
        """bool[n]: which photos were there."""
        return np.asarray(self.of >= 0)

    @property
    def iterations(self) -> int:
        """How far t-SNE is to go: in proportion to the share of new and removed photos.

        Measured on photos and digits, 1,000 to 10,000: few iterations that come within 0.01 of
        DPQ_16 of a fresh map, be 1 %, 30 % or half of the photos new, all of a kind, or gone.
        """
        if not self.comparable:
            return ITERATIONS
        kept = int(self.known.sum())
        all_of_both = len(self.of) + len(self.cells) - kept
        share = 1 - kept / all_of_both
        if share == 0:
            return 0
        return max(FEWEST_ITERATIONS, round(ITERATIONS * min(1.0, share / WHOLE_SHARE)))


@dataclass(frozen=True)
class Stability:
    """How far a map is from the earlier one, `run`.

    Photos: `kept` were there, `new` were not, `removed` are there no more. Those kept moved by
    `median` and `most` (the 95th percentile) cells of the earlier grid, once the new grid, whatever
    its shape, is laid over it; `unmoved` is the share of them that are in their cell still.
    `aspect`: see `Start`.
    """

    run: str
    kept: int
    new: int
    removed: int
    median: float
    most: float
    unmoved: float
    aspect: float = 1.0
    notes: tuple[str, ...] = ()

    def told(self) -> Json:
        """For the report."""
        return {
            "run": self.run,
            "kept": self.kept,
            "new": self.new,
            "removed": self.removed,
            "median_move": self.median,
            "95th_percentile_of_moves": self.most,
            "share_unmoved": self.unmoved,
        }

    def lines(self) -> list[tuple[str, str]]:
        """(name, value) for people."""
        return [
            (
                f"like {self.run}, photos",
                f"{self.kept:,} kept, {self.new:,} new, {self.removed:,} removed",
            ),
            (
                f"like {self.run}, moves",
                f"median {self.median:.2f} cells, 95 % at most {self.most:.2f}; "
                f"{100 * self.unmoved:.0f} % did not move",
            ),
        ]


def lay_out_like(
    vectors: Float32Array,
    start: Start,
    options: TsneOptions = _TSNE,
    *,
    metric: Metric = "cosine",
    progress: Progress = silent,
) -> Layout:
    """The t-SNE layout of float32[n, d] vectors that begins at the earlier one, turned to lie as it
    did: neither its turn nor its middle mean anything to t-SNE.

    Raises:
        UsageError, TbgridError: see `tbgrid.layouts.tsne.tsne_from`.
    """
    known = start.known
    begun = np.full((len(vectors), 2), np.nan)
    begun[known] = start.positions[start.of[known]]
    layout = tsne_from(vectors, begun, start.iterations, options, metric=metric, progress=progress)
    if not start.iterations:
        return layout
    mine, other = layout.positions[known], begun[known]
    middle = mine.mean(axis=0)
    left, _, right = np.linalg.svd((mine - middle).T @ (other - other.mean(axis=0)))
    turned = (layout.positions - middle) @ (left @ right) + other.mean(axis=0)
    return dataclasses.replace(layout, positions=np.asarray(turned, np.float64))


def snap_like(
    layout: Layout,
    start: Start,
    options: GridOptions = _GRID,
    *,
    progress: Progress = silent,
) -> Grid:
    """Give each photo of a layout by `lay_out_like` a cell near the one it had.

    If nothing is new or gone, each keeps its very cell.

    Raises:
        UsageError: the grid that was asked for is too small or too large, or the solver cannot
            serve so many cells.
    """
    count = len(layout.positions)
    rows, columns = shape_like(count, start, options)
    places = _placed(layout, start, rows, columns)
    same = (rows, columns, options.assignment_cost) == (
        start.rows,
        start.columns,
        start.assignment_cost,
    )
    if same and not start.iterations:
        cells = start.cells[start.of]
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
        wanted = places + _exchanged(places, start, rows, columns, options)
        grid = assign(wanted, rows, columns, options, progress=progress)
        grid = dataclasses.replace(grid, places=places)
    return grid


def measured(grid: Grid, start: Start) -> Stability:
    """How far the photos of `grid` are from where they were."""
    known = start.known
    over = (start.rows / grid.rows, start.columns / grid.columns)
    now = (_coordinates(grid.cells[known], grid.columns) + 0.5) * over - 0.5
    moves = now - _coordinates(start.cells[start.of[known]], start.columns)
    far = np.hypot(moves[:, 0], moves[:, 1])
    notes = start.notes
    if grid.rows * grid.columns < start.rows * start.columns:
        shapes = f"{grid.rows} x {grid.columns}, not {start.rows} x {start.columns}"
        notes = (*notes, f"the grid is {shapes} as in {start.run}, with fewer empty cells")
    return Stability(
        start.run,
        int(known.sum()),
        int((~known).sum()),
        len(start.cells) - int(known.sum()),
        float(np.median(far)),
        float(np.percentile(far, 95)),
        float((np.abs(moves).max(axis=1) < 0.5 - _ROUNDING).mean()),
        start.aspect,
        notes,
    )


def shape_like(count: int, start: Start, options: GridOptions = _GRID) -> tuple[int, int]:
    """Rows and columns for `count` photos: what `options` ask for; or else the earlier ones.

    Where these are too few, rows or columns are added, as few as hold all, such that the aspect is
    kept best and no more than `MOST_EMPTY` of the cells stay empty, if that can be. Where more than
    that would be empty, and more than were, the grid is as large as a fresh one of that aspect.

    Raises:
        UsageError: see `tbgrid.grid.cells.shape_for`.
    """
    if options.shape is not None:
        return shape_for(count, options)
    rows, columns, aspect = start.rows, start.columns, start.aspect
    before = rows * columns - len(start.cells)
    if count > rows * columns:
        grown = [(r, max(columns, -(-count // r))) for r in range(rows, -(-count // columns) + 1)]
        least = [(r, c) for r, c in grown if r == rows or (r - 1) * c < count]
        return min(least, key=lambda shape: _worth(shape, count, aspect))
    if rows * columns - count > max(MOST_EMPTY * rows * columns, before):
        fresh = choose_shape(count, aspect)
        if fresh[0] * fresh[1] < rows * columns:
            return fresh
    return rows, columns


def _worth(shape: tuple[int, int], count: int, aspect: float) -> tuple[int, float, int]:
    """The least is the best shape."""
    rows, columns = shape
    cells = rows * columns
    few = cells - count <= MOST_EMPTY * cells
    off = round(abs(math.log(columns / rows / aspect)), 9)  # equal both ways: a row is added then
    return (0 if few else cells, off, -rows)


def _placed(layout: Layout, start: Start, rows: int, columns: int) -> Float64Array:
    """float64[n, 2]: the positions in cells of the new grid, (row, column), by the earlier frame
    and at the earlier size: t-SNE layouts grow as they go on."""
    known = start.known
    mine, other = layout.positions[known], start.positions[start.of[known]]
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
        else:  # one row, or one column, tells nothing of how to scale to several
            places[:, side] = fresh[:, side]
    return places


def _exchanged(
    places: Float64Array, start: Start, rows: int, columns: int, options: GridOptions
) -> Float64Array:
    """float64[n, 2]: what to add to the places so that their snap follows the earlier cells.

    It is 0 where the earlier cells are those of the snap. Where photos were exchanged afterwards,
    a photo counts at the place of the one in whose cell it is: so their snap gives the earlier
    cells again. A new photo goes along with those around it.
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
    shift[known] = ((anchors - start.places) * stretch)[start.of[known]]
    if not known.all():
        near = min(INIT_NEIGHBORS, int(known.sum()))
        found = cKDTree(places[known]).query(places[~known], k=near)[1].reshape(-1, near)
        shift[~known] = shift[known][found].mean(axis=1)
    return shift


def _coordinates(cells: IntArray, columns: int) -> Float64Array:
    return np.column_stack(np.divmod(cells, columns)).astype(np.float64)
