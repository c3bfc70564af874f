"""Keys by which equal pictures are recognized."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from tbgrid.types import UInt8Array


def picture_keys(thumbnails: UInt8Array) -> NDArray[np.uint64]:
    """Keys that are equal for equal pictures and almost surely differ for different ones.

    Args:
        thumbnails: uint8[n, t, t, 3].

    Returns:
        uint64[n]: 64 bits of the BLAKE2 hash of each lower half; the upper half may hold a badge.
    """
    half = thumbnails.shape[1] // 2
    keys = b"".join(
        hashlib.blake2b(np.ascontiguousarray(picture[half:]).data, digest_size=8).digest()
        for picture in thumbnails
    )
    return np.frombuffer(keys, "<u8").astype(np.uint64)
