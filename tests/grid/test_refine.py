from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbgrid import Grid, Refinement, UsageError, refine, report_card, snap, tsne
from tbgrid.grid import grid_state
from tbgrid.grid import refine as refine_module
from tbgrid.grid.refine import linear_assignment_sorting
from tbgrid.metrics.quality import distance_preservation
from tbgrid.options import RefineOptions
from tbgrid.types import Float32Array, IntArray
from tbgrid.vectors.distances import distances_from
from tests.support.examples import examples

SIDES = ((0, 1), (1, 0), (0, -1), (-1, 0))
CORNERS = ((1, 1), (1, -1), (-1, 1), (-1, -1))


class Refined:
    """Cells of points that are refined under the Euclidean distance."""

    def __init__(
        self,
        points: Float32Array,
        cells: IntArray,
        rows: int,
        columns: int,
        options: RefineOptions | None = None,
        *,
        gentle: bool = False,
    ) -> None:
        places = np.zeros((len(cells), 2))
        start = Grid(
            rows=rows, columns=columns, cells=cells, places=places, cost=1.0, solver="", gap=None
        )
        self.grid = refine(start, points, options, metric="euclidean", gentle=gentle)
        assert self.grid.refinement is not None
        assert self.grid.snapped is start
        self.changes: Refinement = self.grid.refinement
        self.cells = self.grid.cells
        self.before, self.after = self.changes.sum_before, self.changes.sum_after


