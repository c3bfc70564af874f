"""Turning one layout towards another, so that maps of the same photos can be compared by eye."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tbgrid.grid.cells import cell_centers
from tbgrid.types import Float64Array, IntArray


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


def consensus(layouts: Sequence[Float64Array]) -> Float64Array:
    """The sum of layouts of the same points, float64[n, 2] each, about their means and at one size
    (the root mean square from the mean).

    A layout that is `aligned` to it lies as near as turning allows to all of them at once, since
    the inner product that this makes largest is the sum of those with each: a step of generalized
    Procrustes analysis (Gower, Psychometrika 40, 1975).
    """
    total = np.zeros_like(layouts[0])
    for positions in layouts:
        centred = positions - positions.mean(axis=0)
        total += centred / (np.sqrt((centred**2).mean()) or 1.0)
    return total


def aligned_cells(cells: IntArray, rows: int, columns: int, reference: Float64Array) -> IntArray:
    """int64[n] cells of a grid, turned and perhaps mirrored as a whole to lie as near as that
    allows to `reference` float64[n, 2], the places (x, y up) of the same n points.

    Of the eight ways to lay a square board on itself, or the four of another, the one that
    `aligned` would come nearest to: the largest inner product with the reference about its mean.
    """
    other = reference - reference.mean(axis=0)
    board = np.arange(rows * columns).reshape(rows, columns)
    boards = [board, board[::-1], board[:, ::-1], board[::-1, ::-1]]
    if rows == columns:
        boards += [turned.T for turned in boards]
    found = [turned.ravel()[cells] for turned in boards]
    return max(found, key=lambda these: float((cell_centers(these, columns) * other).sum()))
