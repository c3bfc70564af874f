"""Vectors prepared for comparison: unit length and principal components."""

from __future__ import annotations

import numpy as np

from tbgrid.choices import Metric
from tbgrid.types import Float32Array

_CHUNK = 4096  # vectors that are projected together

PCA_ABOVE = 5000  # vectors up to which layouts are computed from all dimensions
# Principal components for more vectors: neighbors on digits are as good as with all dimensions, or
# better.
N_COMPONENTS = 50
PCA_SAMPLE = 20_000  # vectors from which the directions are computed; fewer if they are long
_PCA_SAMPLE_FLOATS = 30_000_000  # numbers in these vectors: 240 MB


def unit_length(vectors: Float32Array) -> Float32Array:
    """Scale each row of float32[n, d] to length 1; rows of zeros stay."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1), np.float32)


def normalize_for(vectors: Float32Array, metric: Metric) -> Float32Array:
    """Give float32[n, d] vectors whose Euclidean distances order pairs as `metric` does."""
    return unit_length(vectors) if metric == "cosine" else vectors


def reduce_dimensions(vectors: Float32Array, metric: Metric, seed: int) -> tuple[Float32Array, int]:
    """Prepare vectors for a layout: normalized, and reduced by PCA if there are many.

    Args:
        vectors: float32[n, d].
        metric: the distance that the vectors are compared by.
        seed: of the principal components.

    Returns:
        float32[n, k] points under the Euclidean distance, and the number of principal components
        that they are, 0 if all dimensions were kept. PCA is used for more than `PCA_ABOVE` vectors.
    """
    points = normalize_for(vectors, metric)
    if len(points) > PCA_ABOVE and points.shape[1] > N_COMPONENTS:
        return principal_components(points, N_COMPONENTS, seed), N_COMPONENTS
    return points, 0


def principal_components(vectors: Float32Array, parts: int, seed: int = 0) -> Float32Array:
    """Project vectors onto their first principal components.

    Args:
        vectors: float32[n, d]. If there are more than `PCA_SAMPLE`, or fewer very long ones, the
            directions are computed from a random sample, of at least 2,000.
        parts: number of components.
        seed: of the sample and of the solver.

    Returns:
        float32[n, parts]; zeros where there are fewer components.
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
        # Multiplications of both methods; the second one's are in narrow products, half as fast.
        covariance, projections = count * width**2 + 5 * width**3, 32 * count * width * (kept + 10)
        solver = "covariance_eigh" if covariance < projections else "randomized"
        # Centered first: the covariance of numbers far from zero would be mostly rounding.
        middle = chosen.mean(axis=0, dtype=np.float64)
        pca = PCA(n_components=kept, svd_solver=solver, random_state=seed, copy=False)
        pca.fit(chosen - middle)
        for first in range(0, len(vectors), _CHUNK):
            part = slice(first, first + _CHUNK)
            found[part, :kept] = pca.transform(vectors[part] - middle)
    return found