def total(points: Float32Array, cells: IntArray, columns: int) -> float:
    """The sum that is lowered, by its definition, in mean distances a photo."""
    count = len(points)
    apart = distances_from(points, np.arange(count))
    mean = apart.sum() / (count * (count - 1))
    at = {(int(cell) // columns, int(cell) % columns): item for item, cell in enumerate(cells)}
    found = 0.0
    for (row, column), item in at.items():
        beside, across = (
            [
                apart[item, at[row + r, column + c]] if (row + r, column + c) in at else mean
                for r, c in steps
            ]
            for steps in (SIDES, CORNERS)
        )
        found += float(np.dot(grid_state.SIDE_WEIGHTS, sorted(beside)))
        found += grid_state.CORNER_WEIGHT * sum(across)
    return float(found / mean / count)


@pytest.mark.parametrize(("kinds", "flat"), [(4, True), (40, False)])
def test_whether_points_are_flat_does_not_depend_on_their_order(kinds: int, flat: bool) -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(kinds, 64))
    points = np.tile(centres, (1600 // kinds, 1)) + 0.05 * rng.normal(size=(1600, 64))
    for order in (slice(None), np.argsort(np.arange(1600) % kinds), rng.permutation(1600)):
        assert refine_module._is_low_dimensional(points[order].astype(np.float32)) == flat


@given(
    count=st.integers(3, 40),
    spare=st.integers(0, 12),
    columns=st.integers(1, 9),
    width=st.integers(1, 6),
    seed=st.integers(0, 2**16),
    whole=st.booleans(),
)
@examples(40)
def test_every_cell_is_held_once_and_the_sum_is_what_it_is_said_to_be(
    count: int, spare: int, columns: int, width: int, seed: int, whole: bool
) -> None:
    rng = np.random.default_rng(seed)
    rows = -(-(count + spare) // columns)
    points = rng.normal(size=(count, width)).astype(np.float32)
    cells = rng.permutation(rows * columns)[:count]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refine_module, "TEMPERATURES", np.array([0.1, 0.02]))
        if not whole:  # distances as of many points
            patch.setattr(grid_state, "ALL_PAIRS_UP_TO", 0)
            patch.setattr(grid_state, "MEAN_SAMPLE", 200_000)
        found = Refined(points, cells, rows, columns)
    assert len(set(found.cells.tolist())) == count
    assert found.cells.min() >= 0
    assert found.cells.max() < rows * columns
    assert found.after <= found.before
    tolerance = 1e-4 if whole else 0.02  # of the mean, which is that of drawn pairs
    np.testing.assert_allclose(found.before, total(points, cells, columns), rtol=tolerance)
    np.testing.assert_allclose(found.after, total(points, found.cells, columns), rtol=tolerance)


def test_no_exchange_within_reach_is_left_that_would_help() -> None:
    rng = np.random.default_rng(3)
    points = rng.normal(size=(60, 12)).astype(np.float32)
    cells = rng.permutation(64)[:60]
    found = Refined(points, cells, 8, 8).cells
    least = total(points, found, 8)
    held = np.full(64, -1)
    held[found] = np.arange(60)
    reach = grid_state.SWAP_REACH
    for one in range(64):
        for other in range(one + 1, 64):
            row, column = np.subtract(divmod(other, 8), divmod(one, 8))
            if row > reach or abs(column) > reach:
                continue
            swapped = held.copy()
            swapped[[one, other]] = swapped[[other, one]]
            cells = np.empty(60, np.int64)
            cells[swapped[swapped >= 0]] = np.flatnonzero(swapped >= 0)
            assert total(points, cells, 8) > least - 1e-5


def test_equal_input_gives_equal_cells_and_more_of_it_does_no_harm() -> None:
    rng = np.random.default_rng(0)
    points, cells = rng.random((100, 20), np.float32), rng.permutation(100)
    one, other = Refined(points, cells, 10, 10), Refined(points, cells, 10, 10)
    np.testing.assert_array_equal(one.cells, other.cells)
    again = Refined(points, one.cells, 10, 10)
    assert again.before == one.after
    assert again.after <= one.after


@pytest.mark.parametrize("points", [np.ones((9, 4)), np.zeros((9, 1)), np.eye(9)])
def test_points_that_nothing_tells_apart_stay(points: Float32Array) -> None:
    found = Refined(points.astype(np.float32), np.arange(9), 3, 3)
    np.testing.assert_array_equal(found.cells, np.arange(9))


def test_colours_get_the_smoother_start() -> None:
    """Where points fill few dimensions exchanges alone stop early."""
    points = np.random.default_rng(0).random((256, 3)).astype(np.float32)
    cells = np.random.default_rng(1).permutation(256)
    found = Refined(points, cells, 16, 16)
    by_smoothing = distance_preservation(
        points, linear_assignment_sorting(points, cells, 16, 16), 16
    )
    refined = distance_preservation(points, found.cells, 16)
    assert by_smoothing is not None
    assert refined is not None
    assert refined > by_smoothing > 0.85


def test_a_limit_of_time_stops_it() -> None:
    points = np.random.default_rng(0).random((400, 30)).astype(np.float32)
    cells = np.random.default_rng(1).permutation(400)
    short = Refined(points, cells, 20, 20, RefineOptions(seconds=1e-9))
    assert short.changes.stopped
    assert short.after < short.before, "the little that there was time for"
    whole = Refined(points, cells, 20, 20)
    ample = Refined(points, cells, 20, 20, RefineOptions(seconds=600))
    assert not whole.changes.stopped
    np.testing.assert_array_equal(ample.cells, whole.cells)
    assert whole.after < short.after
    with pytest.raises(UsageError, match="above 0"):
        RefineOptions(seconds=0)


def test_gently_photos_move_only_where_it_helps_much() -> None:
    """Two photos of a smooth map lie wrong; the others stay. What helps little is left."""
    points = np.stack(np.divmod(np.arange(100), 10), axis=1).astype(np.float32)
    points += np.random.default_rng(0).normal(0, 0.02, points.shape).astype(np.float32)
    cells = np.arange(100)
    np.testing.assert_array_equal(Refined(points, cells, 10, 10, gentle=True).cells, cells)
    cells[[33, 35]] = cells[[35, 33]]
    found = Refined(points, cells, 10, 10, gentle=True)
    np.testing.assert_array_equal(found.cells, np.arange(100))
    points = (points + np.random.default_rng(1).normal(0, 0.6, points.shape)).astype(np.float32)
    start = np.arange(100)
    gentle, whole = (Refined(points, start, 10, 10, gentle=gentle) for gentle in (True, False))
    assert whole.after < gentle.after < gentle.before
    moved, moved_freely = (int((each.cells != start).sum()) for each in (gentle, whole))
    assert 0 < moved < 0.8 * moved_freely


def test_the_grid_keeps_what_the_snap_found_and_the_card_says_both() -> None:
    """The vectors are normalized by `refine` itself."""
    vectors = np.random.default_rng(0).normal(size=(90, 12)).astype(np.float32)
    lengths = np.random.default_rng(1).uniform(0.1, 10, (90, 1)).astype(np.float32)
    layout = tsne(vectors)
    snapped = snap(layout)
    grid = refine(snapped, vectors)
    np.testing.assert_array_equal(refine(snapped, vectors * lengths).cells, grid.cells)
    assert not np.array_equal(grid.cells, snapped.cells)
    assert (grid.cost, grid.gap, grid.solver) == (snapped.cost, snapped.gap, snapped.solver)
    assert (grid.snapped, snapped.snapped) == (snapped, snapped)
    assert refine(grid, vectors).snapped is snapped, "however often it is refined"
    labels = ["a", "b"] * 45
    before, after = (report_card(vectors, layout, each, labels) for each in (snapped, grid))
    assert (after.dpq_16_snap, after.dpq_2_snap) == (before.dpq_16, before.dpq_2)
    assert after.agreement_snap == before.agreement
    assert (after.cost, after.displacement) == (before.cost, before.displacement)
    assert before.dpq_16_snap is None
