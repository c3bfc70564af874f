"""Neighbors of some photos among themselves, from those among all photos."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from tbgrid.choices import Metric
from tbgrid.types import Float32Array, IntArray
from tbgrid.vectors import neighbors as module
from tbgrid.vectors.neighbors import Neighbors, find_neighbors, neighbors_among


def with_copies(n: int, d: int, copies: int, seed: int) -> tuple[Float32Array, IntArray]:
    """float32[n + m, d] vectors of which m are copies of others, and the rows of the others."""
    rng = np.random.default_rng(seed)
    vectors = np.abs(rng.standard_normal((n, d))).astype(np.float32)
    originals = rng.integers(0, max(1, n // 4), copies)  # some have many copies
    noise = rng.standard_normal((copies, d)).astype(np.float32)
    every = np.concatenate([vectors, vectors[originals] + np.float32(1e-3) * noise])
    order = rng.permutation(len(every))
    return every[order], np.flatnonzero(order < n)


def assert_equal(found: Neighbors, expected: Neighbors) -> None:
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.distances, expected.distances)
    assert found.distances.dtype == np.float32
    assert found.exact == expected.exact


@pytest.mark.parametrize("metric", get_args(Metric))
@pytest.mark.parametrize("spare", [0, 36])
@pytest.mark.parametrize(
    ("n", "d", "copies"), [(40, 6, 20), (300, 48, 40), (301, 776, 900), (9, 3, 500), (14, 3, 0)]
)
def test_neighbors_among_kept_photos_are_those_of_a_search(
    n: int, d: int, copies: int, spare: int, metric: Metric
) -> None:
    for seed in range(3):
        vectors, kept = with_copies(n, d, copies, seed)
        known = find_neighbors(vectors, 12, metric, spare=spare)
        assert_equal(known.first(12), find_neighbors(vectors, 12, metric))
        found = neighbors_among(kept, known, vectors[kept], 12, metric)
        assert_equal(found, find_neighbors(vectors[kept], 12, metric))


def test_equally_distant_ones_stay_in_the_order_of_rows() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.integers(0, 3, (200, 4)).astype(np.float32)  # on few points, exactly
    kept = np.flatnonzero(rng.random(200) < 0.7)
    known = find_neighbors(vectors, 12, "euclidean", spare=36)
    found = neighbors_among(kept, known, vectors[kept], 12, "euclidean")
    assert_equal(found, find_neighbors(vectors[kept], 12, "euclidean"))


def test_with_few_copies_nothing_is_searched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, kept = with_copies(300, 16, 30, 1)
    known = find_neighbors(vectors, 12, spare=36)
    expected = find_neighbors(vectors[kept], 12)
    monkeypatch.setattr(module, "_by_all", lambda *_: pytest.fail("searched again"))
    assert_equal(neighbors_among(kept, known, vectors[kept], 12), expected)


def test_neighbors_that_may_be_missing_are_searched_again() -> None:
    vectors, kept = with_copies(400, 100, 30, 2)
    known = find_neighbors(vectors, 12, spare=36, max_work=0)
    assert known.rows.shape[1] == 12
    found = neighbors_among(kept, known, vectors[kept], 12)
    assert_equal(found, find_neighbors(vectors[kept], 12))
