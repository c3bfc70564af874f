"""Keras Applications networks with the preprocessing that each was trained with."""

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
from tbgrid.errors import TbgridError, UsageError
from tbgrid.types import Float32Array

# Input sides of the published weights where they are not 224 (the classes' documentation in
# keras.applications).
_SIDES = {
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


@dataclass(frozen=True)
class KerasEmbedder:
    """A network of keras.applications without its classes, averaged over the picture."""

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
        """The network called `name` in keras.applications, in whatever case, `-` and `_` left out.

        `weights` None: random ones, which need no download.

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
        plain = {re.sub(r"[-_]", "", key).lower(): key for key in networks}
        found = plain.get(re.sub(r"[-_]", "", name).lower())
        if found is None:
            raise UsageError(
                f"no Keras Applications network {name!r}", f"expected one of {', '.join(networks)}"
            )
        side = image_size or _SIDES.get(found, 224)
        try:
            model = _built(networks[found], side, weights)
        except Exception as error:  # of urllib, or of Keras where a download is damaged
            text = " ".join(str(error).split())[:200] or type(error).__name__
            if weights is None or not _fits(networks[found], side):
                raise UsageError(
                    f"{found} cannot take pictures of {side} px ({text})",
                    "use another --image-size",
                ) from error
            raise TbgridError(
                f"cannot download the weights of {found} ({text})",
                registry.ways_out(f"{registry.KERAS}{found}"),
            ) from error
        preprocess = importlib.import_module(networks[found].__module__).preprocess_input
        fingerprint = f"{registry.KERAS}{found}, {weights}, Keras {tf.keras.__version__}{on_gpu()}"
        return cls(
            f"{registry.KERAS}{found}",
            (side, side),
            fingerprint if weights else "",
            model,
            preprocess,
        )

    @property
    def depthwise(self) -> bool:
        """Whether the network has depthwise convolutions."""
        kinds = {type(layer).__name__ for layer in self._model.layers}
        return not kinds.isdisjoint({"DepthwiseConv2D", "SeparableConv2D"})

    def graph(self, images: Any) -> Any:
        """What a call computes, of a tensor float32[b, h, w, 3] in [0, 1]: float32[b, d]."""
        return self._model(self._preprocess(images * 255.0), training=False)

    def __call__(self, images: Float32Array) -> Float32Array:
        """float32[b, h, w, 3] in [0, 1] -> float32[b, d]."""
        return np.asarray(self.graph(images), np.float32)


def _built(network: Callable[..., Any], side: int, weights: str | None) -> Any:
    with contextlib.redirect_stdout(sys.stderr):  # Keras shows its download there
        return network(
            include_top=False, weights=weights, input_shape=(side, side, 3), pooling="avg"
        )


def _fits(network: Callable[..., Any], side: int) -> bool:
    """Whether the network can be built for that side at all; Keras tells a side below its smallest
    and a damaged download by the same kind of error."""
    try:
        _built(network, side, None)
    except ValueError:
        return False
    return True
