"""Turning one layout towards another, so that maps of the same photos can be compared by eye."""

from __future__ import annotations

import numpy as np

from tbgrid.types import Float64Array


def aligned(positions: Float64Array, reference: Float64Array) -> Float64Array:
    """`positions` float64[n, 2], turned and perhaps mirrored to lie as near as that allows to
    `reference` float64[n, 2], the places of the same n points in another layout.

    The orthogonal Procrustes problem (Schönemann, Psychometrika 31, 1966) between both layouts,
    each about its mean and at its own size. Distances between `positions` stay what they are;
    their mean comes to lie at the origin.
    """
    mine, other = positions - positions.mean(axis=0), reference - reference.mean(axis=0)
    left, _, right = np.linalg.svd(mine.T @ other)
    return np.asarray(mine @ (left @ right), np.float64)
