"""Which cells of a grid touch each other."""

from __future__ import annotations

import numpy as np

from tbgrid.types import IntArray


def adjacent_pairs(cells: IntArray, rows: int, columns: int) -> IntArray:
    """List the pairs of items in cells that share a side or a corner.

    Cells at opposite borders are not adjacent, and empty cells are skipped.

    Args:
        cells: int64[n], distinct, row * columns + column.
        rows: of the grid.
        columns: of the grid.

    Returns:
        int64[m, 2], each pair once.
    """
    board = np.full((rows, columns), -1, np.int64)
    board.flat[cells] = np.arange(len(cells))
    pairs = [
        np.stack([one.ravel(), other.ravel()], axis=1)
        for one, other in (
            (board[:, :-1], board[:, 1:]),
            (board[:-1], board[1:]),
            (board[:-1, :-1], board[1:, 1:]),
            (board[:-1, 1:], board[1:, :-1]),
        )
    ]
    found = np.concatenate(pairs)
    return found[(found >= 0).all(axis=1)]
