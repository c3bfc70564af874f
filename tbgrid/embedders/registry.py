"""The short names of models, and where each comes from."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

KAGGLE_URL = re.compile(r"https?://(?:www\.)?kaggle\.com/models/([^?#]+)")
KERAS, KAGGLE = "keras:", "kaggle:"


@dataclass(frozen=True)
class Known:
    """A model with a short name. `side`: of its input in pixels; `dimensions` of its vectors.

    `handle` is a TF-Hub URL, or "" for a model that ships with tbgrid; `kaggle` and `keras` name
    the same network in Kaggle Models and in Keras Applications.
    """

    name: str
    side: int
    dimensions: int
    about: str
    handle: str = ""
    kaggle: str = ""
    keras: str = ""


_TFHUB = "https://tfhub.dev/google/imagenet/"
KNOWN = (
    Known("builtin", 64, 384, "small network that ships with tbgrid"),
    Known("pixels", 32, 3072, "the raw pixels, 32 x 32"),
    Known(
        "mobilenet-v2",
        224,
        1280,
        "MobileNetV2 1.0, ImageNet",
        _TFHUB + "mobilenet_v2_100_224/feature_vector/5",
        "google/mobilenet-v2/tensorFlow2/100-224-feature-vector",
        "MobileNetV2",
    ),
    Known(
        "mobilenet-v2-035",
        224,
        1280,
        "MobileNetV2 0.35, ImageNet",
        _TFHUB + "mobilenet_v2_035_224/feature_vector/5",
        "google/mobilenet-v2/tensorFlow2/035-224-feature-vector",
    ),
    Known(
        "efficientnet-v2-b0",
        224,
        1280,
        "EfficientNetV2 B0, ImageNet",
        _TFHUB + "efficientnet_v2_imagenet1k_b0/feature_vector/2",
        "google/efficientnet-v2/tensorFlow2/imagenet1k-b0-feature-vector",
        "EfficientNetV2B0",
    ),
    Known(
        "inception-v3",
        299,
        2048,
        "Inception V3, ImageNet",
        _TFHUB + "inception_v3/feature_vector/5",
        "google/inception-v3/tensorFlow2/feature-vector",
        "InceptionV3",
    ),
    Known(
        "resnet-v2-50",
        224,
        2048,
        "ResNet V2 50, ImageNet",
        _TFHUB + "resnet_v2_50/feature_vector/5",
        "google/resnet-v2/tensorFlow2/50-feature-vector",
        "ResNet50V2",
    ),
)
BY_NAME = {known.name: known for known in KNOWN}


def kaggle_handle(model: str) -> str | None:
    """`owner/model/framework/variation` of a Kaggle handle or URL; None if it is neither."""
    if model.startswith(KAGGLE):
        return model.removeprefix(KAGGLE)
    found = KAGGLE_URL.match(model)
    return (
        found.group(1).strip("/").replace("frameworks/", "").replace("variations/", "")
        if found
        else None
    )


def ways_out(model: str) -> str:
    """What to do when `model` cannot be downloaded."""
    known = next((k for k in KNOWN if model in (k.name, k.handle) and k.handle), None)
    ways = ["--model builtin", "a path to a SavedModel"]
    if known and known.keras:
        ways.append(f"--model {KERAS}{known.keras}")
    if known:
        ways.append(f"--model {KAGGLE}{known.kaggle}")
    return f"use {', '.join(ways)}, or TFHUB_CACHE_DIR with the model already downloaded"


def hub_directory(handle: str) -> Path:
    """Where TF-Hub keeps a downloaded model (tensorflow_hub/compressed_module_resolver.py)."""
    cache = os.environ.get("TFHUB_CACHE_DIR") or Path(tempfile.gettempdir(), "tfhub_modules")
    return Path(cache, hashlib.sha1(handle.encode(), usedforsecurity=False).hexdigest())


def offline(known: Known) -> bool:
    """Whether the model is there without a network."""
    return not known.handle or hub_directory(known.handle).is_dir()
