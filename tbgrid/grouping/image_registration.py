"""Similarity of two pictures after one has been registered (moved and scaled) onto the other.

Pictures are float32[m, 3, s, s] with an even side `s`. One may be a crop of the other or brighter,
but not rotated or mirrored.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tbgrid.types import Float32Array, Float64Array, IntArray

COARSE, FINE = 6, 4  # iterations at half and at full resolution; the last one moves little
MARGIN = 0.1  # of the side: a border that the other picture may lack
REACH = 0.25  # the largest change of scale and shift, in halves of the side
# Pairs that are at half resolution this many times as dissimilar as allowed are given up.
HOPELESS = 4
_SHADE = 8  # of 256: by how much two pictures of one colour may differ
_FLAT = 1e-5  # of the squared value range: a picture with weaker edges counts as one colour


def similarity(
    ones: Float32Array, others: Float32Array, pairs: IntArray, least: float = -1
) -> Float32Array:
    """How well the edges of two pictures agree, once one is registered onto the other.

    It is the correlation of gradients; that of the pictures themselves is high wherever both are
    bright in the middle. 1 means equal pictures, 0 agreement by chance. A picture of one colour
    equals another of that colour and nothing else.

    Args:
        ones: float32[n, 3, s, s], values from 0 to 255.
        others: float32[n, 3, s, s], likewise; they are the ones that are moved.
        pairs: int64[m, 2], a row of `ones` and a row of `others` each.
        least: pairs that will hardly reach this similarity are compared at half resolution only.

    Returns:
        float32[m] in [-1, 1].
    """
    one, other = (_halved(some)[rows] for some, rows in zip((ones, others), pairs.T, strict=True))
    place = _registered(one, other, np.zeros((len(pairs), 4)), COARSE)
    found = _agreement(one, other, place)
    hope = np.flatnonzero(found >= 1 - HOPELESS * (1 - least))
    if len(hope):
        one, other = ones[pairs[hope, 0]], others[pairs[hope, 1]]
        found[hope] = _agreement(one, other, _registered(one, other, place[hope], FINE))
    return found


def _halved(pictures: Float32Array) -> Float32Array:
    rows = pictures[:, :, 0::2] + pictures[:, :, 1::2]
    return np.asarray((rows[..., 0::2] + rows[..., 1::2]) * np.float32(0.25), np.float32)


def _registered(
    one: Float32Array, other: Float32Array, place: Float64Array, steps: int
) -> Float64Array:
    """Register `other` onto `one`, starting at `place`.

    Gauss-Newton steps on the difference of grey pictures of equal mean and variance, in the
    inverse compositional form (Baker and Matthews, IJCV 56, 2004), where the matrix is constant.

    Returns:
        float64[m, 4]: scale - 1 and shift along x, then along y, that map points of `one`, in
        [-1, 1], to points of `other`.
    """
    side = one.shape[-1]
    inset = max(1, round(MARGIN * side))
    window = slice(inset, side - inset)
    at = _axis(side)
    grey = one.mean(axis=1)
    down, across = np.gradient(grey, axis=(1, 2))
    inner = at[window]
    down, across = down[:, window, window], across[:, window, window]
    steepest = np.stack([across * inner, across, down * inner[:, None], down], axis=1).reshape(
        len(one), 4, -1
    )
    steepest = steepest * np.float32((side - 1) / 2)
    steepest = steepest - steepest.mean(axis=2, keepdims=True)
    target, scale = _normal(grey[:, window, window])
    steepest = steepest / scale[:, None]
    matrix = (steepest @ steepest.transpose(0, 2, 1)).astype(np.float64)
    # Regularized: along a straight edge the shift is undetermined, and should stay as it is.
    matrix += (1e-3 * np.trace(matrix, axis1=1, axis2=2)[:, None, None] + 1e-6) * np.eye(4)
    inverse = np.linalg.inv(matrix)
    moving = other.mean(axis=1, keepdims=True)
    for _ in range(steps):
        seen, _ = _normal(_warped(moving, place, window)[:, 0])
        slope = (steepest @ (seen - target)[:, :, None]).astype(np.float64)
        step = np.clip((inverse @ slope)[:, :, 0], -MARGIN, MARGIN)
        stretch, shift = step[:, 0::2], step[:, 1::2]
        scales = (1 + place[:, 0::2]) / (1 + stretch)
        shifts = place[:, 1::2] - scales * shift
        place = np.stack([scales - 1, shifts], axis=2).reshape(-1, 4)
        place = np.clip(place, -REACH, REACH)
    return place


def _normal(pictures: Float32Array) -> tuple[Float32Array, Float32Array]:
    """float32[m, s * s] of mean 0 and variance 1, and float32[m, 1], their standard deviation."""
    flat = pictures.reshape(len(pictures), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    scale = np.maximum(flat.std(axis=1, keepdims=True), np.float32(1e-6))
    return flat / scale, scale


def _axis(side: int) -> Float32Array:
    return np.linspace(-1, 1, side, dtype=np.float32)


def _warped(pictures: Float32Array, place: Float64Array, window: slice) -> Float32Array:
    """The pictures sampled at the points of `window` moved by `place`; borders are repeated."""
    side = pictures.shape[-1]
    at = _axis(side)[window]
    # Scale and shift act on each axis alone, so interpolation is a product with one matrix for
    # rows and one for columns.
    across, down = (_weights(_points(place, axis, at, side), side) for axis in (0, 1))
    return np.asarray(down[:, None] @ (pictures @ across[:, None].transpose(0, 1, 3, 2)))


def _weights(points: Float64Array, side: int) -> Float32Array:
    """float32[m, p, s]: linear interpolation at float64[m, p] points in pixels, as a matrix."""
    inside = np.clip(points, 0, side - 1).astype(np.float32)
    apart = inside[:, :, None] - np.arange(side, dtype=np.float32)
    return np.asarray(np.maximum(1 - np.abs(apart, out=apart), 0))


def _points(place: Float64Array, axis: int, at: Float32Array, side: int) -> Float64Array:
    """float64[m, p]: the points `at` of one axis moved by `place`, in pixels."""
    scale, shift = place[:, 2 * axis, None] + 1, place[:, 2 * axis + 1, None]
    return np.asarray((at * scale + shift + 1) * (side - 1) / 2)


def _agreement(one: Float32Array, other: Float32Array, place: Float64Array) -> Float32Array:
    """float32[m]: the correlation of gradients where `other`, moved by `place`, overlaps."""
    side = one.shape[-1]
    warped = _warped(other, place, slice(None))
    at = _axis(side)
    inside: list[npt.NDArray[np.bool_]] = []
    for axis in (0, 1):
        points = _points(place, axis, at, side)
        within = (points > -0.5) & (points < side - 0.5)
        inside.append(within[:, 2:] & within[:, :-2])
    mask = (inside[1][:, :, None] & inside[0][:, None, :])[:, None].astype(np.float32)
    sums = np.zeros((3, len(one)))
    for axis in (2, 3):
        edges = [_edges(pictures, axis) * mask for pictures in (one, warped)]
        for row, (a, b) in enumerate(((0, 0), (1, 1), (0, 1))):
            sums[row] += np.einsum("mcyx,mcyx->m", edges[a], edges[b])
    flat = _FLAT * 255**2 * mask.sum(axis=(1, 2, 3))
    both = np.sqrt(sums[0] * sums[1])
    found = np.where(both > flat, sums[2] / np.maximum(both, flat), 0.0)
    plain = (sums[0] <= flat) & (sums[1] <= flat)
    apart = np.abs(one.mean(axis=(2, 3)) - other.mean(axis=(2, 3))).max(axis=1)
    found[plain] = apart[plain] <= _SHADE
    return np.clip(found, -1, 1).astype(np.float32)


def _edges(pictures: Float32Array, axis: int) -> Float32Array:
    inner = slice(1, -1)
    if axis == 2:
        return pictures[:, :, 2:, inner] - pictures[:, :, :-2, inner]
    return pictures[:, :, inner, 2:] - pictures[:, :, inner, :-2]
