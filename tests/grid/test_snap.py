"""The snap: an assignment that is valid, optimal where it says so, and the same for any order."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tbgrid import GridOptions, TbgridError, UsageError, snap
from tbgrid.choices import AssignmentCost, Solver
from tbgrid.grid import assignment, lower_bound, multiscale, primal_dual
from tbgrid.grid import snap as snap_module
from tbgrid.grid.assignment import cell_places, pair_costs, total_cost
from tbgrid.grid.cells import choose_shape, format_gap, scale_to_grid
from tbgrid.types import Float64Array
from tests.support.examples import examples

ASSIGNMENT_COSTS = ("squared", "euclidean")
HAS_LAPJV = True
try:
    import lapjv  # noqa: F401
except ImportError:
    HAS_LAPJV = False


def clustered(count: int, seed: int = 0) -> Float64Array:
    """Points as t-SNE leaves them: tight groups with gaps."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 1, (max(2, count // 40), 2))
    return centres[rng.integers(0, len(centres), count)] + rng.normal(0, 0.05, (count, 2))


def points(least: int, most: int) -> st.SearchStrategy[Float64Array]:
    return st.integers(least, most).flatmap(
        lambda n: hnp.arrays(np.float64, (n, 2), elements=st.floats(-100, 100, width=16))
    )


@examples(60)
@given(
    points(1, 40),
    st.integers(0, 5),
    st.sampled_from(ASSIGNMENT_COSTS),
    st.sampled_from(["scipy", "windows", *(["lapjv"] if HAS_LAPJV else [])]),
)
def test_cells_are_unique_and_in_range(
    where: Float64Array, spare: int, assignment_cost: AssignmentCost, solver: Solver
) -> None:
    assignment_cost = "squared" if solver == "windows" else assignment_cost
    rows, columns = choose_shape(len(where) + spare)
    grid = snap(
        where, GridOptions(shape=(rows, columns), assignment_cost=assignment_cost, solver=solver)
    )
    assert len(np.unique(grid.cells)) == len(where)
    assert grid.cells.min() >= 0
    assert grid.cells.max() < rows * columns
    assert grid.cost == pytest.approx(total_cost(grid.places, grid.cells, columns, assignment_cost))


