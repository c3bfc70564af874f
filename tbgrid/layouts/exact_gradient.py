"""The gradient of t-SNE from all pairs of points, for openTSNE's descent.

Up to some thousand points that takes less time than Barnes and Hut's tree, half as much at one
thousand, since it is products of matrices. Layouts of hundreds of points end at the same
divergence, by less than 1 % in the mean.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tbgrid.types import Float32Array, Float64Array

_BLOCK = 256  # points: so many pairs of them stay in a core's own memory


class ExactGradient:
    """What openTSNE takes for its `negative_gradient_method`: a function of a layout.

    van der Maaten and Hinton, JMLR 9 (2008), equation 5, without its factor of 4, as openTSNE has
    it: the sum over j of (p_ij - q_ij) (y_i - y_j) / (1 + |y_i - y_j|^2). Squared distances are
    found in single precision, with an error of about |y|^2 / 10^7 beside the 1.
    """

    def __init__(self, affinities: Any) -> None:
        """`affinities`: the p_ij, scipy.sparse.csr_matrix float64[n, n], symmetric, of sum 1."""
        count = affinities.shape[0]
        parts = [slice(first, min(first + _BLOCK, count)) for first in range(0, count, _BLOCK)]
        self._blocks: list[tuple[slice, slice, Float32Array]] = []
        for rows in parts:  # and of what lies below the diagonal the mirror image above it
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
        """The divergence of float64[n, 2] places, 0 unless asked for, and its gradient there.

        `affinities`: those of the beginning times their exaggeration, of which the divergence is.
        """
        exaggeration = float(affinities.data.sum())
        places = (embedding - np.mean(embedding, axis=0)).astype(np.float32)
        ones = np.ones((len(places), 1), np.float32)
        squares = np.einsum("ij,ij->i", places, places)[:, None]
        # The product of a row of one and a column of the other is 1 + the squared distance.
        left = np.hstack([-2 * places, 1 + squares, ones])
        right = np.ascontiguousarray(np.hstack([places, ones, squares]).T)
        # A force is the sum of weights times a point's place, less that of weighted other places.
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
            if not below:  # none acts upon itself, and with rounding that would be felt by few
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
