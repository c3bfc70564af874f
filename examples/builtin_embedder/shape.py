"""A descriptor of shape: where in the picture which direction of edge is strong.

The network learned photos; strokes distinguish glyphs, line art and drawings better.
These numbers, histograms of oriented gradients on a soft grid, need no training. They do not change
when a picture is inverted or loses its colour. `describe` is for shipping, `reference` states the
same in NumPy for pictures of SIDE x SIDE.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

SIDE = 32
DIRECTIONS = 8
CELL = 8  # each cell of the grid averages CELL x CELL pixels,
STEP = 4  # cells lie STEP apart, so that they overlap by half
SHARPNESS = 4  # how fast an edge's share of a direction falls with the angle between them
ROOT = 0.75  # < 1 lessens the say of single strong edges
FLOOR = 0.3  # length of a descriptor below which it is taken for noise and shrinks
TINY = 1e-8

CELLS = (SIDE - CELL) // STEP + 1
DIM = CELLS * CELLS * DIRECTIONS
ANGLES = np.arange(DIRECTIONS) * np.pi / DIRECTIONS


def describe(images: Any) -> Any:
    """float32 [N, H, W, 3] in [0, 1] -> float32 [N, DIM], of length one unless nearly flat."""
    import tensorflow as tf

    grey = tf.reduce_mean(images, -1, keepdims=True)
    grey = tf.image.resize(grey, (SIDE, SIDE), antialias=True)
    grey = tf.pad(grey, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
    dx = grey[:, 1:-1, 2:] - grey[:, 1:-1, :-2]
    dy = grey[:, 2:, 1:-1] - grey[:, :-2, 1:-1]
    along = dx * np.cos(ANGLES).astype(np.float32) + dy * np.sin(ANGLES).astype(np.float32)
    size = tf.sqrt(dx * dx + dy * dy + TINY)
    share = along**SHARPNESS / size ** (SHARPNESS - 1)
    cells = tf.nn.avg_pool2d(share, CELL, STEP, "VALID") ** ROOT
    flat = tf.reshape(cells, (-1, DIM))
    return flat / tf.sqrt(tf.reduce_sum(flat * flat, 1, keepdims=True) + FLOOR**2)


def reference(images: Floats) -> Floats:
    """The same for [N, SIDE, SIDE, 3], in NumPy and float64."""
    grey = np.pad(images.astype(np.float64).mean(-1), [(0, 0), (1, 1), (1, 1)], "symmetric")
    dx = grey[:, 1:-1, 2:] - grey[:, 1:-1, :-2]
    dy = grey[:, 2:, 1:-1] - grey[:, :-2, 1:-1]
    size = np.sqrt(dx * dx + dy * dy + TINY)
    out = np.empty((len(images), CELLS, CELLS, DIRECTIONS))
    for k, angle in enumerate(ANGLES):
        share = (dx * np.cos(angle) + dy * np.sin(angle)) ** SHARPNESS / size ** (SHARPNESS - 1)
        for i in range(CELLS):
            for j in range(CELLS):
                cell = share[:, i * STEP : i * STEP + CELL, j * STEP : j * STEP + CELL]
                out[:, i, j, k] = cell.mean((1, 2)) ** ROOT
    flat = out.reshape(len(images), DIM)
    return np.asarray(flat / np.sqrt(np.square(flat).sum(1, keepdims=True) + FLOOR**2))
