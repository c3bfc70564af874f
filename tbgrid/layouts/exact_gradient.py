"""The gradient of t-SNE from all pairs of points, for openTSNE's gradient descent.

Up to a few thousand points this takes less time than a Barnes-Hut tree, half as much for one
thousand, since it consists of matrix products. For hundreds of points the divergence at the end is
the same, within 1 % on average.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tbgrid.types import Float32Array, Float64Array

_BLOCK = 256  # points: all pairs of two blocks fit a core's own cache


class ExactGradient:
    """A function for openTSNE's parameter `negative_gradient_method`.

    van der Maaten and Hinton, JMLR 9 (2008), equation 5, without its factor of 4, as in openTSNE:
    the sum over j of (p_ij - q_ij) (y_i - y_j) / (1 + |y_i - y_j|^2). Squared distances are
    computed in single precision, with an error of about |y|^2 / 10^7 compared to the 1.

    Args:
        affinities: the p_ij, scipy.sparse.csr_matrix float64[n, n], symmetric, with a sum of 1.
    """

    def __init__(self, affinities: Any) -> None:
        count = affinities.shape[0]
        parts = [slice(first, min(first + _BLOCK, count)) for first in range(0, count, _BLOCK)]
        self._blocks: list[tuple[slice, slice, Float32Array]] = []
        for rows in parts:  # blocks on and above the diagonal; those below are their transposes
            dense = affinities[rows].toarray().astype(np.float32)
            self._blocks += [
                (rows, columns, np.ascontiguousarray(dense[:, columns]))
                for columns in parts
                if columns.start >= rows.start
            ]
        known = affinities.data[affinities.data > 0]
        self._entropy = float((known * np.log(known)).sum())

    def __call__(
        self, embedding: Float64Array, affinities: Any, should_eval_error: bool = False, **_: object
    ) -> tuple[float, Float64Array]:
        """Compute the Kullback-Leibler divergence and its gradient.

        Args:
            embedding: float64[n, 2], the positions.
            affinities: those of the constructor times the exaggeration.
            should_eval_error: whether to compute the divergence; else it is 0.

        Returns:
            The divergence of the exaggerated affinities, and float64[n, 2], its gradient.
        """
        exaggeration = float(affinities.data.sum())
        places = (embedding - np.mean(embedding, axis=0)).astype(np.float32)
        ones = np.ones((len(places), 1), np.float32)
        squares = np.einsum("ij,ij->i", places, places)[:, None]
        # A row of `left` times a column of `right` is 1 + the squared distance of two points.
        left = np.hstack([-2 * places, 1 + squares, ones])
        right = np.ascontiguousarray(np.hstack([places, ones, squares]).T)
        # A force is the sum of the weights times a point's position, less the weighted other ones.
        placed = np.hstack([places, ones])
        pull, push = np.zeros_like(placed), np.zeros_like(placed)
        total = cross = 0.0
        for rows, columns, affine in self._blocks:
            below = rows != columns
            near = left[rows] @ right[:, columns]
            np.maximum(near, 1, out=near)
            if should_eval_error:
                cross += (1 + below) * float(np.einsum("ij,ij->", affine, np.log(near)))
            np.divide(1, near, out=near)
            if not below:  # no point acts on itself; of few points the rounding error would matter
                np.fill_diagonal(near, 0)
            total += (1 + below) * float(np.einsum("ij->", near))
            drawn = near * affine
            near *= near
            pull[rows] += drawn @ placed[columns]
            push[rows] += near @ placed[columns]
            if below:
                pull[columns] += drawn.T @ placed[rows]
                push[columns] += near.T @ placed[rows]
        force = exaggeration * pull - push / np.float32(total)
        gradient = force[:, 2:] * places - force[:, :2]
        divergence = 0.0
        if should_eval_error:
            plain = self._entropy + cross + np.log(total)
            divergence = float(exaggeration * (plain + np.log(exaggeration)))
        return divergence, gradient.astype(np.float64)
