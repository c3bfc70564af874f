"""Better cells for photos: exchanges after which photos resemble their neighbors on the grid more.

The snap follows the positions of the layout, whatever the photos look like; the photo most similar
to one often ends up two cells away. `refine` exchanges cells to minimize the sum that is defined in
`tbgrid.grid.grid_state`.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from tbgrid.choices import Metric
from tbgrid.grid.cells import Grid, Refinement
from tbgrid.grid.grid_state import MIN_GAIN, N_COMPONENTS, STAGE, GridState, PairDistances
from tbgrid.options import RefineOptions
from tbgrid.progress import Progress, silent
from tbgrid.types import Float32Array, IntArray
from tbgrid.vectors.pca import normalize_for, principal_components

TEMPERATURES = np.geomspace(0.02, 0.002, 40)  # mean distances that an exchange may cost, per round
GENTLE_MIN_GAIN = 0.03  # mean distances that an exchange must gain with `gentle`
MAX_SMOOTHED_CELLS = 1600  # up to which a smoother start is tried, too: time grows as their cube
SMOOTHING_STEPS = 40  # for that start
# It is tried if this share of the variance lies in the first principal components.
LOW_DIM_SHARE, LOW_DIMS = 0.9, 4
LOW_DIM_SAMPLE = 400  # points, drawn at random, from which that is estimated


def refine(
    grid: Grid,
    vectors: Float32Array,
    options: RefineOptions | None = None,
    *,
    metric: Metric = "cosine",
    gentle: bool = False,
    progress: Progress = silent,
) -> Grid:
    """Exchange the contents of cells so that similar photos come to lie side by side.

    More than 4,096 vectors are compared by their first 64 principal components; then memory is that
    of n * 64 numbers, and time grows with n. Where vectors have few dimensions, as colors do,
    exchanges of two soon get stuck; there, on up to 1,600 cells, a second start is tried
    (`linear_assignment_sorting`), and the lower sum wins. Vectors of networks never gain from it.

    Args:
        grid: the grid to refine; empty cells take part in exchanges.
        vectors: float32[n, d] of its points.
        options: the limit of time.
        metric: the distance between vectors.
        gentle: make only exchanges that help much, without annealing or another start, so that most
            photos stay in their cells.
        progress: called as the refinement proceeds.

    Returns:
        The grid with other cells and its `Refinement`. Places, cost and gap stay those of the snap.
    """
    options = options or RefineOptions()
    points = normalize_for(vectors, metric)
    cells, rows, columns = grid.cells, grid.rows, grid.columns
    began = time.monotonic()
    distances = PairDistances(points)
    starts = [cells]
    if not gentle and rows * columns <= MAX_SMOOTHED_CELLS and _is_low_dimensional(points):
        starts.append(linear_assignment_sorting(points, cells, rows, columns))
    best = GridState(distances, cells, rows, columns)
    before, rounds, stopped = best.total(), 0, False
    for number, start in enumerate(starts, 1):
        left = None
        if options.seconds is not None:
            left = began + options.seconds * number / len(starts) - time.monotonic()
        state = GridState(distances, start, rows, columns, GENTLE_MIN_GAIN if gentle else MIN_GAIN)
        took, late = state.anneal(TEMPERATURES[:0] if gentle else TEMPERATURES, left, progress)
        stopped |= late
        if state.total() < best.total() - MIN_GAIN * distances.mean:
            best, rounds = state, took
    progress(STAGE, 1, 1)
    scale = distances.mean * len(cells) or 1.0
    refinement = Refinement(
        snapped=grid.snapped,
        sum_before=before / scale,
        sum_after=best.total() / scale,
        rounds=rounds,
        stopped=stopped,
    )
    return replace(grid, cells=best.cells(), refinement=refinement)


def linear_assignment_sorting(
    points: Float32Array,
    cells: IntArray,
    rows: int,
    columns: int,
    steps: int = SMOOTHING_STEPS,
) -> IntArray:
    """Sort points on a grid by linear assignment sorting.

    Barthel, Hezel, Jung and Schall, "Improved Evaluation and Generation of Grid Layouts using
    Distance Preservation Quality and Linear Assignment Sorting" (2023): in each step the map is
    smoothed, over half the grid at first and half a cell at last, and the points are assigned to
    the cells with the most similar means, at minimum total squared distance. Empty cells do not
    count in the means.

    Args:
        points: float32[n, d] under the Euclidean distance.
        cells: int64[n], where they start.
        rows: of the grid.
        columns: of the grid.
        steps: number of steps.

    Returns:
        int64[n] cells.
    """
    parts = principal_components(points, min(N_COMPONENTS, points.shape[1])).astype(np.float64)
    for radius in np.geomspace(max(rows, columns, 2) / 2, 0.5, steps):
        shown = np.zeros((rows * columns, parts.shape[1] + 1))
        shown[cells, :-1], shown[cells, -1] = parts, 1
        blurred = ndimage.gaussian_filter(
            shown.reshape(rows, columns, -1), (radius, radius, 0), mode="constant", truncate=3
        ).reshape(rows * columns, -1)
        means = blurred[:, :-1] / np.maximum(blurred[:, -1:], 1e-9)
        cells = linear_sum_assignment((means**2).sum(axis=1) - 2 * parts @ means.T)[1]
    return cells.astype(np.int64)


def _is_low_dimensional(points: Float32Array) -> bool:
    """Whether a few directions hold nearly all the variance of the points, judged by a sample."""
    points = points[np.random.default_rng(0).permutation(len(points))[:LOW_DIM_SAMPLE]]
    total = float(points.var(axis=0, dtype=np.float64).sum())
    if not total > 0:
        return False
    few = principal_components(points, LOW_DIMS).var(axis=0, dtype=np.float64).sum()
    return bool(few >= LOW_DIM_SHARE * total)
