"""Shared type aliases and protocols."""

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

    Vectors are cached only if there is also an attribute `fingerprint` (str) that changes whenever
    the vectors would.
    """

    @property
    def model_id(self) -> str:
        """The name of the model in reports."""

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the input in pixels."""

    @property
    def metric(self) -> Metric:
        """The metric by which its vectors are compared."""

    @property
    def notes(self) -> Sequence[str]:
        """What the user should know about how the model is used."""

    def __call__(self, images: Float32Array) -> Float32Array:
        """Embed a batch of pictures.

        Args:
            images: float32[b, h, w, 3], RGB in [0, 1], of `input_size`.

        Returns:
            float32[b, d], one vector per picture.
        """


Json: TypeAlias = dict[str, Any]
