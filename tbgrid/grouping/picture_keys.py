"""Keys that are equal for equal pictures."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from tbgrid.types import UInt8Array


def picture_keys(thumbnails: UInt8Array) -> NDArray[np.uint64]:
    """uint64[n]: equal for equal pictures of uint8[n, t, t, 3], and hardly for others: 64 bits of
    BLAKE2 of their lower halves, since the upper ones may have the badge of a stack."""
    half = thumbnails.shape[1] // 2
    keys = b"".join(
        hashlib.blake2b(np.ascontiguousarray(picture[half:]).data, digest_size=8).digest()
        for picture in thumbnails
    )
    return np.frombuffer(keys, "<u8").astype(np.uint64)
