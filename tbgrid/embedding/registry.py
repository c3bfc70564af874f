"""The short names of models, where each comes from, and the names that Kaggle and TF-Hub use."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tbgrid.errors import UsageError, option

KAGGLE_URL = re.compile(r"https?://(?:www\.)?kaggle\.com/models/([^?#]+)")
KERAS, KAGGLE = "keras:", "kaggle:"


@dataclass(frozen=True, kw_only=True)
class NamedModel:
    """A model with a short name.

    Attributes:
        name: the short name.
        side: of its input in pixels.
        dimensions: of its vectors.
        about: a line for `tbgrid models`.
        handle: its URL on TF-Hub; "" for a model that ships with tbgrid.
        kaggle: the same network in Kaggle Models, or "".
        keras: the same network in Keras Applications, or "".
    """

    name: str
    side: int
    dimensions: int
    about: str
    handle: str = ""
    kaggle: str = ""
    keras: str = ""


_TFHUB = "https://tfhub.dev/google/imagenet/"
NAMED_MODELS = (
    NamedModel(
        name="builtin", side=64, dimensions=776, about="small network that ships with tbgrid"
    ),
    NamedModel(name="pixels", side=32, dimensions=3072, about="the raw pixels, 32 x 32"),
    NamedModel(
        name="mobilenet-v2",
        side=224,
        dimensions=1280,
        about="MobileNetV2 1.0, ImageNet",
        handle=_TFHUB + "mobilenet_v2_100_224/feature_vector/5",
        kaggle="google/mobilenet-v2/tensorFlow2/100-224-feature-vector",
        keras="MobileNetV2",
    ),
    NamedModel(
        name="mobilenet-v2-035",
        side=224,
        dimensions=1280,
        about="MobileNetV2 0.35, ImageNet",
        handle=_TFHUB + "mobilenet_v2_035_224/feature_vector/5",
        kaggle="google/mobilenet-v2/tensorFlow2/035-224-feature-vector",
    ),
    NamedModel(
        name="efficientnet-v2-b0",
        side=224,
        dimensions=1280,
        about="EfficientNetV2 B0, ImageNet",
        handle=_TFHUB + "efficientnet_v2_imagenet1k_b0/feature_vector/2",
        kaggle="google/efficientnet-v2/tensorFlow2/imagenet1k-b0-feature-vector",
        keras="EfficientNetV2B0",
    ),
    NamedModel(
        name="inception-v3",
        side=299,
        dimensions=2048,
        about="Inception V3, ImageNet",
        handle=_TFHUB + "inception_v3/feature_vector/5",
        kaggle="google/inception-v3/tensorFlow2/feature-vector",
        keras="InceptionV3",
    ),
    NamedModel(
        name="resnet-v2-50",
        side=224,
        dimensions=2048,
        about="ResNet V2 50, ImageNet",
        handle=_TFHUB + "resnet_v2_50/feature_vector/5",
        kaggle="google/resnet-v2/tensorFlow2/50-feature-vector",
        keras="ResNet50V2",
    ),
)
BY_NAME = {model.name: model for model in NAMED_MODELS}


def kaggle_handle(model: str) -> str | None:
    """Parse a Kaggle handle or URL.

    Returns:
        "owner/model/framework/variation", with "/version" if it has one; None if `model` is
        neither a Kaggle handle nor a URL.

    Raises:
        UsageError: parts of it are missing.
    """
    url = KAGGLE_URL.match(model.removeprefix(KAGGLE))
    if url is None and not model.startswith(KAGGLE):
        return None
    parts = (url.group(1) if url else model.removeprefix(KAGGLE)).strip("/").split("/")
    if url:
        parts = [part for part in parts if part not in ("frameworks", "variations", "versions")]
    example = f"{KAGGLE}{BY_NAME['mobilenet-v2'].kaggle}"
    if len(parts) not in (4, 5) or not all(parts) or not "".join(parts[4:] or "1").isdecimal():
        raise UsageError(
            f"{model} is not the name of a Kaggle model",
            f"expected {KAGGLE}OWNER/MODEL/FRAMEWORK/VARIATION, such as {example}",
        )
    return "/".join(parts)


def download_hint(model: str) -> str:
    """Say what to do when `model`, a name in any of its forms, cannot be downloaded."""
    named = next(
        (
            k
            for k in NAMED_MODELS
            if k.handle and model in (k.name, k.handle, f"{KERAS}{k.keras}", f"{KAGGLE}{k.kaggle}")
        ),
        None,
    )
    name = option("model")
    ways = [f"{name} builtin", "a path to a SavedModel"]
    if named and named.keras and not model.startswith(KERAS):
        ways.append(f"{name} {KERAS}{named.keras}")
    if named and not model.startswith(KAGGLE):
        ways.append(f"{name} {KAGGLE}{named.kaggle}")
    if not model.startswith(KAGGLE):
        cache = "KERAS_HOME" if model.startswith(KERAS) else "TFHUB_CACHE_DIR"
        ways.append(f"{cache} with the model already downloaded")
    return f"use {', '.join(ways[:-1])} or {ways[-1]}"


def hub_directory(handle: str) -> Path:
    """Return where TF-Hub keeps a downloaded model.

    Source: tensorflow_hub/compressed_module_resolver.py.
    """
    cache = os.environ.get("TFHUB_CACHE_DIR") or Path(tempfile.gettempdir(), "tfhub_modules")
    return Path(cache, hashlib.sha1(handle.encode(), usedforsecurity=False).hexdigest())


def is_offline(model: NamedModel) -> bool:
    """Whether the model can be loaded without a network connection."""
    return not model.handle or hub_directory(model.handle).is_dir()