@examples(40)
@given(points(2, 7), st.sampled_from(ASSIGNMENT_COSTS), st.integers(0, 1))
def test_no_assignment_costs_less(
    where: Float64Array, assignment_cost: AssignmentCost, spare: int
) -> None:
    grid = snap(
        where,
        GridOptions(shape=(2, (len(where) + spare + 1) // 2), assignment_cost=assignment_cost),
    )
    costs = pair_costs(grid.places, cell_places(grid.rows, grid.columns), assignment_cost)
    every = itertools.permutations(range(grid.rows * grid.columns), len(where))
    best = min(costs[np.arange(len(where)), list(cells)].sum() for cells in every)
    assert grid.gap == 0
    assert grid.cost == pytest.approx(best, rel=1e-6, abs=1e-6)


@examples(30)
@given(points(3, 60), st.integers(0, 2**31), st.sampled_from(ASSIGNMENT_COSTS))
def test_never_above_a_random_assignment(
    where: Float64Array, seed: int, assignment_cost: AssignmentCost
) -> None:
    grid = snap(where, GridOptions(assignment_cost=assignment_cost))
    rng = np.random.default_rng(seed)
    for _ in range(5):
        cells = rng.permutation(grid.rows * grid.columns)[: len(where)]
        assert grid.cost <= total_cost(grid.places, cells, grid.columns, assignment_cost) + 1e-6


@examples(30)
@given(points(3, 60), st.integers(0, 2**31), st.sampled_from(["scipy", "windows"]))
def test_the_order_of_points_does_not_matter(
    where: Float64Array, seed: int, solver: Solver
) -> None:
    order = np.random.default_rng(seed).permutation(len(where))
    options = GridOptions(solver=solver)
    one, other = snap(where, options), snap(where[order], options)
    assert one.cost == pytest.approx(other.cost, rel=1e-6, abs=1e-6)
    if len(np.unique(where, axis=0)) == len(where) and solver == "scipy":
        # Ties aside, the photos themselves get the same cells.
        moved = (one.cells[order] != other.cells).mean()
        assert moved == 0 or other.cost == pytest.approx(one.cost)


@pytest.mark.parametrize("solver", ["scipy", "lapjv"])
@pytest.mark.parametrize(("count", "shape"), [(400, (20, 20)), (350, (20, 20)), (200, (12, 31))])
def test_solvers_agree(solver: Solver, count: int, shape: tuple[int, int]) -> None:
    from scipy.optimize import linear_sum_assignment

    where = clustered(count)
    grid = snap(where, GridOptions(shape=shape, solver=solver))
    plain = pair_costs(scale_to_grid(where, *shape), cell_places(*shape), "squared")
    best = plain[linear_sum_assignment(plain)].sum()
    assert grid.cost == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize(
    ("count", "shape"),
    [
        (2500, (50, 50)),
        *(
            pytest.param(*it, marks=pytest.mark.slow)
            for it in ((2401, (49, 49)), (1800, (50, 50)), (2450, (47, 55)))
        ),
    ],
)
def test_the_optimum_and_what_is_proven_of_windows(count: int, shape: tuple[int, int]) -> None:
    where = clustered(count)
    dense = snap(where, GridOptions(shape=shape, solver="scipy"))
    found = snap(where, GridOptions(shape=shape))
    assert found.solver == "primal-dual"
    assert found.gap == 0
    assert found.cost == pytest.approx(dense.cost, rel=1e-9)

    near = snap(where, GridOptions(shape=shape, solver="windows"))
    assert dense.cost * (1 - 1e-9) <= near.cost <= dense.cost * 1.01
    # What is proven is true; without empty cells it is not far from what is true.
    truth = (near.cost - dense.cost) / near.cost
    assert near.gap is not None
    assert truth - 1e-9 <= near.gap <= (truth + 0.02 if count == shape[0] * shape[1] else 1)


@st.composite
def layouts(draw: st.DrawFn, most: int = 200) -> Float64Array:
    """Points of all kinds, the awkward ones too."""
    count = draw(st.integers(1, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    kind = draw(st.sampled_from(["drawn", "uniform", "clustered", "twins", "line", "diagonal"]))
    if kind == "drawn":
        return draw(points(1, 40))
    where = rng.random((count, 2))
    if kind == "clustered":
        where = clustered(count, draw(st.integers(0, 2**31)))
    elif kind == "twins":
        where = where[rng.integers(0, draw(st.integers(1, count)), count)]
    elif kind == "line":
        where[:, draw(st.integers(0, 1))] = 0.5
    elif kind == "diagonal":
        where[:, 1] = where[:, 0]
    return where


@pytest.mark.slow
@examples(150)
@given(layouts(), st.integers(0, 200), st.floats(0.2, 5))
def test_from_coarse_to_fine_each_step_is_better(
    where: Float64Array, spare: int, aspect: float
) -> None:
    rows, columns = choose_shape(len(where) + spare, aspect)
    places = scale_to_grid(where, rows, columns)
    with pytest.MonkeyPatch.context() as small:  # so that a few points take all the steps
        small.setattr(multiscale, "COARSEST", 12)
        small.setattr(multiscale, "WINDOW", 4)
        start = multiscale.from_coarse(places, rows, columns)
        swept = multiscale.sweep(places, start, rows, columns)
        best, least = primal_dual.optimum(places, swept, rows, columns)
    dense = assignment.solve_scipy(places, rows, columns, "squared")
    costs = []
    for cells in (start, swept, best, dense):
        assert len(np.unique(cells)) == len(where)
        assert cells.min() >= 0
        assert cells.max() < rows * columns
        costs.append(total_cost(places, cells, columns, "squared"))
    small_change = 1e-9 * (1 + costs[0])
    assert costs[0] + small_change >= costs[1]
    assert costs[1] + small_change >= costs[2]
    assert costs[2] == pytest.approx(costs[3], rel=1e-9, abs=1e-9)
    assert least == pytest.approx(costs[3], rel=1e-9, abs=1e-9)


@examples(30)
@given(layouts(60), st.integers(0, 60), st.integers(0, 2**31))
def test_the_optimum_is_found_from_any_start(where: Float64Array, spare: int, seed: int) -> None:
    rows, columns = choose_shape(len(where) + spare)
    places = scale_to_grid(where, rows, columns)
    start = np.random.default_rng(seed).permutation(rows * columns)[: len(where)]
    cells, least = primal_dual.optimum(places, start, rows, columns)
    dense = assignment.solve_scipy(places, rows, columns, "squared")
    cost = total_cost(places, dense, columns, "squared")
    assert total_cost(places, cells, columns, "squared") == pytest.approx(cost, abs=1e-9)
    assert least == pytest.approx(cost, abs=1e-9)


@pytest.mark.parametrize(
    "kind",
    [
        "clustered",
        "twins",
        "holes",
        *(pytest.param(it, marks=pytest.mark.slow) for it in ("uniform", "same", "diagonal")),
    ],
)
def test_many_points_are_snapped_at_the_least_cost(kind: str) -> None:
    where = clustered(2000) if kind in ("clustered", "holes") else np.empty((2000, 2))
    rng = np.random.default_rng(0)
    if kind == "uniform":
        where = rng.random((2000, 2))
    elif kind == "same":
        where[:] = 1.0
    elif kind == "twins":
        where = rng.random((500, 2))[rng.integers(0, 500, 2000)]
    elif kind == "diagonal":
        where[:] = rng.random((2000, 1))
    found = snap(where, GridOptions(shape=(47, 47) if kind == "holes" else None))
    assert len(np.unique(found.cells)) == 2000
    assert found.solver == "primal-dual"
    assert found.gap == 0
    again = snap(where, GridOptions(shape=(47, 47) if kind == "holes" else None))
    assert (found.cells == again.cells).all()


def test_exact_goes_on_where_auto_would_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiscale, "EXACT_CELLS", 1500)
    where = clustered(2500)
    near, best = snap(where), snap(where, GridOptions(exact=True))
    assert near.solver == "windows"
    assert near.gap is not None
    assert 0 < near.gap < 0.05
    assert format_gap(near.gap).startswith("within ")
    assert format_gap(near.gap).endswith(" of optimal (proven)")
    assert best.gap == 0
    assert near.cost * (1 - near.gap) <= best.cost <= near.cost


def test_plain_distances_past_what_can_be_solved_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snap_module, "MAX_EUCLIDEAN_CELLS", 1000)
    where = clustered(1200)
    near = snap(where, GridOptions(assignment_cost="euclidean"))
    best = snap(where, GridOptions(assignment_cost="euclidean", exact=True))
    squared = snap(where)
    assert near.gap is None
    assert "nothing is proven" in near.notes[0]
    assert format_gap(near.gap) == "optimality gap unknown"
    assert best.gap == 0
    plain = total_cost(squared.places, squared.cells, squared.columns, "euclidean")
    assert best.cost <= near.cost <= plain


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"exact": True},
            "grid.exact supports up to 10 cells; the grid has 20: leave out grid.exact",
        ),
        (
            {"exact": True, "assignment_cost": "euclidean"},
            "grid.exact supports up to 12 cells with Euclidean distances; the grid has 20",
        ),
        (
            {"solver": "scipy"},
            "solver scipy supports up to 12 cells; the grid has 20: leave out grid.solver",
        ),
    ],
)
def test_what_would_not_fit_into_memory_is_refused(
    options: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snap_module, "MAX_EXACT_CELLS", 10)
    monkeypatch.setattr(snap_module, "MAX_DENSE_CELLS", 12)
    with pytest.raises(UsageError) as caught:
        snap(clustered(20), GridOptions(shape=(4, 5), **options))  # type: ignore[arg-type]
    assert message in str(caught.value)


