"""t-SNE keeps neighbours, repeats under a seed, and copes with few or equal points."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

from tbgrid import TbgridError, TsneOptions, UsageError, tsne
from tbgrid.layout import comparable, principal_components
from tbgrid.types import Float32Array


@pytest.fixture(scope="module")
def digits() -> tuple[Float32Array, np.ndarray]:
    bunch = load_digits()
    return bunch.data[:400].astype(np.float32), bunch.target[:400]


def neighbour_agreement(points: np.ndarray, labels: np.ndarray) -> float:
    near = NearestNeighbors(n_neighbors=6).fit(points).kneighbors(return_distance=False)
    return float((labels[near] == labels[:, None]).mean())


def test_labelled_clusters_stay_neighbours(digits: tuple[Float32Array, np.ndarray]) -> None:
    vectors, labels = digits
    layout = tsne(vectors, distance="euclidean")
    assert layout.positions.shape == (400, 2)
    assert layout.positions.dtype == np.float64
    in_plane = neighbour_agreement(layout.positions, labels)
    assert in_plane > 0.85
    assert in_plane > neighbour_agreement(principal_components(vectors, 2), labels) + 0.2
    assert 0 < layout.kl < 2


def test_equal_seeds_give_equal_layouts(digits: tuple[Float32Array, np.ndarray]) -> None:
    vectors = digits[0][:100]
    same = [tsne(vectors, TsneOptions(10, seed)).positions for seed in (5, 5)]
    assert np.array_equal(*same)


def test_cosine_ignores_length(digits: tuple[Float32Array, np.ndarray]) -> None:
    vectors = digits[0][:60]
    lengths = np.linspace(0.1, 10, 60, dtype=np.float32)[:, None]
    scaled = comparable(vectors * lengths, "cosine")
    assert np.allclose(scaled, comparable(vectors, "cosine"), atol=1e-6)
    assert np.array_equal(comparable(vectors * lengths, "euclidean"), vectors * lengths)


@pytest.mark.parametrize("count", [3, 4, 5, 12, 90])
def test_perplexity_is_fitted_to_few_photos(count: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)
    layout = tsne(vectors)
    assert np.isfinite(layout.positions).all()
    assert len(np.unique(layout.positions.round(9), axis=0)) == count
    assert layout.perplexity == pytest.approx(max(1, (count - 1) / 3))
    if count <= 5:  # no photo hides another
        assert pdist(layout.positions).min() > 0.1 * pdist(layout.positions).max()
    assert f"fitted to {count} photos" in layout.notes[0]


@pytest.mark.parametrize(
    "vectors", [np.ones((5, 4)), np.zeros((20, 1)), np.repeat([[0.0], [1]], 9, 0)]
)
def test_equal_vectors_still_get_places(vectors: np.ndarray) -> None:
    layout = tsne(vectors.astype(np.float32), distance="euclidean")
    assert np.isfinite(layout.positions).all()


def test_progress_is_reported_as_it_goes(digits: tuple[Float32Array, np.ndarray]) -> None:
    seen: list[tuple[str, int, int | None]] = []
    quiet = tsne(digits[0][:100])
    told = tsne(digits[0][:100], progress=lambda *step: seen.append(step))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert len(seen) > 10
    assert seen[-1] == ("t-SNE", 1000, 1000)
    assert np.array_equal(quiet.positions, told.positions)


@pytest.mark.parametrize(
    ("perplexity", "count", "message"),
    [
        (30, 12, "perplexity 30 needs more than 90 photos; found 12: use --perplexity 3"),
        (4, 3, "use --perplexity 1"),
    ],
)
def test_a_perplexity_too_large_is_refused(perplexity: float, count: int, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        tsne(np.eye(count, dtype=np.float32), TsneOptions(perplexity))
    assert message in str(caught.value)


@pytest.mark.parametrize("perplexity", [0, -1, float("nan")])
def test_a_perplexity_must_be_a_positive_number(perplexity: float) -> None:
    with pytest.raises(UsageError):
        TsneOptions(perplexity)


def test_vectors_must_be_finite_and_three() -> None:
    with pytest.raises(TbgridError, match="not finite"):
        tsne(np.array([[0, 1], [np.inf, 1], [1, 1]], np.float32))
    with pytest.raises(TbgridError, match="at least 3"):
        tsne(np.ones((2, 2), np.float32))
