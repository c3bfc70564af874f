"""The report card: published anchors, slow twins of each formula, and data with nothing to tell."""

from __future__ import annotations

import itertools
import json
import math
import tracemalloc
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.datasets import load_digits
from sklearn.manifold import trustworthiness

from tbgrid import Grid, GridOptions, Layout, ReportCard, report_card, snap, tsne
from tbgrid.choices import Metric
from tbgrid.grid.adjacency import adjacent_pairs
from tbgrid.grid.cells import choose_shape, scale_to_grid
from tbgrid.metrics.quality import distance_preservation, neighbor_agreement, neighbors_in_plane
from tbgrid.types import Float32Array, Float64Array, IntArray
from tbgrid.vectors.pca import normalize_for, principal_components
from tests.support.examples import examples
from tests.support.values import present


def on_grid(positions: Float64Array, cells: IntArray, rows: int, columns: int) -> Grid:
    places = scale_to_grid(positions, rows, columns)
    return Grid(
        rows=rows, columns=columns, cells=cells, places=places, cost=1.0, solver="none", gap=0.5
    )


def clustered(count: int, parts: int, seed: int = 0) -> tuple[Float32Array, Float64Array, Grid]:
    """Vectors in ten groups, a plane that shows three of their coordinates, and a rough grid."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 10, count)
    vectors = rng.normal(0, 1, (10, parts))[group] + rng.normal(0, 0.5, (count, parts))
    positions = vectors[:, :2] + 0.3 * vectors[:, 2:3]
    rows, columns = choose_shape(count)
    strips = np.round(scale_to_grid(positions, rows, columns)[:, 1] / 4)
    cells = np.empty(count, np.int64)
    cells[np.lexsort((positions[:, 1], strips))] = np.arange(count)
    return vectors.astype(np.float32), positions, on_grid(positions, cells, rows, columns)


@st.composite
def holed(draw: st.DrawFn, least: int = 1) -> tuple[Float64Array, IntArray, int, int]:
    """Points with many ties, on distinct cells of a grid that need not be full."""
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(least, 5))
    count = draw(st.integers(least, rows * columns))
    cells = draw(st.permutations(range(rows * columns)))[:count]
    shape = (count, draw(st.integers(1, 3)))
    points = draw(hnp.arrays(np.float64, shape, elements=st.integers(-3, 3).map(float)))
    return points, np.array(cells, np.int64), rows, columns


def slow_dpq(points: Float64Array, cells: IntArray, columns: int, power: float) -> float | None:
    count = len(points)
    if count < 2:
        return None
    apart = [[math.dist(one, other) for other in points] for one in points]
    mean = sum(map(sum, apart)) / (count * (count - 1))
    if mean == 0:
        return None
    norms = []
    for by_grid in (True, False):
        rows = []
        for i in range(count):
            keyed = []
            for j in range(count):
                if i != j:
                    down = int(cells[i]) // columns - int(cells[j]) // columns
                    right = int(cells[i]) % columns - int(cells[j]) % columns
                    keyed.append((down**2 + right**2 if by_grid else 0, apart[i][j]))
            rows.append([apart for _, apart in sorted(keyed)])
        total = 0.0
        for k in range(1, count):
            first = sum(sum(row[:k]) / k for row in rows) / count
            total += max(0.0, (mean - first) / mean) ** power
        norms.append(total ** (1 / power))
    return norms[0] / norms[1] if norms[1] > 1e-5 else None


def test_published_anchors() -> None:
    cells = np.arange(400)
    colours = np.random.RandomState(3).rand(400, 3)
    assert distance_preservation(colours, cells, 20, 2) == pytest.approx(0.062, abs=5e-4)
    gradient = np.indices((20, 20)).reshape(2, -1).T.astype(float)
    for power in (2, 16):
        assert distance_preservation(gradient, cells, 20, power) == pytest.approx(1)


@examples(150)
@given(holed(), st.sampled_from([1, 2, 16]))
def test_dpq_equals_its_slow_twin(
    drawn: tuple[Float64Array, IntArray, int, int], power: int
) -> None:
    points, cells, _, columns = drawn
    expected = slow_dpq(points, cells, columns, power)
    found = distance_preservation(points, cells, columns, power)
    assert (found is None) == (expected is None)
    if found is not None:
        assert found == pytest.approx(expected, abs=1e-6)
        assert 0 <= found <= 1


@examples(40)
@given(holed(), st.sampled_from([2, 16]))
def test_dpq_is_the_same_for_a_turned_or_mirrored_grid(
    drawn: tuple[Float64Array, IntArray, int, int], power: int
) -> None:
    points, cells, rows, columns = drawn
    expected = distance_preservation(points, cells, columns, power)
    row, column = np.divmod(cells, columns)
    for turned, width in (
        (row * columns + columns - 1 - column, columns),
        ((rows - 1 - row) * columns + column, columns),
        (column * rows + rows - 1 - row, rows),
        ((row + 2) * 9 + column + 3, 9),
    ):
        found = distance_preservation(points, turned, width, power)
        assert found == (None if expected is None else pytest.approx(expected, abs=1e-9))


def test_the_baselines_are_means_of_random_orders() -> None:
    vectors, positions, grid = clustered(90, 5)
    labels = [int(value) for value in vectors[:, 0] > 0]
    card = report_card(vectors, positions, grid, labels, metric="euclidean")
    rng = np.random.default_rng(1)
    found = []
    for _ in range(60):
        order = rng.permutation(90)
        cells = grid.cells[order]
        share = neighbor_agreement(labels, cells, grid.rows, grid.columns)
        found.append(
            [distance_preservation(vectors, cells, grid.columns, p) for p in (16, 2)] + [share]
        )
    numbers = np.array(found, np.float64)
    expected, spread = numbers.mean(axis=0), numbers.std(axis=0)
    chance = [card.dpq_16_random, card.dpq_2_random, card.agreement_random]
    assert (np.abs(np.array(chance) - expected) < 4 * spread / math.sqrt(5)).all()
    full = distance_preservation(vectors, grid.cells, grid.columns, 16)
    assert card.dpq_16 == pytest.approx(full)
    assert card.dpq_2 == pytest.approx(
        slow_dpq(vectors.astype(np.float64), grid.cells, grid.columns, 2)
    )
    assert card.agreement == neighbor_agreement(labels, grid.cells, grid.rows, grid.columns)


@pytest.fixture(scope="module")
def digits() -> tuple[Float32Array, list[str], Float64Array, float]:
    bunch = load_digits()
    vectors = bunch.data[:324].astype(np.float32)
    layout = tsne(vectors, metric="euclidean")
    return vectors, [str(v) for v in bunch.target[:324]], layout.positions, present(layout.kl)


def test_better_layouts_score_higher(
    digits: tuple[Float32Array, list[str], Float64Array, float],
) -> None:
    vectors, labels, positions, kl = digits
    rng = np.random.default_rng(0)
    cards = []
    for places in (positions, principal_components(vectors, 2), rng.random((324, 2))):
        grid = snap(places, GridOptions(shape=(18, 18)))
        layout = Layout(positions=np.asarray(places, np.float64), kl=kl)
        cards.append(report_card(vectors, layout, grid, labels, metric="euclidean"))
    for name in ("dpq_16", "dpq_2", "trustworthiness", "neighbors_kept", "agreement"):
        best, middle, worst = (getattr(card, name) for card in cards)
        assert best > middle > worst, name
    chance = cards[2]
    assert chance.dpq_16 == pytest.approx(chance.dpq_16_random, abs=0.06)
    assert chance.agreement == pytest.approx(chance.agreement_random, abs=0.05)
    assert present(cards[0].agreement) > 0.6
    assert cards[0].kl == kl
    assert cards[0].gap == 0


@pytest.mark.parametrize("near", [1, 5, 10])
def test_trustworthiness_is_that_of_scikit_learn(
    near: int, digits: tuple[Float32Array, list[str], Float64Array, float]
) -> None:
    rng = np.random.default_rng(near)
    noise = rng.normal(0, 1e-3, digits[0].shape)  # without it, whole numbers tie
    cases = [(rng.normal(size=(60, 7)), rng.normal(size=(60, 2))), (digits[0] + noise, digits[2])]
    for points, positions in cases:
        expected = trustworthiness(points, positions, n_neighbors=near)
        assert neighbors_in_plane(points, positions, near)[0] == pytest.approx(expected, abs=1e-9)


@examples(40)
@given(st.integers(3, 30), st.integers(0, 2**31))
def test_neighbours_kept_is_the_share_of_common_neighbours(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, positions = rng.normal(size=(count, 3)), rng.normal(size=(count, 2))
    near = (count - 1) // 2
    common = 0
    for i in range(count):
        others = [j for j in range(count) if j != i]
        by_vector = sorted(others, key=lambda j: math.dist(points[i], points[j]))
        by_place = sorted(others, key=lambda j: math.dist(positions[i], positions[j]))
        common += len({*by_vector[:near]} & {*by_place[:near]})
    kept = neighbors_in_plane(points, positions, near)[1]
    assert kept == pytest.approx(common / (count * near))


def test_neighbours_keep_their_rank_among_equal_photos() -> None:
    """Which of many equal photos lie nearest in the plane is no fault of the layout."""
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.normal(size=(3, 20)), 30, axis=0).astype(np.float32)
    positions = np.repeat(np.eye(3)[:, :2], 30, axis=0) + rng.normal(0, 0.01, (90, 2))
    for metric in ("cosine", "euclidean"):
        points = normalize_for(
            vectors * rng.choice([1, 2, 4], (90, 1)).astype(np.float32), "cosine"
        )
        points = points if metric == "cosine" else vectors
        assert neighbors_in_plane(points, positions, 10) == (1, 1)
    stacked = np.repeat(np.eye(3)[:, :2], 30, axis=0)
    assert neighbors_in_plane(vectors, stacked, 10) == (1, 1)


@examples(80)
@given(holed(), st.integers(1, 4), st.randoms(use_true_random=False))
def test_neighbour_agreement_by_brute_force(
    drawn: tuple[Float64Array, IntArray, int, int], kinds: int, random: Random
) -> None:
    _, cells, rows, columns = drawn
    labels = [f"label {random.randrange(kinds)}" for _ in cells]
    pairs = [
        (i, j)
        for i, j in itertools.combinations(range(len(cells)), 2)
        if np.abs(np.subtract(divmod(cells[i], columns), divmod(cells[j], columns))).max() == 1
    ]
    found = adjacent_pairs(cells, rows, columns)
    assert sorted(tuple(sorted(pair)) for pair in found.tolist()) == pairs
    share = neighbor_agreement(labels, cells, rows, columns)
    if pairs:
        assert share == pytest.approx(sum(labels[i] == labels[j] for i, j in pairs) / len(pairs))
    else:
        assert share is None


def check(card: ReportCard) -> None:
    """Finite numbers, fit for JSON and for tables."""
    scalars = card.scalars()
    assert scalars
    for name, value in scalars.items():
        assert type(value) is float, name
        assert math.isfinite(value), name
    json.dumps(scalars, allow_nan=False)
    for name, text in card.summary_rows():
        assert name
        assert not {"nan", "inf", "None"} & {*text.replace("(", " ").split()}


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize(
    "vectors",
    [
        np.ones((30, 5)),
        np.zeros((30, 5)),
        np.eye(30),  # each as far from each other
        np.arange(30)[:, None],  # all of one direction
        np.full((30, 5), 1e15),
        np.concatenate([np.full((29, 5), 1e-15), np.full((1, 5), 1e15)]),
        np.repeat(np.eye(2), 15, axis=0),
    ],
    ids=["equal", "zero", "equidistant", "line", "huge", "outlier", "two"],
)
def test_data_with_nothing_to_tell(vectors: Float64Array, metric: Metric) -> None:
    rng = np.random.default_rng(0)
    shorter = vectors.astype(np.float32)
    for positions in (rng.random((30, 2)), np.zeros((30, 2)), np.repeat(np.eye(2), 15, axis=0)):
        grid = on_grid(positions, rng.permutation(42)[:30], 6, 7)
        for labels in (None, ["a"] * 30, [str(i) for i in range(30)], ["a", "b"] * 15):
            check(report_card(shorter, positions, grid, labels, metric=metric))


def test_numbers_that_do_not_exist_are_left_out() -> None:
    rng = np.random.default_rng(0)
    positions = rng.random((30, 2))
    grid = on_grid(positions, np.arange(30), 5, 6)
    card = report_card(np.ones((30, 4), np.float32), Layout(positions=positions, kl=math.nan), grid)
    assert {*card.scalars()} == {
        "trustworthiness_10",
        "neighbours_kept_10",
        "assignment_cost",
        "assignment_gap",
        "assignment_displacement",
    }
    one = report_card(np.ones((30, 4), np.float32), positions, grid, ["a"] * 30)
    assert (one.agreement, one.agreement_random) == (1, 1)
    other = report_card(np.ones((30, 4), np.float32), positions, grid, range(30))
    assert (other.agreement, other.agreement_random) == (0, 0)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 21])
def test_few_photos(count: int) -> None:
    rng = np.random.default_rng(0)
    vectors, positions = rng.normal(size=(count, 4)).astype(np.float32), rng.random((count, 2))
    grid = on_grid(positions, np.arange(count) * 2, *choose_shape(2 * count))
    card = report_card(vectors, Layout(positions=positions, kl=0.5), grid, ["a"] * count)
    check(card)
    assert card.neighbors == (count - 1) // 2
    assert (card.dpq_16 is None) == (count < 3)
    assert (f"trustworthiness_{card.neighbors}" in card.scalars()) == (count > 2)


def test_names_and_lines() -> None:
    vectors, positions, grid = clustered(60, 4)
    card = report_card(vectors, Layout(positions=positions, kl=0.25), grid, ["a", "b"] * 30)
    assert [*card.scalars()] == [
        "DPQ_16",
        "DPQ_16_random",
        "DPQ_2",
        "DPQ_2_random",
        "trustworthiness_10",
        "neighbours_kept_10",
        "neighbour_agreement",
        "neighbour_agreement_random",
        "KL_divergence",
        "assignment_cost",
        "assignment_gap",
        "assignment_displacement",
    ]
    lines = dict(card.summary_rows())
    assert lines["grid, DPQ_16"] == f"{card.dpq_16:.3f} (random order {card.dpq_16_random:.3f})"
    assert lines["assignment, cost"] == "1, within 50 % of optimal (proven)"
    assert lines["t-SNE, KL divergence"] == "0.250"
    plain = dict(report_card(vectors, positions, grid).summary_rows())
    assert plain["layout, trustworthiness at 10"] == lines["t-SNE, trustworthiness at 10"]
    assert not any("measured on" in name for name in lines)


def test_displacement_is_the_root_of_the_squared_cost_per_photo() -> None:
    rng = np.random.default_rng(0)
    positions = rng.normal(size=(50, 2))
    vectors = rng.normal(size=(50, 3)).astype(np.float32)
    grid = snap(positions)
    card = report_card(vectors, positions, grid, None)
    assert card.cost == grid.cost
    assert card.displacement == pytest.approx(math.sqrt(grid.cost / 50))
    plain = snap(positions, GridOptions(assignment_cost="euclidean"))
    assert report_card(vectors, positions, plain, None).displacement >= plain.cost / 50


def test_a_sample_comes_near_the_whole() -> None:
    vectors, positions, grid = clustered(1500, 8)
    whole = report_card(vectors, positions, grid, None)
    calls: list[tuple[str, int, int | None]] = []
    part = report_card(
        vectors, positions, grid, None, sample=700, progress=lambda *now: calls.append(now)
    )
    assert (whole.rows, part.rows) == (1500, 326)
    for name, value in part.scalars().items():
        assert value == pytest.approx(whole.scalars()[name], abs=0.04), name
    assert "326 of 1500 photos" in dict(part.summary_rows())["DPQ and neighbours measured on"]
    assert part != whole
    again = report_card(vectors, positions, grid, None, sample=700)
    assert again == part, "equal seeds draw equal samples"
    assert report_card(vectors, positions, grid, None, sample=700, seed=1) != part
    assert calls[0] == ("quality", 0, 326)
    assert calls[-1] == ("quality", 326, 326)


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, positions, grid = clustered(200, 8)
    whole = report_card(vectors, positions, grid, None).scalars()
    monkeypatch.setattr("tbgrid.vectors.distances._BLOCK", 1000)
    monkeypatch.setattr("tbgrid.vectors.distances._DISTANCES", 3400)
    assert report_card(vectors, positions, grid, None).scalars() == pytest.approx(whole)


def test_many_photos_take_bounded_memory() -> None:
    vectors, positions, grid = clustered(30_000, 16)
    tracemalloc.start()
    try:
        card = report_card(vectors, positions, grid, ["a", "b", "c"] * 10_000, sample=1000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert card.rows == 200
    assert peak < 300e6
    check(card)
