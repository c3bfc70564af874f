"""Rotating one layout to match another, so that maps of the same photos can be compared by eye."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tbgrid.grid.cells import cell_centers
from tbgrid.types import Float64Array, IntArray


def aligned(positions: Float64Array, reference: Float64Array) -> Float64Array:
    """Rotate, and reflect if need be, positions to lie as near as possible to others.

    The orthogonal Procrustes problem (Schönemann, Psychometrika 31, 1966) between both layouts,
    each about its mean and at its own size. Distances do not change.

    Args:
        positions: float64[n, 2].
        reference: float64[n, 2], the same n points in another layout.

    Returns:
        float64[n, 2], with its mean at the origin.
    """
    mine, other = positions - positions.mean(axis=0), reference - reference.mean(axis=0)
    left, _, right = np.linalg.svd(mine.T @ other)
    return np.asarray(mine @ (left @ right), np.float64)


def consensus(layouts: Sequence[Float64Array]) -> Float64Array:
    """Add up layouts of the same points, about their means and scaled to one size.

    A layout that is `aligned` to the sum lies as near as possible to all of them at once, since
    the inner product that this maximizes is the sum of those with each: a step of generalized
    Procrustes analysis (Gower, Psychometrika 40, 1975).

    Args:
        layouts: at least one, float64[n, 2] each.

    Returns:
        float64[n, 2].
    """
    total = np.zeros_like(layouts[0])
    for positions in layouts:
        centered = positions - positions.mean(axis=0)
        total += centered / (np.sqrt((centered**2).mean()) or 1.0)
    return total


def aligned_cells(cells: IntArray, rows: int, columns: int, reference: Float64Array) -> IntArray:
    """Rotate or reflect a grid as a whole to lie as near as possible to other positions.

    Of the eight symmetries of a square grid, or the four of another one, the result has the
    largest inner product with the reference about its mean, as in `aligned`.

    Args:
        cells: int64[n], row * columns + column.
        rows: of the grid.
        columns: of the grid.
        reference: float64[n, 2], positions (x, y up) of the same n points.

    Returns:
        int64[n].
    """
    other = reference - reference.mean(axis=0)
    board = np.arange(rows * columns).reshape(rows, columns)
    boards = [board, board[::-1], board[:, ::-1], board[::-1, ::-1]]
    if rows == columns:
        boards += [turned.T for turned in boards]
    found = [turned.ravel()[cells] for turned in boards]
    return max(found, key=lambda these: float((cell_centers(these, columns) * other).sum()))