@examples(60)
@given(points(1, 40), st.integers(0, 30), st.integers(0, 2**31), st.booleans())
def test_the_bound_is_below_every_assignment(
    where: Float64Array, spare: int, seed: int, good: bool
) -> None:
    rows, columns = choose_shape(len(where) + spare)
    places = scale_to_grid(where, rows, columns)
    best = assignment.solve_scipy(places, rows, columns, "squared")
    cells = best
    if not good:
        cells = np.random.default_rng(seed).permutation(rows * columns)[: len(where)]
    least = lower_bound.lower_bound(places, cells, rows, columns)
    cost = total_cost(places, best, columns, "squared")
    assert least <= cost + 1e-6 * max(cost, 1)


@examples(60)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**31), st.floats(0.01, 100))
def test_least_costs_look_at_every_pair(rows: int, columns: int, seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    where = rng.random((30, 2)) * (1.5 * rows, 1.5 * columns) - 1
    prices = size * rng.standard_normal(rows * columns)
    guess = rng.integers(0, rows * columns, 30)
    found, cells = lower_bound.min_reduced_costs(where, prices, rows, columns, guess)
    every = pair_costs(where, cell_places(rows, columns), "squared") - prices
    np.testing.assert_allclose(found, every[np.arange(30), cells], atol=1e-8 * (1 + size))
    np.testing.assert_allclose(found, every.min(axis=1), atol=1e-8 * (1 + size) * (rows + columns))


def test_a_missing_lapjv_is_replaced_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    where = clustered(100)
    expected = snap(where)
    monkeypatch.setitem(sys.modules, "lapjv", None)
    grid = snap(where, GridOptions(solver="lapjv"))
    assert "lapjv is not installed" in grid.notes[0]
    assert grid.cost == pytest.approx(expected.cost)


def test_neighbours_stay_neighbours_and_up_stays_up() -> None:
    across, up = np.meshgrid(np.arange(6), np.arange(4))
    where = np.column_stack([across.ravel(), up.ravel()]).astype(float)
    grid = snap(where, GridOptions(shape=(4, 6)))
    assert (grid.cells == (3 - up.ravel()) * 6 + across.ravel()).all()
    assert grid.cost == pytest.approx(0)


def test_empty_cells_fall_where_the_layout_is_empty() -> None:
    where = np.concatenate([clustered(50, 1) * 0.1, clustered(50, 1) * 0.1 + (10, 0)])
    grid = snap(where, GridOptions(shape=(10, 30)))
    filled = np.zeros(300, bool)
    filled[grid.cells] = True
    middle = filled.reshape(10, 30)[:, 12:18]
    assert filled.sum() == 100
    assert not middle.any()


@pytest.mark.parametrize(
    ("count", "aspect", "shape"),
    [
        (3, 1, (2, 2)),
        (1024, 1, (32, 32)),
        (1797, 1, (42, 43)),
        (1000, 16 / 9, (24, 42)),
        (5, 100, (1, 5)),
        (5, 0.01, (5, 1)),
        (1, 1, (1, 1)),
    ],
)
def test_shapes(count: int, aspect: float, shape: tuple[int, int]) -> None:
    assert choose_shape(count, aspect) == shape


@settings(deadline=None)
@given(st.integers(1, 200_000), st.floats(0.05, 20))
def test_a_shape_holds_all_and_wastes_less_than_a_row_or_a_column(
    count: int, aspect: float
) -> None:
    rows, columns = choose_shape(count, aspect)
    assert 0 <= rows * columns - count < max(rows, columns)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (3, 3)}, "grid 3x3 has 9 cells for 10 photos: use grid.shape 3x4"),
        ({"shape": (900, 900)}, "810000 cells for 10 photos"),
        ({"shape": (0, 5)}, "at least one row"),
        ({"aspect": 0.0}, "width / height"),
        ({"assignment_cost": "manhattan"}, "squared or euclidean"),
        ({"solver": "magic"}, "expected auto"),
        ({"solver": "windows", "assignment_cost": "euclidean"}, "squared distances"),
        ({"solver": "windows", "exact": True}, "not exact: leave out grid.solver or grid.exact"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        snap(clustered(10), GridOptions(**options))  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_positions_must_be_finite() -> None:
    with pytest.raises(TbgridError, match="not finite"):
        snap(np.array([[0.0, np.nan], [1, 1], [2, 2]]))
