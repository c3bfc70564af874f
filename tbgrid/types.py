"""The words the stages share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from tbgrid.choices import Metric

Float32Array: TypeAlias = npt.NDArray[np.float32]
Float64Array: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
Int32Array: TypeAlias = npt.NDArray[np.int32]
UInt8Array: TypeAlias = npt.NDArray[np.uint8]
BoolArray: TypeAlias = npt.NDArray[np.bool_]


class Embedder(Protocol):
    """A network, or anything else that turns pictures into vectors.

    An attribute `fingerprint` (str) that differs whenever its vectors would lets them be cached.
    """

    @property
    def model_id(self) -> str:
        """What names the model in reports."""

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of its input in pixels."""

    @property
    def metric(self) -> Metric:
        """The distance under which its vectors are compared."""

    @property
    def notes(self) -> Sequence[str]:
        """What the user should know about how the model is used."""

    def __call__(self, images: Float32Array) -> Float32Array:
        """Embed `images`, float32[b, h, w, 3] in [0, 1], as float32[b, d]."""


Json: TypeAlias = dict[str, Any]
