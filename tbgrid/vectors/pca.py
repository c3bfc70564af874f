"""Vectors prepared for comparison: unit length and principal components."""

from __future__ import annotations

import numpy as np

from tbgrid.choices import Metric
from tbgrid.types import Float32Array

_CHUNK = 4096  # vectors that are worked on together

PCA_ABOVE = 5000  # vectors up to which t-SNE sees all their dimensions
N_COMPONENTS = (
    50  # principal components that it sees of more: neighbours on digits are as good or better
)
PCA_SAMPLE = (
    20_000  # vectors that tell the directions of principal components; fewer if they are long
)
_PCA_SAMPLE_FLOATS = 30_000_000  # numbers of these vectors: 240 MB


def unit_length(vectors: Float32Array) -> Float32Array:
    """float32[n, d] with each row scaled to length 1; a row of zeros stays."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1), np.float32)


def normalize_for(vectors: Float32Array, metric: Metric) -> Float32Array:
    """Vectors whose Euclidean distances order pairs as `metric` does."""
    return unit_length(vectors) if metric == "cosine" else vectors


def reduce_dimensions(vectors: Float32Array, metric: Metric, seed: int) -> tuple[Float32Array, int]:
    """What a method sees of float32[n, d] vectors, under Euclidean distances: all of them, or of
    more than `WHOLE` the first `PARTS` principal components; and how many these are, 0 for all."""
    points = normalize_for(vectors, metric)
    if len(points) > PCA_ABOVE and points.shape[1] > N_COMPONENTS:
        return principal_components(points, N_COMPONENTS, seed), N_COMPONENTS
    return points, 0


def principal_components(vectors: Float32Array, parts: int, seed: int = 0) -> Float32Array:
    """float32[n, parts]: the first principal components, zeros where there are fewer.

    Of more than `FITTED` vectors the directions are those of `FITTED` drawn under `seed`; of very
    long ones, of as many as make `_HELD` numbers, but never less than 2,000.
    """
    from sklearn.decomposition import PCA

    found = np.zeros((len(vectors), parts), np.float32)
    chosen = vectors
    most = min(PCA_SAMPLE, max(2000, _PCA_SAMPLE_FLOATS // vectors.shape[1]))
    if len(vectors) > most:
        rows = np.random.default_rng(seed).permutation(len(vectors))[:most]
        chosen = vectors[np.sort(rows)]
    if np.ptp(chosen, axis=0).max() > 0:
        kept = min(parts, *chosen.shape)
        count, width = chosen.shape
        # Multiplications of both ways; those of the second are in narrow products, half as fast.
        covariance, projections = count * width**2 + 5 * width**3, 32 * count * width * (kept + 10)
        solver = "covariance_eigh" if covariance < projections else "randomized"
        # About the mean first: the covariance of numbers far from zero would be mostly rounding.
        middle = chosen.mean(axis=0, dtype=np.float64)
        pca = PCA(n_components=kept, svd_solver=solver, random_state=seed, copy=False)
        pca.fit(chosen - middle)
        for first in range(0, len(vectors), _CHUNK):
            part = slice(first, first + _CHUNK)
            found[part, :kept] = pca.transform(vectors[part] - middle)
    return found
