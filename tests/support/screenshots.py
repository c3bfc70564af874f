"""Pictures that a browser has taken."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from tbgrid.types import UInt8Array


def picture(encoded: bytes) -> UInt8Array:
    return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
