"""Networks of Keras Applications, with the preprocessing that each was trained with."""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tbgrid.choices import Metric
from tbgrid.embedding import registry
from tbgrid.embedding.hub import on_gpu
from tbgrid.errors import TbgridError, UsageError, option
from tbgrid.run_format import printable
from tbgrid.types import Float32Array

# Input side in pixels of the published weights, where it is not 224 (from the documentation of the
# classes in keras.applications).
_INPUT_SIDES = {
    "EfficientNetB1": 240,
    "EfficientNetB2": 260,
    "EfficientNetB3": 300,
    "EfficientNetB4": 380,
    "EfficientNetB5": 456,
    "EfficientNetB6": 528,
    "EfficientNetB7": 600,
    "EfficientNetV2B1": 240,
    "EfficientNetV2B2": 260,
    "EfficientNetV2B3": 300,
    "EfficientNetV2S": 384,
    "EfficientNetV2M": 480,
    "EfficientNetV2L": 480,
    "InceptionResNetV2": 299,
    "InceptionV3": 299,
    "NASNetLarge": 331,
    "Xception": 299,
}


@dataclass(frozen=True, kw_only=True)
class KerasEmbedder:
    """A network of keras.applications without its classifier, averaged over the image.

    Attributes:
        model_id, input_size, fingerprint, notes, metric: see `tbgrid.Embedder`.
    """

    model_id: str
    input_size: tuple[int, int]
    fingerprint: str
    _model: Any = field(repr=False)
    _preprocess: Any = field(repr=False)
    notes: tuple[str, ...] = ()
    metric: Metric = "cosine"

    @classmethod
    def load(
        cls, name: str, image_size: int | None = None, weights: str | None = "imagenet"
    ) -> KerasEmbedder:
        """Load a network by its name in keras.applications.

        Args:
            name: case, "-" and "_" do not matter.
            image_size: side of the input in pixels; None for that of the published weights.
            weights: which weights to download; None for random ones.

        Raises:
            UsageError: there is no such network, or it cannot take `image_size`.
            TbgridError: its weights cannot be downloaded.
        """
        import tensorflow as tf

        networks = {
            key: value
            for key, value in vars(tf.keras.applications).items()
            if key[:1].isupper() and callable(value)
        }
        by_plain_name = {re.sub(r"[-_]", "", key).lower(): key for key in networks}
        found = by_plain_name.get(re.sub(r"[-_]", "", name).lower())
        if found is None:
            raise UsageError(
                f"no such network in Keras Applications: {printable(name)}",
                f"expected one of {', '.join(networks)}",
            )
        side = image_size or _INPUT_SIDES.get(found, 224)
        try:
            model = _build(networks[found], side, weights)
        except Exception as error:  # from urllib, or from Keras if a download is damaged
            text = " ".join(str(error).split())[:200] or type(error).__name__
            if weights is None or not _can_build(networks[found], side):
                raise UsageError(
                    f"{found} cannot take images of {side} px ({text})",
                    f"use another {option('image_size')}",
                ) from error
            raise TbgridError(
                f"cannot download the weights of {found} ({text})",
                registry.download_hint(f"{registry.KERAS}{found}"),
            ) from error
        preprocess = importlib.import_module(networks[found].__module__).preprocess_input
        fingerprint = f"{registry.KERAS}{found}, {weights}, Keras {tf.keras.__version__}{on_gpu()}"
        return cls(
            model_id=f"{registry.KERAS}{found}",
            input_size=(side, side),
            fingerprint=fingerprint if weights else "",
            _model=model,
            _preprocess=preprocess,
        )

    @property
    def depthwise(self) -> bool:
        """Whether the network has depthwise convolutions."""
        kinds = {type(layer).__name__ for layer in self._model.layers}
        return not kinds.isdisjoint({"DepthwiseConv2D", "SeparableConv2D"})

    def graph(self, images: Any) -> Any:
        """Map a tensor float32[b, h, w, 3] in [0, 1] to float32[b, d], as a call does."""
        return self._model(self._preprocess(images * 255.0), training=False)

    def __call__(self, images: Float32Array) -> Float32Array:
        """Embed float32[b, h, w, 3] in [0, 1] as float32[b, d]."""
        return np.asarray(self.graph(images), np.float32)


def _build(network: Callable[..., Any], side: int, weights: str | None) -> Any:
    with contextlib.redirect_stdout(sys.stderr):  # where Keras shows its download
        return network(
            include_top=False, weights=weights, input_shape=(side, side, 3), pooling="avg"
        )


def _can_build(network: Callable[..., Any], side: int) -> bool:
    """Whether the network can be built for that side. Keras raises the same type of error for a
    side that is too small and for a damaged download."""
    try:
        _build(network, side, None)
    except ValueError:
        return False
    return True
