"""Do two pictures show the same? One is laid upon the other as well as it goes, and compared.

Pictures are float32[m, 3, s, s]; `s` is even. A picture may be a part of the other,
or brighter; neither turned nor mirrored.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tbgrid.types import Float32Array, Float64Array, IntArray

COARSE, FINE = 6, 4  # steps at half the side and at the whole: then the last one moves little
MARGIN = 0.1  # of the side, all around: what of a picture the other one need not have
REACH = 0.25  # how far scale and place may go, in halves of the side
HOPELESS = 4  # times as unlike as is allowed at half the side: few copies are
_SHADE = 8  # of 256: two of one colour may differ so much
_FLAT = 1e-5  # of the square of the pictures' range: what has less structure is of one colour


def likeness(
    ones: Float32Array, others: Float32Array, pairs: IntArray, least: float = -1
) -> Float32Array:
    """float32[m] in [-1, 1] of int64[m, 2] `pairs`, rows of `ones` and of `others`, float32[n, 3,
    s, s] with values from 0 to 255: how well the edges of two pictures agree, in all colours, once
    the other is moved and scaled to lie upon the one.

    The correlation of gradients, since that of pictures is high wherever both are bright in the
    middle. 1 is for equal pictures, 0 what chance gives. A picture of one colour is like another
    of that colour, and like nothing else. Pairs that will hardly reach `least` are only compared
    at half the side.
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
    """float64[m, 4]: scale less 1 and shift along x, then along y, by which points of `one`, in
    [-1, 1], become those of `other`; the best near `place`.

    Gauss and Newton's steps on the difference of grey pictures of equal mean and variance, in the
    inverse compositional form (Baker and Matthews, IJCV 56, 2004): the matrix stays the same.
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
    # Along an edge nothing holds a picture, and it is to stay where it is.
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
    """float32[m, s * s] of mean 0 and variance 1, and float32[m, 1], what they were divided by."""
    flat = pictures.reshape(len(pictures), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    scale = np.maximum(flat.std(axis=1, keepdims=True), np.float32(1e-6))
    return flat / scale, scale


def _axis(side: int) -> Float32Array:
    return np.linspace(-1, 1, side, dtype=np.float32)


def _warped(pictures: Float32Array, place: Float64Array, window: slice) -> Float32Array:
    """The pictures at the points of `window` moved to their `place`; beyond the border, what lies
    there."""
    side = pictures.shape[-1]
    at = _axis(side)[window]
    # A scale and a shift along each axis leave rows to be rows: two products, each of whose
    # weights take a point from the pixels before and behind it.
    across, down = (_weights(_points(place, axis, at, side), side) for axis in (0, 1))
    return np.asarray(down[:, None] @ (pictures @ across[:, None].transpose(0, 1, 3, 2)))


def _weights(points: Float64Array, side: int) -> Float32Array:
    """float32[m, p, s] of float64[m, p] points in pixels: linear interpolation as a matrix."""
    inside = np.clip(points, 0, side - 1).astype(np.float32)
    apart = inside[:, :, None] - np.arange(side, dtype=np.float32)
    return np.asarray(np.maximum(1 - np.abs(apart, out=apart), 0))


def _points(place: Float64Array, axis: int, at: Float32Array, side: int) -> Float64Array:
    """float64[m, p]: where, in pixels, the points `at` of one axis go."""
    scale, shift = place[:, 2 * axis, None] + 1, place[:, 2 * axis + 1, None]
    return np.asarray((at * scale + shift + 1) * (side - 1) / 2)


def _agreement(one: Float32Array, other: Float32Array, place: Float64Array) -> Float32Array:
    """float32[m]: the correlation of gradients where `other` at its `place` has any."""
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
