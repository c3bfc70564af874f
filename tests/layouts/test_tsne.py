"""t-SNE keeps neighbours, repeats under a seed, and copes with few or equal points."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from openTSNE.affinity import PerplexityBasedNN
from openTSNE.tsne import kl_divergence_bh
from scipy.sparse import csr_matrix
from scipy.spatial.distance import pdist
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

from tbgrid import TbgridError, TsneOptions, UsageError, tsne
from tbgrid.choices import Engine
from tbgrid.layouts import tsne_engines
from tbgrid.layouts.exact_gradient import ExactGradient
from tbgrid.layouts.procrustes import aligned
from tbgrid.types import Float32Array
from tbgrid.vectors import pca
from tbgrid.vectors.pca import normalize_for, principal_components
from tests.support.values import present


@pytest.fixture(scope="module")
def digits() -> tuple[Float32Array, np.ndarray]:
    bunch = load_digits()
    return bunch.data[:400].astype(np.float32), bunch.target[:400]


def neighbour_agreement(points: np.ndarray, labels: np.ndarray) -> float:
    near = NearestNeighbors(n_neighbors=6).fit(points).kneighbors(return_distance=False)
    return float((labels[near] == labels[:, None]).mean())


def test_labelled_clusters_stay_neighbours(digits: tuple[Float32Array, np.ndarray]) -> None:
    vectors, labels = digits
    layout = tsne(vectors, metric="euclidean")
    assert layout.positions.shape == (400, 2)
    assert layout.positions.dtype == np.float64
    in_plane = neighbour_agreement(layout.positions, labels)
    assert in_plane > 0.85
    assert in_plane > neighbour_agreement(principal_components(vectors, 2), labels) + 0.2
    assert 0 < present(layout.kl) < 2


@pytest.mark.parametrize(
    ("points", "summed"),
    [
        pytest.param(100, 200, id="pairs"),
        pytest.param(100, 0, id="tree"),
        pytest.param(350, 200, id="mesh", marks=pytest.mark.slow),
    ],
)
def test_equal_seeds_give_equal_layouts(
    digits: tuple[Float32Array, np.ndarray],
    points: int,
    summed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors = digits[0][:points]
    monkeypatch.setattr(pca, "PCA_ABOVE", 200)  # the larger set takes the way of large ones
    monkeypatch.setattr(tsne_engines, "EXACT_BELOW", summed)
    monkeypatch.setattr(tsne_engines, "FFT_ABOVE", 200)
    one, other = (tsne(vectors, TsneOptions(10, 5)) for _ in range(2))
    assert one.positions.tobytes() == other.positions.tobytes()
    assert one.kl == other.kl
    assert one.components == (50 if points > 200 else 0)


def test_the_default_ends_below_the_reference(digits: tuple[Float32Array, np.ndarray]) -> None:
    """Both divergences are of the same vectors and perplexity."""
    vectors, labels = digits
    default, reference = (
        tsne(vectors, TsneOptions(engine=name)) for name in ("opentsne", "sklearn")
    )
    assert present(default.kl) < 1.02 * present(reference.kl)
    agreements = [neighbour_agreement(found.positions, labels) for found in (default, reference)]
    assert agreements[0] > agreements[1] - 0.02
    assert default.engine.startswith("openTSNE ")
    assert reference.engine.startswith("scikit-learn ")


@pytest.mark.parametrize("exaggeration", [1.0, 4.0])
def test_the_sum_over_all_pairs_is_what_the_tree_comes_near(
    digits: tuple[Float32Array, np.ndarray], exaggeration: float
) -> None:
    """openTSNE's own function, told to go to the tree's last leaf, has the same divergence and
    gradient."""
    affinities = PerplexityBasedNN(digits[0], perplexity=10, random_state=0).P
    places = 20 * np.random.default_rng(0).normal(size=(len(digits[0]), 2))
    told = exaggeration * affinities
    whole = kl_divergence_bh(places, told, 1, {"theta": 0.0}, should_eval_error=True)
    found = ExactGradient(affinities)(places, told, should_eval_error=True)
    assert found[0] == pytest.approx(whole[0], rel=1e-5)
    np.testing.assert_allclose(found[1], whole[1], atol=1e-3 * np.abs(whole[1]).max())
    assert ExactGradient(affinities)(places, told)[1].tobytes() == found[1].tobytes()


def test_few_points_far_apart_push_each_other_as_they_should() -> None:
    """In double precision, pair by pair: single precision must not drown so small a sum."""
    rng = np.random.default_rng(1)
    for count, spread in ((3, 30.0), (3, 300.0), (10, 200.0), (70, 500.0), (3, 3000.0)):
        affinities = rng.random((count, count))
        affinities += affinities.T
        np.fill_diagonal(affinities, 0)
        affinities /= affinities.sum()
        places = spread * rng.normal(size=(count, 2)) + 300
        apart = places[:, None] - places[None]
        near = 1 / (1 + (apart**2).sum(axis=2))
        np.fill_diagonal(near, 0)
        forces = (affinities - near / near.sum()) * near
        divergence = (
            affinities[affinities > 0]
            * np.log(affinities[affinities > 0] / (near / near.sum())[affinities > 0])
        ).sum()
        found = ExactGradient(csr_matrix(affinities))(places, csr_matrix(affinities), True)
        gradient = (forces[:, :, None] * apart).sum(axis=1)
        assert found[0] == pytest.approx(divergence, rel=2e-3)
        np.testing.assert_allclose(found[1], gradient, atol=1e-2 * np.abs(gradient).max())


def test_many_points_are_as_well_laid_out(
    digits: tuple[Float32Array, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, labels = digits
    whole = neighbour_agreement(tsne(vectors).positions, labels)
    monkeypatch.setattr(pca, "PCA_ABOVE", 200)
    assert neighbour_agreement(tsne(vectors).positions, labels) > whole - 0.02


def test_intelex_lays_out_or_says_what_to_install(
    digits: tuple[Float32Array, np.ndarray],
) -> None:
    options = TsneOptions(engine="intelex")
    if importlib.util.find_spec("sklearnex"):
        found = tsne(digits[0], options).positions
        assert neighbour_agreement(found, digits[1]) > 0.85
    else:
        with pytest.raises(UsageError, match=r"pip install 'tbgrid\[intelex\]'"):
            tsne(digits[0], options)


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_principal_components_are_those_of_the_whole(
    offset: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(900, 20)) * np.geomspace(8, 0.1, 20) + offset).astype(np.float32)
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    exact = centred @ np.linalg.svd(centred, full_matrices=False)[2][:3].T
    for limit, likeness in ((20_000, 0.9999), (300, 0.99)):  # of all, of a third of them
        monkeypatch.setattr(pca, "PCA_SAMPLE", limit)
        found = principal_components(vectors, 3)
        for part in range(3):
            assert abs(np.corrcoef(found[:, part], exact[:, part])[0, 1]) > likeness


def test_cosine_ignores_length(digits: tuple[Float32Array, np.ndarray]) -> None:
    vectors = digits[0][:60]
    lengths = np.linspace(0.1, 10, 60, dtype=np.float32)[:, None]
    scaled = normalize_for(vectors * lengths, "cosine")
    assert np.allclose(scaled, normalize_for(vectors, "cosine"), atol=1e-6)
    assert np.array_equal(normalize_for(vectors * lengths, "euclidean"), vectors * lengths)


def test_a_layout_near_another_is_as_good_and_stays_near(
    digits: tuple[Float32Array, np.ndarray],
) -> None:
    vectors, labels = digits
    noise = np.random.default_rng(0).normal(0, 4, vectors.shape).astype(np.float32)
    options = TsneOptions(30)
    first, fresh = tsne(vectors + noise, options), tsne(vectors, options)
    held = first.positions.copy()
    near = tsne(vectors, options, init=first.positions)
    assert np.array_equal(first.positions, held)
    assert present(near.kl) < present(fresh.kl) + 0.1
    agreements = [neighbour_agreement(found.positions, labels) for found in (near, fresh)]
    assert agreements[0] > agreements[1] - 0.03

    def scaled(positions: np.ndarray) -> np.ndarray:
        return np.asarray((positions - positions.mean(axis=0)) / positions.std())

    moved = [
        np.linalg.norm(scaled(found) - scaled(first.positions), axis=1).mean()
        for found in (near.positions, aligned(fresh.positions, first.positions))
    ]
    assert moved[0] < 0.7 * moved[1]


def test_only_the_default_engine_starts_from_a_layout() -> None:
    vectors = np.eye(5, dtype=np.float32)
    with pytest.raises(UsageError, match="engine sklearn cannot start from an earlier layout"):
        tsne(vectors, TsneOptions(engine="sklearn"), init=np.zeros((5, 2)))


@pytest.mark.parametrize("count", [3, 4, 5, 12, 70])
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
    layout = tsne(vectors.astype(np.float32), metric="euclidean")
    assert np.isfinite(layout.positions).all()


@pytest.mark.parametrize(("engine", "total"), [("opentsne", 400), ("sklearn", 1000)])
def test_progress_is_reported_as_it_goes(
    digits: tuple[Float32Array, np.ndarray], engine: Engine, total: int
) -> None:
    seen: list[tuple[str, int, int | None]] = []
    options = TsneOptions(engine=engine)
    quiet = tsne(digits[0][:100], options)
    told = tsne(digits[0][:100], options, progress=lambda *step: seen.append(step))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert len(seen) > 10
    assert seen[-1] == ("t-SNE", total, total)
    assert np.array_equal(quiet.positions, told.positions)


@pytest.mark.parametrize(
    ("perplexity", "count", "message"),
    [
        (30, 12, "perplexity 30 needs more than 90 photos; found 12: use tsne.perplexity 3"),
        (4, 3, "use tsne.perplexity 1"),
    ],
)
def test_a_perplexity_too_large_is_refused(perplexity: float, count: int, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        tsne(np.eye(count, dtype=np.float32), TsneOptions(perplexity))
    assert message in str(caught.value)


@pytest.mark.parametrize("perplexity", [1e-300, 0.99, 1_000_001, 1e308])
def test_a_perplexity_counts_neighbours(perplexity: float) -> None:
    with pytest.raises(UsageError, match="give one from 1 to 1000000"):
        TsneOptions(perplexity)


@pytest.mark.parametrize("perplexity", [0, -1, float("nan")])
def test_a_perplexity_must_be_a_positive_number(perplexity: float) -> None:
    with pytest.raises(UsageError):
        TsneOptions(perplexity)


def test_vectors_must_be_finite_and_three() -> None:
    with pytest.raises(TbgridError, match="not finite"):
        tsne(np.array([[0, 1], [np.inf, 1], [1, 1]], np.float32))
    with pytest.raises(TbgridError, match="at least 3"):
        tsne(np.ones((2, 2), np.float32))
